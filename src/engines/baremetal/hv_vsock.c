/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/baremetal/hv_vsock.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"

#define VSOCK_CREDIT 65536U

static struct hv_vsock_stream *stream_of(struct chan_stream *stream)
{
	return container_of(stream, struct hv_vsock_stream, stream);
}

static void stream_free(struct hv_vsock_stream *s)
{
	chan_stream_close(&s->stream);
	buf_fini(&s->pending);
	*s = (struct hv_vsock_stream){ 0 };
}

/* The guest's side is over, or the socket is: nothing is left to be said to either. */
static void stream_close(struct hv_vsock_stream *s)
{
	s->owner->host->ops->close(s->owner->host, &s->vsock);
	stream_free(s);
}

/* ---- from the guest ---- */

/* Return: false: it is gone. */
static bool stream_give(struct hv_vsock_stream *s)
{
	const struct vsock_host_ops *ops = s->owner->host->ops;

	while (s->pending_at < s->pending.len) {
		int64_t n = ops->write(s->owner->host, &s->vsock, s->pending.data + s->pending_at,
				       s->pending.len - s->pending_at);
		if (n < 0) {
			stream_close(s);
			return false;
		}
		if (n == 0) {
			buf_shift(&s->pending, &s->pending_at);
			return true; /* it says when there is room */
		}
		s->pending_at += (size_t)n;
		chan_stream_credit(&s->stream, (uint32_t)n);
	}
	buf_shift(&s->pending, &s->pending_at);
	if (s->over) {
		stream_close(s);
		return false;
	}
	if (s->guest_done && !s->done_told) {
		s->done_told = true;
		ops->shutdown(s->owner->host, &s->vsock);
	}
	return true;
}

static void stream_data(struct chan_stream *stream, const void *data, size_t len)
{
	struct hv_vsock_stream *s = stream_of(stream);

	/* A hypervisor that sends more than it has credit for ends the connection. */
	if (s->pending.len - s->pending_at > 2 * (size_t)VSOCK_CREDIT ||
	    buf_add(&s->pending, data, len) < 0) {
		stream_close(s);
		return;
	}
	(void)stream_give(s);
}

static void stream_end(struct chan_stream *stream)
{
	struct hv_vsock_stream *s = stream_of(stream);

	s->guest_done = true;
	(void)stream_give(s);
}

static void stream_closed(struct chan_stream *stream, uint32_t status, const char *text)
{
	struct hv_vsock_stream *s = stream_of(stream);

	(void)status; /* refused or over: the socket is closed */
	(void)text;
	s->over = true;
	(void)stream_give(s);
}

/* ---- to the guest ---- */

static void stream_pump(struct hv_vsock_stream *s)
{
	uint8_t bytes[CHANNEL_PAYLOAD_MAX];

	while (s->stream.is_open && s->stream.credit && !s->host_done) {
		size_t room = s->stream.credit < sizeof(bytes) ? s->stream.credit : sizeof(bytes);
		int64_t n = s->owner->host->ops->read(s->owner->host, &s->vsock, bytes, room);
		if (n == 0)
			return;
		if (n == -EPIPE) {
			s->host_done = true;
			chan_stream_end(&s->stream);
			return;
		}
		if (n < 0) {
			stream_close(s);
			return;
		}
		(void)chan_stream_send(&s->stream, bytes, (size_t)n); /* there is credit */
	}
}

static void stream_opened(struct chan_stream *stream)
{
	struct hv_vsock_stream *s = stream_of(stream);

	s->vsock.state = VSOCK_OPEN;
	s->owner->host->ops->connected(s->owner->host, &s->vsock);
	stream_pump(s);
}

static void stream_room(struct chan_stream *stream)
{
	stream_pump(stream_of(stream));
}

static const struct chan_stream_events stream_events = {
	.opened = stream_opened,
	.data = stream_data,
	.room = stream_room,
	.end = stream_end,
	.closed = stream_closed,
};

/* ---- the sockets' calls ---- */

static struct hv_vsock_stream *side_stream(struct vsock_stream *vsock)
{
	return container_of(vsock, struct hv_vsock_stream, vsock);
}

static int side_connect(struct vsock_side *side, uint32_t guest_port, void *endpoint,
			struct vsock_stream **ret)
{
	struct hv_vsock *v = container_of(side, struct hv_vsock, side);
	const struct channel_open open = { .kind = CHANNEL_KIND_VSOCK,
					   .guest = v->guest,
					   .credit = VSOCK_CREDIT,
					   .port = guest_port };

	for (unsigned i = 0; i < HV_VSOCK_STREAMS; i++) {
		struct hv_vsock_stream *s = &v->streams[i];
		if (s->used)
			continue;
		s->vsock = (struct vsock_stream){
			.state = VSOCK_HOST_ASKED,
			.guest_port = guest_port,
			.host_port = VSOCK_HOST_PORTS + i,
			.endpoint = endpoint,
		};
		int r = chan_stream_open(v->chan, &s->stream, &stream_events, &open, "");
		if (r < 0)
			return r;
		s->owner = v;
		s->used = true;
		*ret = &s->vsock;
		return 0;
	}
	return -ENOSPC;
}

static void side_abort(struct vsock_side *side, struct vsock_stream *vsock)
{
	(void)side;
	stream_free(side_stream(vsock));
}

static void side_readable(struct vsock_side *side, struct vsock_stream *vsock)
{
	(void)side;
	stream_pump(side_stream(vsock));
}

static void side_writable(struct vsock_side *side, struct vsock_stream *vsock)
{
	(void)side;
	(void)stream_give(side_stream(vsock));
}

static const struct vsock_side_ops side_ops = {
	.connect = side_connect,
	.abort = side_abort,
	.readable = side_readable,
	.writable = side_writable,
};

void hv_vsock_init(struct hv_vsock *v, struct chan *chan, uint32_t guest, struct vsock_host *host)
{
	v->side.ops = &side_ops;
	v->chan = chan;
	v->guest = guest;
	v->host = host;
}
