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
#include "engines/cgroup/private.h"

#define KILL_BATCH 64 /* pidfds held at once */

struct pid_list {
	pid_t *pids;
	size_t n, cap;
};

static int pid_add(pid_t pid, void *arg)
{
	struct pid_list *list = arg;

	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 16;
		pid_t *pids = reallocarray(list->pids, cap, sizeof(*pids));
		if (!pids)
			return -ENOMEM;
		list->pids = pids;
		list->cap = cap;
	}
	list->pids[list->n++] = pid;
	return 0;
}

static void pid_list_fini(struct pid_list *list)
{
	free(list->pids);
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

static int v1_is_frozen(int fd)
{
	char state[32];

	int r = cgroup_read(fd, "freezer.state", state, sizeof(state));
	if (r < 0)
		return r;
	return !strncmp(state, "FROZEN", 6);
}

/* v1 tells nobody when it is done, and asks to write again when a fork got away: freezer-subsystem.rst. */
static int v1_freeze(int fd, bool frozen)
{
	int64_t deadline = clock_mono_ns() + CGROUP_WAIT_MS * NS_PER_MS;
	int64_t nap_ns = NS_PER_MS / 10;

	for (;;) {
		int r = file_write(fd, "freezer.state", frozen ? "FROZEN" : "THAWED");
		if (r < 0)
			return r;
		r = v1_is_frozen(fd);
		if (r < 0 || !!r == frozen)
			return r < 0 ? r : 0;
		if (clock_mono_ns() >= deadline)
			return -ETIMEDOUT;
		struct timespec nap = { .tv_nsec = nap_ns };
		(void)nanosleep(&nap, NULL); /* woken early: one try more */
		nap_ns = nap_ns < 16 * NS_PER_MS ? nap_ns * 2 : nap_ns;
	}
}

static int v2_freeze(int fd, bool frozen)
{
	int64_t deadline = clock_mono_ns() + CGROUP_WAIT_MS * NS_PER_MS;

	int r = file_write(fd, "cgroup.freeze", frozen ? "1" : "0");
	if (r < 0)
		return r == -ENOENT ? -ENOTSUP : r; /* Linux before 5.2 */
	return cgroup_event_wait(fd, "frozen", frozen, deadline);
}

/* The v1 freezer of this group, where it is in use: else -EBADF. */
static int v1_freezer_fd(const struct cgroup *cgroup)
{
	int h = cgroup_find(cgroup->layout, CGROUP_FREEZER);

	return h < 0 || cgroup->layout->hierarchies[h].v2 ? -EBADF : cgroup->fds[h];
}

int cgroup_freeze(const struct cgroup *cgroup, bool frozen, struct err *err)
{
	const char *what = frozen ? "freeze" : "thaw";
	int fd = cgroup_v2_fd(cgroup);
	int r = -ENOTSUP;

	if (fd >= 0)
		r = v2_freeze(fd, frozen);
	if (r == -ENOTSUP && v1_freezer_fd(cgroup) >= 0)
		r = v1_freeze(v1_freezer_fd(cgroup), frozen);
	if (r == 0)
		return 0;
	if (r == -ENOTSUP)
		return err_say(err, ENOTSUP,
			       "%s cgroup %s: neither cgroup v2 (Linux 5.2 or later) nor the v1 "
			       "freezer is mounted",
			       what, cgroup->path);
	if (frozen) /* half frozen is worse than running */
		(void)cgroup_freeze(cgroup, false, NULL);
	return err_set(err, -r, "%s cgroup %s", what, cgroup->path);
}

int cgroup_is_frozen(const struct cgroup *cgroup)
{
	char text[256];
	uint64_t frozen;

	if (cgroup_v2_fd(cgroup) >= 0 &&
	    cgroup_read(cgroup_v2_fd(cgroup), "cgroup.events", text, sizeof(text)) >= 0 &&
	    cgroup_field(text, "frozen", &frozen))
		return frozen != 0;
	return v1_freezer_fd(cgroup) >= 0 ? v1_is_frozen(v1_freezer_fd(cgroup)) : -ENOTSUP;
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
