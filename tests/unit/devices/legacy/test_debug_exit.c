/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>

#include "devices/legacy/debug_exit.h"
#include "machine/fakes.h"
#include "machine/layout.h"

static void the_status_is_twice_the_value_plus_one(void **state)
{
	struct bus pio = { 0 };
	struct fake_events events;
	struct debug_exit dev, second;
	struct err err = { 0 };

	(void)state;
	fake_events_init(&events);
	assert_int_equal(debug_exit_init(&dev, &pio, &events.events, &err), 0);
	assert_int_equal(bus_read(&pio, PORT_DEBUG_EXIT, 1), 0);
	assert_int_equal(events.exits, 0);
	bus_write(&pio, PORT_DEBUG_EXIT, 4, 0);
	assert_int_equal(events.status, 1);
	bus_write(&pio, PORT_DEBUG_EXIT, 1, 0x10);
	assert_int_equal(events.status, 0x21);
	bus_write(&pio, PORT_DEBUG_EXIT, 4, 0xffffffff);
	assert_int_equal(events.status, 0xff);
	assert_int_equal(events.exits, 3);
	bus_write(&pio, PORT_DEBUG_EXIT + 1, 1, 0);
	assert_int_equal(events.exits, 3);
	assert_int_equal(debug_exit_init(&second, &pio, &events.events, &err), -EEXIST);
	assert_string_equal(err.text, "add the debug exit: its port is taken");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_status_is_twice_the_value_plus_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
