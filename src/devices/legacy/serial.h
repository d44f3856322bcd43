/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A 16550A serial port over a console.
 *
 * Theory of operation. The line is infinitely fast. What the guest writes goes to a buffer that stands for the shift
 * register and the line; from there to the console, as it takes it. While that buffer is nearly full the transmitter is
 * busy (LSR: neither THRE nor TEMT), so a guest that waits for it loses nothing, and one that does not is cut short. The
 * same way in: the FIFO takes what it has room for, the rest waits in the console. Four character times pass at
 * once: what is in the FIFO below its trigger level is a character timeout.
 *
 * Thread rule: any vcpu thread, under serial.lock. The console's operations are called under the lock too: by
 * serial_service() alone where the assembler set kick, as it must when the console belongs to one thread; without it
 * by whoever uses the port. kick asks the console's thread for a serial_service(); it is called under the lock.
 * Source: National Semiconductor PC16550D data sheet, 8 Registers.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "machine/bus.h"
#include "machine/irq.h"
#include "machine/ops.h"

#define SERIAL_FIFO_BYTES 16U
#define SERIAL_LINE_BYTES 4096U

struct serial {
	struct lock lock;
	struct bus_region region;
	struct console *console;
	struct irq_sink *irq;
	uint32_t gsi;
	/* Optional, set between serial_init() and the first vcpu: any thread, never blocks. */
	void (*kick)(struct serial *serial, void *arg);
	void *kick_arg;

	uint8_t ier, lcr, mcr, scratch, msr_deltas;
	uint8_t divisor[2];
	uint8_t trigger;  /* bytes in the FIFO that interrupt */
	bool fifos;	  /* FCR: both are on; else they hold one byte */
	bool overrun;	  /* LSR: a byte came that had no room */
	bool thre;	  /* the transmitter became empty and the guest has not been told */
	bool level;	  /* of the interrupt line */
	bool kicked;	  /* serial_service() was asked for and has not come */
	bool input_waits; /* the console may have more than the FIFO had room for */
	bool gone;	  /* nobody reads any more: what is written is dropped */

	uint8_t in[SERIAL_FIFO_BYTES];
	unsigned n_in;
	uint8_t line[SERIAL_LINE_BYTES]; /* a ring */
	unsigned line_first, n_line;
};

/*
 * serial_init() - a port on pio; reads and writes console from now on (its readable and writable are ours)
 * @base: the first of its 8 ports   @gsi: its interrupt   Everything is borrowed.
 * Return: 0, or the bus's error.
 */
int serial_init(struct serial *serial, struct bus *pio, uint16_t base, struct console *console,
		struct irq_sink *irq, uint32_t gsi, struct err *err);
/*
 * serial_service() - move bytes between the port and the console, on the console's thread: once before the guest runs
 * (input may wait already), after a kick, and once more when the guest is gone
 * Return: bytes that the console has not taken yet.
 */
unsigned serial_service(struct serial *serial);
