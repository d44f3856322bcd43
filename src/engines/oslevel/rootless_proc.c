/* SPDX-License-Identifier: Apache-2.0 */
/* What a container without a cgroup is asked while it runs: by the processes of its pid namespace. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/pid_list.h"
#include "base/os/proc_stat.h"
#include "engines/oslevel/rootless.h"

#define PROC_PARENT  "strata-monitor"
#define PROC_WAIT_MS 60000
#define PROC_ROUNDS                                                                                \
	5000 /* of a freeze, a millisecond or more each: each finds what the last one's processes had begun */

/* ---- who is there ---- */

int rootless_processes(pid_t pid, pid_t **ret, size_t *ret_n, struct err *err)
{
	struct pid_list list = { 0 };
	/* A namespace of its own has no other processes than the container's, and no process leaves one. */
	int r = pid_list_of_namespace(pid, &list);

	if (r < 0) {
		free(list.pids);
		return err_set(err, -r, "list the container's processes");
	}
	*ret = list.pids;
	*ret_n = list.n;
	return 0;
}

/* ---- what they use ---- */

int rootless_stats(pid_t pid, struct guest_stats *ret, struct err *err)
{
	const uint64_t tick_ns = (uint64_t)(NS_PER_S / sysconf(_SC_CLK_TCK));
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct guest_stats stats = { 0 };
	pid_t *pids = NULL;
	size_t n = 0;
	int r = rootless_processes(pid, &pids, &n, err);

	for (size_t i = 0; i < n; i++) {
		struct proc_stat stat;
		if (proc_stat_of(pids[i], &stat) < 0)
			continue; /* gone meanwhile */
		stats.cpu_ns += stat.ticks * tick_ns;
		stats.memory_bytes += stat.resident * page;
		stats.pids += stat.threads;
	}
	free(pids);
	*ret = stats;
	return r;
}

/* ---- rest ---- */

/* How many of them were still on their way; each that is stopped begins no others. */
static int freeze_round(pid_t first, bool frozen, size_t *ret_moving)
{
	struct pid_list list = { 0 };
	int r = pid_list_of_namespace(first, &list);

	*ret_moving = 0;
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		struct proc_stat stat;
		if (proc_stat_of(list.pids[i], &stat) < 0 || stat.state == 'Z' ||
		    stat.state == 'X' || (stat.state == 'T') == frozen)
			continue;
		++*ret_moving;
		AUTO(fd_close_p) int pidfd = pidfd_of(list.pids[i]);
		if (pidfd >= 0)
			(void)pidfd_signal(pidfd, frozen ? SIGSTOP : SIGCONT); /* gone: as well */
	}
	free(list.pids);
	return r;
}

int rootless_freeze(pid_t pid, bool frozen, struct err *err)
{
	const struct timespec nap = { .tv_nsec = NS_PER_MS };
	size_t moving = 1;
	int r = 0;

	for (unsigned i = 0; r == 0 && moving && i < PROC_ROUNDS; i++) {
		r = freeze_round(pid, frozen, &moving);
		if (r == 0 && moving)
			(void)nanosleep(&nap, NULL); /* nothing tells who is not their parent */
		if (!frozen)			     /* who stops again does so by himself */
			break;
	}
	if (r == 0 && frozen && moving) {
		(void)freeze_round(pid, false, &moving); /* half frozen is worse than running */
		r = -ETIMEDOUT;
	}
	return r < 0 ? err_set(err, -r, "%s the container", frozen ? "pause" : "resume") : 0;
}

/* ---- the end ---- */

/* One that another monitor has got the same number for is that one's. */
static bool proc_is_orphan(pid_t pid)
{
	struct proc_stat stat;

	return proc_stat_of(pid, &stat) == 0 && stat.state != 'Z' && stat.state != 'X' &&
	       !proc_stat_is_child(&stat, PROC_PARENT);
}

int rootless_sweep(pid_t pid, struct err *err)
{
	struct stat ns, own;
	char path[32];
	int n;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid); /* fits */
	AUTO(fd_close_p) int pidfd = pid > 0 ? pidfd_of(pid) : -ESRCH;
	if (pidfd < 0 || stat(path, &ns) < 0 || stat("/proc/self/ns/pid", &own) < 0 ||
	    (ns.st_ino == own.st_ino && ns.st_dev == own.st_dev) || !proc_is_orphan(pid))
		return 0;		    /* gone, or its number is another's by now */
	(void)pidfd_signal(pidfd, SIGKILL); /* as its monitor's death did */
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	while ((n = poll(&ended, 1, PROC_WAIT_MS)) < 0 && errno == EINTR)
		;
	return n > 0 ? 0
		     : err_say(err, ETIMEDOUT,
			       "process %d of a dead monitor was killed and does not end: try again later",
			       (int)pid);
}
