/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/wait.h"
#include "engines/cgroup/instance.h"
#include "engines/oslevel/private.h"
#include "engines/oslevel/rootless.h"
#include "engines/oslevel/workload.h"

struct exec_run {
	const struct guest_exec *exec;
	int sync, seccomp;
	int joined; /* the cgroup: 0, or what stood in the way */
	bool users, no_groups;
};

/* A container of an ordinary user has one, and whoever made it may enter. */
static bool exec_has_users(const struct spec *spec)
{
	return spec->n_uid_map > 0 || ids_here() != IDS_HOST;
}

static int exec_namespaces(const struct spec *spec)
{
	int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP;

	if (spec->network != SPEC_NETWORK_HOST)
		flags |= CLONE_NEWNET;
	if (exec_has_users(spec))
		flags |= CLONE_NEWUSER;
	if (spec->time_offsets.monotonic_s || spec->time_offsets.boottime_s)
		flags |= CLONE_NEWTIME;
	return flags;
}

static int exec_setup(const struct exec_run *run, struct process *process, int *slave, int *status,
		      struct err *err)
{
	const struct spec *spec = run->exec->spec;

	int r = process_tie(err);
	if (r < 0)
		return r;
	if (run->users && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return err_set(err, errno, "become root of the user namespace");
	if (chdir("/") < 0)
		return err_set(err, errno, "enter the container's root");
	if (spec->tty) {
		AUTO(fd_close_p) int master = -EBADF;
		r = process_tty(&spec->tty_size, &master, slave, err);
		if (r < 0)
			return r;
		const struct iovec iov = { .iov_base = (char[]){ 0 }, .iov_len = 1 };
		(void)fd_send(run->exec->tty_socket, &iov, 1,
			      master); /* nobody left to look at it */
	}
	r = process_prepare(spec, process, status, err);
	rootless_groups(spec, run->no_groups, process);
	return r < 0 ? r : process_limits(process, status, err);
}

static _Noreturn void exec_child(const struct exec_run *run)
{
	struct process process = { .seccomp = run->seccomp, .sync = run->sync };
	struct err err = { 0 };
	int status = 125;
	int slave = -EBADF;

	int r = run->joined < 0 ? err_set(&err, -run->joined, "join the container's cgroup")
				: exec_setup(run, &process, &slave, &status, &err);
	if (r == 0) {
		(void)umask(0022);
		workload_signals();
		r = process_stdio(&run->exec->io, slave, &err);
	}
	if (r == 0)
		(void)process_become(&process, &status, &err);
	sync_send_error(run->sync, status, &err);
	_exit(status);
}

/* Into the container's cgroups first: what runs there, even setup, is on its account. */
static int exec_join(const struct spec *spec, struct cgroup_layout *layout, struct cgroup *ret,
		     struct err *err)
{
	int joins[CGROUP_HIERARCHIES];
	unsigned n = 0;
	char path[256];

	int r = cgroup_instance_path(spec->cgroup_parent, spec->id, path, err);
	if (r == 0)
		r = cgroup_layout_read(NULL, layout, err);
	if (r < 0)
		return r;
	const bool user = cgroup_layout_user(layout, spec->cgroup_parent);
	if (spec->system)
		cgroup_layout_use_all(layout);
	r = cgroup_open(layout, path, ret, user ? NULL : err);
	if (r == -ENOENT && user) { /* he could make none */
		cgroup_none(layout, ret);
		return 0;
	}
	if (r < 0)
		return user ? err_set(err, -r, "the container's cgroups") : r;
	r = cgroup_joins_open(ret, joins, &n, err);
	if (r == 0 && (r = cgroup_join(joins, n)) < 0)
		r = err_set(err, -r, "join the container's cgroups");
	for (unsigned i = 0; i < n; i++)
		fd_close(joins[i]);
	if (r < 0)
		cgroup_close(ret);
	return r;
}

/*
 * The v2 group to be born into: no process may be in one whose children have controllers, and an init gives them some. Its own
 * are its business: one beside them.
 */
static int exec_leaf(const struct spec *spec, int v2)
{
	static const char name[] = "strata.exec";

	if (!spec->system || v2 < 0)
		return fcntl(v2, F_DUPFD_CLOEXEC, 0);
	if (mkdirat(v2, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	int fd = openat(v2, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A child of ours in the container's namespaces and cgroups; 0 in that child, else its pid or -errno. */
static pid_t exec_fork(const struct guest_exec *exec, int *ret_join, struct err *err)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	struct cgroup_layout layout;
	struct cgroup cgroup;
	bool into;

	AUTO(fd_close_p) int pidfd = pidfd_of(exec->pid);
	if (pidfd < 0)
		return err_set(err, -pidfd, "open the container's first process");
	if (exec->lives && !exec->lives(exec))
		return err_say(err, ESRCH, "the container has ended, or is starting again");
	int r = exec_join(exec->spec, &layout, &cgroup, err);
	if (r < 0)
		return r;
	AUTO(fd_close_p) int v2 = exec_leaf(exec->spec, cgroup_v2_fd(&cgroup));
	AUTO(fd_close_p)
	int procs = v2 < 0 ? -EBADF : openat(v2, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	long pid = setns(pidfd, exec_namespaces(exec->spec)) < 0
			   ? err_set(err, errno, "enter the container's namespaces")
			   : cgroup_clone_into(&args, v2, &into);
	*ret_join = pid == 0 && !into && procs >= 0 && write(procs, "0", 1) < 0 ? -errno : 0;
	cgroup_close(&cgroup);
	return (pid_t)pid;
}

int oslevel_exec(const struct guest_exec *exec, struct err *err)
{
	struct exec_run run = { .exec = exec,
				.seccomp = -EBADF,
				.users = exec_has_users(exec->spec) };
	int pair[2];
	int status = 125;

	run.no_groups = run.users && ids_no_groups(exec->pid);
	if (exec->spec->seccomp) {
		run.seccomp = open(exec->spec->seccomp, O_RDONLY | O_CLOEXEC);
		if (run.seccomp < 0) {
			(void)err_set(err, errno, "seccomp filter %s", exec->spec->seccomp);
			return 125;
		}
	}
	/* From its first moment until execve(2), nobody inside may look at the child through /proc (CVE-2019-5736). */
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		(void)err_set(err, errno, "socket pair");
		return 125;
	}
	run.sync = pair[1];
	pid_t pid = exec_fork(exec, &run.joined, err);
	if (pid < 0) {
		if (err && !err->code)
			(void)err_set(err, errno, "start a process in the container");
		return 125;
	}
	if (pid == 0) {
		fd_close(pair[0]);
		exec_child(&run);
	}
	fd_close(pair[1]);
	for (int i = 0; i < 3; i++)
		fd_close(i == 0 ? exec->io.in : i == 1 ? exec->io.out : exec->io.err);

	int r = sync_expect(pair[0], SYNC_ERROR, NULL, &status, err);
	fd_close(pair[0]);
	if (r > 0)
		(void)fd_write_all(exec->started_fd, "",
				   1); /* a reader that left has no use for it */
	int ended = wait_child(pid);
	if (r <= 0)
		return status;
	return ended < 0 ? 125 : ended;
}
