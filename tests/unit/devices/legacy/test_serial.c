/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "devices/legacy/serial.h"
#include "machine/fakes.h"
#include "machine/layout.h"

#define IER 1U
#define IIR 2U
#define FCR 2U
#define LCR 3U
#define MCR 4U
#define LSR 5U
#define MSR 6U
#define SCR 7U

#define OUT2 0x08U
#define LOOP 0x10U
#define THRE 0x60U /* and TEMT */

struct scene {
	struct bus pio;
	struct fake_irq irq;
	struct fake_console console;
	struct serial serial;
	unsigned kicks;
};

static void kicked(struct serial *serial, void *arg)
{
	(void)serial;
	((struct scene *)arg)->kicks++;
}

static void scene_init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	fake_irq_init(&s->irq);
	fake_console_init(&s->console);
	assert_int_equal(serial_init(&s->serial, &s->pio, PORT_SERIAL_1, &s->console.console,
				     &s->irq.sink, GSI_SERIAL_1, NULL),
			 0);
}

static uint8_t in(struct scene *s, unsigned offset)
{
	return (uint8_t)bus_read(&s->pio, PORT_SERIAL_1 + offset, 1);
}

static void out(struct scene *s, unsigned offset, unsigned value)
{
	bus_write(&s->pio, PORT_SERIAL_1 + offset, 1, value);
}

static bool irq(const struct scene *s)
{
	return s->irq.lines[GSI_SERIAL_1];
}

static void what_is_written_comes_out(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(in(&s, LSR), THRE);
	for (const char *c = "hello\n"; *c; c++)
		out(&s, 0, (unsigned char)*c);
	assert_int_equal(s.console.n_out, 6);
	assert_memory_equal(s.console.out, "hello\n", 6);
	assert_int_equal(in(&s, LSR), THRE);
	assert_int_equal(serial_service(&s.serial), 0);
}

/* A 16550A by the steps of Linux's 8250 driver: scratch, IER's upper bits, loop, FIFO, no extended registers. */
static void a_driver_finds_a_16550a(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, IER, 0);
	assert_int_equal(in(&s, IER), 0);
	out(&s, IER, 0x0f);
	assert_int_equal(in(&s, IER), 0x0f);
	out(&s, IER, 0);
	out(&s, MCR, LOOP | 0x0a);
	assert_int_equal(in(&s, MSR) & 0xf0, 0x90);
	out(&s, MCR, 0);
	out(&s, FCR, 1);
	assert_int_equal(in(&s, IIR) >> 6, 3);
	out(&s, LCR, 0xbf); /* an EFR would read as zero here */
	assert_int_not_equal(in(&s, IIR), 0);
	out(&s, LCR, 0x83);
	assert_int_not_equal(in(&s, IIR), 0);
	out(&s, 0, 0x34);
	out(&s, IER, 0x12);
	assert_int_equal(in(&s, 0), 0x34);
	assert_int_equal(in(&s, IER), 0x12);
	out(&s, LCR, 3);
	assert_int_equal(in(&s, IER), 0);
	out(&s, FCR, 0x21); /* 64 bytes of FIFO: not here */
	assert_int_equal(in(&s, IIR), 0xc1);
	out(&s, IER, 0x40); /* UUE: not here */
	assert_int_equal(in(&s, IER), 0);
	out(&s, SCR, 0x5a);
	assert_int_equal(in(&s, SCR), 0x5a);
	out(&s, FCR, 0);
	assert_int_equal(in(&s, IIR), 0x01);
	assert_int_equal(s.console.n_out, 0);
}

static void thre_interrupts_each_time_it_is_turned_on(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, MCR, OUT2);
	for (unsigned i = 0; i < 3; i++) {
		out(&s, IER, 2);
		assert_true(irq(&s));
		assert_int_equal(in(&s, IIR), 0x02);
		assert_false(irq(&s)); /* reading it was the answer */
		assert_int_equal(in(&s, IIR), 0x01);
		out(&s, IER, 0);
	}
	out(&s, IER, 2);
	(void)in(&s, IIR);
	out(&s, 0, 'x'); /* gone at once: empty again */
	assert_true(irq(&s));
	assert_int_equal(in(&s, IIR), 0x02);
}

static void out2_lets_interrupts_through(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, IER, 2);
	assert_false(irq(&s));
	assert_int_equal(s.irq.calls, 0);
	out(&s, MCR, OUT2);
	assert_true(irq(&s));
	out(&s, MCR, OUT2 | LOOP);
	assert_false(irq(&s));
}

static void input_waits_for_room_without_loss(void **state)
{
	static struct scene s;
	const char *text = "The quick brown fox jumps over the lazy dog";
	char got[64];

	(void)state;
	scene_init(&s);
	out(&s, FCR, 0xc1); /* trigger at 14 */
	out(&s, MCR, OUT2);
	out(&s, IER, 1);
	fake_console_type(&s.console, text, strlen(text));
	assert_true(irq(&s));
	assert_int_equal(in(&s, IIR), 0xc4);
	assert_int_equal(s.console.n_in, strlen(text) - SERIAL_FIFO_BYTES);
	size_t n = 0;
	while (in(&s, LSR) & 1)
		got[n++] = (char)in(&s, 0);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, n);
	assert_false(irq(&s));
	assert_int_equal(in(&s, LSR), THRE); /* no overrun */
	assert_int_equal(in(&s, 0), 0);
}

static void few_bytes_are_a_timeout(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, FCR, 0xc1);
	out(&s, MCR, OUT2);
	out(&s, IER, 1);
	fake_console_type(&s.console, "ab", 2);
	assert_true(irq(&s));
	assert_int_equal(in(&s, IIR), 0xcc);
	out(&s, FCR, 0x01); /* trigger at 1 */
	assert_int_equal(in(&s, IIR), 0xc4);
	assert_int_equal(in(&s, 0), 'a');
	assert_true(irq(&s));
	assert_int_equal(in(&s, 0), 'b');
	assert_false(irq(&s));
	assert_int_equal(in(&s, IIR), 0xc1);
}

static void without_fifos_there_is_one_byte(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, IER, 1);
	fake_console_type(&s.console, "abc", 3);
	assert_int_equal(s.console.n_in, 2);
	assert_int_equal(in(&s, IIR), 0x04);
	assert_int_equal(in(&s, 0), 'a');
	assert_int_equal(in(&s, 0), 'b');
	assert_int_equal(in(&s, 0), 'c');
	assert_int_equal(in(&s, LSR), THRE);
}

static void clearing_the_fifo_lets_the_rest_in(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	fake_console_type(&s.console, "abc", 3);
	out(&s, FCR, 3);
	assert_int_equal(in(&s, 0), 'b');
	assert_int_equal(in(&s, 0), 'c');
}

static void the_loop_hears_itself_and_only_itself(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, MCR, LOOP);
	fake_console_type(&s.console, "typed", 5);
	assert_int_equal(in(&s, LSR), THRE);
	out(&s, 0, 'x');
	assert_int_equal(in(&s, LSR), THRE | 1);
	out(&s, 0, 'y');
	assert_int_equal(in(&s, LSR), THRE | 3); /* overrun, reading clears it */
	assert_int_equal(in(&s, LSR), THRE | 1);
	assert_int_equal(in(&s, 0), 'x');
	assert_int_equal(s.console.n_out, 0);
	out(&s, MCR, 0);
	assert_int_equal(in(&s, 0), 't');
}

static void an_overrun_interrupts_first(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, IER, 0x0f);
	out(&s, MCR, LOOP);
	(void)in(&s, MSR);
	out(&s, 0, 'x');
	out(&s, 0, 'y');
	assert_int_equal(in(&s, IIR), 0x06);
	(void)in(&s, LSR);
	assert_int_equal(in(&s, IIR), 0x04);
	(void)in(&s, 0);
	assert_int_equal(in(&s, IIR), 0x02);
	assert_int_equal(in(&s, IIR), 0x01);
}

static void modem_lines_say_what_changed(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(in(&s, MSR), 0xb0); /* somebody is there */
	out(&s, IER, 8);
	out(&s, MCR, LOOP | 0x0f);
	assert_int_equal(in(&s, IIR), 0x01); /* all up, and RI's rise does not count */
	out(&s, MCR, LOOP);
	assert_int_equal(in(&s, IIR), 0x00);
	assert_int_equal(in(&s, MSR), 0x0f);
	assert_int_equal(in(&s, MSR), 0x00);
	assert_int_equal(in(&s, IIR), 0x01);
}

static void a_full_console_makes_the_transmitter_busy(void **state)
{
	static struct scene s;
	unsigned n = 0;

	(void)state;
	scene_init(&s);
	s.console.room = 0;
	out(&s, MCR, OUT2);
	out(&s, IER, 2);
	(void)in(&s, IIR);
	while (in(&s, LSR) & THRE) {
		(void)in(&s, IIR);
		out(&s, 0, 'a' + n++ % 26);
	}
	assert_int_equal(n, SERIAL_LINE_BYTES - SERIAL_FIFO_BYTES + 1);
	assert_false(irq(&s));
	/* One that does not look loses what is too much, and nothing else. */
	for (unsigned i = 0; i < 100; i++)
		out(&s, 0, '!');
	assert_int_equal(serial_service(&s.serial), SERIAL_LINE_BYTES);
	s.console.room = sizeof(s.console.out);
	s.console.console.writable(&s.console.console, s.console.console.arg);
	assert_int_equal(s.console.n_out, SERIAL_LINE_BYTES);
	assert_int_equal(in(&s, LSR), THRE);
	assert_true(irq(&s));
	assert_int_equal(in(&s, IIR), 0x02);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(s.console.out[i], 'a' + i % 26);
	assert_int_equal(s.console.out[n], '!');
}

static void parts_are_taken_as_they_fit(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	s.console.room = 3;
	for (const char *c = "abcdefgh"; *c; c++)
		out(&s, 0, (unsigned char)*c);
	assert_int_equal(serial_service(&s.serial), 5);
	s.console.room = 2;
	assert_int_equal(serial_service(&s.serial), 3);
	s.console.room = 9;
	assert_int_equal(serial_service(&s.serial), 0);
	assert_memory_equal(s.console.out, "abcdefgh", 8);
}

static void a_console_that_is_gone_takes_everything(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	s.console.error = -EPIPE;
	for (unsigned i = 0; i < 3 * SERIAL_LINE_BYTES; i++)
		out(&s, 0, 'x');
	assert_int_equal(in(&s, LSR), THRE);
	assert_int_equal(serial_service(&s.serial), 0);
	assert_int_equal(s.console.writes, 1); /* it is not asked again */
}

static void with_a_kick_only_service_touches_the_console(void **state)
{
	static struct scene s;

	(void)state;
	scene_init(&s);
	s.serial.kick = kicked;
	s.serial.kick_arg = &s;
	out(&s, 0, 'a');
	out(&s, 0, 'b');
	assert_int_equal(s.console.n_out, 0);
	assert_int_equal(s.kicks, 1); /* one is enough until it is answered */
	assert_int_equal(serial_service(&s.serial), 0);
	assert_memory_equal(s.console.out, "ab", 2);
	out(&s, 0, 'c');
	assert_int_equal(s.kicks, 2);
	(void)serial_service(&s.serial);
	fake_console_type(&s.console, "xyz", 3);
	assert_int_equal(in(&s, 0), 'x');
	assert_int_equal(s.kicks, 3); /* for more input */
	assert_int_equal(in(&s, LSR) & 1, 0);
	(void)serial_service(&s.serial);
	assert_int_equal(in(&s, 0), 'y');
}

static void taken_ports_leave_the_console_alone(void **state)
{
	static struct scene s;
	struct fake_console console;
	struct serial second;
	struct err err = { 0 };

	(void)state;
	scene_init(&s);
	fake_console_init(&console);
	assert_int_equal(
		serial_init(&second, &s.pio, PORT_SERIAL_1, &console.console, &s.irq.sink, 4, &err),
		-EEXIST);
	assert_null(console.console.readable);
	assert_string_equal(err.text, "add a serial port at 0x3f8: its ports are taken");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_comes_out),
		cmocka_unit_test(a_driver_finds_a_16550a),
		cmocka_unit_test(thre_interrupts_each_time_it_is_turned_on),
		cmocka_unit_test(out2_lets_interrupts_through),
		cmocka_unit_test(input_waits_for_room_without_loss),
		cmocka_unit_test(few_bytes_are_a_timeout),
		cmocka_unit_test(without_fifos_there_is_one_byte),
		cmocka_unit_test(clearing_the_fifo_lets_the_rest_in),
		cmocka_unit_test(the_loop_hears_itself_and_only_itself),
		cmocka_unit_test(an_overrun_interrupts_first),
		cmocka_unit_test(modem_lines_say_what_changed),
		cmocka_unit_test(a_full_console_makes_the_transmitter_busy),
		cmocka_unit_test(parts_are_taken_as_they_fit),
		cmocka_unit_test(a_console_that_is_gone_takes_everything),
		cmocka_unit_test(with_a_kick_only_service_touches_the_console),
		cmocka_unit_test(taken_ports_leave_the_console_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
