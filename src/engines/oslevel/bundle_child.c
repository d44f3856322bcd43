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
#include "engines/oslevel/start_wait.h"
#include "network/link.h"

static int child_expect(const struct bundle_work *work, enum sync_tag tag, int *ret_status,
			struct err *err)
{
	int r = sync_expect(work->sync, (char)tag, NULL, ret_status, err);

	return r > 0 ? err_say(err, EPIPE, "whoever makes the container is gone") : r;
}

static int child_namespaces(const struct bundle_work *work, struct err *err)
{
	int r = cgroup_join(work->joins, work->n_joins);

	if (r < 0)
		return err_set(err, -r, "join the container's cgroups");
	if (work->userns && !work->joins_userns)
		r = child_expect(work, SYNC_MAPPED, NULL, err);
	if (r == 0 && work->userns)
		r = caps_apply_root(err);
	if (r < 0)
		return r;
	if (bundle_namespace_is_new(work->bundle, CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) < 0)
		return err_set(err, errno, "cgroup namespace");
	return bundle_namespace_is_new(work->bundle, CLONE_NEWNET) ? link_lo_up(err) : 0;
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
	AUTO(fd_close_p) int pivot = bundle_pivot_open(work);
	int r = child_namespaces(work, err);

	if (r == 0 && bundle->n_masked)
		r = null = protect_null(err);
	if (r >= 0)
		r = bundle_root(work, pivot, err);
	if (r == 0 && !work->plain)
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
		r = bundle_enter_root(work, err);
	if (r == 0)
		r = child_names(bundle, err);
	if (r == 0 && bundle->process.tty)
		r = bundle_console(bundle, host, !work->plain, ret_slave, err);
	if (r == 0)
		r = bundle_process_of(bundle, host, work->sync, process, err);
	return r < 0 ? r : process_limits(process, status, err);
}

static bool child_heard(int socket)
{
	return sync_expect(socket, SYNC_START, NULL, NULL, NULL) == 0 &&
	       sync_send(socket, SYNC_START, 0) == 0;
}

static int child_wait(struct bundle_work *work, struct err *err)
{
	if (work->host->listener < 0)
		return 0; /* at once */
	int r = sync_send(work->sync, SYNC_DONE, 0);
	if (r < 0)
		return err_set(err, -r, "tell that the container is made");
	int socket = start_wait(work->host->listener, child_heard, err);
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
	int r = label_open(work->proc, work->bundle->process.apparmor,
			   work->bundle->process.selinux, &label, &err);
	if (r == 0)
		r = child_setup(work, &process, &slave, &pid, &status, &err);
	if (r == 0 && process.args[0][0])
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
