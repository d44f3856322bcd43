/* SPDX-License-Identifier: Apache-2.0 */
#include "core/print.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/format.h"
#include "core/io.h"
#include "core/screen.h"
#include "core/spin.h"
#include "core/timer.h"

#define PORT_E9	     0xe9
#define LINE_BYTES   512U
#define LOST_BYTES   64U
#define SERIAL_POLLS 100000U		  /* a line that takes no byte for so long is not there */
#define STUCK_NS     UINT64_C(2000000000) /* the same, while guests wait for it */
#define MOVE_NS	     UINT64_C(700000)	  /* a FIFO of 16 bytes takes 1.4 ms */
#define MOVE_BYTES   256U		  /* with the lock: what an emulated line takes at once */
#define RAW_BYTES    64U /* of a guest that has the console for itself, in a turn */

#define FIFO_BYTES 16U

enum serial_reg { SERIAL_DATA, SERIAL_IER, SERIAL_FCR, SERIAL_LCR, SERIAL_MCR, SERIAL_LSR };
enum { LSR_DATA = 0x1, LSR_EMPTY = 0x20, IIR_FIFOS = 0xc0 };

/* The server's one console; under its lock. */
static struct {
	struct spin lock;
	uint16_t serial;     /* port; 0: none */
	uint8_t serial_fifo; /* bytes that its transmitter takes when it is empty */
	bool is_stuck;	     /* it took nothing for as long as anybody waits */
	bool is_running;     /* timers are looked at: nobody waits for the line any more */
	bool is_armed;	     /* the timer */
	uint64_t lost;	     /* bytes that it did not take, and nobody was told of */
	uint64_t took_ns;    /* when the line took something, or there was nothing for it */
	struct out out;
	struct hv_timer timer;
	struct out_waiter *told; /* its room() runs */
	bool has_e9;
	struct screen screen;
	uint64_t written; /* into the ring, ever */
	char ring[PRINT_RING_BYTES];
} console;

/* ---- the line: locked ---- */

static unsigned serial_room(struct out *out)
{
	(void)out;
	return port_in8((uint16_t)(console.serial + SERIAL_LSR)) & LSR_EMPTY ? console.serial_fifo
									     : 0;
}

static void serial_put(struct out *out, char c)
{
	(void)out;
	port_out8(console.serial, (uint8_t)c);
}

static void line_stuck(void)
{
	console.is_stuck = true;
	console.lost += console.out.n;
	out_drop(&console.out);
}

/* Once it takes something again; its ring is empty. */
static void lost_say(void)
{
	char text[LOST_BYTES];
	int n = snprintf(text, sizeof(text), "\r\n(%lu bytes were lost here)\r\n",
			 (unsigned long)console.lost);

	out_put(&console.out, text, (size_t)n);
	console.lost = 0;
}

/* One that took nothing for so long is looked at until it does. */
static bool line_is_there(void)
{
	if (console.is_stuck && serial_room(&console.out)) {
		console.is_stuck = false;
		lost_say();
	}
	return console.serial && !console.is_stuck;
}

/* Until so much fits; others have the lock in between. */
static void line_wait(size_t len)
{
	unsigned polls = 0;

	while (out_room(&console.out) < len) {
		if (out_move(&console.out, MOVE_BYTES)) {
			polls = 0;
			continue;
		}
		if (polls++ == SERIAL_POLLS) {
			line_stuck();
			return;
		}
		spin_unlock(&console.lock);
		cpu_relax();
		spin_lock(&console.lock);
	}
}

/* Bytes for the line; those that do not fit are waited for. */
static void line_put(const char *bytes, size_t len)
{
	if (line_is_there())
		line_wait(len);
	if (!console.serial)
		return;
	if (console.is_stuck)
		console.lost += len;
	else
		out_put(&console.out, bytes, len);
}

/* As much as it takes now; all of it before there are timers. Return: whether the timer is to be armed. */
static bool line_move(void)
{
	bool was_moved = out_move(&console.out, MOVE_BYTES);

	if (!console.is_running)
		line_wait(OUT_BYTES);
	if (console.is_running && (was_moved || !console.is_armed))
		console.took_ns = clock_ns();
	bool is_first =
		console.is_running && !console.is_armed && (console.out.n || console.out.waiting);
	console.is_armed |= is_first;
	return is_first;
}

/* Unlocks. */
static void line_end(void)
{
	bool is_first = line_move();

	spin_unlock(&console.lock);
	if (is_first)
		timer_arm(&console.timer, clock_ns() + MOVE_NS);
}

/* One at a time: it is armed until it is done. */
static void line_due(struct hv_timer *timer)
{
	spin_lock(&console.lock);
	uint64_t now = clock_ns();
	if (out_move(&console.out, MOVE_BYTES) || !console.out.n)
		console.took_ns = now;
	else if (now - console.took_ns > STUCK_NS)
		line_stuck();
	struct out_waiter *w = console.told = out_next(&console.out);
	spin_unlock(&console.lock);
	if (w)
		w->room(w);
	spin_lock(&console.lock);
	__atomic_store_n(&console.told, NULL, __ATOMIC_RELEASE);
	bool is_more = console.out.n || console.out.waiting;
	console.is_armed = is_more;
	spin_unlock(&console.lock);
	if (is_more)
		timer_arm(timer, now + MOVE_NS);
}

/* ---- text: locked ---- */

/* On the serial line an end of line needs two characters. */
static void text_to_line(const char *text)
{
	char bytes[2 * LINE_BYTES];
	size_t n = 0;

	for (const char *c = text; *c; c++) {
		if (*c == '\n')
			bytes[n++] = '\r';
		bytes[n++] = *c;
	}
	line_put(bytes, n);
}

static void text_put(const char *text)
{
	for (const char *c = text; *c; c++) {
		console.ring[console.written++ % PRINT_RING_BYTES] = *c;
		if (console.has_e9)
			port_out8(PORT_E9, (uint8_t)*c);
		screen_put(&console.screen, *c);
	}
	text_to_line(text);
}

/* ---- */

/* 16550D data sheet, Registers: the scratch register keeps what it is told, where there is a UART. */
static bool serial_find(uint16_t port)
{
	port_out8((uint16_t)(port + 7), 0x5a);
	if (port_in8((uint16_t)(port + 7)) != 0x5a)
		return false;
	port_out8((uint16_t)(port + SERIAL_IER), 0);
	port_out8((uint16_t)(port + SERIAL_LCR), 0x80); /* divisor latch */
	port_out8((uint16_t)(port + SERIAL_DATA), 1);	/* 115200 */
	port_out8((uint16_t)(port + SERIAL_IER), 0);
	port_out8((uint16_t)(port + SERIAL_LCR), 3); /* 8 bits, no parity, 1 stop bit */
	port_out8((uint16_t)(port + SERIAL_FCR), 7); /* FIFOs on and empty */
	port_out8((uint16_t)(port + SERIAL_MCR), 3); /* DTR, RTS */
	/* 16550D data sheet, Interrupt Identification Register: both bits, where the FIFOs work. */
	bool has_fifo = (port_in8((uint16_t)(port + SERIAL_FCR)) & IIR_FIFOS) == IIR_FIFOS;
	console.serial_fifo = has_fifo ? FIFO_BYTES : 1;
	return true;
}

void print_init(const char *which)
{
	uint16_t port = strcmp(which, "com2") == 0 ? 0x2f8 : 0x3f8;

	console.has_e9 = port_in8(PORT_E9) == PORT_E9; /* Bochs, QEMU: reads as itself */
	if (strcmp(which, "none") != 0 && serial_find(port))
		console.serial = port;
	console.timer.fired = line_due;
	out_init(&console.out, serial_room, serial_put);
	char line[LINE_BYTES];
	uint64_t at = 0;
	size_t n;
	while ((n = print_ring_read(&at, line, sizeof(line) - 1))) {
		line[n] = 0;
		for (size_t i = 0; console.has_e9 && i < n; i++)
			port_out8(PORT_E9, (uint8_t)line[i]);
		spin_lock(&console.lock);
		text_to_line(line);
		line_end();
	}
}

static void screen_catch_up(void)
{
	uint64_t at = 0;
	char c;

	while (print_ring_read(&at, &c, 1))
		screen_put(&console.screen, c);
}

void print_screen(uint64_t phys, uint32_t pitch, uint32_t width, uint32_t height,
		  uint32_t pixel_bytes)
{
	screen_init(&console.screen, (void *)(uintptr_t)phys, pitch, width, height, pixel_bytes);
	screen_catch_up();
}

void print_text_screen(uint64_t phys, uint32_t columns, uint32_t rows)
{
	screen_init_text(&console.screen, (void *)(uintptr_t)phys, columns, rows);
	screen_catch_up();
}

void print_va(const char *fmt, va_list args)
{
	char line[LINE_BYTES];

	(void)format_text(line, sizeof(line), fmt, args); /* a cut line is still a line */
	spin_lock(&console.lock);
	text_put(line);
	line_end();
}

void print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_va(fmt, args);
	va_end(args);
}

bool print_try(struct out_waiter *w, const char *fmt, ...)
{
	char line[LINE_BYTES];
	va_list args;

	spin_lock(&console.lock);
	bool may_put = !line_is_there() || out_may_put(&console.out, w, sizeof(line));
	if (may_put) {
		va_start(args, fmt);
		(void)format_text(line, sizeof(line), fmt, args);
		va_end(args);
		text_put(line);
	}
	line_end();
	return may_put;
}

void print_forget(struct out_waiter *w)
{
	spin_lock(&console.lock);
	out_forget(&console.out, w);
	spin_unlock(&console.lock);
	while (__atomic_load_n(&console.told, __ATOMIC_ACQUIRE) == w)
		cpu_relax();
}

void print_run(void)
{
	spin_lock(&console.lock);
	console.is_running = true;
	spin_unlock(&console.lock);
}

void print_flush(void)
{
	spin_lock(&console.lock);
	if (line_is_there())
		line_wait(OUT_BYTES);
	spin_unlock(&console.lock);
}

void print_unlock(void)
{
	console.is_running = false;
	__atomic_store_n(&console.lock.serving,
			 __atomic_load_n(&console.lock.next, __ATOMIC_RELAXED), __ATOMIC_RELEASE);
}

int console_read(void)
{
	if (!console.serial || !(port_in8((uint16_t)(console.serial + SERIAL_LSR)) & LSR_DATA))
		return -1;
	return port_in8(console.serial);
}

size_t console_write(struct out_waiter *w, const void *bytes, size_t len)
{
	size_t n = len;

	spin_lock(&console.lock);
	if (w && line_is_there()) {
		n = len < RAW_BYTES ? len : RAW_BYTES;
		n = out_may_put(&console.out, w, n) ? n : 0;
	}
	line_put(bytes, n);
	line_end();
	return n;
}

size_t print_ring_read(uint64_t *at, char *ret, size_t room)
{
	size_t n = 0;

	spin_lock(&console.lock);
	if (*at > console.written)
		*at = console.written;
	if (console.written - *at > PRINT_RING_BYTES)
		*at = console.written - PRINT_RING_BYTES;
	while (n < room && *at < console.written)
		ret[n++] = console.ring[(*at)++ % PRINT_RING_BYTES];
	spin_unlock(&console.lock);
	return n;
}
