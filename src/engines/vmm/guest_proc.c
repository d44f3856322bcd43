/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the monitor's child is asked while it runs: by its cgroup, and where its user may make none, by its process. That
 * one has a holder beside it (holder.h), which ends when it does, and nothing else.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/proc_stat.h"
#include "engines/cgroup/instance.h"
#include "engines/vmm/agent_exec.h"
#include "engines/vmm/exits_read.h"
#include "engines/vmm/guest.h"
#include "engines/vmm/vmm_agent_socket.h"

#define PROC_NAME     "strata-vmm"
#define PROC_PARENT   "strata-monitor"
#define PROC_WAIT_MS  60000
#define PROC_REST_NS  NS_PER_MS
#define PROC_CHILDREN 16 /* one is expected */

static int proc_text(int dir, const char *name, char *ret, size_t size)
{
	AUTO(fd_close_p) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : (int)fd_read_text(fd, ret, size);
}

static int proc_dir(pid_t pid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid); /* fits */
	int dir = pid > 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	return dir < 0 ? -ESRCH : dir;
}

/* The machine's directory in /proc, which is gone with it; a number that is another process's by now is no machine. */
static int proc_open(pid_t pid, struct proc_stat *ret, struct err *err)
{
	AUTO(fd_close_p) int dir = proc_dir(pid);
	int r = dir < 0 ? dir : proc_stat_read(dir, "stat", ret);

	if (r == 0 && strcmp(ret->name, PROC_NAME) != 0)
		r = -ESRCH;
	return r < 0 ? err_set(err, -r, "the virtual machine's process %d", (int)pid)
		     : fd_take(&dir);
}

/* Whether every thread rests: each goes to sleep by itself. */
static bool proc_rests(int dir)
{
	AUTO(fd_close_p) int fd = openat(dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(dir_close_p) DIR *tasks = fd < 0 ? NULL : fdopendir(fd);
	struct proc_stat stat;
	char path[300];
	bool rests = tasks != NULL;

	if (tasks)
		fd = -EBADF; /* the stream's */
	for (struct dirent *e = tasks ? readdir(tasks) : NULL; rests && e; e = readdir(tasks)) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/stat", e->d_name); /* fits */
		if (proc_stat_read(dirfd(tasks), path, &stat) == 0)
			rests = stat.state == 'T';
	}
	return rests;
}

static int proc_wait_stopped(int dir)
{
	const struct timespec nap = { .tv_nsec = PROC_REST_NS };
	struct proc_stat stat;

	for (unsigned ms = 0; ms < PROC_WAIT_MS; ms++) {
		if (proc_rests(dir))
			return 0;
		if (proc_stat_read(dir, "stat", &stat) < 0)
			return -ESRCH;
		(void)nanosleep(&nap, NULL); /* nothing tells who is not its parent */
	}
	return -ETIMEDOUT;
}

static int proc_freeze(pid_t pid, bool frozen, struct err *err)
{
	struct proc_stat stat;
	AUTO(fd_close_p) int pidfd = pidfd_of(pid);
	AUTO(fd_close_p) int dir = proc_open(pid, &stat, err);

	if (dir < 0)
		return dir;
	int r = pidfd < 0 ? pidfd : pidfd_signal(pidfd, frozen ? SIGSTOP : SIGCONT);
	if (r == 0 && frozen)
		r = proc_wait_stopped(dir);
	if (r == -ETIMEDOUT) /* half frozen is worse than running */
		(void)pidfd_signal(pidfd, SIGCONT);
	return r < 0 ? err_set(err, -r, "%s the virtual machine", frozen ? "pause" : "resume") : 0;
}

int vmm_guest_freeze(const struct spec *spec, pid_t pid, bool frozen, struct err *err)
{
	struct err ours = { 0 };
	int r = cgroup_instance_freeze(spec, pid, frozen, &ours);

	if (r == -ENOENT)
		return proc_freeze(pid, frozen, err);
	return r < 0 ? err_say(err, -r, "%s", ours.text) : 0;
}

static int proc_stats(pid_t pid, struct guest_stats *ret, struct err *err)
{
	const uint64_t tick_ns = (uint64_t)(NS_PER_S / sysconf(_SC_CLK_TCK));
	struct proc_stat stat;
	AUTO(fd_close_p) int dir = proc_open(pid, &stat, err);

	if (dir < 0)
		return dir;
	*ret = (struct guest_stats){
		.cpu_ns = stat.ticks * tick_ns,
		.memory_bytes = stat.resident * (uint64_t)sysconf(_SC_PAGESIZE),
		.pids = stat.threads,
	};
	return 0;
}

int vmm_guest_stats(const struct spec *spec, const char *run_dir, pid_t pid, bool paused,
		    struct stats_session *session, struct guest_stats *ret, struct err *err)
{
	struct err ours = { 0 };
	int r = cgroup_instance_stats(spec, ret, &ours);

	(void)session; /* each has an agent of its own */
	if (r == -ENOENT)
		r = proc_stats(pid, ret, err);
	else if (r < 0)
		return err_say(err, -r, "%s", ours.text);
	if (r < 0)
		return r;
	ret->memory_limit_bytes = spec->vm.memory_bytes;
	/* Before the agent is, which takes exits. One that is just starting has none yet. */
	(void)vmm_exits_read(run_dir, !paused, &ret->exits, &ret->exits_counted, NULL);
	if (!spec->vm.agent || paused)
		return 0;
	AUTO(fd_close_p) int fd = vmm_agent_connect(run_dir, NULL);
	if (fd >= 0 && agent_stats(fd, ret, NULL) == 0)
		ret->pids_limit = spec->limits.pids > 0 ? (uint64_t)spec->limits.pids : 0;
	return 0;
}

/* Its own, and its first thread's children: "12 13 ". */
static int proc_list(pid_t pid, pid_t **ret, size_t *ret_n, struct err *err)
{
	struct proc_stat stat;
	AUTO(fd_close_p) int dir = proc_open(pid, &stat, err);
	char path[64], text[256] = "";
	size_t n = 0;

	if (dir < 0)
		return dir;
	pid_t *pids = calloc(PROC_CHILDREN + 1, sizeof(*pids));
	if (!pids)
		return err_set(err, ENOMEM, "list processes");
	pids[n++] = pid;
	(void)snprintf(path, sizeof(path), "task/%d/children", (int)pid); /* fits */
	(void)proc_text(dir, path, text, sizeof(text)); /* not every kernel has that file */
	char *at = text, *end;
	for (long child = strtol(at, &end, 10); end != at && n <= PROC_CHILDREN;
	     child = strtol(at, &end, 10)) {
		pids[n++] = (pid_t)child;
		at = end;
	}
	*ret = pids;
	*ret_n = n;
	return 0;
}

int vmm_guest_processes(const struct spec *spec, pid_t pid, pid_t **ret, size_t *ret_n,
			struct err *err)
{
	struct err ours = { 0 };
	int r = cgroup_instance_processes(spec, pid, ret, ret_n, &ours);

	if (r == -ENOENT)
		return proc_list(pid, ret, ret_n, err);
	return r < 0 ? err_say(err, -r, "%s", ours.text) : 0;
}

int vmm_guest_sweep(const char *id, const char *cgroup_parent, pid_t pid, struct err *err)
{
	int r = cgroup_instance_sweep(id, cgroup_parent, pid, err);
	struct proc_stat stat;

	/* It dies with its monitor, but holds its disks until it is dead. */
	AUTO(fd_close_p) int pidfd = r < 0 || pid <= 0 ? -ESRCH : pidfd_of(pid);
	AUTO(fd_close_p) int dir = pidfd < 0 ? pidfd : proc_open(pid, &stat, NULL);
	/* One that another monitor has got the same number for is that one's. */
	if (dir < 0 || proc_stat_is_child(&stat, PROC_PARENT))
		return r;
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	do {
		r = poll(&ended, 1, PROC_WAIT_MS);
	} while (r < 0 && errno == EINTR);
	return r == 0 ? err_say(err, ETIMEDOUT,
				"process %d of a dead monitor was killed and does not end: it holds "
				"the machine's disks, try again later",
				(int)pid)
		      : 0;
}
