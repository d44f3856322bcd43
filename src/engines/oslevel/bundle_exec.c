/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/wait.h"
#include "engines/cgroup/instance.h"
#include "engines/oslevel/bundle_private.h"
#include "engines/oslevel/namespace.h"

struct exec_work {
	const struct bundle *bundle;
	const struct bundle_host *host;
	int pidfd, sync;
	int joins[CGROUP_HIERARCHIES];
	unsigned n_joins;
	int procs; /* v2's, where the clone was not into it */
	int proc;  /* the host's, for a label's sake; else -EBADF */
	int root;  /* of a container without mounts of its own, else -EBADF */
	int flags; /* what the child enters by itself */
};

/* A user namespace that is ours already cannot be entered; mounts that it shares need not be ours. */
static int exec_flags(const struct bundle *bundle, pid_t pid)
{
	uint64_t flags = CLONE_NEWNS;

	for (size_t i = 0; i < bundle->n_namespaces; i++)
		flags |= bundle->namespaces[i].flag;
	if (namespace_is_shared(pid, CLONE_NEWUSER))
		flags &= ~(uint64_t)CLONE_NEWUSER;
	return (int)(flags & ~(uint64_t)(CLONE_NEWPID | CLONE_NEWTIME));
}

/* Its root is no mount namespace's but a chroot(2): that of its first process, which the pidfd says is still the same. */
static int exec_root(const struct bundle *bundle, pid_t pid, int pidfd, int *ret, struct err *err)
{
	char path[40];

	*ret = -EBADF;
	if (bundle_namespace_is_new(bundle, CLONE_NEWNS))
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)pid); /* fits */
	AUTO(fd_close_p) int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "open the container's root");
	int r = pidfd_signal(pidfd, 0);
	if (r < 0)
		return err_set(err, -r, "open the container's root");
	*ret = fd_take(&fd);
	return 0;
}

static int exec_enter(const struct exec_work *work, struct err *err)
{
	/* In a user namespace whose owner forbade it they could not be given up any more. Who may not here keeps them. */
	if (work->flags & CLONE_NEWUSER)
		(void)setgroups(0, NULL);
	if (work->flags && setns(work->pidfd, work->flags) < 0)
		return err_set(err, errno, "enter the container's namespaces");
	if (work->flags & CLONE_NEWUSER) {
		int r = caps_apply_root(err);
		if (r < 0)
			return r;
	}
	if (work->root >= 0 && (fchdir(work->root) < 0 || chroot(".") < 0))
		return err_set(err, errno, "enter the container's root");
	return chdir("/") < 0 ? err_set(err, errno, "enter the container's root") : 0;
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
	r = exec_enter(work, err);
	if (r == 0 && bundle->process.tty)
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

	int r = label_open(work->proc, as->apparmor, as->selinux, &label, &err);
	if (r == 0)
		r = exec_setup(work, &process, &slave, &status, &err);
	if (r == 0)
		r = bundle_streams(work->host, slave, &err);
	if (r == 0)
		(void)bundle_become(work->bundle, &process, &label, &status, &err);
	sync_send_error(work->sync, status, &err);
	_exit(status);
}

/*
 * Whoever is born into a pid namespace can be looked at from inside at once: /proc/PID/mountinfo and /proc/PID/net take no rights at
 * all, /proc/PID/root CAP_SYS_PTRACE. So the child is born where it is going, but for its users and its view of the cgroups, into which
 * it is born from outside. The mounts are last: /proc is the host's until then.
 */
static const int exec_kinds[] = { CLONE_NEWNET, CLONE_NEWIPC,  CLONE_NEWUTS,
				  CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWNS };

/* Our own namespaces, root and working directory, while we are in the container's. */
struct exec_away {
	int back[ARRAY_SIZE(exec_kinds)];
	int root, cwd;
};

static bool exec_wants(const struct exec_work *work, int kind)
{
	return kind == CLONE_NEWPID || kind == CLONE_NEWTIME
		       ? bundle_namespace_of(work->bundle, (unsigned)kind) != NULL
		       : (work->flags & kind) != 0;
}

/* What only the owner of the container's user namespace may enter is left to the child, who will be that. */
static int exec_leave(struct exec_work *work, struct exec_away *away, struct err *err)
{
	away->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	away->cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (away->root < 0 || away->cwd < 0)
		return err_set(err, errno, "open our own working directory");
	for (size_t i = 0; i < ARRAY_SIZE(exec_kinds); i++) {
		const int kind = exec_kinds[i];
		if (!exec_wants(work, kind))
			continue;
		AUTO(fd_close_p) int back = namespace_own((unsigned)kind, err);
		if (back < 0)
			return back;
		if (setns(work->pidfd, kind) == 0) {
			away->back[i] = fd_take(&back);
			work->flags &= ~kind;
		} else if (errno != EPERM || !(work->flags & kind) ||
			   !(work->flags & CLONE_NEWUSER)) {
			return err_set(err, errno, "enter the container's namespaces");
		}
	}
	return 0;
}

/* From where we may not return to only our next children would notice; but paths must be the host's again. */
static int exec_return(struct exec_away *away, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(exec_kinds); i++) {
		if (away->back[i] < 0)
			continue;
		const bool is_back = setns(away->back[i], exec_kinds[i]) == 0;
		if (exec_kinds[i] == CLONE_NEWNS && (!is_back || fchdir(away->root) < 0 ||
						     chroot(".") < 0 || fchdir(away->cwd) < 0))
			r = err_set(err, errno, "return from the container's mount namespace");
		fd_close(away->back[i]);
	}
	fd_close(away->root);
	fd_close(away->cwd);
	return r;
}

static long exec_clone(struct exec_work *work, int v2, int ours, struct err *err)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	bool into;

	long pid = cgroup_clone_into(&args, v2, &into);
	if (pid == 0) {
		fd_close(ours);
		if (into)
			fd_close_p(&work->procs);
		exec_child(work);
	}
	return pid < 0 ? err_set(err, errno, "start a process in the container") : pid;
}

static long exec_fork(struct exec_work *work, struct cgroup *cgroup, int ours, struct err *err)
{
	struct exec_away away = { .root = -EBADF, .cwd = -EBADF };
	const int v2 = cgroup_v2_fd(cgroup);

	for (size_t i = 0; i < ARRAY_SIZE(exec_kinds); i++)
		away.back[i] = -EBADF;
	work->procs = v2 < 0 ? -EBADF : openat(v2, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	long pid = exec_leave(work, &away, err);
	if (pid == 0)
		pid = exec_clone(work, v2, ours, err);
	int r = exec_return(&away, pid < 0 ? NULL : err);
	if (r < 0 && pid > 0) {
		(void)kill((pid_t)pid, SIGKILL); /* ours: there until waited for */
		(void)wait_child((pid_t)pid);
		pid = r;
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

/* "cpu" is one of "cpu,cpuacct". */
static bool sub_group_is_of(const struct cgroup_hierarchy *h, const char *controllers, size_t len)
{
	for (size_t at = 0; at < len;) {
		const size_t n = strcspn(controllers + at, ",:");
		const char *all = h->v2 ? "" : h->options;
		for (const char *p = all; *p; p += strcspn(p, ","), p += *p == ',') {
			if (strcspn(p, ",") == n && !strncmp(p, controllers + at, n))
				return true;
		}
		at += n + 1;
	}
	return false;
}

static bool sub_group_climbs(const char *path)
{
	for (const char *p = path; *p; p += strcspn(p, "/"), p += *p == '/') {
		if (p[0] == '.' && p[1] == '.' && (!p[2] || p[2] == '/'))
			return true;
	}
	return false;
}

/* In place of the container's own group, in those hierarchies that have it. */
static int exec_sub_group(struct cgroup *cgroup, const char *text, struct err *err)
{
	const char *colon = strchr(text, ':'), *path = colon ? colon + 1 : text;
	bool found = false;

	if (sub_group_climbs(path))
		return err_say(err, EINVAL, "--cgroup %.100s: `..` components are not allowed",
			       text);
	for (unsigned i = 0; i < cgroup->layout->n; i++) {
		const struct cgroup_hierarchy *h = &cgroup->layout->hierarchies[i];
		if (cgroup->fds[i] < 0 ||
		    (colon && !sub_group_is_of(h, text, (size_t)(colon - text))))
			continue;
		int fd = fd_open_in(cgroup->fds[i], path, O_PATH | O_DIRECTORY, 0);
		if (fd < 0)
			continue;
		fd_close(cgroup->fds[i]);
		cgroup->fds[i] = fd;
		found = true;
	}
	return found ? 0
		     : err_say(err, ENOENT, "--cgroup %.100s: the container has no such group",
			       text);
}

static int exec_score_write(int fd, int score)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", score); /* fits */

	return pwrite(fd, text, (size_t)len, 0) < 0 ? -errno : 0;
}

/*
 * A child has its parent's oom_score_adj, and no /proc that could be trusted: so the parent takes it on for the birth. Left alone, it
 * would be that of whoever called, and a manager's shim is one that the kernel shall spare.
 * @ret_fd: to go back by, to @ret_was; -EBADF where there is nothing to do
 */
static int exec_score_take(const struct bundle_process *process, bool confined, int *ret_fd,
			   int *ret_was, struct err *err)
{
	char text[16] = "";

	*ret_fd = -EBADF;
	if (!process->set_oom_score)
		return 0;
	AUTO(fd_close_p) int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	int r = fd < 0 || pread(fd, text, sizeof(text) - 1, 0) < 0 ? -errno : 0;
	const int was = (int)strtol(text, NULL, 10);
	if (r == 0 && was == process->oom_score)
		return 0;
	if (r == 0)
		r = exec_score_write(fd, process->oom_score);
	/* Whoever is not the host's root may not make it less, and goes on with what he has. */
	if (confined && (r == -EACCES || r == -EPERM))
		return 0;
	if (r < 0)
		return err_set(err, -r, "process.oomScoreAdj %d", process->oom_score);
	*ret_was = was;
	*ret_fd = fd_take(&fd);
	return 0;
}

int bundle_exec(const struct bundle *bundle, const struct bundle_host *host, pid_t pid,
		pid_t *ret_pid, int *ret_status, struct err *err)
{
	struct exec_work work = {
		.bundle = bundle, .host = host, .procs = -EBADF, .proc = -EBADF, .root = -EBADF
	};
	struct cgroup_layout layout;
	AUTO(cgroup_close) struct cgroup cgroup = { .layout = NULL };
	int pair[2];

	*ret_status = 125;
	int r = label_check(bundle->process.apparmor, bundle->process.selinux, err);
	if (r == 0 && host->layout)
		layout = *host->layout;
	else if (r == 0)
		r = bundle_layout(&layout, err);
	if (r == 0)
		r = exec_cgroup(&layout, bundle->cgroup, host->confined, &cgroup, err);
	for (size_t i = 0; r == 0 && host->sub_groups && host->sub_groups[i]; i++)
		r = exec_sub_group(&cgroup, host->sub_groups[i], err);
	if (r == 0)
		r = cgroup_joins_open(&cgroup, work.joins, &work.n_joins, err);
	if (r < 0)
		return r;
	AUTO(fd_close_p) int pidfd = pidfd_of(pid);
	if (pidfd < 0)
		return err_set(err, -pidfd, "open the container's first process");
	if (!host->lives(host->arg))
		return err_say(err, ESRCH, "the container's first process has ended");
	AUTO(fd_close_p) int root = -EBADF;
	r = exec_root(bundle, pid, pidfd, &root, err);
	if (r < 0)
		return r;
	work.root = root;
	AUTO(fd_close_p) int proc = -EBADF;
	r = bundle_proc_open(&bundle->process, &proc, err);
	if (r < 0)
		return r;
	work.proc = proc;
	work.flags = exec_flags(bundle, pid);
	AUTO(fd_close_p) int score = -EBADF;
	int score_was = 0;
	r = exec_score_take(&bundle->process, host->confined, &score, &score_was, err);
	if (r < 0)
		return r;
	/* Until its execve(2) nobody inside may look at the child through /proc (CVE-2019-5736). */
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "socket pair");
	work.pidfd = pidfd;
	work.sync = pair[1];
	long child = exec_fork(&work, &cgroup, pair[0], err);
	if (score >= 0)
		(void)exec_score_write(score, score_was); /* it had it before */
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
