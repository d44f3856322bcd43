/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/gdb_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/loop.h"
#include "engines/vmm/unix_listen.h"

#define GDB_READ_BYTES 4096U
#define GDB_UNSENT_MAX ((size_t)1 << 20) /* a debugger that does not read what it asked for */
#define GDB_UNIX       "unix:"

/* ---- where ---- */

static int listen_unix(int fd, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (!*path || strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	return unix_listen(fd, &addr, 1);
}

static int listen_tcp(int fd, uint16_t port)
{
	const struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int on = 1;

	/* Small packets back and forth; what is accepted inherits it. */
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0)
		return -errno;
	return 0;
}

/* 0: not a port */
static uint16_t listen_port(const char *text)
{
	char *end;

	if (*text < '1' || *text > '9')
		return 0;
	unsigned long port = strtoul(text, &end, 10);
	return *end || port > UINT16_MAX ? 0 : (uint16_t)port;
}

int gdb_listen(const char *where, struct err *err)
{
	bool is_unix = strncmp(where, GDB_UNIX, strlen(GDB_UNIX)) == 0;
	uint16_t port = is_unix ? 0 : listen_port(where);

	if (!is_unix && !port)
		return err_say(err, EINVAL, "--gdb %s: neither a port (1 to 65535) nor unix:PATH",
			       where);
	AUTO(fd_close_p)
	int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = fd < 0	  ? -errno
		: is_unix ? listen_unix(fd, where + strlen(GDB_UNIX))
			  : listen_tcp(fd, port);
	return r < 0 ? err_set(err, -r, "wait for a debugger at %s", where) : fd_take(&fd);
}

/* ---- the connection ---- */

static void server_drop(struct gdb_server *server)
{
	if (server->client < 0)
		return;
	loop_del(server->loop, server->client);
	fd_close(server->client);
	server->client = -EBADF;
	buf_fini(&server->out);
	gdb_fini(&server->gdb);
}

/* Bytes that were taken, 0 where it is full; -errno: it is gone. */
static int64_t server_write(const struct gdb_server *server, const void *data, size_t len)
{
	ssize_t n = send(server->client, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n;
}

/* Sends what it can, keeps the rest. One that reads nothing is found out by its next message. */
static void server_send(struct gdb *gdb, const void *data, size_t len, void *arg)
{
	struct gdb_server *server = arg;
	int64_t n = server->out.len ? 0 : server_write(server, data, len);

	(void)gdb;
	if (n < 0 || (size_t)n == len)
		return; /* the loop sees an error as the end of the stream */
	if (server->out.len + len > GDB_UNSENT_MAX)
		return;
	(void)buf_add(&server->out, (const char *)data + n, len - (size_t)n);	/* sticky */
	(void)loop_mod(server->loop, server->client, EPOLLIN | EPOLLOUT, NULL); /* it is there */
}

static void server_flush(struct gdb_server *server)
{
	int64_t n = server_write(server, server->out.data, server->out.len);

	if (n < 0) {
		server_drop(server);
		return;
	}
	server->out.len -= (size_t)n;
	memmove(server->out.data, server->out.data + n, server->out.len);
	if (!server->out.len)
		(void)loop_mod(server->loop, server->client, EPOLLIN, NULL); /* it is there */
}

static void server_receive(struct gdb_server *server)
{
	uint8_t data[GDB_READ_BYTES];
	ssize_t n = recv(server->client, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !gdb_feed(&server->gdb, data, (size_t)n) || server->out.failed)
		server_drop(server);
}

static void server_ready(void *arg, uint32_t events)
{
	struct gdb_server *server = arg;

	if (events & EPOLLOUT && server->out.len)
		server_flush(server);
	if (server->client >= 0 && events & ~(uint32_t)EPOLLOUT)
		server_receive(server);
}

static void server_accept(void *arg, uint32_t events)
{
	struct gdb_server *server = arg;
	int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	if (server->client >= 0 ||
	    loop_add(server->loop, fd, EPOLLIN, server_ready, server, NULL) < 0) {
		fd_close(fd);
		return;
	}
	server->client = fd;
	gdb_init(&server->gdb, server->target, server_send, server);
}

int gdb_server_start(struct gdb_server *server, struct loop *loop, int listener,
		     struct gdb_target *target, struct err *err)
{
	*server = (struct gdb_server){
		.loop = loop,
		.target = target,
		.listener = listener,
		.client = -EBADF,
	};
	int r = loop_add(loop, listener, EPOLLIN, server_accept, server, err);
	if (r < 0) {
		fd_close(listener);
		server->listener = -EBADF;
	}
	return r;
}

void gdb_server_stopped(struct gdb_server *server, enum gdb_stop why, unsigned vcpu, unsigned point)
{
	if (gdb_server_has_client(server))
		gdb_stopped(&server->gdb, why, vcpu, point);
}

void gdb_server_ended(struct gdb_server *server, uint8_t status)
{
	if (gdb_server_has_client(server))
		gdb_ended(&server->gdb, status);
}

bool gdb_server_has_client(const struct gdb_server *server)
{
	return server->loop && server->client >= 0;
}

void gdb_server_fini(struct gdb_server *server)
{
	if (!server->loop)
		return;
	server_drop(server);
	if (server->listener >= 0) {
		loop_del(server->loop, server->listener);
		fd_close(server->listener);
	}
	server->loop = NULL;
}
