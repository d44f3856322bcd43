/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/gva.h"

#include <errno.h>
#include <string.h>

#include "vm/gva_walk.h"
#include "x86/descriptor.h"

#define PTE_USER UINT64_C(0x4)
#define PTE_NX	 (UINT64_C(1) << 63)

/* Bits 13 to 20 of a 4 MiB page's entry are 32 to 39 of its address (PSE-36). */
static gpa_t leaf_gpa(const struct gva_shape *s, unsigned level, uint64_t entry, gva_t gva)
{
	uint64_t span = UINT64_C(1) << (12 + level * s->bits);
	uint64_t base = entry & GVA_PTE_ADDRESS;

	if (s->entry_bytes == 4 && level)
		base = (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
	return (base & ~(span - 1)) | (gva & (span - 1));
}

/* @rights: what every level allowed. */
static bool may(const struct hw_paging *p, uint32_t access, uint64_t rights, bool no_execute)
{
	if (access & GVA_USER && !(rights & PTE_USER))
		return false;
	if (access & GVA_WRITE && !(rights & X86_PTE_WRITE) &&
	    (access & GVA_USER || p->cr0 & X86_CR0_WP))
		return false;
	return !(access & GVA_FETCH && no_execute && p->efer & X86_EFER_NX);
}

int gva_translate(const struct guest_mem *mem, const struct hw_paging *p, gva_t gva,
		  uint32_t access, gpa_t *ret, uint32_t *ret_error)
{
	if (!(p->efer & X86_EFER_LMA))
		gva &= UINT32_MAX;
	if (!(p->cr0 & X86_CR0_PG)) {
		*ret = gva;
		return 0;
	}
	const struct gva_shape s = gva_shape_of(p);
	uint64_t rights = X86_PTE_WRITE | PTE_USER, table = s.root;
	bool no_execute = false;
	for (unsigned level = s.levels - 1U;; level--) {
		uint64_t index = gva >> (12 + level * s.bits) & ((1U << s.bits) - 1), entry;
		if (gva_entry_load(mem, table + index * s.entry_bytes, s.entry_bytes, &entry) < 0)
			return -EIO;
		*ret_error = access;
		if (!(entry & X86_PTE_PRESENT))
			return -EFAULT;
		/* PAE's four root entries have no permissions. */
		if (!(s.levels == 3 && level == 2)) {
			rights &= entry;
			no_execute |= s.entry_bytes == 8 && entry & PTE_NX;
		}
		if (gva_is_large(p, &s, level, entry)) {
			*ret_error |= GVA_PRESENT;
			if (!may(p, access, rights, no_execute))
				return -EFAULT;
			*ret = leaf_gpa(&s, level, entry, gva);
			return 0;
		}
		table = entry & GVA_PTE_ADDRESS;
	}
}

int gva_read(const struct guest_mem *mem, const struct hw_paging *paging, gva_t gva,
	     uint32_t access, void *ret, unsigned len, gva_t *ret_gva, uint32_t *ret_error)
{
	uint8_t *to = ret;

	while (len) {
		unsigned part = gva_page_part(gva, len);
		gpa_t gpa = 0;
		*ret_gva = gva;
		int r = gva_translate(mem, paging, gva, access, &gpa, ret_error);
		if (r < 0)
			return r;
		const void *at = mem_hva(mem, gpa, part);
		if (!at)
			return -EIO;
		memcpy(to, at, part);
		to += part;
		gva += part;
		len -= part;
	}
	return 0;
}

int gva_write(struct guest_mem *mem, const struct hw_paging *paging, gva_t gva, uint32_t access,
	      const void *data, unsigned len, gva_t *ret_gva, uint32_t *ret_error)
{
	const uint8_t *from = data;

	while (len) {
		unsigned part = gva_page_part(gva, len);
		gpa_t gpa = 0;
		*ret_gva = gva;
		int r = gva_translate(mem, paging, gva, access | GVA_WRITE, &gpa, ret_error);
		if (r < 0)
			return r;
		void *at = mem_hva_rw(mem, gpa, part);
		if (!at)
			return -EIO;
		memcpy(at, from, part);
		mem_wrote(mem, gpa, part);
		from += part;
		gva += part;
		len -= part;
	}
	return 0;
}
