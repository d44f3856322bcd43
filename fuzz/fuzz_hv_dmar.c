/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's DMAR table. */
#include <stdlib.h>

#include "drivers/dmar.h"
#include "fuzz_copy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_scopes(const struct dmar_scopes *scopes)
{
	if (scopes->n > DMAR_SCOPES)
		abort();
	for (unsigned i = 0; i < scopes->n; i++) {
		if (!scopes->at[i].n_path || scopes->at[i].n_path > DMAR_PATH)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dmar dmar;
	uint8_t *copy = fuzz_copy(data, size);

	if (dmar_read(copy, (uint32_t)size, &dmar) == 0) {
		if (!dmar.n_units || dmar.n_units > DMAR_UNITS || dmar.n_reserved > DMAR_RESERVED)
			abort();
		for (unsigned i = 0; i < dmar.n_units; i++) {
			if (!dmar.units[i].base || dmar.units[i].base & 0xfff)
				abort();
			check_scopes(&dmar.units[i].scopes);
		}
		for (unsigned i = 0; i < dmar.n_reserved; i++) {
			const struct dmar_reserved *range = &dmar.reserved[i];
			if (!range->len || (range->start | range->len) & 0xfff ||
			    range->start + range->len < range->start)
				abort();
			check_scopes(&range->scopes);
		}
	}
	free(copy);
	return 0;
}
