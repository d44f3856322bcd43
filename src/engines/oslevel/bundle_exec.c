/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/cgroup/instance.h"
#include "engines/oslevel/bundle_private.h"

struct exec_work {
	const struct bundle *bundle;
	const struct bundle_host *host;
	int pidfd, sync;
	int joins[CGROUP_HIERARCHIES];
	unsigned n_joins;
	int procs; /* v2's, where the clone was not into it */
};

static int exec_flags(const struct bundle *bundle)
{
	uint64_t flags = 0;

	for (size_t i = 0; i < bundle->n_namespaces; i++)
		flags |= bundle->namespaces[i].flag;
	return (int)(flags & ~(uint64_t)(CLONE_NEWPID | CLONE_NEWTIME));
}

static int exec_setup(const struct exec_work *work, struct process *process, int *slave,
		      int *status, struct err *err)
{
	const struct bundle *bundle = work->bundle;

	const struct tune *tune = &bundle->process.tune;

	int r = tune->set_initial
			? tune_cpus(&tune->initial, "process.execCPUAffinity.initial", err)
			: 0;
	if (r < 0)
		return r;
	r = cgroup_join(work->joins, work->n_joins);
	if (r == 0 && work->procs >= 0 && write(work->procs, "0", 1) < 0)
		r = -errno;
	if (r < 0)
		return err_set(err, -r, "join the container's cgroups");
	if (tune->set_final) {
		r = tune_cpus(&tune->final, "process.execCPUAffinity.final", err);
		if (r < 0)
			return r;
	}
	if (setns(work->pidfd, exec_flags(bundle)) < 0)
		return err_set(err, errno, "enter the container's namespaces");
	if (bundle_namespace_of(bundle, CLONE_NEWUSER)) {
		r = caps_apply_root(err);
		if (r < 0)
			return r;
	}
	if (chdir("/") < 0)
		return err_set(err, errno, "enter the container's root");
	if (bundle->process.tty)
		r = bundle_console(bundle, work->host, false, slave, err);
	if (r == 0)
		r = bundle_process_of(bundle, work->host, work->sync, process, err);
	if (r == 0)
		r = process_limits(process, status, err);
	return r < 0 ? r : bundle_find(process, status, err);
}

static _Noreturn void exec_child(const struct exec_work *work)
{
	struct process process = { 0 };
	const struct bundle_process *as = &work->bundle->process;
	struct label label;
	struct err err = { 0 };
	int status = 125, slave = -EBADF;

	int r = label_open(as->apparmor, as->selinux, &label, &err);
	if (r == 0)
		r = exec_setup(work, &process, &slave, &status, &err);
	if (r == 0)
		r = bundle_streams(work->host, slave, &err);
	if (r == 0)
		(void)bundle_become(work->bundle, &process, &label, &status, &err);
	sync_send_error(work->sync, status, &err);
	_exit(status);
}

/* Its number counts in the container's namespace: the fork is made from there, and we come back. */
static long exec_fork(struct exec_work *work, struct cgroup *cgroup, int ours, struct err *err)
{
	static const struct {
		int flag;
		const char *own;
	} kinds[] = { { CLONE_NEWPID, "/proc/self/ns/pid" },
		      { CLONE_NEWTIME, "/proc/self/ns/time" } };
	struct clone_args args = { .exit_signal = SIGCHLD };
	int back[ARRAY_SIZE(kinds)] = { -EBADF, -EBADF };
	bool into;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++) {
		if (!bundle_namespace_of(work->bundle, (unsigned)kinds[i].flag))
			continue;
		back[i] = open(kinds[i].own, O_RDONLY | O_CLOEXEC);
		if (back[i] < 0 || setns(work->pidfd, kinds[i].flag) < 0)
			r = err_set(err, errno, "enter the container's namespaces");
	}
	int v2 = cgroup_v2_fd(cgroup);
	work->procs = v2 < 0 ? -EBADF : openat(v2, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	long pid = r < 0 ? r : cgroup_clone_into(&args, v2, &into);
	if (pid == 0) {
		fd_close(ours);
		if (into)
			fd_close_p(&work->procs);
		exec_child(work);
	}
	if (pid < 0 && r == 0)
		pid = err_set(err, errno, "start a process in the container");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (back[i] >= 0)
			(void)setns(back[i],
				    kinds[i].flag); /* only our next children would notice */
		fd_close(back[i]);
	}
	fd_close_p(&work->procs);
	return pid;
}

static int exec_wait(pid_t pid, int ours, const struct bundle_notify *notify, int *ret_status,
		     struct err *err)
{
	int r = bundle_listener(ours, pid, notify, err);

	/* The end of file is execve(2)'s: it closed the child's end. */
	if (r == 0)
		r = sync_expect(ours, SYNC_ERROR, NULL, ret_status, err);
	else
		(void)kill(pid, SIGKILL); /* ours: there until waited for */
	while (r < 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r < 0 ? r : 0;
}

/* One that its user could not have is none to join. */
static int exec_cgroup(const struct cgroup_layout *layout, const char *path, bool confined,
		       struct cgroup *ret, struct err *err)
{
	int r = cgroup_open(layout, path, ret, err);

	if (r != -ENOENT || !confined)
		return r;
	*ret = (struct cgroup){ .layout = layout };
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		ret->fds[i] = -EBADF;
	return 0;
}

int bundle_exec(const struct bundle *bundle, const struct bundle_host *host, pid_t pid,
		pid_t *ret_pid, int *ret_status, struct err *err)
{
	struct exec_work work = { .bundle = bundle, .host = host, .procs = -EBADF };
	struct cgroup_layout layout;
	AUTO(cgroup_close) struct cgroup cgroup = { .layout = NULL };
	int pair[2];

	*ret_status = 125;
	int r = label_check(bundle->process.apparmor, bundle->process.selinux, NULL, err);
	if (r == 0)
		r = bundle_layout(&layout, err);
	if (r == 0)
		r = exec_cgroup(&layout, bundle->cgroup, host->confined, &cgroup, err);
	if (r == 0)
		r = cgroup_joins_open(&cgroup, work.joins, &work.n_joins, err);
	if (r < 0)
		return r;
	AUTO(fd_close_p) int pidfd = pidfd_of(pid);
	if (pidfd < 0)
		return err_set(err, -pidfd, "open the container's first process");
	/* Until its execve(2) nobody inside may look at the child through /proc (CVE-2019-5736). */
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "socket pair");
	work.pidfd = pidfd;
	work.sync = pair[1];
	long child = exec_fork(&work, &cgroup, pair[0], err);
	fd_close(pair[1]);
	for (unsigned i = 0; i < work.n_joins; i++)
		fd_close(work.joins[i]);
	r = child < 0 ? (int)child
		      : exec_wait((pid_t)child, pair[0], &host->notify, ret_status, err);
	fd_close(pair[0]);
	if (r == 0)
		*ret_pid = (pid_t)child;
	return r;
}
