/* SPDX-License-Identifier: Apache-2.0 */
/* DMAR tables as firmware writes them, and as it should not. */
#include "scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "drivers/dmar.h"

/* 48: a unit with an endpoint behind a bridge and an IOAPIC; 80: a range of a device; 112: the unit with the rest. */
#define UNIT	 48U
#define RESERVED 80U
#define REST	 112U
#define BYTES	 128U

static void structure(uint8_t *at, uint16_t kind, uint16_t len)
{
	le16_store(at, kind);
	le16_store(at + 2, len);
}

static void table_fill(uint8_t *table)
{
	memset(table, 0, BYTES);
	structure(table + UNIT, 0, 32);
	le64_store(table + UNIT + 8, 0xfed90000);
	memcpy(table + UNIT + 16,
	       (uint8_t[]){ 1, 8, 0, 0, 0, 3, 0x1c, 2, 3, 8, 0, 0, 9, 0xf0, 0x1f, 0 }, 16);
	structure(table + RESERVED, 1, 32);
	le64_store(table + RESERVED + 8, 0x7e000000);
	le64_store(table + RESERVED + 16, 0x7e01ffff);
	memcpy(table + RESERVED + 24, (uint8_t[]){ 1, 8, 0, 0, 0, 0, 0x14, 0 }, 8);
	structure(table + REST, 0, 16);
	table[REST + 4] = 1;
	le64_store(table + REST + 8, 0xfed91000);
}

/* From the heap, just as long: a sanitizer sees a byte too far. */
static int read_copy(const uint8_t *table, uint32_t len, struct dmar *ret)
{
	uint8_t *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, table, len);
	int r = dmar_read(copy, len, ret);
	free(copy);
	return r;
}

static void units_scopes_and_ranges_are_read(void **state)
{
	static struct dmar dmar;
	uint8_t table[BYTES];

	(void)state;
	table_fill(table);
	assert_int_equal(read_copy(table, BYTES, &dmar), 0);
	assert_int_equal(dmar.n_units, 2);
	assert_int_equal(dmar.units[0].base, 0xfed90000);
	assert_false(dmar.units[0].has_rest);
	assert_int_equal(dmar.units[0].scopes.n, 1); /* the IOAPIC has no buffers */
	assert_int_equal(dmar.units[0].scopes.at[0].bus, 3);
	assert_int_equal(dmar.units[0].scopes.at[0].n_path, 1);
	assert_int_equal(dmar.units[0].scopes.at[0].path[0].slot, 0x1c);
	assert_int_equal(dmar.units[0].scopes.at[0].path[0].function, 2);
	assert_true(dmar.units[1].has_rest);
	assert_false(dmar.has_interrupts);
	table[37] = 1;
	assert_int_equal(read_copy(table, BYTES, &dmar), 0);
	assert_true(dmar.has_interrupts);
	assert_int_equal(dmar.n_reserved, 1);
	assert_int_equal(dmar.reserved[0].start, 0x7e000000);
	assert_int_equal(dmar.reserved[0].len, 0x20000);
	assert_int_equal(dmar.reserved[0].scopes.at[0].path[0].slot, 0x14);
}

static void other_segments_and_unknown_structures_are_passed_over(void **state)
{
	static struct dmar dmar;
	uint8_t table[BYTES];

	(void)state;
	table_fill(table);
	le16_store(table + UNIT + 6, 1);
	le16_store(table + RESERVED, 77);
	assert_int_equal(read_copy(table, BYTES, &dmar), 0);
	assert_int_equal(dmar.n_units, 1);
	assert_true(dmar.units[0].has_rest);
	assert_int_equal(dmar.n_reserved, 0);
}

static void a_length_that_contradicts_itself_is_an_error(void **state)
{
	static struct dmar dmar;
	static const struct {
		uint8_t at;
		uint16_t value;
	} wrong[] = { { UNIT + 2, 0 },	    { UNIT + 2, 3 },	  { UNIT + 2, 8 },
		      { UNIT + 2, 0xffff }, { RESERVED + 2, 20 }, { RESERVED + 2, 31 } };
	uint8_t table[BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		table_fill(table);
		le16_store(table + wrong[i].at, wrong[i].value);
		assert_int_equal(read_copy(table, BYTES, &dmar), -EPROTO);
	}
	for (unsigned len = 0; len < 7; len++) { /* of a scope; 7 cuts a pair of its path */
		table_fill(table);
		table[UNIT + 17] = (uint8_t)len;
		assert_int_equal(read_copy(table, BYTES, &dmar), -EPROTO);
	}
	table_fill(table);
	for (uint32_t len = 0; len < BYTES; len++) {
		int r = read_copy(table, len, &dmar);
		assert_int_equal(r, len == UNIT			     ? -ENODATA
				    : len == RESERVED || len == REST ? 0
								     : -EPROTO);
	}
}

static void addresses_that_cannot_be_are_an_error(void **state)
{
	static struct dmar dmar;
	static const uint64_t bases[] = { 0, 0xfed90800, UINT64_C(1) << 46, UINT64_MAX },
			      lasts[] = { 0,	      0x7e000000, 0x7dffffff,
					  0x7e01fffe, UINT64_MAX, UINT64_C(1) << 52 };
	uint8_t table[BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		table_fill(table);
		le64_store(table + UNIT + 8, bases[i]);
		assert_int_equal(read_copy(table, BYTES, &dmar), -EPROTO);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lasts); i++) {
		table_fill(table);
		le64_store(table + RESERVED + 16, lasts[i]);
		assert_int_equal(read_copy(table, BYTES, &dmar), -EPROTO);
	}
	table_fill(table);
	table[UNIT + 22] = 32; /* a slot */
	assert_int_equal(read_copy(table, BYTES, &dmar), -EPROTO);
}

static void more_than_fits_is_an_error_not_a_part_of_it(void **state)
{
	static struct dmar dmar;
	const uint32_t len = UNIT + (DMAR_UNITS + 1) * 16;
	uint8_t *table = calloc(1, len);

	(void)state;
	assert_non_null(table);
	for (unsigned i = 0; i <= DMAR_UNITS; i++) {
		structure(table + UNIT + (size_t)i * 16, 0, 16);
		le64_store(table + UNIT + (size_t)i * 16 + 8, 0xfed90000 + (uint64_t)i * 4096);
	}
	assert_int_equal(read_copy(table, len - 16, &dmar), 0);
	assert_int_equal(read_copy(table, len, &dmar), -E2BIG);
	free(table);
	uint8_t scopes[UNIT + 16 + (DMAR_SCOPES + 1) * 8] = { 0 };
	structure(scopes + UNIT, 0, sizeof(scopes) - UNIT);
	le64_store(scopes + UNIT + 8, 0xfed90000);
	for (unsigned i = 0; i <= DMAR_SCOPES; i++)
		memcpy(scopes + UNIT + 16 + (size_t)i * 8, (uint8_t[]){ 2, 8 }, 2);
	assert_int_equal(read_copy(scopes, sizeof(scopes), &dmar), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_scopes_and_ranges_are_read),
		cmocka_unit_test(other_segments_and_unknown_structures_are_passed_over),
		cmocka_unit_test(a_length_that_contradicts_itself_is_an_error),
		cmocka_unit_test(addresses_that_cannot_be_are_an_error),
		cmocka_unit_test(more_than_fits_is_an_error_not_a_part_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
