/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/console_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/loop.h"

static struct console_fd *console_of(struct console *console)
{
	return container_of(console, struct console_fd, console);
}

/* Any thread: the loop is to wait for what just ran dry. */
static void console_poke(const struct console_fd *c)
{
	fd_poke(c->poke);
}

static int64_t console_try(const struct console_fd *c, const void *data, size_t len)
{
	ssize_t n;

	if (c->out < 0)
		return (int64_t)len;
	do {
		n = write(c->out, data, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int64_t console_fd_write(struct console *console, const void *data, size_t len)
{
	struct console_fd *c = console_of(console);
	int64_t n = console_try(c, data, len);

	if (n == -EAGAIN) {
		lock_acquire(&c->lock);
		c->wants_out = true;
		lock_release(&c->lock);
		console_poke(c);
		return 0;
	}
	/* Where nobody reads any more the rest is as good as written. */
	(void)__atomic_add_fetch(&c->written, n < 0 ? len : (uint64_t)n, __ATOMIC_RELAXED);
	if (c->wrote)
		c->wrote(c->arg);
	return n;
}

static int64_t console_fd_read(struct console *console, void *ret, size_t len)
{
	struct console_fd *c = console_of(console);
	ssize_t n;

	if (c->in < 0)
		return 0;
	do {
		n = read(c->in, ret, len);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	/* A terminal's master side that was hung up says EIO. */
	if (n == 0 || errno != EAGAIN) {
		if (c->ended && !c->in_over)
			c->ended(c->arg);
		c->in_over = true;
		return -EPIPE;
	}
	lock_acquire(&c->lock);
	c->wants_in = true;
	lock_release(&c->lock);
	console_poke(c);
	return 0;
}

static void console_fd_close(struct console *console)
{
	if (console)
		console_fd_fini(console_of(console));
}

static const struct console_ops console_fd_ops = {
	.write = console_fd_write,
	.read = console_fd_read,
	.close = console_fd_close,
};

/* One shot: the loop waits once, tells the device, and waits again only when the device ran dry again. */
static void console_in_ready(void *arg, uint32_t events)
{
	struct console_fd *c = arg;

	(void)events;
	loop_del(c->loop, c->in);
	c->watching_in = false;
	if (c->console.readable)
		c->console.readable(&c->console, c->console.arg);
}

static void console_out_ready(void *arg, uint32_t events)
{
	struct console_fd *c = arg;

	(void)events;
	loop_del(c->loop, c->out);
	c->watching_out = false;
	if (c->console.writable)
		c->console.writable(&c->console, c->console.arg);
}

static bool console_take(struct console_fd *c, bool *want)
{
	lock_acquire(&c->lock);
	bool wanted = *want;
	*want = false;
	lock_release(&c->lock);
	return wanted;
}

/* A regular file is always ready, and epoll will not have it. */
static void console_poked(void *arg, uint32_t events)
{
	struct console_fd *c = arg;

	(void)events;
	fd_calm(c->poke);
	if (console_take(c, &c->wants_in) && !c->watching_in)
		c->watching_in = loop_add(c->loop, c->in, EPOLLIN, console_in_ready, c, NULL) == 0;
	if (console_take(c, &c->wants_out) && !c->watching_out)
		c->watching_out =
			loop_add(c->loop, c->out, EPOLLOUT, console_out_ready, c, NULL) == 0;
}

/*
 * The same pipe, terminal or file, with flags of its own: O_NONBLOCK on the caller's would be seen by
 * whoever shares it. A socket cannot be opened so; then its flags are changed after all.
 */
static int console_reopen(int fd, int mode)
{
	char path[40];
	struct stat st;

	if (fd < 0)
		return -EBADF;
	/* A file never blocks, and whoever gave it goes on writing behind us: at the offset that we share. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fcntl(fd, F_DUPFD_CLOEXEC, 3);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd); /* fits */
	int own = open(path, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (own >= 0)
		return own;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	int flags = own < 0 ? -1 : fcntl(own, F_GETFL);
	if (flags >= 0)
		(void)fcntl(own, F_SETFL, flags | O_NONBLOCK); /* a valid fd */
	return own;
}

int console_fd_init(struct console_fd *c, struct loop *loop, int in, int out, struct err *err)
{
	*c = (struct console_fd){ .console = { .ops = &console_fd_ops },
				  .loop = loop,
				  .in = console_reopen(in, O_RDONLY),
				  .out = console_reopen(out, O_WRONLY),
				  .poke = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	if (c->poke < 0)
		return err_set(err, errno, "eventfd");
	return loop_add(loop, c->poke, EPOLLIN, console_poked, c, err);
}

void console_fd_fini(struct console_fd *c)
{
	if (!c->console.ops)
		return;
	if (c->watching_in)
		loop_del(c->loop, c->in);
	if (c->watching_out)
		loop_del(c->loop, c->out);
	loop_del(c->loop, c->poke);
	fd_close(c->poke);
	fd_close(c->in);
	fd_close(c->out);
	*c = (struct console_fd){ 0 };
}
