/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/driver.h"
#include "devices/virtio/fake_disk.h"

#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "devices/virtio/blk.h"

#define F_RO	       FEATURE(5)
#define F_FLUSH	       FEATURE(9)
#define F_CONFIG_WCE   FEATURE(11)
#define F_DISCARD      FEATURE(13)
#define F_WRITE_ZEROES FEATURE(14)

enum { T_IN, T_OUT, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK, S_IOERR, S_UNSUPP, S_NONE = 0xee };

struct scene {
	struct rig rig;
	struct fake_disk disk;
	struct virtio_blk blk;
};

static const uint64_t usual =
	F_VERSION_1 | F_EVENT_IDX | F_INDIRECT | F_FLUSH | F_DISCARD | F_WRITE_ZEROES;

static struct scene *scene_prepare(bool read_only)
{
	struct scene *s = test_calloc(1, sizeof(*s));

	assert_true(rig_init(&s->rig));
	fake_disk_init(&s->disk);
	fake_disk_fill(&s->disk);
	s->disk.disk.read_only = read_only;
	virtio_blk_init(&s->blk, &s->rig.place, &s->disk.disk);
	assert_true(rig_attach(&s->rig, &s->blk.virtio));
	return s;
}

static struct scene *scene_new(uint64_t features)
{
	struct scene *s = scene_prepare(false);

	assert_true(rig_start(&s->rig, features, 1, 128));
	return s;
}

static void scene_free(struct scene *s)
{
	rig_fini(&s->rig);
	test_free(s);
}

/* A request in memory: header, data, status. */
struct request {
	gpa_t header, data, status;
	uint16_t head;
};

static struct request send(struct scene *s, uint32_t type, uint64_t sector, uint32_t len,
			   bool is_in)
{
	struct request r = { .header = rig_alloc(&s->rig, 16),
			     .data = rig_alloc(&s->rig, len),
			     .status = rig_alloc(&s->rig, 1) };
	const struct rig_buf bufs[] = { { r.header, 16, false },
					{ r.data, len, is_in },
					{ r.status, 1, true } };

	le32_store(rig_at(&s->rig, r.header), type);
	le64_store(rig_at(&s->rig, r.header + 8), sector);
	*rig_at(&s->rig, r.status) = S_NONE;
	r.head = rig_add(&s->rig, 0, bufs, 3, true);
	return r;
}

static uint8_t status_of(struct scene *s, struct request r)
{
	return *rig_at(&s->rig, r.status);
}

static void go(struct scene *s)
{
	rig_kick(&s->rig, 0);
	rig_run(&s->rig);
}

static void expect(struct scene *s, struct request r, uint8_t status, uint32_t len)
{
	uint32_t head, got;

	assert_true(rig_used(&s->rig, 0, &head, &got));
	assert_int_equal(head, r.head);
	assert_int_equal(got, len);
	assert_int_equal(status_of(s, r), status);
}

static void reads_and_writes(void **state)
{
	struct scene *s = scene_new(usual);

	(void)state;
	struct request in = send(s, T_IN, 3, 1024, true);
	struct request out = send(s, T_OUT, FAKE_DISK_BYTES / 512 - 1, 512, false);
	memset(rig_at(&s->rig, out.data), 0x5a, 512);
	go(s);
	expect(s, in, S_OK, 1025);
	expect(s, out, S_OK, 1);
	assert_memory_equal(rig_at(&s->rig, in.data), s->disk.data + 3 * 512, 1024);
	assert_memory_equal(rig_at(&s->rig, out.data), s->disk.data + FAKE_DISK_BYTES - 512, 512);
	assert_int_equal(s->disk.n_ops[DISK_FLUSH], 0);
	scene_free(s);
}

/* 2.7.4: the device may not lean on how a request is cut into buffers. */
static void any_framing_will_do(void **state)
{
	struct scene *s = scene_new(usual);
	const gpa_t at = rig_alloc(&s->rig, 4096);
	const struct rig_buf in[] = { { at, 7, false },
				      { at + 7, 9, false },
				      { at + 100, 300, true },
				      { at + 400, 213, true } };
	const struct rig_buf out[] = { { at, 16 + 200, false },
				       { at + 216, 312, false },
				       { at + 1000, 1, true } };

	(void)state;
	le32_store(rig_at(&s->rig, at), T_IN);
	le64_store(rig_at(&s->rig, at + 8), 1);
	rig_add(&s->rig, 0, in, 4, false);
	go(s);
	assert_int_equal(*rig_at(&s->rig, at + 612), S_OK);
	assert_memory_equal(rig_at(&s->rig, at + 100), s->disk.data + 512, 512);
	le32_store(rig_at(&s->rig, at), T_OUT);
	le64_store(rig_at(&s->rig, at + 8), 7);
	rig_add(&s->rig, 0, out, 3, false);
	go(s);
	assert_int_equal(*rig_at(&s->rig, at + 1000), S_OK);
	assert_memory_equal(rig_at(&s->rig, at + 16), s->disk.data + 7 * 512, 512);
	scene_free(s);
}

static void many_are_under_way_and_end_in_any_order(void **state)
{
	struct scene *s = scene_new(usual);
	struct request r[100];
	unsigned n = 0;
	uint32_t head, len;

	(void)state;
	s->disk.async = true;
	for (unsigned i = 0; i < 100; i++)
		r[i] = send(s, T_IN, i, 512, true);
	go(s);
	assert_int_equal(s->disk.n_waiting, BLK_REQUESTS);
	while (fake_disk_complete(&s->disk, s->disk.n_waiting / 2)) {
		assert_true(rig_used(&s->rig, 0, &head, &len));
		n++;
		rig_run(&s->rig);
	}
	assert_int_equal(n, 100);
	for (unsigned i = 0; i < 100; i++)
		assert_memory_equal(rig_at(&s->rig, r[i].data), s->disk.data + i * 512, 512);
	scene_free(s);
}

static void reset_waits_for_the_disk(void **state)
{
	struct scene *s = scene_new(usual);

	(void)state;
	s->disk.async = true;
	struct request r = send(s, T_IN, 0, 512, true);
	go(s);
	assert_false(rig_reset(&s->rig));
	assert_true(fake_disk_complete(&s->disk, 0));
	assert_int_equal(rig_status(&s->rig), 0);
	assert_int_equal(status_of(s, r),
			 S_NONE); /* the ring is the driver's again: nothing is said */
	scene_free(s);
}

static void what_is_outside_the_disk_fails(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{ T_IN, FAKE_DISK_BYTES / 512, 512 },
		{ T_IN, FAKE_DISK_BYTES / 512 - 1, 1024 },
		{ T_IN, UINT64_MAX, 512 },
		{ T_IN, UINT64_MAX / 512 + 1, 512 },
		{ T_IN, 0, 511 },
		{ T_OUT, 0, 513 },
		{ T_OUT, UINT64_C(1) << 55, 512 },
	};
	struct scene *s = scene_new(usual);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct request r =
			send(s, bad[i].type, bad[i].sector, bad[i].len, bad[i].type == T_IN);
		go(s);
		expect(s, r, S_IOERR, 1);
	}
	assert_int_equal(s->disk.n_ops[DISK_READ] + s->disk.n_ops[DISK_WRITE], 0);
	scene_free(s);
}

static void read_only_disk_is_not_written(void **state)
{
	struct scene *s = scene_prepare(true);

	(void)state;
	assert_int_equal(rig_offered(&s->rig) & (F_RO | F_DISCARD | F_WRITE_ZEROES), F_RO);
	assert_true(rig_start(&s->rig, F_VERSION_1 | F_INDIRECT | F_FLUSH | F_RO, 1, 16));
	struct request out = send(s, T_OUT, 0, 512, false);
	struct request flush = send(s, T_FLUSH, 0, 0, false);
	go(s);
	expect(s, out, S_IOERR, 1);
	expect(s, flush, S_OK, 1);
	scene_free(s);
}

static void errors_of_the_disk_are_told(void **state)
{
	struct scene *s = scene_new(usual);

	(void)state;
	s->disk.fail = -ENOSPC;
	struct request out = send(s, T_OUT, 0, 512, false);
	go(s);
	expect(s, out, S_IOERR, 1);
	s->disk.fail = -EOPNOTSUPP;
	struct request flush = send(s, T_FLUSH, 0, 0, false);
	go(s);
	expect(s, flush, S_UNSUPP, 1);
	scene_free(s);
}

static void unknown_types_are_unsupported(void **state)
{
	struct scene *s = scene_new(F_VERSION_1 | F_INDIRECT);
	static const uint32_t types[] = { 2, 3, 9, 14, UINT32_MAX, T_DISCARD, T_WRITE_ZEROES };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		struct request r = send(s, types[i], 0, 16, false);
		go(s);
		expect(s, r, S_UNSUPP, 1);
	}
	scene_free(s);
}

static void id_is_twenty_bytes(void **state)
{
	struct scene *s = scene_new(usual);

	(void)state;
	struct request r = send(s, T_GET_ID, 0, 20, true);
	struct request small = send(s, T_GET_ID, 0, 19, true);
	go(s);
	expect(s, r, S_OK, 21);
	assert_memory_equal(rig_at(&s->rig, r.data), "serial-of-20-letters", 20);
	expect(s, small, S_IOERR, 1);
	scene_free(s);
}

static struct request send_range(struct scene *s, uint32_t type, uint64_t sector, uint32_t n,
				 uint32_t flags)
{
	struct request r = send(s, type, 0, 16, false);
	uint8_t *range = rig_at(&s->rig, r.data);

	le64_store(range, sector);
	le32_store(range + 8, n);
	le32_store(range + 12, flags);
	go(s);
	return r;
}

static void ranges_are_discarded_and_zeroed(void **state)
{
	struct scene *s = scene_new(usual);

	(void)state;
	expect(s, send_range(s, T_DISCARD, 8, 8, 0), S_OK, 1);
	expect(s, send_range(s, T_WRITE_ZEROES, 32, 1, 1), S_OK, 1);
	assert_true(s->disk.last_may_unmap);
	expect(s, send_range(s, T_WRITE_ZEROES, 32, 0, 0), S_OK, 1);
	assert_int_equal(s->disk.n_ops[DISK_DISCARD], 1);
	assert_int_equal(s->disk.n_ops[DISK_WRITE_ZEROES], 1);
	assert_int_equal(s->disk.data[32 * 512] | s->disk.data[32 * 512 + 511], 0);
	expect(s, send_range(s, T_DISCARD, 8, 8, 1), S_UNSUPP, 1);
	expect(s, send_range(s, T_WRITE_ZEROES, 8, 8, 2), S_UNSUPP, 1);
	expect(s, send_range(s, T_DISCARD, 511, 2, 0), S_IOERR, 1);
	expect(s, send_range(s, T_DISCARD, UINT64_MAX, 2, 0), S_IOERR, 1);
	expect(s, send_range(s, T_WRITE_ZEROES, 0, UINT32_MAX, 0), S_IOERR, 1);
	struct request two = send(s, T_DISCARD, 0, 32, false);
	go(s);
	expect(s, two, S_IOERR, 1);
	scene_free(s);
}

static void write_through_flushes_each_write(void **state)
{
	struct scene *s = scene_prepare(false);

	(void)state;
	/* A driver that cannot flush, and one that does not want to. */
	assert_true(rig_start(&s->rig, F_VERSION_1 | F_INDIRECT, 1, 16));
	s->disk.async = true;
	struct request r = send(s, T_OUT, 0, 512, false);
	go(s);
	assert_true(fake_disk_complete(&s->disk, 0));
	assert_int_equal(status_of(s, r), S_NONE);
	assert_true(fake_disk_complete(&s->disk, 0));
	expect(s, r, S_OK, 1);
	assert_int_equal(s->disk.n_ops[DISK_FLUSH], 1);

	s->disk.async = false;
	assert_true(rig_start(&s->rig, usual | F_CONFIG_WCE, 1, 16));
	r = send(s, T_OUT, 0, 512, false);
	go(s);
	expect(s, r, S_OK, 1);
	assert_int_equal(s->disk.n_ops[DISK_FLUSH], 1);
	bus_write(&s->rig.mmio, s->rig.config + 32, 1, 0);
	assert_int_equal(rig_dev_config(&s->rig, 32, 1), 0);
	r = send(s, T_OUT, 0, 512, false);
	go(s);
	expect(s, r, S_OK, 1);
	assert_int_equal(s->disk.n_ops[DISK_FLUSH], 2);
	scene_free(s);
}

static void flush_that_fails_fails_the_write(void **state)
{
	struct scene *s = scene_new(F_VERSION_1 | F_INDIRECT);

	(void)state;
	s->disk.async = true;
	struct request r = send(s, T_OUT, 0, 512, false);
	go(s);
	assert_true(fake_disk_complete(&s->disk, 0));
	s->disk.fail = -EIO;
	assert_true(fake_disk_complete(&s->disk, 0));
	expect(s, r, S_IOERR, 1);
	scene_free(s);
}

static void configuration_describes_the_disk(void **state)
{
	struct scene *s = scene_new(usual);

	(void)state;
	assert_int_equal(rig_dev_config(&s->rig, 0, 8), FAKE_DISK_BYTES / 512);
	assert_int_equal(rig_dev_config(&s->rig, 12, 4), 126);
	assert_int_equal(rig_dev_config(&s->rig, 20, 4), 512);
	assert_int_equal(rig_dev_config(&s->rig, 24, 1), 3);
	assert_int_equal(rig_dev_config(&s->rig, 26, 2), 8);
	assert_int_equal(rig_dev_config(&s->rig, 40, 4), 1);
	assert_int_equal(rig_dev_config(&s->rig, 44, 4), 8);
	assert_int_equal(rig_dev_config(&s->rig, 56, 1), 1);
	s->disk.disk.size_bytes /= 2;
	virtio_blk_resized(&s->blk);
	assert_int_equal(rig_dev_config(&s->rig, 0, 8), FAKE_DISK_BYTES / 1024);
	assert_int_equal(bus_read(&s->rig.mmio, s->rig.isr, 1), 2);
	scene_free(s);
}

static void request_without_a_status_breaks_the_device(void **state)
{
	const struct rig_buf no_status[] = { { RIG_DATA_GPA, 16, false } };
	const struct rig_buf no_header[] = { { RIG_DATA_GPA, 15, false },
					     { RIG_DATA_GPA, 1, true } };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct scene *s = scene_new(usual);
		rig_add(&s->rig, 0, i ? no_header : no_status, i + 1, false);
		go(s);
		assert_true(rig_status(&s->rig) & ST_NEEDS_RESET);
		assert_true(rig_start(&s->rig, usual, 1, 128));
		struct request r = send(s, T_IN, 0, 512, true);
		go(s);
		expect(s, r, S_OK, 513);
		scene_free(s);
	}
}

static void ring_that_breaks_drops_what_the_disk_ends_later(void **state)
{
	struct scene *s = scene_new(usual);

	(void)state;
	s->disk.async = true;
	struct request r = send(s, T_IN, 0, 512, true);
	rig_avail(&s->rig, 0, 500);
	go(s);
	assert_true(rig_status(&s->rig) & ST_NEEDS_RESET);
	assert_true(fake_disk_complete(&s->disk, 0));
	assert_int_equal(status_of(s, r), S_NONE);
	assert_true(rig_start(&s->rig, usual, 1, 128));
	scene_free(s);
}

static void busy_queue_costs_no_kicks(void **state)
{
	struct scene *s = scene_new(usual);
	uint32_t head, len;

	(void)state;
	s->disk.async = true;
	(void)send(s, T_IN, 0, 512, true);
	go(s);
	/* The driver kicks when it passes the event index: only then would it exit. */
	uint16_t event = rig_avail_event(&s->rig, 0);
	assert_int_equal(event, 1);
	rig_used_event_set(&s->rig, 0, 9);
	for (unsigned i = 0; i < 9; i++)
		(void)send(s, T_IN, 0, 512, true);
	go(s);
	while (fake_disk_complete(&s->disk, 0))
		assert_int_equal(s->rig.line_level, s->disk.n_waiting == 0);
	for (unsigned i = 0; i < 10; i++)
		assert_true(rig_used(&s->rig, 0, &head, &len));
	scene_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes),
		cmocka_unit_test(any_framing_will_do),
		cmocka_unit_test(many_are_under_way_and_end_in_any_order),
		cmocka_unit_test(reset_waits_for_the_disk),
		cmocka_unit_test(what_is_outside_the_disk_fails),
		cmocka_unit_test(read_only_disk_is_not_written),
		cmocka_unit_test(errors_of_the_disk_are_told),
		cmocka_unit_test(unknown_types_are_unsupported),
		cmocka_unit_test(id_is_twenty_bytes),
		cmocka_unit_test(ranges_are_discarded_and_zeroed),
		cmocka_unit_test(write_through_flushes_each_write),
		cmocka_unit_test(flush_that_fails_fails_the_write),
		cmocka_unit_test(configuration_describes_the_disk),
		cmocka_unit_test(request_without_a_status_breaks_the_device),
		cmocka_unit_test(ring_that_breaks_drops_what_the_disk_ends_later),
		cmocka_unit_test(busy_queue_costs_no_kicks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
