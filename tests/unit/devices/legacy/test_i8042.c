/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "devices/legacy/i8042.h"
#include "machine/fakes.h"
#include "machine/layout.h"

#define DATA	0x60U
#define COMMAND 0x64U
#define PORT_A	0x92U

struct scene {
	struct bus pio;
	struct fake_irq irq;
	struct fake_events events;
	struct i8042 kbc;
};

static void scene_init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	fake_irq_init(&s->irq);
	fake_events_init(&s->events);
	assert_int_equal(i8042_init(&s->kbc, &s->pio, &s->irq.sink, &s->events.events, NULL), 0);
}

static uint8_t in(struct scene *s, unsigned port)
{
	return (uint8_t)bus_read(&s->pio, port, 1);
}

static void out(struct scene *s, unsigned port, unsigned value)
{
	bus_write(&s->pio, port, 1, value);
}

/* A command's answer, which is there at once and gone once read. */
static uint8_t ask(struct scene *s, unsigned command)
{
	out(s, COMMAND, command);
	assert_int_equal(in(s, COMMAND) & 1, 1);
	uint8_t value = in(s, DATA);
	assert_int_equal(in(s, COMMAND) & 1, 0);
	return value;
}

static void fe_resets(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, COMMAND, 0xff); /* pulses nothing */
	out(&s, COMMAND, 0xf1);
	assert_int_equal(s.events.resets, 0);
	out(&s, COMMAND, 0xfe);
	assert_int_equal(s.events.resets, 1);
	out(&s, COMMAND, 0xf0);
	assert_int_equal(s.events.resets, 2);
}

static void the_output_port_has_a20_and_reset(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(ask(&s, 0xd0), 3);
	out(&s, COMMAND, 0xd1);
	out(&s, DATA, 0xdd);
	assert_int_equal(ask(&s, 0xd0), 0xdd);
	assert_int_equal(in(&s, PORT_A), 0);
	assert_int_equal(s.events.resets, 0);
	out(&s, COMMAND, 0xd1);
	out(&s, DATA, 0xde);
	assert_int_equal(s.events.resets, 1);
}

static void port_a_has_them_too(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(in(&s, PORT_A), 2);
	out(&s, PORT_A, 0);
	assert_int_equal(ask(&s, 0xd0), 1);
	out(&s, PORT_A, 2);
	assert_int_equal(ask(&s, 0xd0), 3);
	assert_int_equal(s.events.resets, 0);
	out(&s, PORT_A, 3);
	assert_int_equal(s.events.resets, 1);
	assert_int_equal(in(&s, PORT_A), 2); /* the bit falls by itself */
}

static void the_self_test_passes(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(ask(&s, 0xaa), 0x55);
	assert_int_equal(ask(&s, 0xab), 0);
	assert_int_equal(ask(&s, 0xc0), 0x80);
	assert_int_equal(in(&s, COMMAND) & 0x14, 0x14);
}

static void the_command_byte_is_kept(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(ask(&s, 0x20), 0x34);
	out(&s, COMMAND, 0x60);
	assert_int_equal(in(&s, COMMAND) & 8, 8);
	out(&s, DATA, 0x65);
	assert_int_equal(in(&s, COMMAND) & 8, 0);
	assert_int_equal(ask(&s, 0x20), 0x65);
	out(&s, COMMAND, 0xa7);
	out(&s, COMMAND, 0xad);
	assert_int_equal(ask(&s, 0x20), 0x75);
	out(&s, COMMAND, 0xa8);
	out(&s, COMMAND, 0xae);
	assert_int_equal(ask(&s, 0x20), 0x45);
}

/* What Linux asks, and what it takes for "nothing there": no answer would cost it half a second each. */
static void a_driver_learns_at_once_that_nothing_is_there(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, COMMAND, 0xd3); /* the mouse's loop */
	out(&s, DATA, 0x5a);
	assert_int_equal(in(&s, COMMAND) & 0x21, 1); /* not from the mouse */
	(void)in(&s, DATA);
	assert_int_equal(ask(&s, 0xa9), 1);		/* neither 0, 0xfa nor 0xff: no port */
	out(&s, DATA, 0xf2);				/* what are you, keyboard? */
	assert_int_equal(in(&s, COMMAND) & 0x61, 0x41); /* timed out */
	assert_int_equal(in(&s, DATA), 0xfe);
	assert_int_equal(in(&s, COMMAND) & 0x61, 0);
	out(&s, COMMAND, 0xd4);
	out(&s, DATA, 0xf2);
	assert_int_equal(in(&s, COMMAND) & 0x61, 0x61);
	assert_int_equal(in(&s, DATA), 0xfe);
}

static void the_keyboards_output_interrupts_when_asked(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, COMMAND, 0xd2);
	out(&s, DATA, 0x1c);
	assert_false(s.irq.lines[GSI_KEYBOARD]);
	out(&s, COMMAND, 0x60);
	out(&s, DATA, 0x45);
	assert_true(s.irq.lines[GSI_KEYBOARD]);
	assert_int_equal(in(&s, DATA), 0x1c);
	assert_false(s.irq.lines[GSI_KEYBOARD]);
}

static void unknown_commands_change_nothing(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	for (unsigned c = 0; c < 0xf0; c++) {
		if (c == 0x20 || c == 0x60 || c >= 0xa7)
			continue;
		out(&s, COMMAND, c);
		assert_int_equal(in(&s, COMMAND), 0x1c);
	}
}

static void taken_ports_leave_nothing_added(void **state)
{
	struct scene s;
	struct i8042 second;
	struct err err = { 0 };

	(void)state;
	scene_init(&s);
	bus_remove(&s.pio, &s.kbc.data);
	bus_remove(&s.pio, &s.kbc.command);
	assert_int_equal(i8042_init(&second, &s.pio, &s.irq.sink, &s.events.events, &err), -EEXIST);
	assert_int_equal(s.pio.n, 1);
	assert_string_equal(err.text, "add the keyboard controller: its ports are taken");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fe_resets),
		cmocka_unit_test(the_output_port_has_a20_and_reset),
		cmocka_unit_test(port_a_has_them_too),
		cmocka_unit_test(the_self_test_passes),
		cmocka_unit_test(the_command_byte_is_kept),
		cmocka_unit_test(a_driver_learns_at_once_that_nothing_is_there),
		cmocka_unit_test(the_keyboards_output_interrupts_when_asked),
		cmocka_unit_test(unknown_commands_change_nothing),
		cmocka_unit_test(taken_ports_leave_nothing_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
