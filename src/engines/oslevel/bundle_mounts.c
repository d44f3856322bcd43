/* SPDX-License-Identifier: Apache-2.0 */
/* The mounts of a bundle, in the order in which it lists them: config.md, "Mounts". */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/oslevel/bundle_private.h"
#include "engines/oslevel/cgroupfs.h"
#include "engines/oslevel/copy_up.h"
#include "engines/oslevel/protect.h"

/* Files of /proc that say how large a container is, and that some other program, as lxcfs, answers for. */
static bool mounts_proc_file(const char *target)
{
	static const char *const files[] = {
		"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat",
		"/proc/swaps",	 "/proc/uptime",    "/proc/loadavg", "/proc/slabinfo",
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (!strcmp(files[i], target))
			return true;
	}
	return false;
}

static enum mount_trust mounts_trust(const char *target)
{
	if (!strcmp(target, "/proc") || !strcmp(target, "/sys") || !strcmp(target, "/dev"))
		return MOUNT_TRUST_EXACT;
	return mounts_proc_file(target) ? MOUNT_TRUST_PROC : MOUNT_TRUST_NONE;
}

static int mounts_bind(const struct bundle_work *work, size_t i, struct err *err)
{
	const struct bundle_mount *mount = &work->bundle->mounts[i];
	AUTO(fd_close_p) int late = -EBADF;
	int source = work->sources[i];
	struct stat st;

	if (source < 0) {
		source = late = bundle_source(work->bundle, mount, err);
		if (source < 0)
			return source;
	}
	if (fstat(source, &st) < 0)
		return err_set(err, errno, "bind mount of %s", mount->source);
	int r = mount_check_proc(source, mount->target, "", err);
	return r < 0 ? r
		     : mount_at(source, work->root, mount->target,
				S_ISDIR(st.st_mode) ? MOUNT_TARGET_DIR : MOUNT_TARGET_FILE,
				mounts_trust(mount->target), err);
}

/* sysfs shows the network namespace: in a user namespace beside the host's network it cannot be mounted. */
static int mounts_new(const struct bundle_mount *mount, struct err *err)
{
	const uint64_t attrs = mount->set | mount->all_set;
	int fd = mount_new(mount->type, mount->options, attrs, err);

	if (fd != -EPERM || strcmp(mount->type, "sysfs") != 0)
		return fd;
	fd = mount_clone(AT_FDCWD, "/sys", true, err);
	if (fd < 0)
		return fd;
	int r = mount_attrs(fd, true, attrs, 0);
	if (r == 0)
		return fd;
	fd_close(fd);
	return err_set(err, -r, "mount sysfs at %s", mount->target);
}

/* Of a directory that is not there yet nothing is to be taken. */
static int mounts_tmpfs_mode(int root, const struct bundle_mount *mount, int fd, struct err *err)
{
	struct stat st;

	for (const struct mount_option *option = mount->options; option->key; option++) {
		if (!strcmp(option->key, "mode"))
			return 0;
	}
	AUTO(fd_close_p) int hidden = fd_open_in(root, mount->target, O_PATH | O_DIRECTORY, 0);
	if (hidden < 0)
		return 0;
	if (fstat(hidden, &st) < 0 || fchmodat(fd, ".", st.st_mode & 07777, 0) < 0)
		return err_set(err, errno, "mode of the tmpfs at %s", mount->target);
	return 0;
}

/* As runc and crun have it: without a mode of its own it has that of what it hides, where the kernel's would let everybody write. */
static int mounts_tmpfs(int root, const struct bundle_mount *mount, struct err *err)
{
	const uint64_t attrs = mount->set | mount->all_set;
	/* Read-only it is from when all is in it. */
	AUTO(fd_close_p)
	int fd = mount_new(mount->type, mount->options, attrs & ~(uint64_t)MOUNT_ATTR_RDONLY, err);
	if (fd < 0)
		return fd;
	int r = mounts_tmpfs_mode(root, mount, fd, err);
	if (r == 0 && mount->copy_up)
		r = copy_up(root, mount->target, fd, err);
	if (r < 0)
		return r;
	if (attrs & MOUNT_ATTR_RDONLY)
		r = mount_attrs(fd, false, MOUNT_ATTR_RDONLY, 0);
	return r < 0 ? err_set(err, -r, "mount tmpfs at %s", mount->target) : fd_take(&fd);
}

static bool mounts_has_cgroup(const struct bundle_work *work)
{
	for (unsigned i = 0; i < CGROUP_HIERARCHIES; i++) {
		if (work->cgroup.fds[i] >= 0)
			return true;
	}
	return false;
}

/* Without a group of its own a container sees the host's, and changes nothing. */
static int mounts_host(const struct bundle_work *work, const char *source, const char *target,
		       uint64_t attrs, struct err *err)
{
	AUTO(fd_close_p) int fd = mount_clone(AT_FDCWD, source, true, err);
	if (fd < 0)
		return fd;
	int r = mount_attrs(fd, true, attrs, 0);
	return r < 0 ? err_set(err, -r, "bind mount of %s", source)
		     : mount_at(fd, work->root, target, MOUNT_TARGET_DIR, MOUNT_TRUST_NONE, err);
}

static int mounts_cgroup(const struct bundle_work *work, const struct bundle_mount *mount,
			 struct err *err)
{
	const bool own = bundle_namespace_of(work->bundle, CLONE_NEWCGROUP) != NULL;
	unsigned used = 0;

	if (work->host->confined && !mounts_has_cgroup(work))
		return mounts_host(work, "/sys/fs/cgroup", mount->target,
				   mount->set | mount->all_set | MOUNT_ATTR_RDONLY, err);
	for (unsigned i = 0; i < CGROUP_HIERARCHIES; i++)
		used |= work->cgroup.fds[i] >= 0 ? 1U << i : 0;
	return cgroupfs_mount(&work->layout, used, own ? NULL : work->bundle->cgroup, work->root,
			      mount->target, mount->set | mount->all_set, err);
}

static int mounts_one(const struct bundle_work *work, size_t i, struct err *err)
{
	const struct bundle_mount *mount = &work->bundle->mounts[i];

	if (!mount->type)
		return mounts_bind(work, i, err);
	if (!strcmp(mount->type, "cgroup") || !strcmp(mount->type, "cgroup2"))
		return mounts_cgroup(work, mount, err);
	AUTO(fd_close_p)
	int fd = !strcmp(mount->type, "tmpfs") ? mounts_tmpfs(work->root, mount, err)
					       : mounts_new(mount, err);
	if (fd < 0)
		return fd;
	int r = 0;
	if (work->sources[i] >= 0)
		r = mount_idmap(fd, false, work->sources[i]);
	if (r < 0)
		return mount_idmap_error(err, r, mount->type);
	if (mount->propagation)
		r = mount_propagation(fd, mount->all_propagation, mount->propagation);
	if (r < 0)
		return err_set(err, -r, "mount at %s", mount->target);
	r = mount_check_proc(fd, mount->target, "", err);
	return r < 0 ? r
		     : mount_at(fd, work->root, mount->target, MOUNT_TARGET_DIR,
				mounts_trust(mount->target), err);
}

int bundle_mounts(const struct bundle_work *work, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < work->bundle->n_mounts; i++) {
		r = mounts_one(work, i, err);
		if (r < 0)
			return err_wrap(err, "mounts[%zu] at %s", i,
					work->bundle->mounts[i].target);
	}
	return r < 0 ? r : bundle_devices(work, err);
}

int bundle_protect(const struct bundle_work *work, int null, struct err *err)
{
	const struct bundle *bundle = work->bundle;
	int r = 0;

	for (size_t i = 0; r == 0 && i < bundle->n_read_only; i++)
		r = protect_lock(work->root, bundle->read_only[i], err);
	return r < 0 ? r
		     : protect_mask_paths(work->root, null, bundle->masked, bundle->n_masked, err);
}

/* In /proc of the bundle these names may be links, and lead out (CVE-2025-52881): in this one they cannot. */
int bundle_sysctls(const struct bundle *bundle, struct err *err)
{
	AUTO(fd_close_p) int proc = -EBADF;

	if (!bundle->n_sysctls)
		return 0;
	proc = mount_new("proc", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
			 err);
	if (proc < 0)
		return err_wrap(err, "linux.sysctl");
	for (size_t i = 0; i < bundle->n_sysctls; i++) {
		const struct bundle_sysctl *sysctl = &bundle->sysctls[i];
		char path[256] = "sys/";
		size_t len = strlen(sysctl->name);
		if (len > sizeof(path) - 5)
			return err_say(err, ENAMETOOLONG, "linux.sysctl %.64s...: too long",
				       sysctl->name);
		for (size_t at = 0; at <= len; at++)
			path[4 + at] = sysctl->name[at] == '.' ? '/' : sysctl->name[at];
		int r = file_write(proc, path, sysctl->value);
		if (r < 0)
			return err_set(err, -r, "linux.sysctl %s", sysctl->name);
	}
	return 0;
}
