/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The guest's RAM: one memfd, so that other processes (a device back end, a snapshot) can be given it. */
#include "base/core/err.h"
#include "machine/mem.h"

struct vmm_memory {
	int fd; /* the memfd */
	uint8_t *hva;
	uint64_t size_bytes;
};

#define VMM_MEMORY_MIN (UINT64_C(2) << 20) /* bytes */

/*
 * vmm_memory_init() - RAM below and, past LAYOUT_LOW_RAM_MAX, above 4 GiB
 * @size_bytes: a multiple of a page, VMM_MEMORY_MIN at least
 * Errors: -EINVAL; -ENOMEM and more than this host has, in words. Pages come when the guest touches them.
 */
int vmm_memory_init(struct vmm_memory *memory, struct guest_mem *mem, uint64_t size_bytes,
		    struct err *err);
/* vmm_memory_discard() - the balloon's: give a range of pages back to the host. */
void vmm_memory_discard(const struct vmm_memory *memory, const struct guest_mem *mem, gpa_t gpa,
			uint64_t len);
