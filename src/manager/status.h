/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * <run_root>/instances/ID/status: what an instance's monitor says of it, replaced whole at each change; and the
 * lock on the directory itself, which says that a monitor lives. The monitor writes, everybody reads. It also
 * holds a lock on the file of its last words, so that a list needs to open one thing for each instance, not two.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"

enum status_state { STATUS_STARTING, STATUS_RUNNING, STATUS_RESTARTING, STATUS_ENDED };

/* What an instance's own check says of it (`--health-cmd`, or the image's HEALTHCHECK). */
enum status_health {
	HEALTH_NONE, /* it has no check, or does not run */
	HEALTH_STARTING,
	HEALTHY,
	UNHEALTHY
};

struct status {
	enum status_state state;
	pid_t pid; /* of the workload; 0 while none */
	pid_t monitor;
	int exit_code; /* of the last end */
	bool oom_killed;
	bool stopped_by_user;
	unsigned restarts;
	int64_t started_ns, finished_ns; /* since the epoch, of the last start and end; 0: never */
	enum status_health health;
	char error[256];
};

const char *
status_health_name(enum status_health health); /* "none", "starting", "healthy", "unhealthy" */

/*
 * status_write() - 0, or -errno
 * @held: the locked file of the last words, for status_unlock(): -EBADF at first
 */
int status_write(int run_fd, const struct status *status, int *held);
int status_read(int run_fd, struct status *ret); /* 0; -ENOENT; -EBADMSG */
/*
 * status_peek() - the same in one go
 * @path: of the status file, below dirfd
 * Return: 1: a monitor lives, and *ret is what it said last; 0: nothing is known this way: it may be saying something new
 * at this moment, or be dead: status_alive() tells.
 */
int status_peek(int dirfd, const char *path, struct status *ret);
/* status_parse() - of the file's text, for status_read() and the tests. */
int status_parse(const char *text, size_t len, struct status *ret);

/*
 * status_lock() - the monitor's claim on its run directory, held until the fd closes; -EWOULDBLOCK if another has it
 * status_unlock() - its workload and all that went with it is gone, though it itself lives on
 * status_alive() - 1: a monitor holds it; 0: none does; or -errno
 * status_wait() - until no monitor holds it
 */
int status_lock(int run_fd);
void status_unlock(int run_fd, int *held);
int status_alive(int run_fd);
int status_wait(int run_fd);
/*
 * status_is_first() - whether the instance runs, and this is its first process. For whoever has opened something of that process by its
 * number, and looks after that: one that is being made still has the host's root, and a number may be another process's by now.
 */
bool status_is_first(int run_fd, pid_t pid);
