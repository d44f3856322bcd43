/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hv_port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"

static struct hv_port *port_of(struct chan_stream *stream)
{
	return container_of(stream, struct hv_port, stream);
}

/* ---- from the guest ---- */

/* What the console takes now; a reader that is gone takes everything. */
static size_t port_give(struct hv_port *port, const void *data, size_t len)
{
	const uint8_t *at = data;
	size_t given = 0;

	while (given < len) {
		int64_t n = port->console->ops->write(port->console, at + given, len - given);
		if (n == 0)
			break;
		given = n < 0 ? len : given + (size_t)n;
	}
	chan_stream_credit(&port->stream, (uint32_t)given);
	return given;
}

static void port_data(struct chan_stream *stream, const void *data, size_t len)
{
	struct hv_port *port = port_of(stream);
	size_t given = port->pending.len ? 0 : port_give(port, data, len);

	/* Bounded by the credit; a hypervisor that sends more loses what there is no room for. */
	if (given < len && port->pending.len - port->pending_at <= 2 * (size_t)HV_PORT_CREDIT)
		(void)buf_add(&port->pending, (const char *)data + given, len - given);
}

static void port_writable(struct console *console, void *arg)
{
	struct hv_port *port = arg;

	(void)console;
	if (!port->pending.len)
		return;
	port->pending_at += port_give(port, port->pending.data + port->pending_at,
				      port->pending.len - port->pending_at);
	buf_shift(&port->pending, &port->pending_at);
}

static void port_closed(struct chan_stream *stream, uint32_t status, const char *text)
{
	struct hv_port *port = port_of(stream);

	port->closed = true;
	port->status = status;
	(void)snprintf(port->why, sizeof(port->why), "%s", text); /* cut where it is long */
}

/* ---- to the guest ---- */

static void port_pump(struct hv_port *port)
{
	uint8_t bytes[CHANNEL_PAYLOAD_MAX];

	while (port->stream.is_open && port->stream.credit && !port->ended) {
		size_t room =
			port->stream.credit < sizeof(bytes) ? port->stream.credit : sizeof(bytes);
		int64_t n = port->console->ops->read(port->console, bytes, room);
		if (n == 0)
			return;
		if (n < 0) {
			port->ended = true;
			chan_stream_end(&port->stream);
			return;
		}
		(void)chan_stream_send(&port->stream, bytes, (size_t)n); /* there is credit */
	}
}

static void port_room(struct chan_stream *stream)
{
	port_pump(port_of(stream));
}

static void port_readable(struct console *console, void *arg)
{
	(void)console;
	port_pump(arg);
}

static const struct chan_stream_events port_events = {
	.opened = port_room,
	.data = port_data,
	.room = port_room,
	.closed = port_closed,
};

int hv_port_open(struct hv_port *port, struct chan *chan, struct console *console,
		 enum channel_kind kind, uint32_t guest, const char *name)
{
	const struct channel_open open = { .kind = (uint16_t)kind,
					   .guest = guest,
					   .credit = HV_PORT_CREDIT };

	port->console = console;
	console->readable = port_readable;
	console->writable = port_writable;
	console->arg = port;
	return chan_stream_open(chan, &port->stream, &port_events, &open, name);
}

bool hv_port_done(const struct hv_port *port)
{
	return port->closed && port->pending_at == port->pending.len;
}

void hv_port_fini(struct hv_port *port)
{
	chan_stream_close(&port->stream);
	buf_fini(&port->pending);
}
