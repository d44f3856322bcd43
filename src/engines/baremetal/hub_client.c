/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the hub's: its socket, the frames both ways, its life. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/loop.h"
#include "engines/baremetal/hub_private.h"

#define HUB_OUT_MAX                                                                                \
	((size_t)16                                                                                \
	 << 20) /* what a client has not read: credit bounds it to less, unless it lies */
/* What waits for the line: then no client is read. On a slow one whoever comes next waits behind it: 0.7 s at 11 KB/s. */
#define HUB_LINE_MAX ((size_t)256 << 10)
#define HUB_SLOW_MAX ((size_t)8 << 10)

/* ---- to a client ---- */

void hub_client_watch(struct hub_client *c)
{
	const bool out = c->out_at < c->out.len;
	const size_t most = c->hub->up.link ? HUB_SLOW_MAX : HUB_LINE_MAX;
	const bool in = !c->held && chan_pending(&c->hub->up) <= most;
	const uint32_t events = (in ? (uint32_t)EPOLLIN : 0U) | (out ? (uint32_t)EPOLLOUT : 0U);

	if (events != c->watched && loop_mod(c->hub->loop, c->fd, events, NULL) == 0)
		c->watched = events;
}

static void client_flush(struct hub_client *c)
{
	while (c->out_at < c->out.len) {
		ssize_t n =
			send(c->fd, c->out.data + c->out_at, c->out.len - c->out_at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break; /* one that is gone shows when it is read */
		c->out_at += (size_t)n;
	}
	buf_shift(&c->out, &c->out_at);
}

void hub_client_say(struct hub_client *c, enum channel_type type, uint32_t stream,
		    const void *first, size_t first_len, const void *second, size_t second_len)
{
	uint8_t frame[CHANNEL_FRAME_MAX];

	if (c->dead)
		return;
	size_t n = channel_frame_make(frame, type == CHANNEL_HELLO ? 0 : c->nonce, type, stream,
				      first, first_len, second, second_len);
	if (c->out.len - c->out_at > HUB_OUT_MAX || buf_add(&c->out, frame, n) < 0) {
		c->dead = true;
		return;
	}
	client_flush(c);
	hub_client_watch(c);
}

static void client_hello(struct hub_client *c)
{
	static const uint8_t quiet[CHANNEL_QUIET_SENT];
	const struct channel_hello hello = {
		.version = CHANNEL_VERSION,
		.nonce = c->nonce,
		.boot = c->hub->up.boot,
	};

	if (!c->asks_hello || !c->hub->up.ready)
		return;
	c->asks_hello = false;
	c->greeted = true;
	channel_reader_key(&c->reader, c->nonce);
	if (buf_add(&c->out, quiet, sizeof(quiet)) < 0)
		c->dead = true;
	hub_client_say(c, CHANNEL_HELLO, 0, &hello, sizeof(hello), NULL, 0);
}

void hub_client_refuse(struct hub_client *c, uint32_t stream, uint32_t id, uint32_t status,
		       const char *text)
{
	const struct channel_reply reply = { .id = id, .status = status };
	const struct channel_closed closed = { .status = status };

	if (stream)
		hub_client_say(c, CHANNEL_CLOSE, stream, &closed, sizeof(closed), text,
			       strlen(text));
	else
		hub_client_say(c, CHANNEL_REPLY, 0, &reply, sizeof(reply), text, strlen(text));
}

/* ---- from a client ---- */

static int take_hello(struct hub_client *c, const struct channel_frame *frame)
{
	struct channel_hello hello;

	if (frame->len != sizeof(hello) || c->greeted)
		return -EPROTO;
	memcpy(&hello, frame->payload, sizeof(hello));
	c->nonce = hello.nonce;
	c->asks_hello = true;
	client_hello(c);
	return 0;
}

static int client_take(struct hub_client *c, const struct channel_frame *frame)
{
	switch (frame->type) {
	case CHANNEL_HELLO:
		return take_hello(c, frame);
	case CHANNEL_REQUEST:
		return hub_take_request(c, frame);
	case CHANNEL_OPEN:
		return hub_take_open(c, frame);
	case CHANNEL_DATA:
	case CHANNEL_CREDIT:
	case CHANNEL_END:
	case CHANNEL_CLOSE:
	case CHANNEL_HOLE:
		return hub_take_stream(c, frame);
	default:
		return -EPROTO;
	}
}

static int client_hold(struct hub_client *c, const struct channel_frame *frame)
{
	c->held = malloc(frame->len + 1U);
	if (!c->held)
		return -ENOMEM;
	memcpy(c->held, frame->payload, frame->len);
	c->held_frame = *frame;
	c->held_frame.payload = c->held;
	return 0;
}

/* What the reader has, until a frame must wait. */
static void client_run(struct hub_client *c)
{
	struct channel_frame frame;
	enum channel_read got;

	while (!c->dead && !c->held &&
	       (got = channel_reader_next(&c->reader, &frame)) != CHANNEL_READ_MORE) {
		int r = got == CHANNEL_READ_FRAME ? client_take(c, &frame) : -EPROTO;
		/* A local socket loses nothing: what is no frame is nonsense, but for the zeroes before HELLO. */
		if (r == -EAGAIN)
			r = client_hold(c, &frame);
		c->dead |= r < 0;
	}
}

void hub_client_go_on(struct hub *hub)
{
	for (size_t i = 0; i < HUB_CLIENTS; i++) {
		struct hub_client *c = hub->clients[i];
		if (!c || c->dead || !c->held)
			continue;
		uint8_t *held = c->held;
		c->held = NULL;
		int r = hub_take_request(c, &c->held_frame);
		if (r == -EAGAIN) {
			c->held = held;
			return;
		}
		free(held);
		c->dead |= r < 0;
		client_run(c);
		hub_client_watch(c);
	}
}

static void client_read(struct hub_client *c)
{
	uint8_t bytes
		[CHANNEL_FRAME_MAX]; /* the reader has less than a frame, or nothing is read: it has room for that */
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

	if (n <= 0) {
		c->dead = n == 0 || (errno != EAGAIN && errno != EINTR);
		return;
	}
	if (channel_reader_put(&c->reader, bytes, (size_t)n) != (size_t)n)
		c->dead = true;
	client_run(c);
}

static void client_io(void *arg, uint32_t events)
{
	struct hub_client *c = arg;

	if (events & EPOLLOUT)
		client_flush(c);
	if (events & ~(uint32_t)EPOLLOUT)
		client_read(c);
	if (!c->dead)
		hub_client_watch(c);
}

/* ---- life of a client ---- */

void hub_client_drop(struct hub_client *c)
{
	struct hub *hub = c->hub;

	loop_del(hub->loop, c->fd);
	hub_serve_forget(c);
	fd_close(c->fd);
	buf_fini(&c->out);
	free(c->held);
	free(c);
}

static struct hub_client **client_place(struct hub *hub)
{
	for (size_t i = 0; i < HUB_CLIENTS; i++) {
		if (!hub->clients[i])
			return &hub->clients[i];
	}
	return NULL;
}

void hub_client_accept(void *arg, uint32_t events)
{
	struct hub *hub = arg;
	AUTO(fd_close_p)
	int fd = accept4(hub->config->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct hub_client **place = client_place(hub);

	(void)events;
	if (fd < 0 || !place)
		return; /* one too many is closed */
	struct hub_client *c = calloc(1, sizeof(*c));
	if (!c || loop_add(hub->loop, fd, EPOLLIN, client_io, c, NULL) < 0) {
		free(c);
		return;
	}
	c->hub = hub;
	c->fd = fd_take(&fd);
	c->watched = EPOLLIN;
	channel_reader_init(&c->reader);
	*place = c;
}
