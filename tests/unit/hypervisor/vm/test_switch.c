/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vm/switch.h"

static const uint8_t mac_a[6] = { 2, 0, 0, 0, 0, 0xa }, mac_b[6] = { 2, 0, 0, 0, 0, 0xb },
		     everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, unasked[6];

static struct switch_hub hub;
static struct switch_port a, b, c;
static unsigned told[3];

static void arrived(struct switch_port *port, void *arg)
{
	(void)port;
	++*(unsigned *)arg;
}

static int setup(void **state)
{
	(void)state;
	hub = (struct switch_hub){ 0 };
	memset(told, 0, sizeof(told));
	a = (struct switch_port){ .arrived = arrived, .arg = &told[0] };
	b = (struct switch_port){ .arrived = arrived, .arg = &told[1] };
	c = (struct switch_port){ .arrived = arrived, .arg = &told[2] };
	return switch_join(&hub, &a, mac_a) | switch_join(&hub, &b, mac_b) |
	       switch_join(&hub, &c, unasked);
}

/* A frame in pieces that end inside the header, and inside the addresses. */
static int send(struct switch_port *from, const uint8_t to[6], const uint8_t source[6],
		uint8_t fill, size_t len)
{
	static uint8_t bytes[SWITCH_HEADER + 2048];
	const struct mem_iov iov[] = { { bytes, 7 },
				       { bytes + 7, 10 },
				       { bytes + 17, SWITCH_HEADER + len - 17 } };

	memset(bytes, fill, sizeof(bytes));
	memcpy(bytes + SWITCH_HEADER, to, 6);
	memcpy(bytes + SWITCH_HEADER + 6, source, 6);
	return from->net.ops->send(&from->net, iov, 3);
}

static int64_t receive(struct switch_port *port, uint8_t *ret, size_t room)
{
	const struct mem_iov iov[] = { { ret, 5 }, { ret + 5, room - 5 } };

	memset(ret, 0xee, room);
	return port->net.ops->receive(&port->net, iov, 2);
}

static void a_frame_goes_to_its_address_alone(void **state)
{
	uint8_t got[2048];

	(void)state;
	assert_int_equal(send(&a, mac_b, mac_a, 0x55, 100), 0);
	assert_int_equal(told[0] + told[2], 0);
	assert_int_equal(told[1], 1);
	assert_true(switch_waits(&b) && !switch_waits(&c));
	assert_int_equal(receive(&b, got, sizeof(got)), SWITCH_HEADER + 100);
	for (unsigned i = 0; i < SWITCH_HEADER; i++)
		assert_int_equal(got[i], 0);
	assert_memory_equal(got + SWITCH_HEADER, mac_b, 6);
	assert_memory_equal(got + SWITCH_HEADER + 6, mac_a, 6);
	assert_int_equal(got[SWITCH_HEADER + 99], 0x55);
	assert_int_equal(got[SWITCH_HEADER + 100], 0xee);
	assert_int_equal(receive(&b, got, sizeof(got)), -EAGAIN);
}

static void a_group_is_all_but_the_sender(void **state)
{
	uint8_t got[2048];

	(void)state;
	assert_int_equal(send(&b, everybody, mac_b, 1, 60), 0);
	assert_true(told[0] == 1 && told[1] == 0 && told[2] == 1);
	assert_int_equal(receive(&c, got, sizeof(got)), SWITCH_HEADER + 60);
}

static void nobody_speaks_as_somebody_else(void **state)
{
	(void)state;
	assert_int_equal(send(&a, mac_b, mac_b, 1, 60), -EINVAL);
	assert_int_equal(send(&a, everybody, everybody, 1, 60), -EINVAL);
	assert_int_equal(a.refused, 2);
	assert_int_equal(told[0] + told[1] + told[2], 0);
}

static void frames_of_no_length_that_there_is_are_refused(void **state)
{
	(void)state;
	assert_int_equal(send(&a, mac_b, mac_a, 1, 13), -EINVAL);
	assert_int_equal(send(&a, mac_b, mac_a, 1, SWITCH_FRAME + 1), -EINVAL);
	assert_int_equal(send(&a, mac_b, mac_a, 1, SWITCH_FRAME), 0);
	assert_int_equal(a.net.ops->send(&a.net, NULL, 0), -EINVAL);
}

static void an_address_that_nobody_has_goes_nowhere(void **state)
{
	const uint8_t nobody[6] = { 2, 9, 9, 9, 9, 9 };

	(void)state;
	assert_int_equal(send(&a, nobody, mac_a, 1, 60), 0);
	assert_int_equal(told[0] + told[1] + told[2], 0);
}

static void who_does_not_read_loses_frames_and_holds_up_nobody(void **state)
{
	uint8_t got[2048];

	(void)state;
	for (unsigned i = 0; i < SWITCH_SLOTS + 3; i++)
		assert_int_equal(send(&a, mac_b, mac_a, (uint8_t)i, 60), 0);
	assert_int_equal(b.lost, 3);
	for (unsigned i = 0; i < SWITCH_SLOTS; i++) {
		assert_int_equal(receive(&b, got, sizeof(got)), SWITCH_HEADER + 60);
		assert_int_equal(got[SWITCH_HEADER + 59], i);
	}
	assert_int_equal(receive(&b, got, sizeof(got)), -EAGAIN);
}

static void a_frame_that_does_not_fit_is_cut_and_its_length_said(void **state)
{
	uint8_t got[64];

	(void)state;
	assert_int_equal(send(&a, mac_b, mac_a, 7, 200), 0);
	assert_int_equal(receive(&b, got, 40), SWITCH_HEADER + 200);
	assert_int_equal(got[39], 7);
}

static void addresses_are_there_once(void **state)
{
	struct switch_port d = { .arrived = arrived, .arg = &told[0] };

	(void)state;
	assert_int_equal(switch_join(&hub, &d, mac_a), -EEXIST);
	assert_int_equal(switch_join(&hub, &d, everybody), -EINVAL);
	assert_int_equal(switch_join(&hub, &d, unasked), 0);
	assert_int_not_equal(memcmp(d.mac, c.mac, 6), 0);
	assert_int_equal(c.mac[0] & 3, 2);
	switch_leave(&d);
	switch_leave(&d);
	switch_leave(&a);
	assert_int_equal(switch_join(&hub, &d, mac_a), 0);
	assert_int_equal(send(&b, mac_a, mac_b, 1, 60), 0);
	assert_false(switch_waits(&a));
	assert_true(switch_waits(&d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_frame_goes_to_its_address_alone, setup),
		cmocka_unit_test_setup(a_group_is_all_but_the_sender, setup),
		cmocka_unit_test_setup(nobody_speaks_as_somebody_else, setup),
		cmocka_unit_test_setup(frames_of_no_length_that_there_is_are_refused, setup),
		cmocka_unit_test_setup(an_address_that_nobody_has_goes_nowhere, setup),
		cmocka_unit_test_setup(who_does_not_read_loses_frames_and_holds_up_nobody, setup),
		cmocka_unit_test_setup(a_frame_that_does_not_fit_is_cut_and_its_length_said, setup),
		cmocka_unit_test_setup(addresses_are_there_once, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
