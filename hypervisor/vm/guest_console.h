/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A guest's serial port on the server's console: whole lines, with the guest's name in front, or bytes as they are for the
 * one guest that has the console for itself. Called under the serial port's lock; control characters are not passed on.
 */
#include <stdbool.h>
#include <stddef.h>

#include "machine/ops.h"

#define GUEST_CONSOLE_LINE 200U

struct guest_console {
	struct console console;
	const char *name; /* borrowed */
	bool is_raw;	  /* bytes as they are, both ways */
	unsigned n;
	char line[GUEST_CONSOLE_LINE];
};

void guest_console_init(struct guest_console *c, const char *name, bool is_raw);
/* guest_console_flush() - the guest is gone: what is left of a line. */
void guest_console_flush(struct guest_console *c);
