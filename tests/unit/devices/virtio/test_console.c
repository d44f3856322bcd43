/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/driver.h"
#include "devices/virtio/fakes.h"

#include "scratch.h"

#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "devices/virtio/console.h"

#define F_SIZE	    FEATURE(0)
#define F_MULTIPORT FEATURE(1)
#define PORTS	    3U
#define CONTROL_RX  2
#define CONTROL_TX  3

enum { READY, ADD, REMOVE, PORT_READY, CONSOLE, RESIZE, OPEN, NAME };

struct scene {
	struct rig rig;
	struct fake_console ports[PORTS];
	struct virtio_console dev;
	gpa_t control[64]; /* by head */
};

static const char long_name[] = "a-name-of-32-bytes-and-then-some-more";

static struct scene *scene_new(uint64_t features)
{
	struct scene *s = test_calloc(1, sizeof(*s));
	const struct console_port_config ports[PORTS] = {
		{ "one", &s->ports[0].console, true },
		{ "two", &s->ports[1].console, false },
		{ long_name, &s->ports[2].console, false },
	};

	assert_true(rig_init(&s->rig));
	for (unsigned i = 0; i < PORTS; i++)
		fake_console_init(&s->ports[i]);
	virtio_console_init(&s->dev, &s->rig.place, ports, PORTS);
	assert_true(rig_attach(&s->rig, &s->dev.virtio));
	assert_true(rig_start(&s->rig, F_VERSION_1 | F_SIZE | features, 8, 64));
	return s;
}

static void scene_free(struct scene *s)
{
	rig_fini(&s->rig);
	test_free(s);
}

static gpa_t give(struct scene *s, uint16_t queue, uint32_t len)
{
	const struct rig_buf buf = { rig_alloc(&s->rig, len), len, true };
	uint16_t head = rig_add(&s->rig, queue, &buf, 1, false);

	if (queue == CONTROL_RX)
		s->control[head] = buf.gpa;
	return buf.gpa;
}

static void put(struct scene *s, uint16_t queue, const void *data, uint32_t len)
{
	const struct rig_buf buf = { rig_alloc(&s->rig, len), len, false };

	memcpy(rig_at(&s->rig, buf.gpa), data, len);
	(void)rig_add(&s->rig, queue, &buf, 1, false);
	rig_kick(&s->rig, queue);
	rig_run(&s->rig);
}

static void tell(struct scene *s, uint32_t id, uint16_t event, uint16_t value)
{
	uint8_t message[8];

	le32_store(message, id);
	le16_store(message + 4, event);
	le16_store(message + 6, value);
	put(s, CONTROL_TX, message, sizeof(message));
}

/* The next message, and what is behind it. */
static const uint8_t *expect(struct scene *s, uint32_t id, uint16_t event, uint16_t value,
			     uint32_t more)
{
	uint32_t head, len;

	assert_true(rig_used(&s->rig, CONTROL_RX, &head, &len));
	const uint8_t *m = rig_at(&s->rig, s->control[head]);
	assert_int_equal(le32_load(m), id);
	assert_int_equal(le16_load(m + 4), event);
	assert_int_equal(le16_load(m + 6), value);
	assert_int_equal(len, 8 + more);
	return m + 8;
}

static void expect_silence(struct scene *s)
{
	uint32_t head, len;

	assert_false(rig_used(&s->rig, CONTROL_RX, &head, &len));
}

static struct scene *scene_multiport(void)
{
	struct scene *s = scene_new(F_MULTIPORT);

	for (unsigned i = 0; i < 32; i++)
		(void)give(s, CONTROL_RX, 64);
	tell(s, UINT32_MAX, READY, 1);
	for (uint32_t i = 0; i < PORTS; i++)
		expect(s, i, ADD, 1, 0);
	return s;
}

static void one_port_without_multiport(void **state)
{
	struct scene *s = scene_new(0);
	uint32_t head, len;

	(void)state;
	put(s, 1, "hello", 5);
	assert_memory_equal(s->ports[0].out, "hello", 5);
	gpa_t gpa = give(s, 0, 16);
	fake_console_put(&s->ports[0], "typed", 5);
	s->ports[0].console.readable(&s->ports[0].console, s->ports[0].console.arg);
	assert_true(rig_used(&s->rig, 0, &head, &len));
	assert_int_equal(len, 5);
	assert_memory_equal(rig_at(&s->rig, gpa), "typed", 5);
	scene_free(s);
}

static void input_waits_for_buffers(void **state)
{
	struct scene *s = scene_new(0);
	uint32_t head, len;

	(void)state;
	fake_console_put(&s->ports[0], "abcdefgh", 8);
	s->ports[0].console.readable(&s->ports[0].console, s->ports[0].console.arg);
	for (unsigned i = 0; i < 3; i++)
		(void)give(s, 0, 3);
	rig_kick(&s->rig, 0);
	rig_run(&s->rig);
	static const uint32_t lens[] = { 3, 3, 2 };
	for (unsigned i = 0; i < 3; i++) {
		assert_true(rig_used(&s->rig, 0, &head, &len));
		assert_int_equal(len, lens[i]);
	}
	scene_free(s);
}

static void ports_are_announced_named_and_opened(void **state)
{
	struct scene *s = scene_multiport();

	(void)state;
	assert_int_equal(rig_dev_config(&s->rig, 4, 4), PORTS);
	tell(s, 0, PORT_READY, 1);
	expect(s, 0, CONSOLE, 1, 0);
	assert_memory_equal(expect(s, 0, NAME, 1, 3), "one", 3);
	expect(s, 0, OPEN, 1, 0);
	assert_true(s->ports[0].guest_open);
	tell(s, 1, PORT_READY, 1);
	assert_memory_equal(expect(s, 1, NAME, 1, 3), "two", 3);
	expect(s, 1, OPEN, 1, 0);
	tell(s, 2, PORT_READY, 1);
	expect(s, 2, NAME, 1, 32);
	expect(s, 2, OPEN, 1, 0);
	expect_silence(s);
	assert_false(s->ports[1].guest_open);
	scene_free(s);
}

/* It was once sent up to a terminator that was not there. */
static void name_of_full_length_has_no_terminator(void **state)
{
	struct scene *s = scene_multiport();

	(void)state;
	tell(s, 2, PORT_READY, 1);
	assert_memory_equal(expect(s, 2, NAME, 1, 32), long_name, 32);
	scene_free(s);
}

static void data_waits_until_the_guest_opens(void **state)
{
	struct scene *s = scene_multiport();
	uint32_t head, len;

	(void)state;
	tell(s, 1, PORT_READY, 1);
	gpa_t gpa = give(s, 4, 100);
	fake_console_put(&s->ports[1], "early", 5);
	s->ports[1].console.readable(&s->ports[1].console, s->ports[1].console.arg);
	assert_false(rig_used(&s->rig, 4, &head, &len));
	tell(s, 1, OPEN, 1);
	assert_true(s->ports[1].guest_open);
	assert_true(rig_used(&s->rig, 4, &head, &len));
	assert_memory_equal(rig_at(&s->rig, gpa), "early", 5);
	put(s, 5, "back", 4);
	assert_memory_equal(s->ports[1].out, "back", 4);
	tell(s, 1, OPEN, 0);
	assert_false(s->ports[1].guest_open);
	assert_int_equal(s->ports[1].n_opens, 2);
	scene_free(s);
}

static void end_of_the_stream_closes_the_hosts_side(void **state)
{
	struct scene *s = scene_multiport();
	uint32_t head, len;

	(void)state;
	tell(s, 1, PORT_READY, 1);
	tell(s, 1, OPEN, 1);
	expect(s, 1, NAME, 1, 3);
	expect(s, 1, OPEN, 1, 0);
	(void)give(s, 4, 100);
	(void)give(s, 4, 100);
	fake_console_put(&s->ports[1], "last", 4);
	s->ports[1].ended = true;
	s->ports[1].console.readable(&s->ports[1].console, s->ports[1].console.arg);
	assert_true(rig_used(&s->rig, 4, &head, &len));
	assert_int_equal(len, 4);
	expect(s, 1, OPEN, 0, 0);
	assert_false(rig_used(&s->rig, 4, &head, &len));
	/* And somebody comes back. */
	s->ports[1].ended = false;
	fake_console_put(&s->ports[1], "more", 4);
	s->ports[1].console.readable(&s->ports[1].console, s->ports[1].console.arg);
	assert_true(rig_used(&s->rig, 4, &head, &len));
	expect(s, 1, OPEN, 1, 0);
	scene_free(s);
}

static void full_back_end_keeps_the_rest(void **state)
{
	struct scene *s = scene_new(0);
	uint32_t head, len;

	(void)state;
	s->ports[0].room = 3;
	put(s, 1, "abcdef", 6);
	put(s, 1, "ghi", 3);
	assert_false(rig_used(&s->rig, 1, &head, &len));
	s->ports[0].room = 5;
	s->ports[0].console.writable(&s->ports[0].console, s->ports[0].console.arg);
	assert_int_equal(s->ports[0].n_out, 5);
	s->ports[0].room = 100;
	s->ports[0].console.writable(&s->ports[0].console, s->ports[0].console.arg);
	assert_int_equal(s->ports[0].n_out, 9);
	assert_memory_equal(s->ports[0].out, "abcdefghi", 9);
	assert_true(rig_used(&s->rig, 1, &head, &len));
	assert_true(rig_used(&s->rig, 1, &head, &len));
	scene_free(s);
}

static void output_that_nobody_reads_is_dropped(void **state)
{
	struct scene *s = scene_new(0);
	uint32_t head, len;

	(void)state;
	s->ports[0].broken = true;
	put(s, 1, "abcdef", 6);
	assert_true(rig_used(&s->rig, 1, &head, &len));
	scene_free(s);
}

static void size_is_told_by_configuration_and_message(void **state)
{
	struct scene *s = scene_multiport();

	(void)state;
	virtio_console_resize(&s->dev, 0, 132, 43);
	assert_int_equal(rig_dev_config(&s->rig, 0, 4), 132 | 43 << 16);
	tell(s, 0, PORT_READY, 1);
	expect(s, 0, CONSOLE, 1, 0);
	expect(s, 0, NAME, 1, 3);
	const uint8_t *size = expect(s, 0, RESIZE, 1, 4);
	assert_int_equal(le16_load(size), 132);
	assert_int_equal(le16_load(size + 2), 43);
	expect(s, 0, OPEN, 1, 0);
	virtio_console_resize(&s->dev, 0, 80, 25);
	expect(s, 0, RESIZE, 1, 4);
	virtio_console_resize(&s->dev, 1, 80, 25); /* not a console */
	virtio_console_resize(&s->dev, 9, 80, 25);
	expect_silence(s);
	scene_free(s);
}

static void messages_that_make_no_sense_are_ignored(void **state)
{
	struct scene *s = scene_multiport();

	(void)state;
	tell(s, 3, PORT_READY, 1);
	tell(s, UINT32_MAX, OPEN, 1);
	tell(s, 0, REMOVE, 1);
	tell(s, 0, 77, 1);
	tell(s, 0, PORT_READY, 0);
	expect_silence(s);
	assert_false(rig_status(&s->rig) & ST_NEEDS_RESET);
	put(s, CONTROL_TX, "short", 5);
	assert_true(rig_status(&s->rig) & ST_NEEDS_RESET);
	scene_free(s);
}

static void messages_wait_for_buffers(void **state)
{
	struct scene *s = scene_new(F_MULTIPORT);

	(void)state;
	tell(s, 0, READY, 1);
	tell(s, 0, PORT_READY, 1);
	for (unsigned i = 0; i < 100; i++) {
		tell(s, 0, OPEN, 0); /* nothing piles up */
		tell(s, 0, OPEN, 1);
	}
	for (unsigned i = 0; i < 16; i++)
		(void)give(s, CONTROL_RX, 64);
	rig_kick(&s->rig, CONTROL_RX);
	rig_run(&s->rig);
	expect(s, 0, ADD, 1, 0);
	expect(s, 0, CONSOLE, 1, 0);
	expect(s, 0, NAME, 1, 3);
	expect(s, 0, OPEN, 1, 0);
	expect(s, 1, ADD, 1, 0);
	expect(s, 2, ADD, 1, 0);
	expect_silence(s);
	scene_free(s);
}

static void small_control_buffer_breaks_the_device(void **state)
{
	struct scene *s = scene_new(F_MULTIPORT);

	(void)state;
	(void)give(s, CONTROL_RX, 7);
	tell(s, 0, READY, 1);
	assert_true(rig_status(&s->rig) & ST_NEEDS_RESET);
	scene_free(s);
}

static void reset_closes_the_guests_side(void **state)
{
	struct scene *s = scene_multiport();

	(void)state;
	tell(s, 1, PORT_READY, 1);
	tell(s, 1, OPEN, 1);
	assert_true(rig_reset(&s->rig));
	assert_false(s->ports[1].guest_open);
	scene_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_port_without_multiport),
		cmocka_unit_test(input_waits_for_buffers),
		cmocka_unit_test(ports_are_announced_named_and_opened),
		cmocka_unit_test(name_of_full_length_has_no_terminator),
		cmocka_unit_test(data_waits_until_the_guest_opens),
		cmocka_unit_test(end_of_the_stream_closes_the_hosts_side),
		cmocka_unit_test(full_back_end_keeps_the_rest),
		cmocka_unit_test(output_that_nobody_reads_is_dropped),
		cmocka_unit_test(size_is_told_by_configuration_and_message),
		cmocka_unit_test(messages_that_make_no_sense_are_ignored),
		cmocka_unit_test(messages_wait_for_buffers),
		cmocka_unit_test(small_control_buffer_breaks_the_device),
		cmocka_unit_test(reset_closes_the_guests_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
