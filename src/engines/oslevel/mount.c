/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"

/* The kernel's own words on a failed fsconfig(2), where it has some: "e overlay: ...". */
static int mount_fail(int fs_fd, int code, const char *type, struct err *err)
{
	char text[256];
	ssize_t n = read(fs_fd, text, sizeof(text) - 1);

	if (n > 2) {
		text[n] = '\0';
		text[strcspn(text, "\n")] = '\0';
		return err_say(err, code, "mount %s: %s: %s", type, text + 2, strerror(code));
	}
	return err_set(err, code, "mount %s", type);
}

int mount_new(const char *type, const struct mount_option *options, uint64_t attrs, struct err *err)
{
	AUTO(fd_close_p) int fs = fsopen(type, FSOPEN_CLOEXEC);
	if (fs < 0)
		return err_set(err, errno, "mount %s", type);
	for (; options && options->key; options++) {
		if (fsconfig(fs, options->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			     options->key, options->value, 0) < 0)
			return mount_fail(fs, errno, type, err);
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return mount_fail(fs, errno, type, err);
	int fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attrs);
	return fd < 0 ? mount_fail(fs, errno, type, err) : fd;
}

int mount_clone(int dirfd, const char *path, bool recursive, struct err *err)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (path[0] ? 0 : AT_EMPTY_PATH) |
			 (recursive ? AT_RECURSIVE : 0);
	int fd = open_tree(dirfd, path, flags);

	return fd < 0 ? err_set(err, errno, "bind mount of %s", path) : fd;
}

static int mount_setattr_fd(int fd, bool recursive, struct mount_attr *attr)
{
	unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);

	return mount_setattr(fd, "", flags, attr, sizeof(*attr)) < 0 ? -errno : 0;
}

int mount_attrs(int mount_fd, bool recursive, uint64_t set, uint64_t clear)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear };

	return mount_setattr_fd(mount_fd, recursive, &attr);
}

int mount_propagation(int mount_fd, bool recursive, uint64_t propagation)
{
	struct mount_attr attr = { .propagation = propagation };

	return mount_setattr_fd(mount_fd, recursive, &attr);
}

int mount_idmap(int mount_fd, bool recursive, int userns_fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)userns_fd };

	return mount_setattr_fd(mount_fd, recursive, &attr);
}

int mount_idmap_error(struct err *err, int r, const char *what)
{
	if (r != -EINVAL && r != -EPERM)
		return err_set(err, -r, "map the ids of %s", what);
	return err_say(
		err, -r,
		"map the ids of %s: its file system, or one that is mounted below it, cannot "
		"(as proc, sysfs and devtmpfs), or has its ids mapped already",
		what);
}

int mount_onto(int mount_fd, int target_fd)
{
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;

	return move_mount(mount_fd, "", target_fd, "", flags) < 0 ? -errno : 0;
}

int mount_named(int mount_fd, int dir, const char *name)
{
	struct stat st;

	if (fstat(mount_fd, &st) < 0 ||
	    (S_ISDIR(st.st_mode) ? mkdirat(dir, name, 0755)
				 : mknodat(dir, name, S_IFREG | 0644, 0)) < 0)
		return -errno;
	AUTO(fd_close_p) int at = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return at < 0 ? -errno : mount_onto(mount_fd, at);
}

/* A missing target is made; its parents too. Return: an O_PATH fd, or a negative errno. */
static int mount_target_open(int root_fd, const char *target, enum mount_target kind)
{
	int fd = fd_open_in(root_fd, target, O_PATH, 0);
	if (fd != -ENOENT)
		return fd;
	if (kind == MOUNT_TARGET_DIR)
		return fd_mkdir_in(root_fd, target, 0755);

	const char *slash = strrchr(target, '/');
	if (slash && slash != target) {
		AUTO(buf_fini) struct buf parent = { 0 };
		if (buf_add(&parent, target, (size_t)(slash - target)) < 0)
			return -ENOMEM;
		int dir = fd_mkdir_in(root_fd, parent.data, 0755);
		if (dir < 0)
			return dir;
		fd_close(dir);
	}
	fd = fd_open_in(root_fd, target, O_WRONLY | O_CREAT | O_NOCTTY | O_NONBLOCK, 0755);
	if (fd < 0)
		return fd;
	fd_close(fd);
	return fd_open_in(root_fd, target, O_PATH, 0);
}

/* /proc, /sys, /dev: an image that makes one a link would have us mount elsewhere (CVE-2023-27561). */
static int mount_target_exact(int root_fd, const char *target)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, root_fd, target, &how, sizeof(how));

	if (fd < 0 && errno == ENOENT) {
		const char *name = target + strspn(target, "/");
		if (!strchr(name, '/') && mkdirat(root_fd, name, 0755) < 0 && errno != EEXIST)
			return -errno;
		fd = syscall(SYS_openat2, root_fd, target, &how, sizeof(how));
	}
	return fd < 0 ? -errno : (int)fd;
}

int mount_at(int mount_fd, int root_fd, const char *target, enum mount_target kind,
	     enum mount_trust trust, struct err *err)
{
	const bool exact = trust == MOUNT_TRUST_EXACT;
	AUTO(fd_close_p)
	int fd = exact ? mount_target_exact(root_fd, target)
		       : mount_target_open(root_fd, target, kind);
	if ((fd == -ELOOP || fd == -ENOTDIR) && exact)
		return err_say(err, -fd,
			       "mount at %s: the image has a symbolic link or a file there",
			       target);
	if (fd < 0)
		return err_set(err, -fd, "mount at %s", target);

	struct stat st;
	struct statfs fs;
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return err_set(err, errno, "mount at %s", target);
	if (S_ISDIR(st.st_mode) != (kind == MOUNT_TARGET_DIR))
		return err_say(err, kind == MOUNT_TARGET_DIR ? ENOTDIR : EISDIR,
			       "mount at %s: a %s cannot be mounted on a %s", target,
			       kind == MOUNT_TARGET_DIR ? "directory" : "file",
			       kind == MOUNT_TARGET_DIR ? "file" : "directory");
	/* Whatever covers /proc/self/attr or /proc/sys changes what the kernel is told (CVE-2019-16884). */
	if (trust == MOUNT_TRUST_NONE && fs.f_type == PROC_SUPER_MAGIC)
		return err_say(err, EPERM, "mount at %s: nothing may be mounted inside /proc",
			       target);

	int r = mount_onto(mount_fd, fd);
	return r < 0 ? err_set(err, -r, "mount at %s", target) : 0;
}

int mount_check_proc(int fd, const char *target, const char *hint, struct err *err)
{
	struct statfs fs;

	if (strcmp(target, "/proc") != 0)
		return 0;
	if (fstatfs(fd, &fs) < 0)
		return err_set(err, errno, "mount at /proc");
	if (fs.f_type == PROC_SUPER_MAGIC)
		return 0;
	return err_say(err, EPERM, "mount at /proc: only a proc file system may be there%s", hint);
}
