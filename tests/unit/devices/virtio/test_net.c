/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/driver.h"
#include "devices/virtio/fakes.h"

#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "devices/virtio/net.h"

#define F_CSUM	     FEATURE(0)
#define F_GUEST_CSUM FEATURE(1)
#define F_OFFLOADS   FEATURE(2)
#define F_MTU	     FEATURE(3)
#define F_GUEST_TSO4 FEATURE(7)
#define F_GUEST_TSO6 FEATURE(8)
#define F_GUEST_ECN  FEATURE(9)
#define F_HOST_TSO4  FEATURE(11)
#define F_HOST_ECN   FEATURE(13)
#define F_MRG	     FEATURE(15)
#define F_CTRL	     FEATURE(17)
#define F_CTRL_MAC   FEATURE(23)
#define ALL_OFFLOADS                                                                               \
	(F_CSUM | F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN | F_HOST_TSO4 |         \
	 FEATURE(12) | F_HOST_ECN)

enum { RX, TX, CTRL };

struct scene {
	struct rig rig;
	struct fake_net net;
	struct virtio_net dev;
};

static const uint8_t mac[6] = { 2, 0, 0, 1, 2, 3 };
static const uint64_t base = F_VERSION_1 | F_EVENT_IDX | F_INDIRECT;

static struct scene *scene_prepare(uint64_t offloads, uint16_t mtu)
{
	struct scene *s = test_calloc(1, sizeof(*s));

	assert_true(rig_init(&s->rig));
	fake_net_init(&s->net, offloads, mtu);
	virtio_net_init(&s->dev, &s->rig.place, &s->net.net, mac);
	assert_true(rig_attach(&s->rig, &s->dev.virtio));
	return s;
}

static struct scene *scene_new(uint64_t features)
{
	struct scene *s = scene_prepare(ALL_OFFLOADS, 0);

	assert_true(rig_start(&s->rig, base | features, 3, 128));
	return s;
}

static void scene_free(struct scene *s)
{
	rig_fini(&s->rig);
	test_free(s);
}

static gpa_t give(struct scene *s, uint32_t len)
{
	const struct rig_buf buf = { rig_alloc(&s->rig, len), len, true };

	(void)rig_add(&s->rig, RX, &buf, 1, false);
	return buf.gpa;
}

static void come(struct scene *s, uint32_t len)
{
	assert_true(fake_net_put(&s->net, len));
	s->net.net.readable(&s->net.net, s->net.net.arg);
	rig_run(&s->rig);
}

static void expect_frame(struct scene *s, gpa_t gpa, uint32_t at, uint32_t n, uint32_t len)
{
	for (uint32_t i = 0; i < n; i++) {
		if (at + i >= 12) /* behind the header, whose num_buffers is the device's */
			assert_int_equal(*rig_at(&s->rig, gpa + i), fake_net_byte(at + i, len));
	}
}

static void frame_goes_into_one_buffer(void **state)
{
	struct scene *s = scene_new(0);
	uint32_t head, len;

	(void)state;
	gpa_t gpa = give(s, 1600);
	come(s, 100);
	assert_true(rig_used(&s->rig, RX, &head, &len));
	assert_int_equal(len, 100);
	assert_int_equal(le16_load(rig_at(&s->rig, gpa + 10)), 1);
	expect_frame(s, gpa, 0, 100, 100);
	assert_true(s->rig.line_level);
	scene_free(s);
}

static void frames_wait_for_buffers(void **state)
{
	struct scene *s = scene_new(0);
	uint32_t head, len;

	(void)state;
	come(s, 100);
	come(s, 200);
	assert_int_equal(s->net.n, 2);
	(void)give(s, 1600);
	(void)give(s, 1600);
	rig_kick(&s->rig, RX);
	rig_run(&s->rig);
	assert_true(rig_used(&s->rig, RX, &head, &len));
	assert_int_equal(len, 100);
	assert_true(rig_used(&s->rig, RX, &head, &len));
	assert_int_equal(len, 200);
	scene_free(s);
}

static void large_frame_is_merged_from_many(void **state)
{
	struct scene *s = scene_new(F_MRG | F_GUEST_CSUM | F_GUEST_TSO4);
	gpa_t gpas[50];
	uint32_t head, len, at = 0;

	(void)state;
	for (unsigned i = 0; i < 50; i++)
		gpas[i] = give(s, 1536);
	come(s, 60000);
	come(s, 1000);
	const unsigned n = (60000 + 1535) / 1536;
	assert_int_equal(le16_load(rig_at(&s->rig, gpas[0] + 10)), n);
	for (unsigned i = 0; i < n; i++) {
		assert_true(rig_used(&s->rig, RX, &head, &len));
		assert_int_equal(len, at + 1536 <= 60000 ? 1536 : 60000 - at);
		expect_frame(s, gpas[i], at, len, 60000);
		at += len;
	}
	/* The next frame starts in the next buffer, though the window is too small now for the largest. */
	assert_true(rig_used(&s->rig, RX, &head, &len));
	assert_int_equal(len, 1000);
	assert_int_equal(le16_load(rig_at(&s->rig, gpas[n] + 10)), 1);
	expect_frame(s, gpas[n], 0, 1000, 1000);
	scene_free(s);
}

static void frame_that_does_not_fit_is_lost(void **state)
{
	struct scene *s = scene_new(F_MRG | F_GUEST_CSUM | F_GUEST_TSO4);
	uint32_t head, len;

	(void)state;
	gpa_t gpa = give(s, 1536);
	come(s, 1537);
	assert_false(rig_used(&s->rig, RX, &head, &len));
	come(s, FAKE_FRAME_BYTES);
	assert_false(rig_used(&s->rig, RX, &head, &len));
	come(s, 1536);
	assert_true(rig_used(&s->rig, RX, &head, &len));
	assert_int_equal(len, 1536);
	expect_frame(s, gpa, 0, 1536, 1536);
	scene_free(s);
}

static void many_frames_wrap_the_window(void **state)
{
	struct scene *s = scene_new(F_MRG | F_GUEST_CSUM | F_GUEST_TSO4);
	gpa_t gpas[128];
	uint32_t head, len;

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		gpas[i] = give(s, 2048);
	for (uint32_t i = 0; i < 1000; i++) {
		come(s, 60 + i);
		assert_true(rig_used(&s->rig, RX, &head, &len));
		assert_int_equal(len, 60 + i);
		expect_frame(s, gpas[head % 64], 0, len, len);
		rig_desc(&s->rig, RX, (uint16_t)head, gpas[head % 64], 2048, VD_WRITE, 0);
		rig_avail(&s->rig, RX, (uint16_t)head);
	}
	scene_free(s);
}

static gpa_t send_frame(struct scene *s, uint8_t flags, uint8_t gso, uint32_t len)
{
	gpa_t gpa = rig_alloc(&s->rig, 12 + len);
	const struct rig_buf bufs[] = { { gpa, 12, false }, { gpa + 12, len, false } };
	uint8_t *h = rig_at(&s->rig, gpa);

	h[0] = flags;
	h[1] = gso;
	le16_store(h + 4, 1448);
	memset(h + 12, 0x77, len);
	(void)rig_add(&s->rig, TX, bufs, 2, true);
	rig_kick(&s->rig, TX);
	rig_run(&s->rig);
	return gpa;
}

static void frame_goes_out_with_its_header(void **state)
{
	struct scene *s = scene_new(F_CSUM | F_HOST_TSO4 | F_HOST_ECN);
	uint32_t head, len;

	(void)state;
	gpa_t gpa = send_frame(s, 1, 1 | 0x80, 1000);
	assert_true(rig_used(&s->rig, TX, &head, &len));
	assert_int_equal(len, 0);
	assert_int_equal(s->net.sent_bytes, 1012);
	assert_memory_equal(s->net.sent, rig_at(&s->rig, gpa), 1012);
	scene_free(s);
}

static void header_with_what_was_not_negotiated_is_lost(void **state)
{
	static const struct {
		uint64_t features;
		uint8_t flags, gso;
	} bad[] = {
		{ 0, 1, 0 },			   /* CSUM */
		{ F_CSUM, 1, 1 },		   /* TSO4 */
		{ F_CSUM | F_HOST_TSO4, 1, 4 },	   /* TSO6 */
		{ F_CSUM | F_HOST_TSO4, 1, 3 },	   /* UFO */
		{ F_CSUM | F_HOST_TSO4, 0, 1 },	   /* segmentation without a checksum */
		{ F_CSUM | F_HOST_TSO4, 1, 0x81 }, /* ECN */
		{ F_CSUM | F_HOST_TSO4, 1, 2 },	   /* no such type */
		{ F_CSUM | F_HOST_TSO4, 1, 0x7f },
	};
	uint32_t head, len;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct scene *s = scene_new(bad[i].features);
		send_frame(s, bad[i].flags, bad[i].gso, 100);
		assert_true(rig_used(&s->rig, TX, &head, &len));
		assert_int_equal(s->net.n_sent, 0);
		send_frame(s, 0, 0, 100);
		assert_int_equal(s->net.n_sent, 1);
		assert_false(rig_status(&s->rig) & ST_NEEDS_RESET);
		scene_free(s);
	}
}

static void full_back_end_keeps_the_frame(void **state)
{
	struct scene *s = scene_new(0);
	uint32_t head, len;

	(void)state;
	s->net.full = true;
	send_frame(s, 0, 0, 100);
	send_frame(s, 0, 0, 200);
	assert_false(rig_used(&s->rig, TX, &head, &len));
	s->net.full = false;
	s->net.net.writable(&s->net.net, s->net.net.arg);
	assert_int_equal(s->net.n_sent, 2);
	assert_int_equal(s->net.sent_bytes, 212);
	scene_free(s);
}

static void frame_that_is_too_long_is_lost(void **state)
{
	struct scene *s = scene_new(0);
	struct rig_buf bufs[100];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = (struct rig_buf){ RIG_RAM_GPA, 4096, false };
	(void)rig_add(&s->rig, TX, bufs, ARRAY_SIZE(bufs), false);
	rig_kick(&s->rig, TX);
	rig_run(&s->rig);
	assert_int_equal(s->net.n_sent, 0);
	assert_false(rig_status(&s->rig) & ST_NEEDS_RESET);
	scene_free(s);
}

static void bad_chains_break_the_device(void **state)
{
	static const struct {
		uint16_t queue;
		struct rig_buf buf;
	} bad[] = {
		{ TX, { RIG_DATA_GPA, 11, false } },   { RX, { RIG_DATA_GPA, 11, true } },
		{ RX, { RIG_DATA_GPA, 2000, false } }, { CTRL, { RIG_DATA_GPA, 1, false } },
		{ CTRL, { RIG_DATA_GPA, 2, false } },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct scene *s = scene_new(F_CTRL);
		(void)rig_add(&s->rig, bad[i].queue, &bad[i].buf, 1, false);
		rig_kick(&s->rig, bad[i].queue);
		rig_run(&s->rig);
		assert_true(rig_status(&s->rig) & ST_NEEDS_RESET);
		come(s, 100);
		scene_free(s);
	}
}

static uint8_t control(struct scene *s, uint8_t class, uint8_t command, const void *data,
		       uint32_t len)
{
	gpa_t gpa = rig_alloc(&s->rig, 64), ack = rig_alloc(&s->rig, 1);
	const struct rig_buf bufs[] = { { gpa, 2 + len, false }, { ack, 1, true } };

	rig_at(&s->rig, gpa)[0] = class;
	rig_at(&s->rig, gpa)[1] = command;
	memcpy(rig_at(&s->rig, gpa + 2), data, len);
	*rig_at(&s->rig, ack) = 0xee;
	(void)rig_add(&s->rig, CTRL, bufs, 2, false);
	rig_kick(&s->rig, CTRL);
	rig_run(&s->rig);
	return *rig_at(&s->rig, ack);
}

static void control_queue_sets_mac_and_offloads(void **state)
{
	struct scene *s = scene_new(F_CTRL | F_CTRL_MAC | F_OFFLOADS | F_GUEST_CSUM | F_GUEST_TSO4);
	uint8_t wanted[8];

	(void)state;
	assert_int_equal(s->net.offload_set, F_GUEST_CSUM | F_GUEST_TSO4);
	le64_store(wanted, F_GUEST_CSUM);
	assert_int_equal(control(s, 5, 0, wanted, 8), 0);
	assert_int_equal(s->net.offload_set, F_GUEST_CSUM);
	le64_store(wanted, F_GUEST_TSO6); /* not accepted */
	assert_int_equal(control(s, 5, 0, wanted, 8), 1);
	assert_int_equal(control(s, 5, 0, wanted, 7), 1);
	assert_int_equal(control(s, 1, 1, "\2abcde", 6), 0);
	assert_int_equal(rig_dev_config(&s->rig, 1, 1), 'a');
	assert_int_equal(control(s, 1, 1, "\2abcd", 5), 1);
	assert_int_equal(control(s, 0, 0, "\1", 1), 1);
	assert_int_equal(control(s, 1, 0, "\1", 1), 1);
	scene_free(s);
}

static void features_follow_the_back_end(void **state)
{
	struct scene *s = scene_prepare(F_CSUM | F_HOST_TSO4, 9000);

	(void)state;
	assert_int_equal(rig_offered(&s->rig) & (ALL_OFFLOADS | F_MTU | F_OFFLOADS),
			 F_CSUM | F_HOST_TSO4 | F_MTU);
	assert_int_equal(rig_dev_config(&s->rig, 10, 2), 9000);
	assert_int_equal(rig_dev_config(&s->rig, 6, 2), 1);
	assert_false(rig_features(&s->rig, base | F_HOST_TSO4)); /* needs CSUM */
	assert_false(rig_features(&s->rig, base | F_CTRL_MAC));	 /* needs CTRL_VQ */
	assert_true(rig_features(&s->rig, base | F_HOST_TSO4 | F_CSUM));
	scene_free(s);
}

static void link_change_is_told(void **state)
{
	struct scene *s = scene_new(FEATURE(16));

	(void)state;
	virtio_net_link_set(&s->dev, false);
	assert_int_equal(rig_dev_config(&s->rig, 6, 2), 0);
	assert_int_equal(bus_read(&s->rig.mmio, s->rig.isr, 1), 2);
	scene_free(s);
}

static void reset_forgets_the_window(void **state)
{
	struct scene *s = scene_new(F_MRG);
	uint32_t head, len;

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		(void)give(s, 1600);
	come(s, 100);
	assert_true(rig_start(&s->rig, base, 3, 128));
	gpa_t gpa = give(s, 1600);
	come(s, 120);
	assert_true(rig_used(&s->rig, RX, &head, &len));
	assert_int_equal(head, 0);
	expect_frame(s, gpa, 0, 120, 120);
	scene_free(s);
}

static void one_turn_is_bounded(void **state)
{
	struct scene *s = scene_new(0);
	uint32_t head, len, n = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		(void)give(s, 1600);
		assert_true(fake_net_put(&s->net, 100));
	}
	s->net.net.readable(&s->net.net, s->net.net.arg);
	while (rig_used(&s->rig, RX, &head, &len))
		n++;
	assert_int_equal(n, 64);
	rig_run(&s->rig); /* it kicked itself */
	while (rig_used(&s->rig, RX, &head, &len))
		n++;
	assert_int_equal(n, 100);
	scene_free(s);
}

static void error_of_the_back_end_does_not_spin(void **state)
{
	struct scene *s = scene_new(0);

	(void)state;
	(void)give(s, 1600);
	s->net.receive_error = -EIO;
	s->net.net.readable(&s->net.net, s->net.net.arg);
	assert_int_equal(s->rig.kicks, 0);
	scene_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_goes_into_one_buffer),
		cmocka_unit_test(frames_wait_for_buffers),
		cmocka_unit_test(large_frame_is_merged_from_many),
		cmocka_unit_test(frame_that_does_not_fit_is_lost),
		cmocka_unit_test(many_frames_wrap_the_window),
		cmocka_unit_test(frame_goes_out_with_its_header),
		cmocka_unit_test(header_with_what_was_not_negotiated_is_lost),
		cmocka_unit_test(full_back_end_keeps_the_frame),
		cmocka_unit_test(frame_that_is_too_long_is_lost),
		cmocka_unit_test(bad_chains_break_the_device),
		cmocka_unit_test(control_queue_sets_mac_and_offloads),
		cmocka_unit_test(features_follow_the_back_end),
		cmocka_unit_test(link_change_is_told),
		cmocka_unit_test(reset_forgets_the_window),
		cmocka_unit_test(one_turn_is_bounded),
		cmocka_unit_test(error_of_the_back_end_does_not_spin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
