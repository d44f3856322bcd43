/* SPDX-License-Identifier: Apache-2.0 */
/* Extents of a partition as disks of the server: their place, their names, and tables that cannot be. */
#include "scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/extents.h"
#include "base/core/macros.h"
#include "core/clock.h"
#include "core/page.h"
#include "core/print.h"
#include "drivers/extent_disks.h"

#define MIB	   EXTENTS_UNIT_BYTES
#define START	   (3 * MIB) /* of the partition */
#define PART	   (12 * MIB)
#define DISK_BYTES (START + PART + MIB)

struct scene {
	struct host_disk disk;
	struct host_part part;
	uint8_t *bytes;
	uint64_t bad_from, bad_to; /* reads of these bytes fail */
	bool started[HOST_DISK_SLOTS];
	int results[HOST_DISK_SLOTS];
	struct extents table;
	struct extents_io io;
	struct extent_disks all;
};

/* What was printed since the scene was set. */
static struct {
	char text[4096];
	size_t len;
	void *blocks[64]; /* of page_alloc() */
	size_t n_blocks;
} said;

void *page_alloc(unsigned order)
{
	assert_true(said.n_blocks < ARRAY_SIZE(said.blocks));
	return said.blocks[said.n_blocks++] = calloc(1, (size_t)PAGE_BYTES << order);
}

void page_free(void *block, unsigned order)
{
	(void)order;
	for (size_t i = 0; i < said.n_blocks; i++) {
		if (said.blocks[i] != block)
			continue;
		free(block);
		said.blocks[i] = said.blocks[--said.n_blocks];
		return;
	}
	assert_null(block);
}

uint64_t clock_ns(void)
{
	static uint64_t now;

	return now += 1000000;
}

void print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(said.text + said.len, sizeof(said.text) - said.len, fmt, args);
	va_end(args);
	assert_true(n >= 0 && (size_t)n < sizeof(said.text) - said.len);
	said.len += (size_t)n;
}

static int fake_start(struct host_disk *base, unsigned slot, enum disk_op op, uint64_t offset,
		      uint32_t len)
{
	struct scene *s = container_of(base, struct scene, disk);

	assert_true(offset + len <= DISK_BYTES);
	if (op == DISK_READ)
		memcpy(base->slots[slot].buffer, s->bytes + offset, len);
	if (op == DISK_WRITE)
		memcpy(s->bytes + offset, base->slots[slot].buffer, len);
	s->results[slot] = offset < s->bad_to && s->bad_from < offset + len ? -EIO : 0;
	s->started[slot] = true;
	return 0;
}

static void fake_poll(struct host_disk *base)
{
	struct scene *s = container_of(base, struct scene, disk);

	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++) {
		if (s->started[i]) {
			s->started[i] = false;
			host_disk_finished(base, i, s->results[i]);
		}
	}
}

static const struct host_disk_driver fake_driver = { .name = "fake",
						     .start = fake_start,
						     .poll = fake_poll };

static int table_write(const struct extents_io *io, uint64_t offset, const void *data, size_t len)
{
	memcpy(container_of(io, struct scene, io)->bytes + START + offset, data, len);
	return 0;
}

static int table_flush(const struct extents_io *io)
{
	(void)io;
	return 0;
}

static void commit(struct scene *s)
{
	assert_int_equal(extents_commit(&s->table, &s->io), 0);
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	memset(&said, 0, sizeof(said));
	s->bytes = calloc(1, DISK_BYTES);
	s->io = (struct extents_io){ table_write, table_flush };
	s->disk.driver = &fake_driver;
	s->disk.sector_bytes = 512;
	s->disk.disk.size_bytes = DISK_BYTES;
	assert_int_equal(host_disk_init(&s->disk, "fake", 0), 0);
	host_part_init(&s->part, &s->disk, 2, START, PART);
	memcpy(s->part.type, extents_type, sizeof(s->part.type));
	extents_init(&s->table, PART);
	assert_int_equal(extents_add(&s->table, "a", 2 * MIB, 0, NULL), 0);
	commit(s);
	assert_int_equal(
		extents_add(&s->table, "12345678901234567890123", 3 * MIB, EXTENT_READ_ONLY, NULL),
		0);
	commit(s);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	host_disk_fini(&s->disk);
	for (size_t i = 0; i < said.n_blocks; i++)
		free(said.blocks[i]);
	free(s->bytes);
	free(s);
	return 0;
}

static void extents_are_disks_by_their_names_in_their_places(void **state)
{
	struct scene *s = *state;
	uint8_t data[1024];

	assert_int_equal(extent_disks_read(&s->all, &s->part), 2);
	struct disk *a = extent_disks_find(&s->all, "strata:a"),
		    *b = extent_disks_find(&s->all, "strata:12345678901234567890123");
	assert_non_null(a);
	assert_non_null(b);
	assert_null(extent_disks_find(&s->all, "a"));
	assert_null(extent_disks_find(&s->all, "strata:"));
	assert_int_equal(a->size_bytes, 2 * MIB);
	assert_false(a->read_only);
	assert_true(b->read_only);
	memset(data, 0x5a, sizeof(data));
	assert_int_equal(host_disk_sync(a, DISK_WRITE, 2 * MIB - 1024, data, 1024), 0);
	assert_int_equal(s->bytes[START + 3 * MIB - 1], 0x5a); /* its last byte */
	assert_int_equal(s->bytes[START + 3 * MIB], 0);
	assert_int_equal(host_disk_sync(a, DISK_WRITE, 2 * MIB, data, 512), -EINVAL);
	assert_int_equal(host_disk_sync(a, DISK_WRITE, 2 * MIB - 512, data, 1024), -EINVAL);
	assert_non_null(strstr(said.text, "strata:a: 2 MiB on fake0p2\n"));
}

static void a_partition_of_another_kind_is_left_alone(void **state)
{
	struct scene *s = *state;

	s->part.type[0] ^= 1;
	assert_int_equal(extent_disks_read(&s->all, &s->part), 0);
	assert_int_equal(said.len, 0);
}

static void a_broken_copy_is_one_line_and_the_other_is_used(void **state)
{
	struct scene *s = *state;

	s->bytes[START + extents_copy_offset(s->table.copy) + 100] ^= 1;
	assert_int_equal(extent_disks_read(&s->all, &s->part), 1);
	assert_non_null(extent_disks_find(&s->all, "strata:a"));
	assert_non_null(strstr(said.text, "fake0p2: extents: copy"));
}

static void a_copy_that_cannot_be_read_is_as_a_broken_one(void **state)
{
	struct scene *s = *state;

	s->bad_from = START + extents_copy_offset(s->table.copy);
	s->bad_to = s->bad_from + 512;
	assert_int_equal(extent_disks_read(&s->all, &s->part), 1);
}

static void no_good_copy_is_one_line_and_no_disk(void **state)
{
	struct scene *s = *state;

	s->bytes[START + 100] ^= 1;
	s->bytes[START + extents_copy_offset(1) + 100] ^= 1;
	assert_int_equal(extent_disks_read(&s->all, &s->part), 0);
	assert_ptr_equal(strchr(said.text, '\n'), said.text + said.len - 1);
	assert_int_equal(said.n_blocks, HOST_DISK_SLOTS); /* only the disk's own */
}

static void a_partition_too_small_for_a_table_is_said_so(void **state)
{
	struct scene *s = *state;

	s->part.disk.size_bytes = 4096;
	assert_int_equal(extent_disks_read(&s->all, &s->part), 0);
	assert_non_null(strstr(said.text, "too small"));
}

/* A guest that has a whole disk may make a partition of Strata's own there, with its neighbour's name. */
static void a_name_that_is_there_twice_is_nobodys(void **state)
{
	struct scene *s = *state;

	assert_int_equal(extent_disks_read(&s->all, &s->part), 2);
	assert_int_equal(extent_disks_read(&s->all, &s->part), 2);
	assert_null(extent_disks_find(&s->all, "strata:a"));
	assert_non_null(strstr(said.text, "another extent has this name: neither is used"));
	assert_int_equal(extent_disks_read(&s->all, &s->part), 2);
	assert_null(extent_disks_find(&s->all, "strata:a"));
}

static void more_extents_than_there_is_room_for_are_left_out(void **state)
{
	struct scene *s = *state;

	while (s->all.n < EXTENT_DISKS_MAX - 1)
		s->all.at[s->all.n++] = calloc(1, sizeof(struct extent_disk));
	assert_int_equal(extent_disks_read(&s->all, &s->part), 1);
	assert_int_equal(extent_disks_read(&s->all, &s->part), 0);
	for (unsigned i = 0; i < EXTENT_DISKS_MAX - 1; i++)
		free(s->all.at[i]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(extents_are_disks_by_their_names_in_their_places),
		CASE(a_partition_of_another_kind_is_left_alone),
		CASE(a_broken_copy_is_one_line_and_the_other_is_used),
		CASE(a_copy_that_cannot_be_read_is_as_a_broken_one),
		CASE(no_good_copy_is_one_line_and_no_disk),
		CASE(a_partition_too_small_for_a_table_is_said_so),
		CASE(a_name_that_is_there_twice_is_nobodys),
		CASE(more_extents_than_there_is_room_for_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
