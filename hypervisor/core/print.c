/* SPDX-License-Identifier: Apache-2.0 */
#include "core/print.h"

#include <stdbool.h>
#include <string.h>

#include "core/format.h"
#include "core/io.h"
#include "core/screen.h"
#include "core/spin.h"

#define PORT_E9	     0xe9
#define LINE_BYTES   512U
#define SERIAL_POLLS 100000U /* a line that takes no byte for so long is not there */

#define FIFO_BYTES 16U

enum serial_reg { SERIAL_DATA, SERIAL_IER, SERIAL_FCR, SERIAL_LCR, SERIAL_MCR, SERIAL_LSR };
enum { LSR_DATA = 0x1, LSR_EMPTY = 0x20, IIR_FIFOS = 0xc0 };

/* The server's one console; under its lock. */
static struct {
	struct spin lock;
	uint16_t serial;     /* port; 0: none */
	uint8_t serial_fifo; /* bytes that its transmitter takes when it is empty */
	uint8_t serial_room; /* of them, since it was */
	bool is_stuck;	     /* it took nothing for as long as anybody waits */
	bool has_e9;
	struct screen screen;
	uint64_t written; /* into the ring, ever */
	char ring[PRINT_RING_BYTES];
} console;

/* Room for a FIFO of bytes; or none, if the line takes nothing: it is waited for once, and then looked at until it does. */
static void serial_wait(void)
{
	unsigned polls = console.is_stuck ? 1 : SERIAL_POLLS;

	console.is_stuck = true;
	for (unsigned i = 0; console.is_stuck && i < polls; i++) {
		if (port_in8((uint16_t)(console.serial + SERIAL_LSR)) & LSR_EMPTY) {
			console.serial_room = console.serial_fifo;
			console.is_stuck = false;
		} else {
			cpu_relax();
		}
	}
}

static void serial_put(char c)
{
	if (!console.serial_room)
		serial_wait();
	if (!console.serial_room)
		return;
	port_out8(console.serial, (uint8_t)c);
	console.serial_room--;
}

static void console_put(char c)
{
	if (console.serial) {
		if (c == '\n')
			serial_put('\r');
		serial_put(c);
	}
	if (console.has_e9)
		port_out8(PORT_E9, (uint8_t)c);
	screen_put(&console.screen, c);
}

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
	uint64_t at = 0;
	char c;
	while (print_ring_read(&at, &c, 1))
		console_put(c);
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
	for (const char *c = line; *c; c++) {
		console.ring[console.written++ % PRINT_RING_BYTES] = *c;
		console_put(*c);
	}
	spin_unlock(&console.lock);
}

void print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_va(fmt, args);
	va_end(args);
}

void print_unlock(void)
{
	__atomic_store_n(&console.lock.serving,
			 __atomic_load_n(&console.lock.next, __ATOMIC_RELAXED), __ATOMIC_RELEASE);
}

int console_read(void)
{
	if (!console.serial || !(port_in8((uint16_t)(console.serial + SERIAL_LSR)) & LSR_DATA))
		return -1;
	return port_in8(console.serial);
}

void console_write(const void *bytes, size_t len)
{
	const char *c = bytes;

	spin_lock(&console.lock);
	for (size_t i = 0; console.serial && i < len; i++)
		serial_put(c[i]);
	spin_unlock(&console.lock);
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
