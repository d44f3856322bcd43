/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/pid_list.h"
#include "engines/cgroup/private.h"

#define KILL_BATCH 64 /* pidfds held at once */

static int pid_add(pid_t pid, void *arg)
{
	return pid_list_add(arg, pid);
}

int cgroup_pids(const struct cgroup *cgroup, pid_t **ret, size_t *ret_n, struct err *err)
{
	AUTO(pid_list_fini) struct pid_list list = { 0 };
	int h = cgroup_main(cgroup);

	if (h < 0)
		return err_say(err, ENOTSUP, "cgroup %s: no hierarchy is mounted to list it",
			       cgroup->path);
	int r = cgroup_walk(cgroup->fds[h], "cgroup.procs", pid_add, &list);
	if (r < 0)
		return err_set(err, -r, "list the processes of cgroup %s", cgroup->path);
	*ret_n = list.n;
	*ret = TAKE(list.pids);
	return 0;
}

/* One signal to each process of a batch, held by pidfd so that a number used again is not hit; then waits for them. */
static int kill_batch(const pid_t *pids, size_t n, bool wait, int64_t deadline_ns)
{
	struct pollfd polls[KILL_BATCH];
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		polls[i] = (struct pollfd){ .fd = pidfd_of(pids[i]), .events = POLLIN };
		if (polls[i].fd >= 0)
			(void)pidfd_signal(polls[i].fd, SIGKILL); /* ESRCH: gone by itself */
	}
	for (size_t i = 0; i < n && wait; i++) {
		int64_t left_ms = (deadline_ns - clock_mono_ns()) / NS_PER_MS;
		if (polls[i].fd >= 0 && poll(&polls[i], 1, left_ms < 0 ? 0 : (int)left_ms) == 0)
			r = -ETIMEDOUT;
	}
	for (size_t i = 0; i < n; i++)
		fd_close(polls[i].fd);
	return r;
}

static int kill_listed(const struct pid_list *list, bool wait, int64_t deadline_ns)
{
	int r = 0;

	for (size_t i = 0; i < list->n && r == 0; i += KILL_BATCH) {
		size_t n = list->n - i < KILL_BATCH ? list->n - i : KILL_BATCH;
		r = kill_batch(list->pids + i, n, wait, deadline_ns);
	}
	return r;
}

/*
 * Without cgroup.kill: freeze, so that nothing forks away; signal all; thaw, so that they can die; wait for
 * them; again until nobody is left.
 */
static int kill_by_hand(const struct cgroup *cgroup, int fd, int64_t deadline_ns)
{
	for (;;) {
		bool froze = cgroup_freeze(cgroup, true, NULL) == 0;
		AUTO(pid_list_fini) struct pid_list list = { 0 };
		int r = cgroup_walk(fd, "cgroup.procs", pid_add, &list);
		if (r == 0)
			r = kill_listed(&list, !froze, deadline_ns);
		/* also one that was frozen before we came */
		(void)cgroup_freeze(cgroup, false, NULL);
		if (r == 0 && froze)
			r = kill_listed(&list, true, deadline_ns);
		if (r < 0 || !list.n)
			return r;
		if (clock_mono_ns() >= deadline_ns)
			return -ETIMEDOUT;
	}
}

int cgroup_kill(const struct cgroup *cgroup, struct err *err)
{
	int64_t deadline = clock_mono_ns() + CGROUP_WAIT_MS * NS_PER_MS;
	int h = cgroup_main(cgroup);

	if (h < 0)
		return err_say(err, ENOTSUP, "kill cgroup %s: no cgroup hierarchy is mounted",
			       cgroup->path);
	int fd = cgroup->fds[h];
	int r = cgroup->layout->hierarchies[h].v2 ? file_write(fd, "cgroup.kill", "1") : -ENOENT;
	if (r == 0)
		r = cgroup_event_wait(fd, "populated", 0, deadline);
	else if (r == -ENOENT || r == -EOPNOTSUPP) /* v1, or Linux before 5.14 */
		r = kill_by_hand(cgroup, fd, deadline);
	if (r == -ETIMEDOUT)
		return err_say(
			err, ETIMEDOUT,
			"kill cgroup %s: processes are still there after %d s; they wait for "
			"a device or a file system that does not answer",
			cgroup->path, CGROUP_WAIT_MS / 1000);
	return r < 0 ? err_set(err, -r, "kill cgroup %s", cgroup->path) : 0;
}
