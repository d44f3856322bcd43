/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A port through which a test guest ends the machine, as QEMU's isa-debug-exit: the status for the host is twice what
 * was written plus 1, so that it is never the 0 of a machine that was switched off.
 */
#include "base/core/err.h"
#include "machine/bus.h"
#include "machine/events.h"

struct debug_exit {
	struct bus_region region;
	struct machine_events *events;
};

/* debug_exit_init() - answer at PORT_DEBUG_EXIT. @pio, @events: borrowed. Return: 0, or -EEXIST, -ENOSPC of the bus. */
int debug_exit_init(struct debug_exit *dev, struct bus *pio, struct machine_events *events,
		    struct err *err);
