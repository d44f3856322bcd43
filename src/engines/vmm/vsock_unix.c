/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/vsock_unix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/loop.h"
#include "engines/vmm/unix_listen.h"

#define LINE_BYTES  32U /* "CONNECT 4294967295\n" is 19 */
#define PORT_DIGITS 11U /* and its underscore */
#define BACKLOG	    16
#define CLIENTS_MAX VSOCK_STREAMS

enum client_state {
	CLIENT_LINE,  /* it has not said where to */
	CLIENT_ASKED, /* the guest has not answered */
	CLIENT_OPEN,
};

struct client {
	struct vsock_unix *v;
	struct client *next;
	struct vsock_stream *stream; /* NULL with CLIENT_LINE */
	enum client_state state;
	int fd;
	bool watched, busy, dead; /* busy: inside its own event */
	uint32_t events;	  /* with watched: what the loop waits for */
	char line[LINE_BYTES];
	unsigned n_line;
};

struct vsock_unix {
	struct vsock_host host;
	struct vsock_side ours;	  /* over dev */
	struct virtio_vsock *dev; /* NULL: another's */
	struct vsock_side *side;  /* NULL until started */
	struct loop *loop;
	int listener;
	bool listening; /* the loop watches the listener */
	struct client *clients;
	unsigned n_clients;
	struct sockaddr_un at;
};

static struct vsock_unix *vsock_unix_of(struct vsock_host *host)
{
	return container_of(host, struct vsock_unix, host);
}

/* ---- memory for the device's streams ---- */

static void *heap_alloc(const struct mem_ops *ops, size_t len)
{
	(void)ops;
	return calloc(1, len);
}

static void heap_free(const struct mem_ops *ops, void *ptr)
{
	(void)ops;
	free(ptr);
}

const struct mem_ops vsock_unix_heap = { .alloc = heap_alloc, .free = heap_free };

/* ---- watching ---- */

static void client_ready(void *arg, uint32_t events);
static void vsock_unix_accept(void *arg, uint32_t events);

static void client_unwatch(struct client *c)
{
	if (c->watched)
		loop_del(c->v->loop, c->fd);
	c->watched = false;
	c->events = 0;
}

/* A socket that cannot be watched (no memory) is shut down: both sides see its end when they use it. */
static void client_watch(struct client *c, uint32_t events)
{
	int r = 0;

	if (c->watched && (c->events & events) == events)
		return;
	c->events |= events;
	if (c->watched)
		r = loop_mod(c->v->loop, c->fd, c->events, NULL);
	else
		r = loop_add(c->v->loop, c->fd, c->events, client_ready, c, NULL);
	c->watched = c->watched || r == 0;
	if (r < 0)
		(void)shutdown(c->fd, SHUT_RDWR);
}

static void vsock_unix_listen(struct vsock_unix *v)
{
	if (v->side && !v->listening)
		v->listening =
			loop_add(v->loop, v->listener, EPOLLIN, vsock_unix_accept, v, NULL) == 0;
}

/* ---- life of a client ---- */

/* Takes fd over, whatever happens. */
static struct client *client_new(struct vsock_unix *v, int fd, enum client_state state)
{
	struct client *c = v->n_clients < CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		fd_close(fd);
		return NULL;
	}
	*c = (struct client){ .v = v, .next = v->clients, .state = state, .fd = fd };
	v->clients = c;
	v->n_clients++;
	return c;
}

static void client_free(struct client *c)
{
	struct client **at = &c->v->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->v->n_clients--;
	vsock_unix_listen(c->v);
	free(c);
}

/* The device does not know it any more. Inside its own event, the memory goes when that returns. */
static void client_close(struct client *c)
{
	if (c->dead)
		return;
	client_unwatch(c);
	fd_close(c->fd);
	c->fd = -EBADF;
	c->stream = NULL;
	c->dead = true;
	if (!c->busy)
		client_free(c);
}

/* ---- the device's calls ---- */

static int vsock_unix_connect(struct vsock_host *host, struct vsock_stream *stream)
{
	struct vsock_unix *v = vsock_unix_of(host);
	struct sockaddr_un to = v->at;
	size_t len = strlen(to.sun_path);

	(void)snprintf(to.sun_path + len, sizeof(to.sun_path) - len, "_%u",
		       stream->host_port); /* vsock_unix_create() saw to the room */
	AUTO(fd_close_p)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return -ECONNREFUSED;
	struct client *c = client_new(v, fd_take(&fd), CLIENT_OPEN);
	if (!c)
		return -ENOMEM;
	c->stream = stream;
	stream->endpoint = c;
	return 0;
}

static void vsock_unix_connected(struct vsock_host *host, struct vsock_stream *stream)
{
	struct client *c = stream->endpoint;
	char ok[LINE_BYTES];

	(void)host;
	c->state = CLIENT_OPEN;
	int n = snprintf(ok, sizeof(ok), "OK %u\n", stream->host_port);
	/* The socket is empty: it fits. A client that is gone shows when it is read. */
	(void)send(c->fd, ok, (size_t)n, MSG_NOSIGNAL);
}

static int64_t vsock_unix_write(struct vsock_host *host, struct vsock_stream *stream,
				const void *data, size_t len)
{
	struct client *c = stream->endpoint;
	ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

	(void)host;
	if (n >= 0)
		return n;
	if (errno != EAGAIN && errno != EINTR)
		return -errno;
	client_watch(c, EPOLLOUT);
	return 0;
}

static int64_t vsock_unix_read(struct vsock_host *host, struct vsock_stream *stream, void *ret,
			       size_t len)
{
	struct client *c = stream->endpoint;
	ssize_t n = recv(c->fd, ret, len, 0);

	(void)host;
	if (n > 0)
		return n;
	if (n == 0)
		return -EPIPE;
	if (errno != EAGAIN && errno != EINTR)
		return -errno;
	client_watch(c, EPOLLIN);
	return 0;
}

static void vsock_unix_shutdown(struct vsock_host *host, struct vsock_stream *stream)
{
	const struct client *c = stream->endpoint;

	(void)host;
	(void)shutdown(c->fd, SHUT_WR); /* fails only where the other side is gone already */
}

static void vsock_unix_close(struct vsock_host *host, struct vsock_stream *stream)
{
	(void)host;
	client_close(stream->endpoint);
}

static const struct vsock_host_ops vsock_unix_ops = {
	.connect = vsock_unix_connect,
	.connected = vsock_unix_connected,
	.write = vsock_unix_write,
	.read = vsock_unix_read,
	.shutdown = vsock_unix_shutdown,
	.close = vsock_unix_close,
};

/* ---- the loop's calls ---- */

/* "CONNECT PORT", without its newline. */
static bool line_parse(const char *line, uint32_t *ret)
{
	static const char word[] = "CONNECT ";
	uint64_t port = 0;

	if (strncmp(line, word, sizeof(word) - 1) != 0)
		return false;
	const char *at = line + sizeof(word) - 1;
	if (!*at)
		return false;
	for (; *at; at++) {
		if (*at < '0' || *at > '9')
			return false;
		port = port * 10 + (uint64_t)(*at - '0');
		if (port > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)port;
	return true;
}

/* One byte at a time: what follows the line is the guest's. 1: the line is there; 0: not yet; < 0: none will come. */
static int client_read_line(struct client *c)
{
	char byte;

	while (c->n_line < LINE_BYTES - 1) {
		ssize_t n = recv(c->fd, &byte, 1, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return -ECONNRESET;
		if (byte == '\n')
			return 1;
		c->line[c->n_line++] = byte;
	}
	return -EMSGSIZE;
}

static void client_line(struct client *c)
{
	uint32_t port;
	int r = client_read_line(c);

	if (r == 0)
		return;
	client_unwatch(c);
	if (r < 0 || !line_parse(c->line, &port) ||
	    c->v->side->ops->connect(c->v->side, port, c, &c->stream) < 0) {
		client_close(c);
		return;
	}
	c->state = CLIENT_ASKED;
	client_watch(c, EPOLLRDHUP); /* only to learn that it went away */
}

/* A client that hung up before the guest answered. One that only shut down its sending half waits on. */
static void client_asked(struct client *c, uint32_t events)
{
	client_unwatch(c);
	if (!(events & (EPOLLHUP | EPOLLERR)))
		return;
	c->v->side->ops->abort(c->v->side, c->stream);
	client_close(c);
}

static void client_ready(void *arg, uint32_t events)
{
	struct client *c = arg;

	c->busy = true;
	if (c->state == CLIENT_LINE) {
		client_line(c);
	} else if (c->state == CLIENT_ASKED) {
		client_asked(c, events);
	} else {
		/* Each event is told once; the device tries, and what runs dry is watched again. */
		client_unwatch(c);
		if (events & ~(uint32_t)EPOLLOUT)
			c->v->side->ops->readable(c->v->side, c->stream);
		if (!c->dead && events & ~(uint32_t)EPOLLIN)
			c->v->side->ops->writable(c->v->side, c->stream);
	}
	c->busy = false;
	if (c->dead)
		client_free(c);
}

static void vsock_unix_accept(void *arg, uint32_t events)
{
	struct vsock_unix *v = arg;
	int fd = accept4(v->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return;
		/* No fds are left: until a client goes. */
		loop_del(v->loop, v->listener);
		v->listening = false;
		return;
	}
	struct client *c = client_new(v, fd, CLIENT_LINE);
	if (c)
		client_watch(c, EPOLLIN);
}

/* ---- a device of this process ---- */

static struct virtio_vsock *device_of(struct vsock_side *side)
{
	return container_of(side, struct vsock_unix, ours)->dev;
}

static int device_connect(struct vsock_side *side, uint32_t guest_port, void *endpoint,
			  struct vsock_stream **ret)
{
	return virtio_vsock_connect(device_of(side), guest_port, endpoint, ret);
}

static void device_abort(struct vsock_side *side, struct vsock_stream *stream)
{
	virtio_vsock_abort(device_of(side), stream);
}

static void device_readable(struct vsock_side *side, struct vsock_stream *stream)
{
	virtio_vsock_readable(device_of(side), stream);
}

static void device_writable(struct vsock_side *side, struct vsock_stream *stream)
{
	virtio_vsock_writable(device_of(side), stream);
}

static const struct vsock_side_ops device_ops = {
	.connect = device_connect,
	.abort = device_abort,
	.readable = device_readable,
	.writable = device_writable,
};

/* ---- life ---- */

int vsock_unix_create(const char *path, struct loop *loop, struct vsock_unix **ret, struct err *err)
{
	const size_t len = strlen(path);

	if (len + PORT_DIGITS >= sizeof(((struct sockaddr_un *)NULL)->sun_path) || !len)
		return err_say(err, ENAMETOOLONG,
			       "vsock socket %s: the path must have 1 to %zu bytes", path,
			       sizeof(((struct sockaddr_un *)NULL)->sun_path) - PORT_DIGITS - 1);
	struct vsock_unix *v = calloc(1, sizeof(*v));
	if (!v)
		return err_set(err, ENOMEM, "vsock socket %s", path);
	v->host.ops = &vsock_unix_ops;
	v->loop = loop;
	v->at.sun_family = AF_UNIX;
	memcpy(v->at.sun_path, path, len);
	v->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = v->listener < 0 ? -errno : unix_listen(v->listener, &v->at, BACKLOG);
	if (r < 0) {
		(void)err_set(err, -r, "vsock socket %s", path);
		fd_close(v->listener);
		free(v);
		return r;
	}
	*ret = v;
	return 0;
}

struct vsock_host *vsock_unix_host(struct vsock_unix *v)
{
	return &v->host;
}

int vsock_unix_serve(struct vsock_unix *v, struct vsock_side *side, struct err *err)
{
	int r = loop_add(v->loop, v->listener, EPOLLIN, vsock_unix_accept, v, err);

	v->side = r == 0 ? side : NULL;
	v->listening = r == 0;
	return r;
}

int vsock_unix_start(struct vsock_unix *v, struct virtio_vsock *dev, struct err *err)
{
	v->dev = dev;
	v->ours.ops = &device_ops;
	return vsock_unix_serve(v, &v->ours, err);
}

void vsock_unix_free(struct vsock_unix *v)
{
	if (!v)
		return;
	if (v->listening)
		loop_del(v->loop, v->listener);
	v->side = NULL; /* a client that goes shall not listen again */
	while (v->clients)
		client_close(v->clients);
	fd_close(v->listener);
	(void)unlink(v->at.sun_path); /* gone already is as good */
	free(v);
}
