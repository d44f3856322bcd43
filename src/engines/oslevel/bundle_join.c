/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces that are others'. Most the maker enters for the moment of the clone, and comes back: a user namespace of the child's
 * own has no right to them. From a user namespace nobody comes back, and a mount namespace takes the root along: into those goes a
 * helper, who has the first process born there as the maker's child, and ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/wait.h"
#include "engines/oslevel/bundle_private.h"
#include "engines/oslevel/namespace.h"

/* In this order: the rights to all of them are in the user namespace that is left last. */
static const uint64_t join_kinds[] = { CLONE_NEWNET, CLONE_NEWIPC,    CLONE_NEWUTS,
				       CLONE_NEWPID, CLONE_NEWCGROUP, CLONE_NEWTIME };

static const char *join_path(const struct bundle *bundle, uint64_t flag)
{
	const struct bundle_namespace *ns = bundle_namespace_of(bundle, flag);

	return ns ? ns->path : NULL;
}

bool bundle_join_takes_helper(const struct bundle_work *work)
{
	return join_path(work->bundle, CLONE_NEWNS) || work->joins_userns;
}

static int join_clocks(const struct bundle *bundle, int *ret_back, struct err *err)
{
	return bundle_namespace_is_new(bundle, CLONE_NEWTIME)
		       ? timens_enter(&bundle->time_offsets, ret_back, err)
		       : 0;
}

int bundle_away_enter(const struct bundle *bundle, struct bundle_away *away, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(join_kinds); i++) {
		const char *path = join_path(bundle, join_kinds[i]);
		if (!path)
			continue;
		int back = namespace_own(join_kinds[i], err);
		if (back < 0)
			return back;
		away->fds[away->n] = back;
		away->flags[away->n++] = (int)join_kinds[i];
		int r = namespace_enter(path, join_kinds[i], err);
		if (r < 0)
			return r;
	}
	return join_clocks(bundle, &away->timens, err);
}

int bundle_away_leave(struct bundle_away *away, struct err *err)
{
	int r = timens_leave(away->timens, err);

	for (unsigned i = 0; i < away->n; i++) {
		if (setns(away->fds[i], away->flags[i]) < 0 && r == 0)
			r = err_set(err, errno, "return from a namespace");
		fd_close(away->fds[i]);
	}
	return r;
}

/* Whose mount namespace it is decides before or after which user namespace it can be entered. */
static int helper_enter_last(int mounts, int user, struct err *err)
{
	bool inside = mounts < 0 || setns(mounts, CLONE_NEWNS) == 0;

	if (!inside && (errno != EPERM || user < 0))
		return err_set(err, errno, "enter the mount namespace");
	/* In there its owner may have forbidden to give them up. Who may not here keeps them. */
	if (user >= 0)
		(void)setgroups(0, NULL);
	if (user >= 0 && setns(user, CLONE_NEWUSER) < 0)
		return err_set(err, errno, "enter the user namespace");
	if (!inside && setns(mounts, CLONE_NEWNS) < 0)
		return err_set(err, errno, "enter the mount namespace");
	return 0;
}

static int helper_enter(const struct bundle_work *work, struct err *err)
{
	const struct bundle *bundle = work->bundle;
	AUTO(fd_close_p) int mounts = -EBADF;
	AUTO(fd_close_p) int user = -EBADF;
	AUTO(fd_close_p) int clocks = -EBADF;
	const char *path = join_path(bundle, CLONE_NEWNS);
	int r = path ? mounts = namespace_open(path, CLONE_NEWNS, err) : 0;

	if (r >= 0 && work->joins_userns)
		r = user = namespace_open(join_path(bundle, CLONE_NEWUSER), CLONE_NEWUSER, err);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(join_kinds); i++) {
		path = join_path(bundle, join_kinds[i]);
		r = path ? namespace_enter(path, join_kinds[i], err) : 0;
	}
	if (r >= 0)
		r = join_clocks(bundle, &clocks, err);
	return r < 0 ? r : helper_enter_last(mounts, user, err);
}

static _Noreturn void helper_main(struct bundle_work *work, uint64_t flags, int tell)
{
	/* A sibling's end is told as its elder's is: clone(2), CLONE_PARENT. */
	struct clone_args args = { .flags = flags | CLONE_PARENT };
	struct err err = { 0 };

	/* Born into the group is who has the right to: the helper has it before it goes. */
	int r = bundle_join_v2(work);
	if (r < 0)
		(void)err_set(&err, -r, "join the container's cgroups");
	if (r == 0)
		r = helper_enter(work, &err);
	if (r < 0) {
		sync_send_error(work->sync, 125, &err);
		_exit(125);
	}
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		fd_close(tell);
		bundle_child(work);
	}
	if (pid < 0) {
		(void)err_set(&err, errno, "make the container's namespaces");
		sync_send_error(work->sync, 125, &err);
		_exit(125);
	}
	const int number = (int)pid;
	_exit(write(tell, &number, sizeof(number)) == sizeof(number) ? 0 : 125);
}

/* Without an answer the helper said why over the socket, or was killed. */
static long helper_answer(int ours, int told, struct err *err)
{
	int number = 0;
	ssize_t n;

	do {
		n = read(told, &number, sizeof(number));
	} while (n < 0 && errno == EINTR);
	if (n == sizeof(number) && number > 0)
		return number;
	if (recv(ours, &number, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
		return err_say(err, ECHILD, "who was to enter the namespaces died");
	int r = sync_expect(ours, SYNC_DONE, NULL, NULL, err);
	return r < 0 ? r : err_say(err, ECHILD, "who was to enter the namespaces died");
}

long bundle_fork_helped(struct bundle_work *work, uint64_t flags, int ours, struct err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe");
	pid_t helper = fork();
	if (helper == 0) {
		fd_close(ours);
		fd_close(ends[0]);
		helper_main(work, flags, ends[1]);
	}
	const int code = errno;
	fd_close(ends[1]);
	long pid = helper < 0 ? err_set(err, code, "start a helper")
			      : helper_answer(ours, ends[0], err);
	fd_close(ends[0]);
	if (helper > 0)
		(void)wait_child(helper); /* it has said what there is to say */
	return pid;
}
