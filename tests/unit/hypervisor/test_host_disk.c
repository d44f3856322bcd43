/* SPDX-License-Identifier: Apache-2.0 */
/* Requests through slots and buffers, over a driver that keeps its disk in memory and finishes when it is told to. */
#include "scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "core/clock.h"
#include "core/page.h"
#include "drivers/host_disk.h"

#define DISK_BYTES (1U << 20)
#define REQUESTS   20U

struct fake {
	struct host_disk disk;
	uint8_t *bytes;
	bool started[HOST_DISK_SLOTS];
	unsigned n_started, n_flushes;
	int fail_start, fail_io;
};

struct request {
	struct disk_request req;
	struct mem_iov iov[3];
	unsigned n_done;
	int result;
};

void *page_alloc(unsigned order)
{
	return calloc(1, (size_t)PAGE_BYTES << order);
}

void page_free(void *block, unsigned order)
{
	(void)order;
	free(block);
}

uint64_t clock_ns(void)
{
	static uint64_t now; /* each look is a ms later */

	return now += 1000000;
}

static int fake_start(struct host_disk *base, unsigned slot, enum disk_op op, uint64_t offset,
		      uint32_t len)
{
	struct fake *f = container_of(base, struct fake, disk);

	if (f->fail_start)
		return f->fail_start;
	assert_false(f->started[slot]);
	assert_true(offset + len <= DISK_BYTES);
	assert_int_equal((offset | len) % 512, 0);
	assert_true(len <= HOST_DISK_BUFFER_BYTES);
	if (op == DISK_READ)
		memcpy(base->slots[slot].buffer, f->bytes + offset, len);
	else if (op == DISK_WRITE)
		memcpy(f->bytes + offset, base->slots[slot].buffer, len);
	else
		f->n_flushes++;
	f->started[slot] = true;
	f->n_started++;
	return 0;
}

static void fake_poll(struct host_disk *base)
{
	struct fake *f = container_of(base, struct fake, disk);

	for (unsigned i = HOST_DISK_SLOTS; i-- > 0;) { /* not in their order */
		if (!f->started[i])
			continue;
		f->started[i] = false;
		host_disk_finished(base, i, f->fail_io);
		if (base->slots[i].is_over)
			host_disk_finished(base, i, -EPERM); /* it is over already */
		break;
	}
}

static const struct host_disk_driver fake_driver = { "fake", fake_start, fake_poll };

static int fake_setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));

	f->bytes = malloc(DISK_BYTES);
	for (unsigned i = 0; i < DISK_BYTES; i++)
		f->bytes[i] = (uint8_t)(i * 7 + i / 512);
	f->disk.driver = &fake_driver;
	f->disk.sector_bytes = 512;
	f->disk.disk.size_bytes = DISK_BYTES;
	assert_int_equal(host_disk_init(&f->disk, "fake", 3), 0);
	assert_string_equal(f->disk.name, "fake3");
	*state = f;
	return 0;
}

static int fake_teardown(void **state)
{
	struct fake *f = *state;

	host_disk_fini(&f->disk);
	free(f->bytes);
	free(f);
	return 0;
}

static void request_done(struct disk_request *req, int result)
{
	struct request *r = container_of(req, struct request, req);

	r->n_done++;
	r->result = result;
}

static void submit(struct disk *disk, struct request *r, enum disk_op op, uint64_t offset, void *a,
		   uint64_t len_a, void *b, uint64_t len_b)
{
	*r = (struct request){ .iov = { { a, len_a }, { NULL, 0 }, { b, len_b } } };
	r->req = (struct disk_request){ .op = op,
					.offset_bytes = offset,
					.len_bytes = len_a + len_b,
					.iov = r->iov,
					.n_iov = 3,
					.done = request_done };
	disk->ops->submit(disk, &r->req);
}

static void finish(struct fake *f, const struct request *r)
{
	for (unsigned i = 0; i < 100 && !r->n_done; i++)
		host_disk_poll(&f->disk);
	assert_int_equal(r->n_done, 1);
}

static void long_requests_go_piece_by_piece_over_odd_memory(void **state)
{
	struct fake *f = *state;
	static uint8_t a[100001], b[300000];
	struct request r;
	uint64_t len_b = 399872 - sizeof(a); /* a multiple of 512 in all */

	submit(&f->disk.disk, &r, DISK_READ, 1024, a, sizeof(a), b, len_b);
	finish(f, &r);
	assert_int_equal(r.result, 0);
	assert_memory_equal(a, f->bytes + 1024, sizeof(a));
	assert_memory_equal(b, f->bytes + 1024 + sizeof(a), len_b);
	memset(a, 0xaa, sizeof(a));
	memset(b, 0xbb, sizeof(b));
	submit(&f->disk.disk, &r, DISK_WRITE, 2048, a, sizeof(a), b, len_b);
	finish(f, &r);
	assert_memory_equal(f->bytes + 2048, a, sizeof(a));
	assert_memory_equal(f->bytes + 2048 + sizeof(a), b, len_b);
	submit(&f->disk.disk, &r, DISK_FLUSH, 0, NULL, 0, NULL, 0);
	finish(f, &r);
	assert_int_equal(f->n_flushes, 1);
	r.req.op = DISK_WRITE_ZEROES;
	r.req.offset_bytes = 4096;
	r.req.len_bytes = 131072;
	r.n_done = 0;
	f->disk.disk.ops->submit(&f->disk.disk, &r.req);
	finish(f, &r);
	for (unsigned i = 0; i < 131072; i++)
		assert_int_equal(f->bytes[4096 + i], 0);
	assert_int_equal(f->bytes[4096 + 131072], 0xbb);
}

static void more_requests_than_slots_wait_and_all_are_done_once(void **state)
{
	struct fake *f = *state;
	static uint8_t data[REQUESTS][1024];
	struct request r[REQUESTS];

	for (unsigned i = 0; i < REQUESTS; i++)
		submit(&f->disk.disk, &r[i], DISK_READ, i * 1024, data[i], 512, data[i] + 512, 512);
	assert_int_equal(f->n_started, HOST_DISK_SLOTS);
	for (unsigned i = 0; i < REQUESTS; i++)
		host_disk_poll(&f->disk);
	for (unsigned i = 0; i < REQUESTS; i++) {
		assert_int_equal(r[i].n_done, 1);
		assert_int_equal(r[i].result, 0);
		assert_memory_equal(data[i], f->bytes + i * 1024, 1024);
	}
}

static void errors_reach_who_asked_and_free_the_slot(void **state)
{
	struct fake *f = *state;
	static uint8_t data[1024];
	struct request r;

	f->fail_io = -EIO;
	submit(&f->disk.disk, &r, DISK_READ, 0, data, 512, data + 512, 512);
	finish(f, &r);
	assert_int_equal(r.result, -EIO);
	f->fail_io = 0;
	f->fail_start = -ENODEV;
	for (unsigned i = 0; i < REQUESTS; i++) { /* at once, though nobody polls */
		submit(&f->disk.disk, &r, DISK_READ, 0, data, 512, data + 512, 512);
		assert_int_equal(r.n_done, 1);
		assert_int_equal(r.result, -ENODEV);
	}
	f->fail_start = 0;
	submit(&f->disk.disk, &r, DISK_READ, 0, data, 512, data + 512, 512);
	finish(f, &r);
	assert_int_equal(r.result, 0);
}

static void what_is_outside_or_not_whole_sectors_is_refused(void **state)
{
	static const uint64_t bad[][2] = { { 1, 512 },
					   { 0, 511 },
					   { DISK_BYTES, 512 },
					   { DISK_BYTES - 512, 1024 },
					   { UINT64_MAX - 511, 512 },
					   { 512, UINT64_MAX - 511 } };
	struct fake *f = *state;
	static uint8_t data[1024];
	struct request r;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		submit(&f->disk.disk, &r, DISK_READ, bad[i][0], data, bad[i][1], NULL, 0);
		assert_int_equal(r.n_done, 1);
		assert_int_equal(r.result, -EINVAL);
	}
	assert_int_equal(f->n_started, 0);
}

static void a_partition_is_a_disk_of_its_own_and_ends_where_it_ends(void **state)
{
	struct fake *f = *state;
	static uint8_t data[1024];
	struct host_part part = { .start_bytes = 0 };
	struct request r;

	host_part_init(&part, &f->disk, 2, 8192, 4096);
	assert_string_equal(part.name, "fake3p2");
	submit(&part.disk, &r, DISK_READ, 3072, data, 512, data + 512, 512);
	finish(f, &r);
	assert_int_equal(r.result, 0);
	assert_memory_equal(data, f->bytes + 8192 + 3072, 1024);
	submit(&part.disk, &r, DISK_WRITE, 3584, data, 512, data + 512, 512);
	assert_int_equal(r.result, -EINVAL);
	assert_int_equal(host_disk_sync(&part.disk, DISK_READ, 0, data, 1024), 0);
	assert_memory_equal(data, f->bytes + 8192, 1024);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(long_requests_go_piece_by_piece_over_odd_memory),
		T(more_requests_than_slots_wait_and_all_are_done_once),
		T(errors_reach_who_asked_and_free_the_slot),
		T(what_is_outside_or_not_whole_sectors_is_refused),
		T(a_partition_is_a_disk_of_its_own_and_ends_where_it_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
