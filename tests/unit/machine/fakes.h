/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A machine's surroundings that do what a test says and write down what they are told. */
#include "machine/events.h"
#include "machine/irq.h"
#include "machine/ops.h"

/* One timer; time goes on when the test says so. */
struct fake_clock {
	struct clock clock;
	uint64_t now_ns;
	int64_t wall_s;
	struct timer *timer;
};
void fake_clock_init(struct fake_clock *clock);
/* Fires what is due on the way, as often as it is armed again. */
void fake_clock_advance(struct fake_clock *clock, uint64_t ns);

struct fake_events {
	struct machine_events events;
	unsigned power_offs, resets, exits;
	int status; /* of the last exit */
};
void fake_events_init(struct fake_events *events);

struct fake_irq {
	struct irq_sink sink;
	bool lines[64];
	unsigned calls, rises;
};
void fake_irq_init(struct fake_irq *irq);

/* What the guest wrote, as much as there is room for; what it will read. */
struct fake_console {
	struct console console;
	char out[8192];
	size_t n_out, room; /* room: how much more it takes */
	const char *in;
	size_t n_in;
	int error; /* < 0: what every write returns */
	unsigned writes;
};
void fake_console_init(struct fake_console *console);
/* More to read, and the device hears of it. */
void fake_console_type(struct fake_console *console, const char *text, size_t len);
