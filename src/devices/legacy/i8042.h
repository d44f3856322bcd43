/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The keyboard controller, with nothing plugged in: resets the machine, keeps the A20 gate, passes its self-test, and
 * answers a driver that looks for a keyboard or a mouse at once that there is none. With it the port 0x92, which
 * does the same two things faster.
 *
 * Thread rule: any vcpu thread, under i8042.lock; the interrupt sink and machine_events are called under it.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Keyboard and Auxiliary Device Controller; System Control
 * Port A.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "machine/bus.h"
#include "machine/events.h"
#include "machine/irq.h"

struct i8042 {
	struct lock lock;
	struct bus_region data, command, port_a;
	struct irq_sink *irq;
	struct machine_events *events;
	uint8_t status, mode; /* mode: the command byte, RAM byte 0 */
	uint8_t output;	      /* what waits in the output buffer */
	uint8_t port;	      /* the output port: A20 */
	uint8_t pending;      /* the command whose byte of data comes next; 0: none */
	bool level;	      /* of the keyboard's interrupt */
};

/* i8042_init() - everything is borrowed. Return: 0, or the bus's error, and then nothing was added. */
int i8042_init(struct i8042 *kbc, struct bus *pio, struct irq_sink *irq,
	       struct machine_events *events, struct err *err);
