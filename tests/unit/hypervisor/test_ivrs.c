/* SPDX-License-Identifier: Apache-2.0 */
/* IVRS tables as firmware writes them, and as it should not. */
#include "scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "drivers/ivrs.h"

/* One unit, told of by an old and by a new block; memory for a range of devices. */
#define OLD    48U
#define NEW    (OLD + 24 + 4)
#define MEMORY (NEW + 40 + 44)
#define BYTES  (MEMORY + 32)

static const uint8_t old_entries[4] = { 1 }, new_entries[44] = {
	2,  0x08, 0x00, 0x30,				    /* one */
	3,  0x00, 0x01, 0x00, 4, 0xff, 0x01, 0,		    /* a range */
	66, 0x28, 0x02, 0,    0, 0x00, 0x02, 0,		    /* one by another name */
	72, 0,	  0,	0xd7, 4, 0xa0, 0x00, 1,		    /* an IOAPIC */
	0,  0,	  0,	0,    0, 0,    0,    0, 0, 0, 0, 0, /* fills up */
	2,  0x10, 0x03, 0,				    /* one more */
};

static void block(uint8_t *at, uint8_t kind, uint8_t flags, uint16_t len, uint16_t id)
{
	at[0] = kind;
	at[1] = flags;
	le16_store(at + 2, len);
	le16_store(at + 4, id);
}

static void table_fill(uint8_t *table)
{
	memset(table, 0, BYTES);
	block(table + OLD, 0x10, 0, 28, 0x0002);
	le64_store(table + OLD + 8, 0xfeb80000);
	memcpy(table + OLD + 24, old_entries, sizeof(old_entries));
	block(table + NEW, 0x11, IVRS_ISOCHRONOUS | IVRS_PASS_WRITES, 84, 0x0002);
	table[NEW + 6] = 0x40;
	le64_store(table + NEW + 8, 0xfeb80000);
	memcpy(table + NEW + 40, new_entries, sizeof(new_entries));
	block(table + MEMORY, 0x22, 7, 32, 0x0100);
	le16_store(table + MEMORY + 6, 0x01ff);
	le64_store(table + MEMORY + 16, 0x7e000000);
	le64_store(table + MEMORY + 24, 0x20000);
}

/* From the heap, just as long: a sanitizer sees a byte too far. */
static int read_copy(const uint8_t *table, uint32_t len, struct ivrs *ret)
{
	uint8_t *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, table, len);
	int r = ivrs_read(copy, len, ret);
	free(copy);
	return r;
}

static void units_entries_and_memory_are_read(void **state)
{
	static struct ivrs ivrs;
	uint8_t table[BYTES];

	(void)state;
	table_fill(table);
	assert_int_equal(read_copy(table, BYTES, &ivrs), 0);
	assert_int_equal(ivrs.n_units, 1);
	assert_int_equal(ivrs.units[0].base, 0xfeb80000);
	assert_int_equal(ivrs.units[0].id, 2);
	assert_int_equal(ivrs.units[0].cap, 0x40);
	assert_int_equal(ivrs.units[0].flags, IVRS_ISOCHRONOUS | IVRS_PASS_WRITES);
	assert_int_equal(ivrs.n_entries, 4);
	assert_int_equal(ivrs_find(&ivrs, 0x0008)->settings >> IVRS_MANAGEMENT_AT, 3);
	assert_int_equal(ivrs_find(&ivrs, 0x0100)->last, 0x01ff);
	assert_int_equal(ivrs_find(&ivrs, 0x01ff)->first, 0x0100);
	assert_false(ivrs_find(&ivrs, 0x01ff)->has_alias);
	assert_null(ivrs_find(&ivrs, 0x0200));
	assert_true(ivrs_find(&ivrs, 0x0228)->has_alias);
	assert_int_equal(ivrs_find(&ivrs, 0x0228)->alias, 0x0200);
	assert_null(ivrs_find(&ivrs, 0x00a0)); /* the IOAPIC has no buffers */
	assert_int_equal(ivrs.n_ioapics, 1);
	assert_int_equal(ivrs.ioapics[0].id, 0x00a0);
	assert_int_equal(ivrs.ioapics[0].settings, 0xd7);
	assert_non_null(ivrs_find(&ivrs, 0x0310));
	assert_int_equal(ivrs.n_reserved, 1);
	assert_int_equal(ivrs.reserved[0].first, 0x0100);
	assert_int_equal(ivrs.reserved[0].last, 0x01ff);
	assert_int_equal(ivrs.reserved[0].start, 0x7e000000);
	assert_int_equal(ivrs.reserved[0].len, 0x20000);
	assert_false(ivrs.reserved[0].read_only);
}

/* "All devices" of the old block would be a second opinion of the same unit's. */
static void the_latest_kind_of_block_is_the_units(void **state)
{
	static struct ivrs ivrs;
	uint8_t table[BYTES];

	(void)state;
	table_fill(table);
	table[NEW] = 0x30; /* of a later specification */
	assert_int_equal(read_copy(table, BYTES, &ivrs), 0);
	assert_int_equal(ivrs.units[0].kind, 0x10);
	assert_int_equal(ivrs.n_entries, 1);
	assert_int_equal(ivrs_find(&ivrs, 0x1234)->last, 0xffff);
	table_fill(table);
	table[OLD] = 0x10;
	table[NEW] = 0x40;
	/* an entry with ACPI names, of 22 bytes and 2 of text, in place of the last five */
	uint8_t *named = table + NEW + 40 + 20;
	memset(named, 0, 24);
	named[0] = 240;
	le16_store(named + 1, 0x00a5);
	named[21] = 2;
	assert_int_equal(read_copy(table, BYTES, &ivrs), 0);
	assert_int_equal(ivrs.units[0].kind, 0x40);
	assert_int_equal(ivrs.n_entries, 4);
	assert_non_null(ivrs_find(&ivrs, 0x00a5));
	named[21] = 3; /* a byte more than there is */
	assert_int_equal(read_copy(table, BYTES, &ivrs), -EPROTO);
}

static void what_says_most_about_a_device_counts(void **state)
{
	static struct ivrs ivrs;

	(void)state;
	ivrs.entries[0] = (struct ivrs_entry){ .first = 0x0100, .last = 0x0100, .unit = 1 };
	ivrs.entries[1] = (struct ivrs_entry){ .first = 0, .last = 0xffff, .unit = 2 };
	ivrs.entries[2] = (struct ivrs_entry){ .first = 0x0100, .last = 0x01ff, .unit = 3 };
	ivrs.entries[3] = (struct ivrs_entry){ .first = 0x0100, .last = 0x01ff, .unit = 4 };
	ivrs.n_entries = 4;
	assert_int_equal(ivrs_find(&ivrs, 0x0100)->unit, 1);
	assert_int_equal(ivrs_find(&ivrs, 0x0101)->unit, 4);
	assert_int_equal(ivrs_find(&ivrs, 0xffff)->unit, 2);
}

static void other_segments_and_memory_left_alone_are_passed_over(void **state)
{
	static struct ivrs ivrs;
	uint8_t table[BYTES];

	(void)state;
	table_fill(table);
	table[MEMORY + 1] = 0;
	assert_int_equal(read_copy(table, BYTES, &ivrs), 0);
	assert_int_equal(ivrs.n_reserved, 0);
	table[MEMORY + 1] = 3; /* no IW */
	assert_int_equal(read_copy(table, BYTES, &ivrs), 0);
	assert_true(ivrs.reserved[0].read_only);
	table[MEMORY + 1] = 8; /* an exclusion range: its devices read and write it */
	table[MEMORY] = 0x20;
	assert_int_equal(read_copy(table, BYTES, &ivrs), 0);
	assert_false(ivrs.reserved[0].read_only);
	assert_int_equal(ivrs.reserved[0].first, 0);
	assert_int_equal(ivrs.reserved[0].last, 0xffff);
	le16_store(table + MEMORY + 8, 1);
	le16_store(table + NEW + 16, 1);
	assert_int_equal(read_copy(table, BYTES, &ivrs), 0);
	assert_int_equal(ivrs.n_reserved, 0);
	assert_int_equal(ivrs.units[0].kind, 0x10);
	assert_int_equal(ivrs.n_entries, 1);
	le16_store(table + OLD + 16, 1);
	assert_int_equal(read_copy(table, BYTES, &ivrs), -ENODATA);
}

static void a_length_that_contradicts_itself_is_an_error(void **state)
{
	static struct ivrs ivrs;
	static const struct {
		uint16_t at, value;
	} wrong[] = { { OLD + 2, 0 },  { OLD + 2, 3 },	{ OLD + 2, 23 },    { OLD + 2, 0xffff },
		      { NEW + 2, 39 }, { NEW + 2, 83 }, { MEMORY + 2, 31 }, { MEMORY + 2, 33 } };
	uint8_t table[BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		table_fill(table);
		le16_store(table + wrong[i].at, wrong[i].value);
		assert_int_equal(read_copy(table, BYTES, &ivrs), -EPROTO);
	}
	table_fill(table);
	for (uint32_t len = 0; len < BYTES; len++) {
		int r = read_copy(table, len, &ivrs);
		assert_int_equal(r, len == OLD			  ? -ENODATA
				    : len == NEW || len == MEMORY ? 0
								  : -EPROTO);
	}
}

static void ranges_begin_and_end(void **state)
{
	static struct ivrs ivrs;
	uint8_t table[BYTES];
	uint8_t *entry = table + NEW + 40;

	(void)state;
	table_fill(table);
	entry[8] = 0; /* no end before the next */
	assert_int_equal(read_copy(table, BYTES, &ivrs), -EPROTO);
	table_fill(table);
	entry[4] = 0; /* an end without a start */
	assert_int_equal(read_copy(table, BYTES, &ivrs), -EPROTO);
	table_fill(table);
	entry[10] = 0; /* it ends before it starts */
	assert_int_equal(read_copy(table, BYTES, &ivrs), -EPROTO);
	table_fill(table);
	entry[40] = 3; /* the last one starts */
	assert_int_equal(read_copy(table, BYTES, &ivrs), -EPROTO);
}

static void addresses_that_cannot_be_are_an_error(void **state)
{
	static struct ivrs ivrs;
	static const uint64_t bases[] = { 0, 0xfeb81000, UINT64_C(1) << 46, UINT64_MAX };
	static const struct {
		uint64_t start, len;
	} ranges[] = { { 0x7e000000, 0 },
		       { 0x7e000800, 0x1000 },
		       { 0x7e000000, 0x1800 },
		       { UINT64_C(1) << 52, 0x1000 },
		       { 0x7e000000, UINT64_C(1) << 52 },
		       { 0x7e000000, ~UINT64_C(0xfff) } };
	uint8_t table[BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		table_fill(table);
		le64_store(table + NEW + 8, bases[i]);
		assert_int_equal(read_copy(table, BYTES, &ivrs), -EPROTO);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		table_fill(table);
		le64_store(table + MEMORY + 16, ranges[i].start);
		le64_store(table + MEMORY + 24, ranges[i].len);
		assert_int_equal(read_copy(table, BYTES, &ivrs), -EPROTO);
	}
	table_fill(table);
	le16_store(table + MEMORY + 6, 0x00ff); /* ends before it starts */
	assert_int_equal(read_copy(table, BYTES, &ivrs), -EPROTO);
	table_fill(table);
	table[NEW + 6] = 0x41; /* no register */
	assert_int_equal(read_copy(table, BYTES, &ivrs), -EPROTO);
	table_fill(table);
	table[NEW] = 0x10; /* two of a kind */
	assert_int_equal(read_copy(table, BYTES, &ivrs), -EPROTO);
}

static void more_than_fits_is_an_error_not_a_part_of_it(void **state)
{
	static struct ivrs ivrs;
	const uint32_t len = 48 + (IVRS_UNITS + 1) * 24;
	uint8_t *table = calloc(1, len);

	(void)state;
	assert_non_null(table);
	for (unsigned i = 0; i <= IVRS_UNITS; i++) {
		block(table + 48 + (size_t)i * 24, 0x10, 0, 24, (uint16_t)i);
		le64_store(table + 48 + (size_t)i * 24 + 8, 0xfeb80000);
	}
	assert_int_equal(read_copy(table, len - 24, &ivrs), 0);
	assert_int_equal(read_copy(table, len, &ivrs), -E2BIG);
	free(table);
	const uint32_t many = 48 + 24 + (IVRS_ENTRIES + 1) * 4;
	table = calloc(1, many);
	assert_non_null(table);
	block(table + 48, 0x10, 0, (uint16_t)(many - 48), 2);
	le64_store(table + 48 + 8, 0xfeb80000);
	for (unsigned i = 0; i <= IVRS_ENTRIES; i++)
		table[48 + 24 + (size_t)i * 4] = 2;
	assert_int_equal(read_copy(table, many, &ivrs), -E2BIG);
	le16_store(table + 48 + 2, (uint16_t)(many - 48 - 4));
	assert_int_equal(read_copy(table, many - 4, &ivrs), 0);
	assert_int_equal(ivrs.n_entries, IVRS_ENTRIES);
	for (unsigned i = 0; i <= IVRS_IOAPICS; i++)
		memcpy(table + 48 + 24 + (size_t)i * 8, (uint8_t[]){ 72, 0, 0, 0, 0, 0, 0, 1 }, 8);
	assert_int_equal(read_copy(table, many - 4, &ivrs), -E2BIG);
	table[48 + 24 + 7] = 2; /* one is a timer */
	assert_int_equal(read_copy(table, many - 4, &ivrs), 0);
	assert_int_equal(ivrs.n_ioapics, IVRS_IOAPICS);
	free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_entries_and_memory_are_read),
		cmocka_unit_test(the_latest_kind_of_block_is_the_units),
		cmocka_unit_test(what_says_most_about_a_device_counts),
		cmocka_unit_test(other_segments_and_memory_left_alone_are_passed_over),
		cmocka_unit_test(a_length_that_contradicts_itself_is_an_error),
		cmocka_unit_test(ranges_begin_and_end),
		cmocka_unit_test(addresses_that_cannot_be_are_an_error),
		cmocka_unit_test(more_than_fits_is_an_error_not_a_part_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
