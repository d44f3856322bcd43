/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a walk of a guest's page tables is made of: for gva.c, whose walk is on the way of every access to a device, and gva_mark.c.
 * Source: Intel SDM 3A, Paging.
 */
#include <errno.h>

#include "vm/gva.h"
#include "x86/descriptor.h"

#define GVA_PTE_ADDRESS UINT64_C(0x000ffffffffff000)

/* One of the four ways in which tables are laid out. */
struct gva_shape {
	uint8_t levels, entry_bytes, bits; /* bits of the address that a level takes */
	uint64_t root;
};

static inline struct gva_shape gva_shape_of(const struct hw_paging *p)
{
	if (p->efer & X86_EFER_LMA)
		return (struct gva_shape){ p->cr4 & X86_CR4_LA57 ? 5 : 4, 8, 9,
					   p->cr3 & GVA_PTE_ADDRESS };
	if (p->cr4 & X86_CR4_PAE)
		return (struct gva_shape){ 3, 8, 9, p->cr3 & 0xffffffe0 };
	return (struct gva_shape){ 2, 4, 10, p->cr3 & 0xfffff000 };
}

static inline int gva_entry_load(const struct guest_mem *mem, gpa_t gpa, unsigned bytes,
				 uint64_t *ret)
{
	const void *at = mem_hva(mem, gpa, bytes);

	if (!at)
		return -EIO;
	/* Aligned: a CPU of the guest's may write it just now. */
	*ret = bytes == 8 ? __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED)
			  : __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);
	return 0;
}

static inline bool gva_is_large(const struct hw_paging *p, const struct gva_shape *s,
				unsigned level, uint64_t entry)
{
	if (level == 0)
		return true;
	if (!(entry & X86_PTE_LARGE))
		return false;
	if (s->entry_bytes == 4)
		return level == 1 && p->cr4 & X86_CR4_PSE;
	return level == 1 || (level == 2 && s->levels > 3);
}

static inline unsigned gva_page_part(gva_t gva, unsigned len)
{
	unsigned left = GUEST_PAGE_BYTES - (unsigned)(gva % GUEST_PAGE_BYTES);

	return len < left ? len : left;
}
