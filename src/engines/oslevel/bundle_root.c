/* SPDX-License-Identifier: Apache-2.0 */
/* The root of a container: where it is mounted, and how its first process comes to be in it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/oslevel/bundle_private.h"

/* Any directory that every Linux has, for a root whose place is not there for us. */
#define ROOT_PIVOT "/usr"

/*
 * In this process's own mount namespace: over the bundle's, where createContainer hooks look for it, and where it hides nothing that
 * they need.
 */
int bundle_pivot_open(const struct bundle_work *work)
{
	const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;

	if (!bundle_namespace_is_new(work->bundle, CLONE_NEWNS))
		return -EBADF;
	int pivot = open(work->bundle->root, flags);
	if (pivot < 0)
		pivot = open(ROOT_PIVOT, flags);
	return pivot < 0 ? -errno : pivot;
}

static int root_own(const struct bundle_work *work, int pivot, struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(err, errno, "make the mount namespace private");
	int r = pivot < 0 ? pivot : mount_onto(work->root, pivot);
	return r < 0 ? err_set(err, -r, "mount the root file system") : 0;
}

/* Our place as this mount namespace shows it, if it does: a path of that name alone may be anybody's. */
static int root_place(const struct bundle_work *work)
{
	struct stat ours, st;
	AUTO(fd_close_p) int fd = open(work->host->place, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0 || fstat(work->place, &ours) < 0)
		return -errno;
	return st.st_ino == ours.st_ino && st.st_dev == ours.st_dev ? fd_take(&fd) : -ENOENT;
}

static bool root_takes_mounts(const struct bundle *bundle)
{
	return bundle->n_mounts || bundle->n_devices || bundle->root_read_only ||
	       bundle->root_propagation;
}

/* The path may lead through links that somebody in there made: not through /proc, to files of ours. */
static int root_theirs(const struct bundle_work *work, bool copy, struct err *err)
{
	const char *path = work->bundle->root;
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_NO_MAGICLINKS };
	AUTO(fd_close_p) int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	if (fd < 0)
		return err_set(err, errno, "root file system %s, in the mount namespace given",
			       path);
	if (!copy)
		return fd_take(&fd);
	AUTO(fd_close_p) int root = mount_clone(fd, "", true, err);
	if (root < 0)
		return err_wrap(err, "root file system %s, in the mount namespace given", path);
	return fd_take(&root);
}

static int root_attach(const struct bundle_work *work, int place, struct err *err)
{
	int r = mount_onto(work->root, place);

	/* Below a shared mount it has become one. */
	if (r == 0)
		r = mount_propagation(work->root, true, MS_PRIVATE);
	return r < 0 ? err_set(err, -r,
			       "mount the root file system at %s, without a mount namespace of "
			       "its own",
			       work->host->place)
		     : 0;
}

static int root_shared(struct bundle_work *work, struct err *err)
{
	AUTO(fd_close_p) int place = root_place(work);

	work->plain = place < 0;
	if (work->plain && root_takes_mounts(work->bundle))
		return err_say(err, ENOTSUP,
			       "the mount namespace given does not show %s: without that it can "
			       "have no mounts, no devices and no read-only root",
			       work->host->place);
	if (work->root < 0)
		work->root = root_theirs(work, !work->plain, err);
	if (work->root < 0)
		return work->root;
	return work->plain ? 0 : root_attach(work, place, err);
}

int bundle_root(struct bundle_work *work, int pivot, struct err *err)
{
	return bundle_namespace_is_new(work->bundle, CLONE_NEWNS) ? root_own(work, pivot, err)
								  : root_shared(work, err);
}

/* chroot(2) alone could be left again: the root of the namespace is mounted over first. */
static int root_no_pivot(const struct bundle_work *work, struct err *err)
{
	if (fchdir(work->root) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		return err_set(err, errno, "change the root (--no-pivot)");
	return 0;
}

static int root_pivot(const struct bundle_work *work, struct err *err)
{
	/* The old root lands on top of the new one; detaching it leaves nothing of the host behind. */
	if (fchdir(work->root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_set(err, errno, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_set(err, errno, "leave the host's file systems");
	return 0;
}

/* In mounts that are others' too neither of the two may be. */
static int root_change(const struct bundle_work *work, struct err *err)
{
	if (bundle_namespace_is_new(work->bundle, CLONE_NEWNS))
		return work->host->no_pivot ? root_no_pivot(work, err) : root_pivot(work, err);
	if (fchdir(work->root) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_set(err, errno, "change the root");
	return 0;
}

int bundle_enter_root(const struct bundle_work *work, struct err *err)
{
	const struct bundle *bundle = work->bundle;
	int r = root_change(work, err);

	if (r == 0 && bundle->root_propagation &&
	    (r = mount_propagation(work->root, bundle->all_root_propagation,
				   bundle->root_propagation)) < 0)
		return err_set(err, -r, "linux.rootfsPropagation");
	if (r == 0 && bundle->root_read_only &&
	    (r = mount_attrs(work->root, false, MOUNT_ATTR_RDONLY, 0)) < 0)
		return err_set(err, -r, "make the root file system read-only");
	return r;
}
