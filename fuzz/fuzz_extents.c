/* SPDX-License-Identifier: Apache-2.0 */
/* Any two copies of a table of extents: what is taken lies in the partition, overlaps nothing, and is what its builder makes. */
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/crc32.h"
#include "base/core/extents.h"

#define PART (UINT64_C(64) * EXTENTS_UNIT_BYTES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void table_check(const struct extents *table)
{
	must(table->n <= EXTENTS_MAX);
	for (unsigned i = 0; i < table->n; i++) {
		const struct extent *e = &table->at[i];
		must(extents_name_ok(e->name) && extents_find(table, e->name) == e);
		must(e->start_bytes >= EXTENTS_UNIT_BYTES && e->len_bytes &&
		     e->start_bytes < PART && e->len_bytes <= PART - e->start_bytes);
		for (unsigned k = 0; k < i; k++)
			must(table->at[k].start_bytes + table->at[k].len_bytes <= e->start_bytes ||
			     e->start_bytes + e->len_bytes <= table->at[k].start_bytes);
	}
}

/* The input's first byte says whose sum is made right: else hardly anything gets past it. */
static void copies_fill(uint8_t copies[EXTENTS_COPIES][EXTENTS_COPY_BYTES], const uint8_t *data,
			size_t size)
{
	size_t half = (size - 1) / 2;

	for (unsigned i = 0; i < EXTENTS_COPIES; i++) {
		memset(copies[i], 0, EXTENTS_COPY_BYTES);
		memcpy(copies[i], data + 1 + i * half,
		       half < EXTENTS_COPY_BYTES ? half : EXTENTS_COPY_BYTES);
		if (!(data[0] & 1U << i))
			continue;
		le32_store(copies[i] + 12, 0);
		le32_store(copies[i] + 12, crc32_add(0, copies[i], EXTENTS_COPY_BYTES));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t copies[EXTENTS_COPIES][EXTENTS_COPY_BYTES], again[EXTENTS_COPY_BYTES];
	static struct extents table;
	struct err err = { 0 };

	if (!size)
		return 0;
	copies_fill(copies, data, size);
	const uint8_t *const both[] = { copies[0], copies[1] };
	if (extents_read(both, PART, &table, &err) < 0)
		return 0;
	table_check(&table);
	extents_build(&table, again);
	must(memcmp(again, copies[table.copy], sizeof(again)) == 0);
	(void)extents_add(&table, "fuzz", EXTENTS_UNIT_BYTES * (1 + data[0] % 8), 0, &err);
	table_check(&table);
	while (table.n)
		must(extents_remove(&table, table.at[table.n / 2].name, &err) == 0);
	return 0;
}
