/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A stream of the management channel in the place of the device that drives a struct console: what a guest on a server writes to its
 * port or serial line comes to the console here, and the other way round. Loop thread.
 */
#include "engines/baremetal/chan.h"
#include "machine/ops.h"

#define HV_PORT_CREDIT 65536U

struct hv_port {
	struct chan_stream stream;
	struct console *console; /* borrowed */
	struct buf pending;	 /* what the console has not taken */
	size_t pending_at;
	bool closed, ended; /* the stream is over; the console is */
	char why[128];	    /* closed with a status: why */
	uint32_t status;
};

/* hv_port_open() - @open: kind and guest; credit is ours   @name: of a PORT, else "". 0 or -errno. */
int hv_port_open(struct hv_port *port, struct chan *chan, struct console *console,
		 enum channel_kind kind, uint32_t guest, const char *name);
/* hv_port_done() - nothing comes any more, and nothing waits */
bool hv_port_done(const struct hv_port *port);
void hv_port_fini(struct hv_port *port); /* zeroed is a no-op */
