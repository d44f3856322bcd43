/* SPDX-License-Identifier: Apache-2.0 */
/* The table of extents: made, read, broken on purpose, and cut off at every sector of every write. */
#include "scratch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/crc32.h"
#include "base/core/extents.h"
#include "base/core/macros.h"

#define MIB	   EXTENTS_UNIT_BYTES
#define PART	   (64 * MIB)
#define SECTOR	   512U
#define COPY	   EXTENTS_COPY_BYTES
#define NEVER	   UINT32_MAX
#define BOTH(s, e) (const uint8_t *const[]){ (s)->copies[0], (s)->copies[1] }, PART, (e), &(s)->err

/* A partition's two copies, and the power, which is cut after so many sectors. */
struct scene {
	struct extents_io io;
	uint8_t copies[EXTENTS_COPIES][COPY];
	uint32_t sectors_left;
	bool backwards; /* the disk writes the last sector of a write first */
	struct extents table;
	struct err err;
};

static int scene_write(const struct extents_io *io, uint64_t offset, const void *data, size_t len)
{
	struct scene *s = container_of(io, struct scene, io);
	size_t n = len / SECTOR;

	assert_true(offset == 0 || offset == extents_copy_offset(1));
	assert_int_equal(len, COPY);
	for (size_t i = 0; i < n; i++) {
		size_t at = (s->backwards ? n - 1 - i : i) * SECTOR;
		if (s->sectors_left == 0)
			return -EIO;
		s->sectors_left -= s->sectors_left != NEVER;
		memcpy(s->copies[offset != 0] + at, (const uint8_t *)data + at, SECTOR);
	}
	return 0;
}

static int scene_flush(const struct extents_io *io)
{
	return container_of(io, struct scene, io)->sectors_left ? 0 : -EIO;
}

static void scene_init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	s->io = (struct extents_io){ .write = scene_write, .flush = scene_flush };
	s->sectors_left = NEVER;
	extents_init(&s->table, PART);
	for (unsigned i = 0; i < EXTENTS_COPIES; i++)
		assert_int_equal(extents_commit(&s->table, &s->io), 0);
}

static void add(struct scene *s, const char *name, uint64_t mib)
{
	assert_int_equal(extents_add(&s->table, name, mib * MIB, 0, &s->err), 0);
}

/* The sum of a copy that was changed is made right again: what is tested is behind it. */
static void seal(uint8_t *copy)
{
	le32_store(copy + 12, 0);
	le32_store(copy + 12, crc32_add(0, copy, COPY));
}

static void what_was_committed_is_read(void **state)
{
	struct scene s;
	struct extents back;

	(void)state;
	scene_init(&s);
	add(&s, "web", 3);
	assert_int_equal(extents_add(&s.table, "db.1", 5 * MIB - 1, EXTENT_READ_ONLY, &s.err), 0);
	assert_int_equal(extents_commit(&s.table, &s.io), 0);
	assert_int_equal(extents_read(BOTH(&s, &back)), 0);
	assert_int_equal(s.err.code, 0);
	assert_int_equal(back.n, 2);
	assert_int_equal(back.generation, 3);
	assert_int_equal(back.copy, s.table.copy);
	assert_string_equal(back.at[0].name, "web");
	assert_int_equal(back.at[0].start_bytes, MIB);
	assert_int_equal(back.at[0].len_bytes, 3 * MIB);
	assert_int_equal(back.at[1].start_bytes, 4 * MIB);
	assert_int_equal(back.at[1].len_bytes, 5 * MIB);
	assert_int_equal(back.at[1].flags, EXTENT_READ_ONLY);
	assert_memory_equal(&back, &s.table, sizeof(back));
}

/* Its place in the file is part of the format: made with nothing of ours. */
static void the_layout_is_that_of_the_header(void **state)
{
	struct scene s;
	uint8_t copy[COPY] = "STRATAXT";

	(void)state;
	scene_init(&s);
	add(&s, "web", 3);
	s.table.generation = 0x1122334455667788;
	le32_store(copy + 8, 1);
	le64_store(copy + 16, 0x1122334455667788);
	le32_store(copy + 24, 1);
	memcpy(copy + 64, "web", 3);
	le64_store(copy + 64 + 24, 1);
	le64_store(copy + 64 + 32, 3);
	seal(copy);
	extents_build(&s.table, s.copies[0]);
	assert_memory_equal(s.copies[0], copy, COPY);
}

static void gaps_are_used_lowest_first(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	add(&s, "a", 4);
	add(&s, "b", 10);
	add(&s, "c", 4);
	assert_int_equal(extents_remove(&s.table, "b", &s.err), 0);
	assert_int_equal(extents_remove(&s.table, "b", &s.err), -ENOENT);
	add(&s, "large", 11);
	add(&s, "d", 6);
	add(&s, "e", 4);
	assert_int_equal(extents_find(&s.table, "large")->start_bytes, 19 * MIB);
	assert_int_equal(extents_find(&s.table, "d")->start_bytes, 5 * MIB);
	assert_int_equal(extents_find(&s.table, "e")->start_bytes, 11 * MIB);
	add(&s, "rest", 64 - 30);
	assert_int_equal(extents_add(&s.table, "more", 1, 0, &s.err), -ENOSPC);
	assert_null(extents_find(&s.table, "more"));
}

static void what_cannot_be_added_changes_nothing(void **state)
{
	static const char *const names[] = {
		"",	    "-a",  "a b", "a/b", "a#",
		"\xc3\xa4", "a:b", ".a",  "a\n", "123456789012345678901234"
	};
	struct scene s;

	(void)state;
	scene_init(&s);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(extents_add(&s.table, names[i], MIB, 0, &s.err), -EINVAL);
	add(&s, "12345678901234567890123", 1);
	assert_int_equal(extents_add(&s.table, "12345678901234567890123", MIB, 0, &s.err), -EEXIST);
	assert_int_equal(extents_add(&s.table, "none", 0, 0, &s.err), -EINVAL);
	assert_int_equal(extents_add(&s.table, "all", UINT64_MAX, 0, &s.err), -ENOSPC);
	assert_int_equal(extents_add(&s.table, "all", PART - MIB, 0, &s.err), -ENOSPC);
	assert_int_equal(s.table.n, 1);
}

static void as_many_as_fit_and_no_more(void **state)
{
	struct extents table, back;
	uint8_t copy[COPY];
	struct err err;
	char name[EXTENTS_NAME_BYTES];

	(void)state;
	extents_init(&table, 1000 * MIB);
	for (unsigned i = 0; i < EXTENTS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(extents_add(&table, name, MIB, 0, &err), 0);
	}
	assert_int_equal(extents_add(&table, "over", MIB, 0, &err), -E2BIG);
	extents_build(&table, copy);
	assert_int_equal(extents_read_copy(copy, 1000 * MIB, &back, &err), 0);
	assert_int_equal(back.n, EXTENTS_MAX);
	assert_memory_equal(back.at, table.at, sizeof(back.at));
}

/* One wrong word at a time in a table of two extents, a (MiB 1 to 4) and b (MiB 5 to 8), with the right sum. */
static void a_table_that_cannot_be_is_refused(void **state)
{
	static const struct {
		unsigned at, len;
		uint64_t value;
		const char *says;
	} bad[] = {
		{ 8, 4, 2, "version" },
		{ 16, 8, UINT64_MAX, "head" },
		{ 24, 4, EXTENTS_MAX + 1, "head" },
		{ 24, 4, UINT32_MAX, "head" },
		{ 24, 4, 1, "nothing may be" },
		{ 24, 4, 3, "the name of extent 2" },
		{ 28, 4, 1, "nothing may be" },
		{ COPY - 8, 8, 1, "nothing may be" },
		{ 64, 1, 0, "the name of extent 0" },
		{ 64, 1, '/', "the name of extent 0" },
		{ 64 + 2, 1, 'x', "the name of extent 0" }, /* behind the name's end */
		{ 64, 1, 'b', "called b" },
		{ 64 + 24, 8, 0, "inside" },
		{ 64 + 24, 8, 64, "inside" },
		{ 64 + 24, 8, UINT64_MAX, "inside" },
		{ 64 + 24, 8, UINT64_C(1) << 44, "inside" }, /* as bytes it would be 0 */
		{ 64 + 24, 8, 8, "overlap" },
		{ 64 + 32, 8, 0, "inside" },
		{ 64 + 32, 8, 5, "overlap" },
		{ 64 + 32, 8, 64, "inside" },
		{ 64 + 32, 8, UINT64_MAX, "inside" },
		{ 64 + 40, 4, 2, "flags" },
		{ 64 + 44, 4, 1, "flags" },
	};
	struct scene s;
	struct extents back;
	uint8_t good[COPY];

	(void)state;
	scene_init(&s);
	add(&s, "a", 4);
	add(&s, "b", 4);
	extents_build(&s.table, good);
	assert_int_equal(extents_read_copy(good, PART, &back, &s.err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t copy[COPY];
		memcpy(copy, good, COPY);
		memcpy(copy + bad[i].at, &bad[i].value, bad[i].len);
		seal(copy);
		assert_int_equal(extents_read_copy(copy, PART, &back, &s.err), -EBADMSG);
		if (!strstr(s.err.text, bad[i].says))
			fail_msg("%zu: %s", i, s.err.text);
	}
	for (unsigned i = 8; i < COPY; i++) { /* a bit of anything, without the sum */
		good[i] ^= 0x10;
		assert_int_equal(extents_read_copy(good, PART, &back, &s.err), -EBADMSG);
		good[i] ^= 0x10;
	}
	/* the same table in a smaller partition */
	assert_int_equal(extents_read_copy(good, 8 * MIB, &back, &s.err), -EBADMSG);
}

static void the_newer_copy_is_used_and_the_older_if_it_is_bad(void **state)
{
	struct scene s;
	struct extents back;

	(void)state;
	scene_init(&s);
	add(&s, "old", 1);
	assert_int_equal(extents_commit(&s.table, &s.io), 0);
	add(&s, "new", 1);
	assert_int_equal(extents_commit(&s.table, &s.io), 0);
	assert_int_equal(extents_read(BOTH(&s, &back)), 0);
	assert_int_equal(back.n, 2);
	assert_int_equal(s.err.code, 0);
	s.copies[back.copy][COPY - 1] = 1;
	assert_int_equal(extents_read(BOTH(&s, &back)), 0);
	assert_int_equal(back.n, 1);
	assert_int_equal(s.err.code, EBADMSG);
	assert_non_null(strstr(s.err.text, "checksum"));
	/* the next change goes over the bad one */
	assert_int_equal(back.copy, !s.table.copy);
	s.err = (struct err){ 0 };
	assert_int_equal(extents_commit(&back, &s.io), 0);
	assert_int_equal(extents_read(BOTH(&s, &s.table)), 0);
	assert_int_equal(s.err.code, 0);
	s.copies[0][COPY - 1] = s.copies[1][COPY - 1] = 1;
	assert_int_equal(extents_read(BOTH(&s, &back)), -EBADMSG);
	s.copies[0][0] = s.copies[1][0] = 0;
	assert_int_equal(extents_read(BOTH(&s, &back)), -ENODATA);
}

/* Adds and removes one after the other; the power goes after `sectors`. What is read then is a table that was committed, or was about to be. */
static void cut_off(uint32_t sectors, bool backwards)
{
	static const char *const names[] = { "a", "b", "c", "a", "d", "b", "c", "d" };
	struct scene s;
	struct extents before, back;

	scene_init(&s);
	s.sectors_left = sectors;
	s.backwards = backwards;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		before = s.table;
		if (extents_find(&s.table, names[i]))
			assert_int_equal(extents_remove(&s.table, names[i], &s.err), 0);
		else
			add(&s, names[i], 2 + i);
		int r = extents_commit(&s.table, &s.io);
		s.err = (struct err){ 0 };
		assert_int_equal(extents_read(BOTH(&s, &back)), 0);
		const struct extents *want =
			back.generation == s.table.generation ? &s.table : &before;
		if (r == 0)
			assert_ptr_equal(want, &s.table);
		assert_int_equal(back.generation, want->generation);
		assert_int_equal(back.n, want->n);
		assert_memory_equal(back.at, want->at, want->n * sizeof(want->at[0]));
		if (r < 0)
			break;
	}
	/* the server starts again: what was cut off is done once more */
	s.sectors_left = NEVER;
	assert_int_equal(extents_add(&back, "again", MIB, 0, &s.err), 0);
	assert_int_equal(extents_commit(&back, &s.io), 0);
	s.err = (struct err){ 0 };
	assert_int_equal(extents_read(BOTH(&s, &s.table)), 0);
	assert_non_null(extents_find(&s.table, "again"));
	assert_int_equal(s.err.code, 0);
}

static void a_cut_at_any_sector_leaves_the_older_or_the_newer_table_whole(void **state)
{
	(void)state;
	for (uint32_t n = 0; n <= 8 * COPY / SECTOR + 1; n++) {
		cut_off(n, false);
		cut_off(n, true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_committed_is_read),
		cmocka_unit_test(the_layout_is_that_of_the_header),
		cmocka_unit_test(gaps_are_used_lowest_first),
		cmocka_unit_test(what_cannot_be_added_changes_nothing),
		cmocka_unit_test(as_many_as_fit_and_no_more),
		cmocka_unit_test(a_table_that_cannot_be_is_refused),
		cmocka_unit_test(the_newer_copy_is_used_and_the_older_if_it_is_bad),
		cmocka_unit_test(a_cut_at_any_sector_leaves_the_older_or_the_newer_table_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
