/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What control groups cost a start here: each step in each mounted hierarchy alone, and what Strata does in all.
 * Medians of 50, in microseconds. docs/cgroups.md says what follows from them. Needs root; leaves nothing behind.
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/cgroup/cgroup.h"

#define ROUNDS 50

enum step { CREATE, FORK, ATTACH, DESTROY, STEPS };
enum way { BY_SELF, BY_PID, BY_CLONE };

struct series {
	double us[STEPS][ROUNDS];
};

static double us_since(int64_t start)
{
	return (double)(clock_mono_ns() - start) / 1000;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double us[ROUNDS])
{
	qsort(us, ROUNDS, sizeof(us[0]), compare);
	return us[ROUNDS / 2];
}

/* The child moves itself where it should, says how long that took, and waits to be killed. */
static pid_t start_child(const struct cgroup *group, enum way way, int report)
{
	struct clone_args args = { .exit_signal = SIGCHLD };

	if (way == BY_CLONE) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (unsigned)cgroup_v2_fd(group);
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid)
		return pid;
	int64_t start = clock_mono_ns();
	int r = way == BY_PID ? 0 : cgroup_attach(group, 0, way == BY_CLONE, NULL);
	double us = r < 0 ? -1 : us_since(start);
	if (fd_write_all(report, &us, sizeof(us)) < 0)
		_exit(1);
	for (;;)
		(void)pause(); /* until SIGKILL */
}

static int one_round(const struct cgroup_layout *layout, bool all_devices, enum way way,
		     struct series *series, int round, struct err *err)
{
	static const struct spec_limits none;
	AUTO(cgroup_close) struct cgroup group = { 0 };
	char path[64];
	int report[2];

	(void)snprintf(path, sizeof(path), "strata-bench-%d", (int)getpid()); /* fits */
	if (pipe2(report, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe");
	int64_t start = clock_mono_ns();
	int r = cgroup_create(layout, path, &none, NULL, 0, all_devices, &group, err);
	if (r < 0)
		return r;
	series->us[CREATE][round] = us_since(start);
	start = clock_mono_ns();
	pid_t pid = start_child(&group, way, report[1]);
	series->us[FORK][round] = us_since(start);
	double us = -1;
	if (pid < 0 || read(report[0], &us, sizeof(us)) != sizeof(us) || us < 0)
		r = err_say(err, EIO, "the child could not enter its cgroup");
	start = clock_mono_ns();
	if (r == 0 && way == BY_PID) {
		r = cgroup_attach(&group, pid, false, err);
		us = us_since(start);
	}
	series->us[ATTACH][round] = us;
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	fd_close(report[0]);
	fd_close(report[1]);
	start = clock_mono_ns();
	int d = cgroup_destroy(layout, path, r < 0 ? NULL : err);
	series->us[DESTROY][round] = us_since(start);
	return r < 0 ? r : d;
}

static int measure(const char *name, const struct cgroup_layout *layout, bool all_devices,
		   enum way way)
{
	struct series *series = calloc(1, sizeof(*series));
	struct err err = { 0 };
	int r = series ? 0 : err_set(&err, ENOMEM, "measure");

	for (int i = 0; i < ROUNDS && r == 0; i++)
		r = one_round(layout, all_devices, way, series, i, &err);
	if (r < 0)
		(void)printf("%-34s %s\n", name, err.text);
	else
		(void)printf("%-34s %8.0f %8.0f %8.0f %8.0f\n", name, median(series->us[CREATE]),
			     median(series->us[FORK]), median(series->us[ATTACH]),
			     median(series->us[DESTROY]));
	free(series);
	return r;
}

/* A layout of one hierarchy, as if nothing else were mounted. */
static struct cgroup_layout only(const struct cgroup_layout *all, unsigned i)
{
	struct cgroup_layout one = { .n = 1, .v2 = all->hierarchies[i].v2 ? 0 : -1 };

	one.hierarchies[0] = all->hierarchies[i];
	one.hierarchies[0].used = true;
	return one;
}

int main(void)
{
	struct cgroup_layout layout;
	struct err err = { 0 };

	if (cgroup_layout_read(NULL, &layout, &err) < 0) {
		(void)fprintf(stderr, "error: %s\n", err.text);
		return 1;
	}
	(void)printf("%-34s %8s %8s %8s %8s\n", "microseconds", "create", "fork", "attach",
		     "destroy");
	int r = 0;
	for (unsigned i = 0; i < layout.n; i++) {
		struct cgroup_layout one = only(&layout, i);
		const char *name = layout.hierarchies[i].v2 ? "v2" : layout.hierarchies[i].options;
		bool rules = !strcmp(name, "devices");
		r |= measure(rules ? "devices, with rules" : name, &one, !rules, BY_SELF);
		if (one.v2 == 0)
			r |= measure("v2, device rules by BPF", &one, false, BY_SELF);
	}
	r |= measure("Strata, the child moves itself", &layout, false, BY_SELF);
	r |= measure("Strata, moved by pid", &layout, false, BY_PID);
	if (layout.v2 >= 0)
		r |= measure("Strata, CLONE_INTO_CGROUP", &layout, false, BY_CLONE);
	for (unsigned i = 0; i < layout.n; i++)
		layout.hierarchies[i].used = true;
	r |= measure("all hierarchies, as others do", &layout, false, BY_PID);
	return r < 0;
}
