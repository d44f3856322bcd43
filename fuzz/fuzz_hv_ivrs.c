/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's IVRS table. */
#include <stdlib.h>

#include "drivers/ivrs.h"
#include "fuzz_copy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct ivrs *ivrs)
{
	if (!ivrs->n_units || ivrs->n_units > IVRS_UNITS || ivrs->n_entries > IVRS_ENTRIES ||
	    ivrs->n_reserved > IVRS_RESERVED || ivrs->n_ioapics > IVRS_IOAPICS)
		abort();
	for (unsigned i = 0; i < ivrs->n_units; i++) {
		if (!ivrs->units[i].base || ivrs->units[i].base & 0x3fff ||
		    ivrs->units[i].cap > 0xfc)
			abort();
	}
	for (unsigned i = 0; i < ivrs->n_entries; i++) {
		const struct ivrs_entry *e = &ivrs->entries[i], *found = ivrs_find(ivrs, e->first);
		if (e->first > e->last || e->unit >= ivrs->n_units || !found ||
		    found->last - found->first > e->last - e->first)
			abort();
	}
	for (unsigned i = 0; i < ivrs->n_reserved; i++) {
		const struct ivrs_reserved *r = &ivrs->reserved[i];
		if (!r->len || (r->start | r->len) & 0xfff ||
		    r->start + r->len > UINT64_C(1) << 52 || r->first > r->last)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ivrs ivrs;
	uint8_t *copy = fuzz_copy(data, size);

	if (ivrs_read(copy, (uint32_t)size, &ivrs) == 0)
		check(&ivrs);
	free(copy);
	return 0;
}
