/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A guest's serial port on the server's console: whole lines, with the guest's name in front, or bytes as they are for the
 * one guest that has the console for itself. Called under the serial port's lock; control characters are not passed on.
 * While it is not the guest's turn (core/out.h) nothing is taken, and what the guest wrote stays in its serial port.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/out.h"
#include "machine/ops.h"

#define GUEST_CONSOLE_LINE 200U

struct guest_console {
	struct console console;
	const char *name; /* borrowed */
	bool is_raw;	  /* bytes as they are, both ways */
	bool is_last;	  /* the guest is over: what is left of its output is waited for */
	struct out_waiter waiter;
	unsigned n;
	char line[GUEST_CONSOLE_LINE];
};

/* guest_console_init() - @room: as out_waiter.room() */
void guest_console_init(struct guest_console *c, const char *name, bool is_raw,
			void (*room)(struct out_waiter *w));
/* guest_console_fini() - nobody writes any more, and room() is not called any more. */
void guest_console_fini(struct guest_console *c);
/* guest_console_flush() - the guest is gone: what is left of a line. */
void guest_console_flush(struct guest_console *c);
