/* SPDX-License-Identifier: Apache-2.0 */
/* A table made as the UEFI specification has it, and then broken. */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/crc32.h"
#include "base/core/gpt.h"
#include "base/core/macros.h"

#define SECTORS UINT64_C(131072)
#define TABLE	(128U * 128U)

struct scene {
	uint8_t header[512], table[TABLE];
	uint64_t entries;
	uint32_t bytes;
	struct gpt_part parts[GPT_PARTS];
};

static void entry(struct scene *s, unsigned i, uint64_t first, uint64_t last, const char *label)
{
	uint8_t *e = s->table + i * 128;

	memset(e, 0x11, 32);
	le64_store(e + 32, first);
	le64_store(e + 40, last);
	for (unsigned k = 0; label[k]; k++)
		le16_store(e + 56 + k * 2, (uint16_t)(uint8_t)label[k]);
}

static void seal(struct scene *s)
{
	le32_store(s->header + 88, crc32_add(0, s->table, TABLE));
	le32_store(s->header + 16, 0);
	le32_store(s->header + 16, crc32_add(0, s->header, 92));
}

static void scene_init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	memcpy(s->header, "EFI PART", 8);
	le32_store(s->header + 12, 92);
	le64_store(s->header + 24, 1);
	le64_store(s->header + 40, 34);
	le64_store(s->header + 48, SECTORS - 34);
	le64_store(s->header + 72, 2);
	le32_store(s->header + 80, 128);
	le32_store(s->header + 84, 128);
	entry(s, 0, 2048, 4095, "boot part");
	entry(s, 4, 4096, 8191, "d\xe4ta");
	seal(s);
}

static int scene_read(struct scene *s)
{
	int r = gpt_header(s->header, 512, 1, SECTORS, &s->entries, &s->bytes);

	return r < 0 ? r : gpt_table(s->header, s->table, s->bytes, 512, SECTORS, s->parts);
}

static void partitions_are_read_with_number_place_and_label(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(scene_read(&s), 2);
	assert_int_equal(s.entries, 2);
	assert_int_equal(s.parts[0].number, 1);
	assert_int_equal(s.parts[0].start_bytes, 2048 * 512);
	assert_int_equal(s.parts[0].len_bytes, 2048 * 512);
	assert_string_equal(s.parts[0].label, "boot part");
	assert_int_equal(s.parts[1].number, 5);
	assert_string_equal(s.parts[1].label, "d?ta");
}

static void no_table_is_not_a_broken_one(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	s.header[0] = 'X';
	assert_int_equal(scene_read(&s), -ENODATA);
}

static void what_is_broken_is_refused(void **state)
{
	static const struct {
		unsigned at;
		uint32_t value;
	} words[] = { { 12, 91 },     { 12, 513 }, { 24, 2 },	      { 72, 0 },
		      { 72, 131071 }, { 76, 1 },   { 80, 0 },	      { 80, 1025 },
		      { 84, 64 },     { 84, 129 }, { 84, 0xffffffff } };
	struct scene s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		scene_init(&s);
		le32_store(s.header + words[i].at, words[i].value);
		le32_store(s.header + 16, 0);
		le32_store(s.header + 16, crc32_add(0, s.header, 92));
		assert_int_equal(scene_read(&s), -EBADMSG);
	}
	scene_init(&s);
	s.header[60] ^= 1; /* one bit of what the sum covers */
	assert_int_equal(scene_read(&s), -EBADMSG);
	scene_init(&s);
	s.table[100] ^= 1;
	assert_int_equal(scene_read(&s), -EBADMSG);
}

static void partitions_outside_or_over_another_are_refused(void **state)
{
	static const uint64_t places[][2] = {
		{ 33, 100 },	{ 100, 99 },	{ 9000, SECTORS - 33 }, { 9000, UINT64_MAX },
		{ 4095, 4095 }, { 2000, 9000 }, { 3000, 3001 }
	};
	struct scene s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		scene_init(&s);
		entry(&s, 7, places[i][0], places[i][1], "bad");
		seal(&s);
		assert_int_equal(scene_read(&s), -EBADMSG);
	}
}

static void more_partitions_than_there_is_room_for_are_left_out(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	for (unsigned i = 0; i < 30; i++)
		entry(&s, i, 2048 + i * 8, 2055 + i * 8, "x");
	seal(&s);
	assert_int_equal(scene_read(&s), GPT_PARTS);
}

static void made(uint32_t sector, uint64_t n_sectors)
{
	static const uint8_t guids[32] = { 1, 2, 3, 4, 5, 6, 7, 0xff, 0xff };
	const struct gpt_part part = { .start_bytes = 1U << 20,
				       .len_bytes = 62U << 20,
				       .type = { 0x52, 0x3c },
				       .label = "Strata" };
	static struct gpt_made made;
	struct gpt_part parts[GPT_PARTS];
	uint64_t entries;
	uint32_t bytes;

	gpt_build(&part, sector, n_sectors, guids, &made);
	assert_int_equal(made.primary[510], 0x55);
	assert_int_equal(made.primary[450], 0xee);
	assert_int_equal(le32_load(made.primary + 458), n_sectors - 1);
	const uint8_t *header = made.primary + sector, *last = made.copy + GPT_TABLE_BYTES;
	assert_int_equal(gpt_header(header, sector, 1, n_sectors, &entries, &bytes), 0);
	assert_int_equal(entries, 2);
	assert_int_equal(made.primary_bytes, 2 * sector + bytes);
	assert_int_equal(gpt_table(header, header + sector, bytes, sector, n_sectors, parts), 1);
	assert_int_equal(gpt_header(last, sector, n_sectors - 1, n_sectors, &entries, &bytes), 0);
	assert_int_equal((n_sectors - entries) * sector, made.copy_bytes);
	assert_int_equal(gpt_table(last, made.copy, bytes, sector, n_sectors, parts), 1);
	assert_int_equal(parts[0].number, 1);
	assert_int_equal(parts[0].start_bytes, part.start_bytes);
	assert_int_equal(parts[0].len_bytes, part.len_bytes);
	assert_memory_equal(parts[0].type, part.type, 16);
	assert_string_equal(parts[0].label, "Strata");
	assert_int_equal(header[56 + 7] & 0xf0, 0x40); /* the GUID's version */
	assert_int_equal(header[56 + 8] & 0xc0, 0x80);
}

static void a_table_that_was_made_is_read_from_both_ends(void **state)
{
	(void)state;
	made(512, 131072);
	made(4096, 16384);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partitions_are_read_with_number_place_and_label),
		cmocka_unit_test(no_table_is_not_a_broken_one),
		cmocka_unit_test(what_is_broken_is_refused),
		cmocka_unit_test(partitions_outside_or_over_another_are_refused),
		cmocka_unit_test(more_partitions_than_there_is_room_for_are_left_out),
		cmocka_unit_test(a_table_that_was_made_is_read_from_both_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
