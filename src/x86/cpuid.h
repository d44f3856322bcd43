/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* CPUID leaves as the manuals number them. Source: Intel SDM 2A, CPUID; AMD APM 3, appendix E. */
#include <stdbool.h>
#include <stdint.h>

struct cpuid_leaf {
	uint32_t function, index;
	bool indexed; /* index counts: ECX selects a sub-leaf */
	uint32_t eax, ebx, ecx, edx;
};

#define CPUID_LEAVES_MAX 256U

enum {
	CPUID_BASIC = 0x0,
	CPUID_FEATURES = 0x1,
	CPUID_CACHES = 0x4,
	CPUID_EXTENDED_FEATURES = 0x7,
	CPUID_TOPOLOGY = 0xb,
	CPUID_XSAVE = 0xd,
	CPUID_TOPOLOGY_V2 = 0x1f,
	CPUID_KVM = 0x40000000,
	CPUID_KVM_FEATURES = 0x40000001,
	CPUID_EXT = (int)0x80000000,
	CPUID_EXT_FEATURES = (int)0x80000001,
	CPUID_EXT_ADDRESS = (int)0x80000008,
	CPUID_EXT_TOPOLOGY = (int)0x8000001e,
};

enum cpuid_reg { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* One feature bit and the name it has in Linux's /proc/cpuinfo. */
struct cpuid_flag {
	uint32_t function, index;
	enum cpuid_reg reg;
	uint8_t bit;
	const char *name;
};

/* cpuid_find() - the leaf of a list, or NULL. @index: ignored where the leaf has no sub-leaves. */
struct cpuid_leaf *cpuid_find(struct cpuid_leaf *leaves, unsigned n, uint32_t function,
			      uint32_t index);
/* cpuid_reg() - one of a leaf's four words. */
uint32_t *cpuid_reg(struct cpuid_leaf *leaf, enum cpuid_reg reg);
/* cpuid_flag() - by its name, or NULL: not one that we know. */
const struct cpuid_flag *cpuid_flag(const char *name);
/* cpuid_has() - whether a list has the feature bit of that name; false for a name that we do not know. */
bool cpuid_has(struct cpuid_leaf *leaves, unsigned n, const char *name);
/* cpuid_clear() - take the feature bits of these names out of a list; ends with NULL. */
void cpuid_clear(struct cpuid_leaf *leaves, unsigned n, const char *const *names);
