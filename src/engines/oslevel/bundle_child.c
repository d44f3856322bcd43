/* SPDX-License-Identifier: Apache-2.0 */
/* The first process of a bundle, from its birth in new namespaces to its execve(2): see bundle.h. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/oslevel/bundle_private.h"
#include "engines/oslevel/protect.h"
#include "network/link.h"

/* Any directory that every Linux has, for a root whose place is not there for us. */
#define BUNDLE_PIVOT "/usr"

static int child_expect(const struct bundle_work *work, enum sync_tag tag, int *ret_status,
			struct err *err)
{
	int r = sync_expect(work->sync, (char)tag, NULL, ret_status, err);

	return r > 0 ? err_say(err, EPIPE, "whoever makes the container is gone") : r;
}

static bool child_is_new(const struct bundle_work *work, uint64_t flag)
{
	const struct bundle_namespace *ns = bundle_namespace_of(work->bundle, flag);

	return ns && !ns->path;
}

static int child_namespaces(const struct bundle_work *work, struct err *err)
{
	int r = cgroup_join(work->joins, work->n_joins);

	if (r < 0)
		return err_set(err, -r, "join the container's cgroups");
	if (work->userns) {
		r = child_expect(work, SYNC_MAPPED, NULL, err);
		if (r < 0)
			return r;
		r = caps_apply_root(err);
		if (r < 0)
			return r;
	}
	if (child_is_new(work, CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) < 0)
		return err_set(err, errno, "cgroup namespace");
	return child_is_new(work, CLONE_NEWNET) ? link_lo_up(err) : 0;
}

/*
 * Where the new root hangs for a moment, in this process's own mount namespace: over the bundle's, where createContainer hooks look
 * for it, and where it hides nothing that they need. Opened with the rights of whoever makes the container.
 */
static int child_pivot_open(const struct bundle_work *work)
{
	const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
	int pivot = open(work->bundle->root, flags);

	return pivot < 0 ? open(BUNDLE_PIVOT, flags) : pivot;
}

static int child_root(const struct bundle_work *work, int pivot, struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(err, errno, "make the mount namespace private");
	int r = pivot < 0 ? pivot : mount_onto(work->root, pivot);
	return r < 0 ? err_set(err, -r, "mount the root file system") : 0;
}

/* chroot(2) alone could be left again: the root of the namespace is mounted over first. */
static int child_no_pivot(const struct bundle_work *work, struct err *err)
{
	if (fchdir(work->root) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		return err_set(err, errno, "change the root (--no-pivot)");
	return 0;
}

static int child_pivot(const struct bundle_work *work, struct err *err)
{
	const struct bundle *bundle = work->bundle;
	int r = 0;

	if (work->host->no_pivot) {
		r = child_no_pivot(work, err);
	} else {
		/* The old root lands on top of the new one; detaching it leaves nothing of the host behind. */
		if (fchdir(work->root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
			return err_set(err, errno, "pivot_root");
		if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
			return err_set(err, errno, "leave the host's file systems");
	}
	if (r == 0 && bundle->root_propagation &&
	    (r = mount_propagation(work->root, bundle->all_root_propagation,
				   bundle->root_propagation)) < 0)
		return err_set(err, -r, "linux.rootfsPropagation");
	if (r == 0 && bundle->root_read_only &&
	    (r = mount_attrs(work->root, false, MOUNT_ATTR_RDONLY, 0)) < 0)
		return err_set(err, -r, "make the root file system read-only");
	return r;
}

static int child_names(const struct bundle *bundle, struct err *err)
{
	if (bundle->hostname && sethostname(bundle->hostname, strlen(bundle->hostname)) < 0)
		return err_set(err, errno, "hostname %s", bundle->hostname);
	if (bundle->domainname && setdomainname(bundle->domainname, strlen(bundle->domainname)) < 0)
		return err_set(err, errno, "domainname %s", bundle->domainname);
	return 0;
}

/* The working directory, while it can still be made; what cannot be made is told when it is entered. */
static void child_cwd(const struct bundle_work *work)
{
	const char *cwd = work->bundle->process.cwd;

	if (work->bundle->root_read_only && strcmp(cwd, "/") != 0)
		fd_close(fd_mkdir_in(work->root, cwd, 0755));
}

/* To the point from which only the order to start is missing. */
static int child_setup(struct bundle_work *work, struct process *process, int *ret_slave,
		       int *ret_pid, int *status, struct err *err)
{
	const struct bundle *bundle = work->bundle;
	const struct bundle_host *host = work->host;
	AUTO(fd_close_p) int null = -EBADF;
	AUTO(fd_close_p) int pivot = child_pivot_open(work);
	int r = child_namespaces(work, err);

	if (r == 0)
		r = null = protect_null(err);
	if (r >= 0)
		r = child_root(work, pivot < 0 ? -EACCES : pivot, err);
	if (r == 0)
		r = bundle_mounts(work, err);
	if (r == 0)
		child_cwd(work);
	if (r == 0 && host->made)
		r = sync_send(work->sync, SYNC_READY, 0);
	if (r == 0)
		r = child_expect(work, SYNC_GO, ret_pid, err);
	if (r == 0 && host->entering)
		r = host->entering(host->arg, *ret_pid, err);
	if (r == 0)
		r = bundle_sysctls(bundle, err);
	if (r == 0)
		r = bundle_protect(work, null, err);
	if (r == 0)
		r = child_pivot(work, err);
	if (r == 0)
		r = child_names(bundle, err);
	if (r == 0 && bundle->process.tty)
		r = bundle_console(bundle, host, true, ret_slave, err);
	if (r == 0)
		r = bundle_process_of(bundle, host, work->sync, process, err);
	return r < 0 ? r : process_limits(process, status, err);
}

/* Until somebody says "start"; whoever only looks, and leaves, is not heard. Return: his connection. */
static int child_wait_listener(int listener, struct err *err)
{
	for (;;) {
		AUTO(fd_close_p) int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (socket < 0 && errno != EINTR && errno != ECONNABORTED)
			return err_set(err, errno, "wait for the start");
		if (socket < 0 || sync_expect(socket, SYNC_START, NULL, NULL, NULL) != 0)
			continue;
		if (sync_send(socket, SYNC_START, 0) == 0)
			return fd_take(&socket);
	}
}

static int child_wait(struct bundle_work *work, struct err *err)
{
	if (work->host->listener < 0)
		return 0; /* at once */
	int r = sync_send(work->sync, SYNC_DONE, 0);
	if (r < 0)
		return err_set(err, -r, "tell that the container is made");
	int socket = child_wait_listener(work->host->listener, err);
	if (socket < 0)
		return socket;
	fd_close(work->sync);
	work->sync = socket;
	return 0;
}

_Noreturn void bundle_child(struct bundle_work *work)
{
	struct process process = { 0 };
	struct label label;
	struct err err = { 0 };
	int status = 125, slave = -EBADF, pid = 0;

	fd_close(work->host->lock);
	(void)umask(0); /* modes below are meant as written */
	int r = label_open(work->bundle->process.apparmor, work->bundle->process.selinux, &label,
			   &err);
	if (r == 0)
		r = child_setup(work, &process, &slave, &pid, &status, &err);
	if (r == 0)
		r = bundle_find(&process, &status, &err);
	if (r == 0)
		r = bundle_streams(work->host, slave, &err);
	if (r == 0)
		r = child_wait(work, &err);
	process.sync = work->sync;
	if (r == 0 && work->host->starting)
		r = work->host->starting(work->host->arg, pid, &err);
	if (r == 0)
		(void)bundle_become(work->bundle, &process, &label, &status, &err);
	sync_send_error(work->sync, status, &err);
	_exit(status);
}
