/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/os/clock.h"
#include "base/os/file.h"
#include "engines/cgroup/private.h"

#define PF_KTHREAD 0x00200000 /* proc(5), stat, flags: linux/sched.h */
#define REST_MS	   50	      /* between two looks at a group that does not say that it is frozen */

/* Whether its state begins so: THAWED, FREEZING, FROZEN (freezer-subsystem.rst). */
static int v1_says(int fd, const char *state)
{
	char text[32];
	int r = cgroup_read(fd, "freezer.state", text, sizeof(text));

	return r < 0 ? r : !strncmp(text, state, strlen(state));
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
		r = v1_says(fd, "FROZEN");
		if (r < 0 || !!r == frozen)
			return r < 0 ? r : 0;
		if (clock_mono_ns() >= deadline)
			return -ETIMEDOUT;
		struct timespec nap = { .tv_nsec = nap_ns };
		(void)nanosleep(&nap, NULL); /* woken early: one try more */
		nap_ns = nap_ns < 16 * NS_PER_MS ? nap_ns * 2 : nap_ns;
	}
}

/* -EBUSY: a thread that is not in the freezer. */
static int thread_rests(pid_t tid, void *arg)
{
	bool *kernel = arg;
	char path[64], text[512], state;
	unsigned flags;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid); /* fits */
	if (cgroup_read(AT_FDCWD, path, text, sizeof(text)) < 0)
		return 0;			/* gone */
	const char *after = strrchr(text, ')'); /* a name may hold anything */
	if (!after || sscanf(after, ") %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
		return -EBUSY;
	if (flags & PF_KTHREAD) {
		*kernel = true;
		return 0;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/wchan", (int)tid);
	if (state != 'S' || cgroup_read(AT_FDCWD, path, text, sizeof(text)) < 0)
		return -EBUSY;
	return strcmp(text, "do_freezer_trap") && strcmp(text, "get_signal") ? -EBUSY : 0;
}

/*
 * Before Linux 6.13, KVM puts a kernel thread ("kvm-nx-lpage-recovery") into the group of whoever makes a VM. It never
 * freezes, so that the group never says that it is frozen: then its other threads are asked.
 */
static bool v2_rests(int fd)
{
	bool kernel = false;

	return cgroup_walk(fd, "cgroup.threads", thread_rests, &kernel) == 0 && kernel;
}

static int v2_freeze(int fd, bool frozen)
{
	int64_t deadline = clock_mono_ns() + CGROUP_WAIT_MS * NS_PER_MS;

	int r = file_write(fd, "cgroup.freeze", frozen ? "1" : "0");
	if (r < 0)
		return r == -ENOENT ? -ENOTSUP : r; /* Linux before 5.2 */
	if (!frozen)
		return cgroup_event_wait(fd, "frozen", 0, deadline);
	for (;;) {
		r = cgroup_event_wait(fd, "frozen", 1, clock_mono_ns() + REST_MS * NS_PER_MS);
		if (r != -ETIMEDOUT)
			return r;
		if (v2_rests(fd))
			return 0;
		if (clock_mono_ns() >= deadline)
			return r;
	}
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

/*
 * What was asked of it counts: one whose process is on its way in, or does not come to rest, is not said to be frozen for that moment,
 * and yet nothing goes on there. What was asked of a group above shows in the events.
 */
static int v2_is_to_freeze(int fd)
{
	char text[256];
	uint64_t frozen;

	if (cgroup_read(fd, "cgroup.freeze", text, sizeof(text)) > 0 && text[0] == '1')
		return 1;
	return cgroup_read(fd, "cgroup.events", text, sizeof(text)) >= 0 &&
			       cgroup_field(text, "frozen", &frozen)
		       ? frozen != 0
		       : -ENOTSUP;
}

int cgroup_is_frozen(const struct cgroup *cgroup)
{
	const int v1 = v1_freezer_fd(cgroup);
	int r = cgroup_v2_fd(cgroup) < 0 ? -ENOTSUP : v2_is_to_freeze(cgroup_v2_fd(cgroup));

	return r >= 0 || v1 < 0 ? r : v1_says(v1, "FR"); /* it is, or is to be */
}
