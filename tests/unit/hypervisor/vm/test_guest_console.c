/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's serial port in front of a server's console that takes a line when the test says so. */
#include "scratch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"
#include "core/print.h"
#include "devices/legacy/serial.h"
#include "machine/bus.h"
#include "vm/guest_console.h"

#define PORT  0x3f8
#define LINES 200U

static struct {
	struct bus pio;
	struct irq_sink irq;
	struct serial serial;
	struct guest_console console;
	unsigned turns;	 /* lines, or raw bytes, that are taken */
	bool is_refused; /* room() is due */
	unsigned forgotten;
	char said[65536];
	size_t n;
} rig;

static void say(const char *fmt, va_list args)
{
	int n = vsnprintf(rig.said + rig.n, sizeof(rig.said) - rig.n, fmt, args);

	assert_true(n > 0 && rig.n + (size_t)n < sizeof(rig.said));
	rig.n += (size_t)n;
}

void print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
}

bool print_try(struct out_waiter *w, const char *fmt, ...)
{
	va_list args;

	assert_ptr_equal(w, &rig.console.waiter);
	rig.is_refused = !rig.turns;
	if (!rig.turns)
		return false;
	rig.turns--;
	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	return true;
}

size_t console_write(struct out_waiter *w, const void *bytes, size_t len)
{
	size_t n = w && rig.turns < len ? rig.turns : len;

	memcpy(rig.said + rig.n, bytes, n);
	rig.n += n;
	rig.turns -= w ? (unsigned)n : 0;
	rig.is_refused = n < len;
	return n;
}

int console_read(void)
{
	return -1;
}

void print_forget(struct out_waiter *w)
{
	assert_ptr_equal(w, &rig.console.waiter);
	rig.forgotten++;
}

static void irq_line(struct irq_sink *sink, uint32_t gsi, bool level)
{
	(void)sink;
	(void)gsi;
	(void)level;
}

static const struct irq_sink_ops irq_ops = { .line = irq_line };

static void open_console(bool is_raw)
{
	struct err err = { 0 };

	memset(&rig, 0, sizeof(rig));
	rig.irq.ops = &irq_ops;
	guest_console_init(&rig.console, "web", is_raw, NULL);
	assert_int_equal(
		serial_init(&rig.serial, &rig.pio, PORT, &rig.console.console, &rig.irq, 4, &err),
		0);
}

static void guest_says(const char *text)
{
	for (; *text; text++)
		bus_write(&rig.pio, PORT, 1, (uint8_t)*text);
}

static bool transmitter_is_empty(void)
{
	return bus_read(&rig.pio, PORT + 5, 1) & 0x20;
}

static void lines_have_the_guests_name_and_no_control_characters(void **state)
{
	(void)state;
	open_console(false);
	rig.turns = LINES;
	guest_says("one\r\n\n\x1b[2Jtwo\tand\x7f\nthree");
	assert_string_equal(rig.said, "[web] one\n[web] [2Jtwo\tand\n");
	guest_console_flush(&rig.console);
	assert_string_equal(rig.said + strlen("[web] one\n[web] [2Jtwo\tand\n"), "[web] three\n");
	guest_console_fini(&rig.console);
	assert_int_equal(rig.forgotten, 1);
}

/* What does not go out stays with the guest: all of it, in its order. */
static void what_is_refused_stays_in_the_serial_port_and_comes_later(void **state)
{
	char want[LINES * 20] = "", line[20];
	size_t n = 0;

	(void)state;
	open_console(false);
	for (unsigned i = 0; i < LINES; i++) {
		n += (size_t)snprintf(want + n, sizeof(want) - n, "[web] line %u\n", i);
		(void)snprintf(line, sizeof(line), "line %u\n", i);
		guest_says(line);
		assert_true(rig.is_refused);
	}
	assert_int_equal(rig.n, 0);
	assert_true(transmitter_is_empty()); /* there is room */
	for (unsigned i = 1; i <= LINES; i++) {
		rig.turns = 1;
		rig.console.console.writable(&rig.console.console, &rig.serial);
	}
	assert_string_equal(rig.said, want);
	assert_int_equal(rig.serial.n_line, 0);
}

static void a_full_port_says_so_and_what_is_left_at_the_end_is_waited_for(void **state)
{
	unsigned n = 0;

	(void)state;
	open_console(false);
	for (; n < SERIAL_LINE_BYTES && transmitter_is_empty(); n++)
		guest_says(n % 8 ? "x" : "\n");
	assert_false(transmitter_is_empty());
	assert_true(n >= SERIAL_LINE_BYTES - 2 * SERIAL_FIFO_BYTES);
	rig.console.is_last = true;
	assert_int_equal(serial_service(&rig.serial), 0);
	guest_console_flush(&rig.console);
	unsigned seen = 0;
	for (size_t i = 0; i < rig.n; i++)
		seen += rig.said[i] == 'x';
	assert_int_equal(seen, n - (n + 7) / 8);
}

static void raw_bytes_wait_too(void **state)
{
	(void)state;
	open_console(true);
	rig.turns = 3;
	guest_says("ab\x1b[c\r\n");
	assert_int_equal(rig.n, 3);
	assert_true(rig.is_refused);
	rig.turns = 2;
	rig.console.console.writable(&rig.console.console, &rig.serial);
	assert_int_equal(rig.n, 5);
	rig.console.is_last = true;
	assert_int_equal(serial_service(&rig.serial), 0);
	assert_string_equal(rig.said, "ab\x1b[c\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_have_the_guests_name_and_no_control_characters),
		cmocka_unit_test(what_is_refused_stays_in_the_serial_port_and_comes_later),
		cmocka_unit_test(a_full_port_says_so_and_what_is_left_at_the_end_is_waited_for),
		cmocka_unit_test(raw_bytes_wait_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
