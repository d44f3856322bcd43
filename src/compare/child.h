/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A program run to its end and timed: from the moment it is let go, everything that its surroundings take (cgroup, mounts) being
 * there already, to its end.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"
#include "compare/column.h"

struct group;

struct child {
	const char *const
		*argv; /* NULL-ended; argv[0] is looked up in PATH, env's where there is one */
	const char *const *env; /* NULL: this process's own */
	struct group *group;	/* or NULL: nowhere special */
	/* In the child, before it becomes the program: 0, or -errno with err, which the parent then has. May be NULL. */
	int (*enter)(void *arg, struct err *err);
	void *arg;
	/* When it has to end early, before it is killed: ends politely what killing alone would leave. May be NULL. */
	void (*abort)(void *arg);
	unsigned timeout; /* seconds */
	int stop;	  /* readable: end early, -EINTR; or -EBADF */
};

/*
 * child_run() - to its end, with its output
 * A program that cannot be executed ends with 127 or 126, as a shell says; that is an outcome, too.
 * Return: 0 with *ret; -EINTR after child.stop; else -errno: it could not even be tried.
 */
int child_run(const struct child *child, struct outcome *ret, struct err *err);

/*
 * child_start() - one that goes on, and is killed with this process
 * @out: an fd for its standard output and error, or -EBADF: to nowhere   @ret_begin_ns: when it was let go, CLOCK_MONOTONIC
 */
int child_start(const struct child *child, int out, pid_t *ret, int64_t *ret_begin_ns,
		struct err *err);
struct buf;
/* child_keep() - add to what came; of more than @max bytes the end is kept, and up to as many before it. */
void child_keep(struct buf *buf, const char *data, size_t n, size_t max);
/* child_text() - the end of it, OUTCOME_MAX bytes at most and a NUL; free(); NULL: no memory. */
char *child_text(const struct buf *buf, size_t *ret_n);
/* child_last_line() - the last line that says something, cut and printable; free(). */
char *child_last_line(const struct buf *buf);
/* child_kill() - and reap; 0 is a no-op. */
void child_kill(pid_t *pid);
/* child_wait() - reap within so many ms: whether it ended. */
bool child_wait(pid_t *pid, unsigned ms);
/* child_gone() - wait until a process that is nobody's child of ours has ended. */
bool child_gone(pid_t pid, unsigned ms);
/* child_tree() - these and all that descend from them, the caller's to free(). */
int child_tree(const pid_t *roots, size_t n_roots, pid_t **ret, size_t *ret_n);
