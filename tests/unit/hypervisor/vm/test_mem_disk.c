/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "vm/mem_disk.h"

#define LARGE_BYTES (4 * MEM_DISK_TURN_BYTES)

static uint8_t bytes[4096 + 100];
static struct mem_disk disk;
static int result;

static unsigned n_more;

static void more(struct mem_disk *d)
{
	(void)d;
	n_more++;
}

static void done(struct disk_request *req, int r)
{
	(void)req;
	result = r;
}

static int submit(enum disk_op op, uint64_t offset, uint64_t len, void *data)
{
	const struct mem_iov iov[] = { { data, 512 },
				       { data ? (uint8_t *)data + 512 : NULL, 512 } };
	struct disk_request req = { .op = op,
				    .offset_bytes = offset,
				    .len_bytes = len,
				    .iov = iov,
				    .n_iov = len > 512 ? 2 : 1,
				    .done = done };

	result = 1;
	disk.disk.ops->submit(&disk.disk, &req);
	return result;
}

static void what_is_written_is_read(void **state)
{
	uint8_t out[1024], in[1024];

	(void)state;
	mem_disk_init(&disk, bytes, sizeof(bytes), false, "a-name-that-is-too-long", more);
	assert_int_equal(disk.disk.size_bytes, 4096);
	assert_int_equal(strlen(disk.disk.id), 20);
	memset(out, 7, sizeof(out));
	assert_int_equal(submit(DISK_WRITE, 512, 1024, out), 0);
	assert_int_equal(bytes[511] + bytes[1536], 0);
	assert_int_equal(submit(DISK_READ, 512, 1024, in), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(submit(DISK_DISCARD, 1024, 512, NULL), 0);
	assert_int_equal(submit(DISK_WRITE_ZEROES, 512, 512, NULL), 0);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(bytes[i], 0);
	assert_int_equal(submit(DISK_FLUSH, 0, 0, NULL), 0);
}

static void nothing_outside_is_touched(void **state)
{
	uint8_t data[1024] = { 0 };

	(void)state;
	mem_disk_init(&disk, bytes, sizeof(bytes), false, "d", more);
	memset(bytes, 9, sizeof(bytes));
	assert_int_equal(submit(DISK_WRITE, 4096, 512, data), -EINVAL);
	assert_int_equal(submit(DISK_WRITE, 3584, 1024, data), -EINVAL);
	assert_int_equal(submit(DISK_WRITE, UINT64_MAX - 511, 1024, data), -EINVAL);
	assert_int_equal(submit(DISK_READ, UINT64_C(1) << 60, 512, data), -EINVAL);
	assert_int_equal(submit(DISK_WRITE_ZEROES, 4096, 512, NULL), -EINVAL);
	assert_int_equal(submit(DISK_WRITE, 0, 4096, data), -EINVAL); /* more than its pieces */
	for (unsigned i = 4096; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 9);
}

static void one_that_is_read_only_stays_as_it_is(void **state)
{
	uint8_t data[1024] = { 0 };

	(void)state;
	memset(bytes, 9, sizeof(bytes));
	mem_disk_init(&disk, bytes, sizeof(bytes), true, "d", more);
	assert_int_equal(submit(DISK_WRITE, 0, 512, data), -EROFS);
	assert_int_equal(submit(DISK_DISCARD, 0, 512, NULL), -EROFS);
	assert_false(disk.disk.can_discard);
	assert_int_equal(bytes[0], 9);
	assert_int_equal(submit(DISK_READ, 0, 512, data), 0);
}

/* ---- what is more than a turn ---- */

struct request {
	struct disk_request req;
	struct mem_iov iov[3];
	unsigned n_done;
	int result;
};

static uint8_t large[LARGE_BYTES];

static void request_done(struct disk_request *req, int r)
{
	struct request *request = container_of(req, struct request, req);

	request->n_done++;
	request->result = r;
}

static void begin(struct request *r, enum disk_op op, uint64_t offset, uint64_t len)
{
	r->req = (struct disk_request){ .op = op,
					.offset_bytes = offset,
					.len_bytes = len,
					.iov = r->iov,
					.n_iov = 3,
					.done = request_done };
	r->n_done = 0;
	disk.disk.ops->submit(&disk.disk, &r->req);
}

/* A guest had its CPU, interrupts off, for all the gigabytes that it had some thousand bytes ask for. */
static void no_turn_moves_more_than_it_may(void **state)
{
	struct request r[8] = { 0 };
	uint64_t zeroed = 0;

	(void)state;
	memset(large, 9, sizeof(large));
	mem_disk_init(&disk, large, sizeof(large), false, "d", more);
	n_more = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		begin(&r[i], i % 2 ? DISK_WRITE_ZEROES : DISK_DISCARD, 0, LARGE_BYTES);
	while (zeroed < LARGE_BYTES && !large[zeroed])
		zeroed++;
	assert_int_equal(zeroed, MEM_DISK_TURN_BYTES);
	assert_int_equal(r[0].n_done, 0);
	assert_true(n_more);
	for (unsigned turns = 1; turns < 4 * ARRAY_SIZE(r); turns++) {
		n_more = 0;
		mem_disk_serve(&disk);
		for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
			assert_int_equal(r[i].n_done, turns + 1 >= 4 * (i + 1));
		assert_int_equal(n_more, turns + 1 < 4 * ARRAY_SIZE(r));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		assert_int_equal(r[i].result, 0);
	n_more = 0;
	mem_disk_serve(&disk);
	assert_int_equal(n_more, 0);
}

/* Pieces of memory of odd lengths, one of them empty: a turn may end in the middle of any. */
static void what_takes_several_turns_is_all_there(void **state)
{
	static uint8_t a[MEM_DISK_TURN_BYTES + 1], b[2 * MEM_DISK_TURN_BYTES - 1];
	const uint64_t len = sizeof(a) + sizeof(b);
	struct request r = { .iov = { { a, sizeof(a) }, { NULL, 0 }, { b, sizeof(b) } } };

	(void)state;
	for (uint64_t i = 0; i < LARGE_BYTES; i++)
		large[i] = (uint8_t)(i * 7 + i / 4096);
	mem_disk_init(&disk, large, sizeof(large), false, "d", more);
	begin(&r, DISK_READ, 512, len);
	while (!r.n_done)
		mem_disk_serve(&disk);
	assert_int_equal(r.result, 0);
	assert_memory_equal(a, large + 512, sizeof(a));
	assert_memory_equal(b, large + 512 + sizeof(a), sizeof(b));
	memset(a, 1, sizeof(a));
	memset(b, 2, sizeof(b));
	begin(&r, DISK_WRITE, 1024, len);
	while (!r.n_done)
		mem_disk_serve(&disk);
	assert_memory_equal(large + 1024, a, sizeof(a));
	assert_memory_equal(large + 1024 + sizeof(a), b, sizeof(b));
	assert_int_equal(large[1023], (uint8_t)(1023 * 7));
}

/* Of a guest that is gone: each is done, and no byte moves. */
static void what_nobody_wants_any_more_is_over_in_one_turn(void **state)
{
	struct request r[4] = { 0 };

	(void)state;
	memset(large, 9, sizeof(large));
	mem_disk_init(&disk, large, sizeof(large), false, "d", more);
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
		begin(&r[i], DISK_DISCARD, 0, LARGE_BYTES);
		r[i].req.is_unwanted = true;
	}
	mem_disk_serve(&disk);
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
		assert_int_equal(r[i].n_done, 1);
		assert_int_equal(r[i].result, -ECANCELED);
	}
	assert_int_equal(large[MEM_DISK_TURN_BYTES], 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(nothing_outside_is_touched),
		cmocka_unit_test(one_that_is_read_only_stays_as_it_is),
		cmocka_unit_test(no_turn_moves_more_than_it_may),
		cmocka_unit_test(what_takes_several_turns_is_all_there),
		cmocka_unit_test(what_nobody_wants_any_more_is_over_in_one_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
