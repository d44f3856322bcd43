/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the parts of cpuid.h share. Private to them. */
#include "machine/cpuid.h"

struct cpuid_list {
	struct cpuid_leaf *leaves;
	unsigned n;
	bool full; /* a leaf did not fit */
};

#define CPUID_SVM UINT32_C(0x8000000a)

static inline struct cpuid_leaf *list_find(struct cpuid_list *list, uint32_t function,
					   uint32_t index)
{
	return cpuid_find(list->leaves, list->n, function, index);
}

/* list_set() - a leaf in the place of the one there, or after the last. */
void list_set(struct cpuid_list *list, struct cpuid_leaf leaf);
/* list_drop() - every sub-leaf of it. */
void list_drop(struct cpuid_list *list, uint32_t function);

/* cpuid_topology() - what tells of vcpus and caches, as vcpu index has it. */
void cpuid_topology(const struct cpuid_config *config, unsigned index, struct cpuid_list *list);
/* cpuid_xsave() - leaf 0xd, and the features that live on its states, made to agree. */
void cpuid_xsave(struct cpuid_list *list);
