/* SPDX-License-Identifier: Apache-2.0 */
/* Accessed and dirty bits. Source: Intel SDM 3A, Accessed and Dirty Flags. */
#include "vm/gva.h"
#include "vm/gva_walk.h"

#define PTE_ACCESSED UINT64_C(0x20)
#define PTE_DIRTY    UINT64_C(0x40)

/* An entry that another CPU changes meanwhile is left as that one wants it: it has to invalidate what was read before anyway. */
static void entry_mark(struct guest_mem *mem, gpa_t gpa, unsigned bytes, uint64_t value,
		       uint64_t bits)
{
	void *at = mem_hva_rw(mem, gpa, bytes);
	uint32_t value32 = (uint32_t)value;

	if (!at || (value & bits) == bits)
		return;
	if (bytes == 8)
		__atomic_compare_exchange_n((uint64_t *)at, &value, value | bits, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	else
		__atomic_compare_exchange_n((uint32_t *)at, &value32, value32 | (uint32_t)bits,
					    false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	mem_wrote(mem, gpa, bytes);
}

/* The access has been made: rights were looked at then. */
static void page_mark(struct guest_mem *mem, const struct hw_paging *p, gva_t gva, uint32_t access)
{
	const struct gva_shape s = gva_shape_of(p);
	uint64_t table = s.root, entry;

	for (unsigned level = s.levels - 1U;; level--) {
		uint64_t index = gva >> (12 + level * s.bits) & ((1U << s.bits) - 1);
		gpa_t gpa = table + index * s.entry_bytes;
		if (gva_entry_load(mem, gpa, s.entry_bytes, &entry) < 0 ||
		    !(entry & X86_PTE_PRESENT))
			return;
		bool is_leaf = gva_is_large(p, &s, level, entry);
		/* PAE's four root entries have no such bits. */
		if (!(s.levels == 3 && level == 2))
			entry_mark(mem, gpa, s.entry_bytes, entry,
				   PTE_ACCESSED | (is_leaf && access & GVA_WRITE ? PTE_DIRTY : 0));
		if (is_leaf)
			return;
		table = entry & GVA_PTE_ADDRESS;
	}
}

void gva_mark(struct guest_mem *mem, const struct hw_paging *p, gva_t gva, uint32_t access,
	      unsigned len)
{
	while (len && p->cr0 & X86_CR0_PG) {
		unsigned part = gva_page_part(gva, len);
		page_mark(mem, p, p->efer & X86_EFER_LMA ? gva : gva & UINT32_MAX, access);
		gva += part;
		len -= part;
	}
}
