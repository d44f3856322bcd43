/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/core/macros.h"
#include "base/os/fd.h"

#define LOOP_EVENTS 32

/* Indexed by fd. generation tells an event for an fd that was closed, and its number used again, meanwhile. */
struct loop_source {
	loop_fn fn; /* NULL: free */
	void *arg;
	uint32_t generation;
};

struct loop {
	int epoll;
	struct loop_source *sources;
	unsigned n; /* room */
};

static union epoll_data loop_data(const struct loop *loop, int fd)
{
	return (union epoll_data){ .u64 = (uint64_t)loop->sources[fd].generation << 32 |
					  (uint32_t)fd };
}

int loop_create(struct loop **ret, struct err *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return err_set(err, ENOMEM, "event loop");
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0) {
		int code = errno;
		free(loop);
		return err_set(err, code, "event loop");
	}
	*ret = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	fd_close(loop->epoll);
	free(loop->sources);
	free(loop);
}

static int loop_grow(struct loop *loop, unsigned need)
{
	unsigned n = loop->n ? loop->n : 64;

	while (n <= need)
		n *= 2;
	if (n == loop->n)
		return 0;
	struct loop_source *sources = realloc(loop->sources, n * sizeof(*sources));
	if (!sources)
		return -ENOMEM;
	memset(sources + loop->n, 0, (n - loop->n) * sizeof(*sources));
	loop->sources = sources;
	loop->n = n;
	return 0;
}

int loop_add(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *arg, struct err *err)
{
	int r = fd < 0 ? -EBADF : (unsigned)fd < loop->n ? 0 : loop_grow(loop, (unsigned)fd);

	if (r == 0 && loop->sources[fd].fn)
		r = -EEXIST;
	if (r < 0)
		return err_set(err, -r, "watch fd %d", fd);
	struct loop_source *source = &loop->sources[fd];
	source->generation++;
	struct epoll_event event = { .events = events, .data = loop_data(loop, fd) };
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return err_set(err, errno, "watch fd %d", fd);
	source->fn = fn;
	source->arg = arg;
	return 0;
}

static bool loop_has(const struct loop *loop, int fd)
{
	return fd >= 0 && (unsigned)fd < loop->n && loop->sources[fd].fn;
}

int loop_mod(struct loop *loop, int fd, uint32_t events, struct err *err)
{
	if (!loop_has(loop, fd))
		return err_set(err, ENOENT, "watch fd %d", fd);
	struct epoll_event event = { .events = events, .data = loop_data(loop, fd) };
	return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event) < 0
		       ? err_set(err, errno, "watch fd %d", fd)
		       : 0;
}

void loop_del(struct loop *loop, int fd)
{
	if (!loop_has(loop, fd))
		return;
	(void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL); /* it is there: cannot fail */
	loop->sources[fd].fn = NULL;
	loop->sources[fd].generation++;
}

int loop_run_once(struct loop *loop, int timeout_ms, struct err *err)
{
	struct epoll_event events[LOOP_EVENTS];
	int n = epoll_wait(loop->epoll, events, LOOP_EVENTS, timeout_ms);
	int called = 0;

	if (n < 0)
		return errno == EINTR ? 0 : err_set(err, errno, "wait for events");
	for (int i = 0; i < n; i++) {
		int fd = (int)(uint32_t)events[i].data.u64;
		uint32_t generation = (uint32_t)(events[i].data.u64 >> 32);
		if (!loop_has(loop, fd) || loop->sources[fd].generation != generation)
			continue; /* an earlier one deleted it */
		loop->sources[fd].fn(loop->sources[fd].arg, events[i].events);
		called++;
	}
	return called;
}
