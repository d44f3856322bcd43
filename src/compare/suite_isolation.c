/* SPDX-License-Identifier: Apache-2.0 */
/* What stands between the workload and the host. Facts, taken once: from inside, and of the host's processes that run the instance. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/file.h"
#include "compare/column.h"
#include "compare/filter.h"
#include "compare/suite.h"
#include "compare/suite_parse.h"

#define ISOLATION_TIMEOUT_S 120
#define BOOT_ID		    "/proc/sys/kernel/random/boot_id"
#define KERNEL		    "the kernel's own record"

static int said(struct column *column, const char *const *argv, char **ret, struct err *err)
{
	struct outcome outcome = { 0 };
	int r = column_inside(column, argv, ISOLATION_TIMEOUT_S, &outcome, err);

	if (r < 0)
		return r;
	r = outcome_check(&outcome, ISOLATION_TIMEOUT_S, err);
	if (r == 0)
		*ret = TAKE(outcome.out);
	outcome_fini(&outcome);
	return r;
}

/* A boot has one identifier, and each kernel its boot. */
static int isolation_kernel(struct column *column, double *ret, json_t **ret_detail,
			    struct err *err)
{
	static const char *const argv[] = { "cat", BOOT_ID, NULL };
	AUTO(buf_fini) struct buf ours = { 0 };
	char *theirs = NULL;
	int r = file_read(AT_FDCWD, BOOT_ID, 64, &ours);

	(void)ret_detail;
	if (r < 0)
		return err_set(err, -r, "read " BOOT_ID);
	r = said(column, argv, &theirs, err);
	if (r < 0)
		return r;
	*ret = strcmp(theirs, buf_str(&ours)) != 0;
	free(theirs);
	return 0;
}

static int isolation_capabilities(struct column *column, double *ret, json_t **ret_detail,
				  struct err *err)
{
	/* In an instance of its own: the session has CAP_SYS_NICE besides, for cyclictest. */
	static const char *const argv[] = { "cat", "/proc/self/status", NULL };
	struct outcome outcome = { 0 };
	int r = column->ops->run(column, argv, ISOLATION_TIMEOUT_S, &outcome, err);

	(void)ret_detail;
	if (r < 0)
		return r;
	r = outcome_check(&outcome, ISOLATION_TIMEOUT_S, err);
	if (r == 0 && parse_capabilities(outcome.out, outcome.out_n, ret) < 0)
		r = err_say(err, ENODATA, "/proc/self/status has no CapEff");
	outcome_fini(&outcome);
	return r;
}

struct processes {
	pid_t *list;
	size_t n;
};

static void processes_fini(struct processes *processes)
{
	free(processes->list);
}

/*
 * Programs that look after an instance from outside, and that nothing in it talks to but through what runs it. By their names: the
 * monitor has left its own file's file system behind.
 */
static bool is_keeper(pid_t pid)
{
	static const char *const keepers[] = { "strata-monitor\n", "strata\n", "conmon\n",
					       "crun\n" };
	AUTO(buf_fini) struct buf name = { 0 };
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid); /* fits */
	if (file_read(AT_FDCWD, path, 64, &name) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(keepers); i++) {
		if (!strcmp(buf_str(&name), keepers[i]))
			return true;
	}
	return false;
}

static int processes_of(struct column *column, struct processes *ret, struct err *err)
{
	struct processes all = { 0 };

	if (!column->ops->processes)
		return err_say(err, ENOTSUP, "its processes on the host are not known");
	int r = column_session(column, err);
	r = r < 0 ? r : column->ops->processes(column, &all.list, &all.n, err);
	if (r < 0)
		return r;
	*ret = all;
	return 0;
}

/* Those in which the guest's instructions run, or which serve them. */
static int runners_of(struct column *column, struct processes *ret, struct err *err)
{
	int r = processes_of(column, ret, err);
	size_t n = 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < ret->n; i++) {
		if (!is_keeper(ret->list[i]))
			ret->list[n++] = ret->list[i];
	}
	ret->n = n;
	return n ? 0 : err_say(err, ESRCH, "it has no process on the host");
}

static int isolation_syscalls(struct column *column, double *ret, json_t **ret_detail,
			      struct err *err)
{
	AUTO(processes_fini) struct processes runners = { 0 };
	unsigned calls = 0;
	int r = runners_of(column, &runners, err);

	(void)ret_detail;
	r = r < 0 ? r : filter_calls(runners.list, runners.n, &calls, err);
	if (r == 0)
		*ret = calls;
	return r;
}

static int status_read(pid_t pid, struct buf *ret)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid); /* fits */
	return file_read(AT_FDCWD, path, 65536, ret);
}

static int isolation_filters(struct column *column, double *ret, json_t **ret_detail,
			     struct err *err)
{
	AUTO(processes_fini) struct processes runners = { 0 };
	int r = runners_of(column, &runners, err);
	double least = -1;

	(void)ret_detail;
	for (size_t i = 0; r == 0 && i < runners.n; i++) {
		AUTO(buf_fini) struct buf text = { 0 };
		double n = 0;
		if (status_read(runners.list[i], &text) == 0 &&
		    parse_filters(buf_str(&text), text.len, &n) == 0)
			least = least < 0 || n < least ? n : least;
	}
	if (r == 0 && least < 0)
		r = err_say(err, ENODATA, "/proc/PID/status has no Seccomp_filters");
	if (r == 0)
		*ret = least;
	return r;
}

static int isolation_root(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	AUTO(processes_fini) struct processes all = { 0 };
	int r = processes_of(column, &all, err);
	unsigned n = 0;

	(void)ret_detail;
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		AUTO(buf_fini) struct buf text = { 0 };
		if (status_read(all.list[i], &text) < 0)
			continue;
		/* real and effective: "Uid:\t0\t0\t..." */
		const char *uid = strstr(buf_str(&text), "\nUid:\t");
		if (!uid)
			continue;
		uid += 6;
		const char *effective = strchr(uid, '\t');
		n += !strncmp(uid, "0\t", 2) || (effective && !strncmp(effective + 1, "0\t", 2));
	}
	if (r == 0)
		*ret = n;
	return r;
}

const struct metric metric_isolation_kernel = {
	.id = "isolation.kernel",
	.title = "a kernel of its own (1), or the host's (0)",
	.unit = "",
	.source = "boot_id, inside and on the host",
	.better = BETTER_NEITHER,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.once = true,
	.measure = isolation_kernel,
};

const struct metric metric_isolation_syscalls = {
	.id = "isolation.syscalls",
	.title = "the host's system calls within reach of what runs the guest, of 366",
	.unit = "calls",
	.source = "seccomp filters of its processes, read back and evaluated",
	.better = BETTER_LOW,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.once = true,
	.measure = isolation_syscalls,
};

const struct metric metric_isolation_filters = {
	.id = "isolation.filters",
	.title = "seccomp filters on what runs the guest",
	.unit = "filters",
	.source = KERNEL ", /proc/PID/status",
	.better = BETTER_NEITHER,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.once = true,
	.measure = isolation_filters,
};

const struct metric metric_isolation_root = {
	.id = "isolation.root",
	.title = "processes of it that are root on the host",
	.unit = "processes",
	.source = KERNEL ", /proc/PID/status",
	.better = BETTER_LOW,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.once = true,
	.measure = isolation_root,
};

const struct metric metric_isolation_capabilities = {
	.id = "isolation.capabilities",
	.title = "capabilities of the workload's root, over the kernel it sees",
	.unit = "capabilities",
	.source = KERNEL ", /proc/self/status",
	.better = BETTER_NEITHER,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.once = true,
	.measure = isolation_capabilities,
};
