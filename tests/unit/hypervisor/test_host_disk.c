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
	bool is_silent; /* nothing is ever over */
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

static uint64_t now_ns;

uint64_t clock_ns(void)
{
	return now_ns += 1000000; /* each look is a ms later */
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
		if (!f->started[i] || f->is_silent)
			continue;
		f->started[i] = false;
		host_disk_finished(base, i, f->fail_io);
		if (base->slots[i].req && base->slots[i].is_over)
			host_disk_finished(base, i, -EPERM); /* it is over already */
		break;
	}
}

static const struct host_disk_driver fake_driver = { .name = "fake",
						     .start = fake_start,
						     .poll = fake_poll };

static int fake_setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));

	f->bytes = malloc(DISK_BYTES);
	for (unsigned i = 0; i < DISK_BYTES; i++)
		f->bytes[i] = (uint8_t)(i * 7 + i / 512);
	f->disk.driver = &fake_driver;
	f->disk.sector_bytes = 512;
	f->disk.disk.size_bytes = DISK_BYTES;
	memcpy(f->disk.disk.id, "S/N \033[2J\x9b 7~", 13);
	assert_int_equal(host_disk_init(&f->disk, "fake", 3), 0);
	assert_string_equal(f->disk.name, "fake3");
	assert_string_equal(f->disk.disk.id,
			    "S/N ?[2J? 7~"); /* no escape sequence reaches a terminal */
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

/* Two guests wrote to one partition: one had it by its name, the other its whole disk. */
static void a_partition_and_its_disk_have_bytes_in_common(void **state)
{
	struct fake *f = *state;
	struct host_disk other = f->disk;
	struct host_part one = { .start_bytes = 0 }, again = one, next = one, theirs = one;

	host_part_init(&one, &f->disk, 1, 8192, 4096);
	host_part_init(&again, &f->disk, 1, 8192, 4096);
	host_part_init(&next, &f->disk, 2, 12288, 4096);
	host_part_init(&theirs, &other, 1, 8192, 4096);
	assert_true(host_disk_overlap(&one.disk, &again.disk));
	assert_true(host_disk_overlap(&one.disk, &f->disk.disk));
	assert_true(host_disk_overlap(&f->disk.disk, &next.disk));
	assert_true(host_disk_overlap(&f->disk.disk, &f->disk.disk));
	assert_false(host_disk_overlap(&one.disk, &next.disk));
	assert_false(host_disk_overlap(&next.disk, &one.disk));
	assert_false(host_disk_overlap(&one.disk, &theirs.disk));
	assert_false(host_disk_overlap(&other.disk, &f->disk.disk));
}

/* A disk that took longer to begin than the start waits for its partition table wrote into a frame that was gone, when it did answer. */
static void an_answer_that_comes_when_nobody_waits_any_more_touches_nothing(void **state)
{
	struct fake *f = *state;
	static uint8_t data[512];

	f->is_silent = true;
	assert_int_equal(host_disk_sync(&f->disk.disk, DISK_READ, 0, data, sizeof(data)),
			 -ETIMEDOUT);
	f->is_silent = false;
	memset(data, 0xee, sizeof(data));
	host_disk_poll(&f->disk);
	for (size_t i = 0; i < sizeof(data); i++)
		assert_int_equal(data[i], 0xee);
	assert_int_equal(host_disk_sync(&f->disk.disk, DISK_READ, 0, data, sizeof(data)), 0);
	assert_memory_equal(data, f->bytes, sizeof(data));
}

/* One that waits for a slot is taken out of the row, and the others stay in it. */
static void one_that_waits_is_forgotten_and_those_behind_it_are_not(void **state)
{
	struct fake *f = *state;
	static uint8_t data[HOST_DISK_SLOTS + 2][512], lost[512];
	struct request r[HOST_DISK_SLOTS + 2];

	f->is_silent = true;
	for (unsigned i = 0; i <= HOST_DISK_SLOTS; i++)
		submit(&f->disk.disk, &r[i], DISK_READ, i * 512, data[i], 512, NULL, 0);
	assert_int_equal(host_disk_sync(&f->disk.disk, DISK_READ, 0, lost, sizeof(lost)),
			 -ETIMEDOUT);
	submit(&f->disk.disk, &r[HOST_DISK_SLOTS + 1], DISK_READ, 0, data[HOST_DISK_SLOTS + 1], 512,
	       NULL, 0);
	f->is_silent = false;
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		finish(f, &r[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		assert_int_equal(r[i].result, 0);
}

/* The guest whose request it was could not be taken apart, and nobody else's could either. */
static void a_disk_that_never_answers_fails_what_waits_for_it(void **state)
{
	struct fake *f = *state;
	static uint8_t data[REQUESTS][512];
	struct request r[REQUESTS];

	f->is_silent = true;
	for (unsigned i = 0; i < REQUESTS; i++)
		submit(&f->disk.disk, &r[i], DISK_READ, 0, data[i], 512, NULL, 0);
	host_disk_poll(&f->disk);
	assert_int_equal(r[0].n_done, 0);
	now_ns += HOST_DISK_ANSWER_NS;
	host_disk_poll(&f->disk);
	for (unsigned i = 0; i < REQUESTS; i++) {
		assert_int_equal(r[i].n_done, 1);
		assert_int_equal(r[i].result, i < HOST_DISK_SLOTS ? -ETIMEDOUT : -EIO);
	}
	assert_int_equal(f->n_started, HOST_DISK_SLOTS); /* the device has these buffers */
	submit(&f->disk.disk, &r[0], DISK_READ, 0, data[0], 512, NULL, 0);
	assert_int_equal(r[0].result, -EIO);
	f->is_silent = false; /* and then it does */
	host_disk_poll(&f->disk);
	submit(&f->disk.disk, &r[0], DISK_READ, 0, data[0], 512, NULL, 0);
	finish(f, &r[0]);
	assert_int_equal(r[0].result, 0);
	assert_memory_equal(data[0], f->bytes, 512);
}

/* A guest with long requests had all slots for as long as those took. */
static void a_short_request_waits_for_pieces_and_not_for_long_requests(void **state)
{
	struct fake *f = *state;
	static uint8_t data[HOST_DISK_SLOTS][DISK_BYTES], mine[512];
	struct request r[HOST_DISK_SLOTS], shorty;

	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++)
		submit(&f->disk.disk, &r[i], DISK_READ, 0, data[i], DISK_BYTES, NULL, 0);
	submit(&f->disk.disk, &shorty, DISK_READ, 1024, mine, 512, NULL, 0);
	for (unsigned i = 0; i < 2 * HOST_DISK_SLOTS && !shorty.n_done; i++)
		host_disk_poll(&f->disk);
	assert_int_equal(shorty.n_done, 1);
	assert_int_equal(shorty.result, 0);
	assert_memory_equal(mine, f->bytes + 1024, 512);
	for (unsigned i = 0; i < 4096; i++)
		host_disk_poll(&f->disk);
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++) {
		assert_int_equal(r[i].n_done, 1);
		assert_memory_equal(data[i], f->bytes, DISK_BYTES);
	}
}

/* Pieces of memory of odd lengths, some empty: a request that gives its slot away goes on where it was. */
static void who_gives_its_slot_away_goes_on_in_the_middle_of_its_memory(void **state)
{
	struct fake *f = *state;
	static uint8_t a[100001], b[300000], other[HOST_DISK_SLOTS][4 * HOST_DISK_BUFFER_BYTES];
	struct request odd, r[HOST_DISK_SLOTS];
	uint64_t len_b = 399872 - sizeof(a);

	submit(&f->disk.disk, &odd, DISK_READ, 1024, a, sizeof(a), b, len_b);
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++)
		submit(&f->disk.disk, &r[i], DISK_READ, 0, other[i], sizeof(other[i]), NULL, 0);
	for (unsigned i = 0; i < 4096; i++)
		host_disk_poll(&f->disk);
	assert_int_equal(odd.n_done, 1);
	assert_int_equal(odd.result, 0);
	assert_memory_equal(a, f->bytes + 1024, sizeof(a));
	assert_memory_equal(b, f->bytes + 1024 + sizeof(a), len_b);
}

/* Gigabytes were read for a guest that was gone, while whoever took it apart waited. */
static void what_nobody_wants_any_more_ends_with_its_piece(void **state)
{
	struct fake *f = *state;
	static uint8_t data[REQUESTS][DISK_BYTES];
	struct request r[REQUESTS];

	for (unsigned i = 0; i < REQUESTS; i++) {
		submit(&f->disk.disk, &r[i], DISK_READ, 0, data[i], DISK_BYTES, NULL, 0);
		r[i].req.is_unwanted = true;
	}
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++)
		host_disk_poll(&f->disk);
	assert_int_equal(f->n_started, HOST_DISK_SLOTS);
	for (unsigned i = 0; i < REQUESTS; i++) {
		assert_int_equal(r[i].n_done, 1);
		assert_int_equal(r[i].result, -ECANCELED);
	}
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
		T(a_partition_and_its_disk_have_bytes_in_common),
		T(an_answer_that_comes_when_nobody_waits_any_more_touches_nothing),
		T(one_that_waits_is_forgotten_and_those_behind_it_are_not),
		T(a_disk_that_never_answers_fails_what_waits_for_it),
		T(a_short_request_waits_for_pieces_and_not_for_long_requests),
		T(who_gives_its_slot_away_goes_on_in_the_middle_of_its_memory),
		T(what_nobody_wants_any_more_ends_with_its_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
