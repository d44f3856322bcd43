/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a hypervisor, or what has taken one over, says on the management channel once HELLO is over: frames of this session with any
 * content, to a console, a port, a vsock's connection, a file and a request that wait. Nothing is kept beyond the credit.
 *
 * Input: pieces of {type, stream, len (two bytes), so many bytes}. Where its length is odd the line is a serial one: frames in packets,
 * which follow one another, and packets of any number.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/loop.h"
#include "engines/baremetal/chan.h"
#include "engines/baremetal/hv_port.h"
#include "engines/baremetal/hv_vsock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROUNDS 64

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* ---- what is at the ends of streams: takes a little, and gives a little ---- */

struct sink {
	struct console console;
	unsigned calls;
};

static int64_t sink_write(struct console *console, const void *data, size_t len)
{
	struct sink *sink = container_of(console, struct sink, console);
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum ^= ((const uint8_t *)data)[i];
	if (sum == 0x5a && len > 3)
		return -EPIPE;
	return ++sink->calls % 3 ? (int64_t)(len > 100 ? 100 : len) : 0;
}

static int64_t sink_read(struct console *console, void *ret, size_t len)
{
	struct sink *sink = container_of(console, struct sink, console);

	memset(ret, 'x', len < 10 ? len : 10);
	return ++sink->calls % 5 ? (int64_t)(len < 10 ? len : 10) : 0;
}

static void sink_close(struct console *console)
{
	(void)console;
}

static const struct console_ops sink_ops = {
	.write = sink_write,
	.read = sink_read,
	.close = sink_close,
};

static int64_t host_write(struct vsock_host *host, struct vsock_stream *stream, const void *data,
			  size_t len)
{
	(void)host;
	must(stream->endpoint != NULL);
	return len && ((const uint8_t *)data)[0] == 1 ? -EPIPE : (int64_t)(len > 50 ? 50 : len);
}

static int64_t host_read(struct vsock_host *host, struct vsock_stream *stream, void *ret,
			 size_t len)
{
	unsigned *left = stream->endpoint;

	(void)host;
	if (!*left)
		return -EPIPE;
	--*left;
	memset(ret, 'y', len < 8 ? len : 8);
	return (int64_t)(len < 8 ? len : 8);
}

static int host_connect(struct vsock_host *host, struct vsock_stream *stream)
{
	(void)host;
	(void)stream;
	return -ECONNREFUSED;
}

static void host_other(struct vsock_host *host, struct vsock_stream *stream)
{
	(void)host;
	must(stream->endpoint != NULL);
}

static const struct vsock_host_ops host_ops = {
	.connect = host_connect,
	.connected = host_other,
	.write = host_write,
	.read = host_read,
	.shutdown = host_other,
	.close = host_other,
};

static void replied(void *arg, uint32_t status, const void *data, size_t len)
{
	(void)status;
	(void)data;
	must(len <= CHANNEL_PAYLOAD_MAX);
	++*(unsigned *)arg;
}

static void lost(struct chan *chan, const struct err *why)
{
	must(chan->dead && why->code);
}

static void event(struct chan *chan, uint32_t kind, const void *body, size_t len)
{
	(void)chan;
	(void)kind;
	(void)body;
	must(len <= CHANNEL_PAYLOAD_MAX);
}

static const struct chan_events events = { .event = event, .lost = lost };

/* ---- the other side ---- */

static bool say(int fd, uint64_t nonce, enum channel_type type, uint32_t stream, const void *bytes,
		size_t len)
{
	uint8_t frame[CHANNEL_FRAME_MAX];
	size_t n = channel_frame_make(frame, nonce, type, stream, bytes, len, NULL, 0);

	return send(fd, frame, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
}

/* A frame of the session's, in packets; one that finds no room is lost, and then no other is in its turn. */
static void say_packets(int fd, uint64_t nonce, uint32_t *at, enum channel_type type,
			uint32_t stream, const void *bytes, size_t len)
{
	uint8_t frame[CHANNEL_FRAME_MAX];
	size_t n = channel_frame_make(frame, nonce, type, stream, bytes, len, NULL, 0);

	for (size_t from = 0; from < n; from += CHANNEL_PACKET_BYTES) {
		const size_t part =
			n - from < CHANNEL_PACKET_BYTES ? n - from : CHANNEL_PACKET_BYTES;
		(void)say(fd, nonce, CHANNEL_PACKET, *at & 0xffffU, frame + from, part);
		*at += (uint32_t)part;
	}
}

static void answer_hello(int fd, const struct chan *chan, bool is_serial)
{
	static const uint8_t quiet[CHANNEL_QUIET_SENT];
	const struct channel_hello hello = { .version = CHANNEL_VERSION,
					     .flags = is_serial ? CHANNEL_HELLO_PACKETS : 0,
					     .nonce = chan->nonce };

	must(send(fd, quiet, sizeof(quiet), MSG_NOSIGNAL) == sizeof(quiet));
	must(say(fd, 0, CHANNEL_HELLO, 0, &hello, sizeof(hello)));
}

static void drain(int fd)
{
	char bytes[65536];

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void turn(struct chan *chan, int fd)
{
	for (unsigned i = 0; i < ROUNDS && loop_run_once(chan->loop, 0, NULL) > 0; i++)
		drain(fd);
}

struct scene {
	struct loop *loop;
	struct chan chan;
	struct sink sinks[2];
	struct hv_port ports[2];
	struct vsock_host host;
	struct hv_vsock vsock;
	unsigned replies, left;
	int fd;
	bool is_serial;
	uint32_t at; /* bytes in packets */
};

static void scene_open(struct scene *s, bool is_serial)
{
	struct vsock_stream *stream;
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	s->fd = pair[1];
	must(loop_create(&s->loop, NULL) == 0);
	must(chan_start(&s->chan, pair[0], s->loop, &events, NULL) == 0);
	s->is_serial = is_serial;
	answer_hello(s->fd, &s->chan, is_serial);
	turn(&s->chan, s->fd);
	must(s->chan.ready);
	for (unsigned i = 0; i < 2; i++) {
		s->sinks[i].console.ops = &sink_ops;
		must(hv_port_open(&s->ports[i], &s->chan, &s->sinks[i].console,
				  i ? CHANNEL_KIND_PORT : CHANNEL_KIND_CONSOLE, 1,
				  i ? "p" : "") == 0);
	}
	s->host.ops = &host_ops;
	s->left = 5;
	hv_vsock_init(&s->vsock, &s->chan, 1, &s->host);
	must(s->vsock.side.ops->connect(&s->vsock.side, 1, &s->left, &stream) == 0);
	must(chan_request(&s->chan, CHANNEL_INFO, NULL, 0, replied, &s->replies) == 0);
}

static void scene_close(struct scene *s)
{
	for (unsigned i = 0; i < 2; i++) {
		must(s->ports[i].pending.len <= (size_t)4 * HV_PORT_CREDIT);
		hv_port_fini(&s->ports[i]);
	}
	for (unsigned i = 0; i < HV_VSOCK_STREAMS; i++) {
		if (s->vsock.streams[i].used)
			s->vsock.side.ops->abort(&s->vsock.side, &s->vsock.streams[i].vsock);
	}
	must(s->replies <= 1);
	chan_fini(&s->chan);
	loop_free(s->loop);
	fd_close(s->fd);
}

static void scene_say(struct scene *s, unsigned type, uint32_t stream, const uint8_t *bytes,
		      size_t len)
{
	uint32_t number = 0;

	if (s->is_serial && (type == CHANNEL_PACKET || type == CHANNEL_AGAIN)) {
		memcpy(&number, bytes, len < sizeof(number) ? len : sizeof(number));
		(void)say(s->fd, s->chan.nonce, (enum channel_type)type, number, bytes,
			  len % (CHANNEL_PACKET_BYTES + 1));
	} else if (s->is_serial) {
		say_packets(s->fd, s->chan.nonce, &s->at, (enum channel_type)type, stream, bytes,
			    len);
	} else {
		(void)say(s->fd, s->chan.nonce, (enum channel_type)type, stream, bytes,
			  len); /* full: the next turn makes room */
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scene *s = calloc(1, sizeof(*s));

	must(s != NULL);
	scene_open(s, size & 1);
	for (size_t at = 0; at + 4 <= size && !s->chan.dead;) {
		size_t len =
			((size_t)data[at + 2] | (size_t)data[at + 3] << 8) % CHANNEL_PAYLOAD_MAX;
		if (len > size - at - 4)
			len = size - at - 4;
		scene_say(s, data[at] % 16, data[at + 1] % 5, data + at + 4, len);
		at += 4 + len;
		turn(&s->chan, s->fd);
	}
	scene_close(s);
	free(s);
	return 0;
}
