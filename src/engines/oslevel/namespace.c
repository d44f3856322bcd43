/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"

static const char *namespace_file(uint64_t flag)
{
	static const struct {
		uint64_t flag;
		const char *name;
	} kinds[] = {
		{ CLONE_NEWNET, "net" }, { CLONE_NEWIPC, "ipc" },	{ CLONE_NEWUTS, "uts" },
		{ CLONE_NEWPID, "pid" }, { CLONE_NEWCGROUP, "cgroup" }, { CLONE_NEWTIME, "time" },
		{ CLONE_NEWNS, "mnt" },	 { CLONE_NEWUSER, "user" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].flag == flag)
			return kinds[i].name;
	}
	return "";
}

int namespace_open(const char *path, uint64_t flag, struct err *err)
{
	char again[40];
	struct statfs fs;
	AUTO(fd_close_p) int at = open(path, O_PATH | O_CLOEXEC);

	if (at < 0 || fstatfs(at, &fs) < 0)
		return err_set(err, errno, "namespace %s", path);
	if (fs.f_type != NSFS_MAGIC)
		return err_say(err, EINVAL, "namespace %s: this is no namespace", path);
	(void)snprintf(again, sizeof(again), "/proc/self/fd/%d", at); /* fits */
	AUTO(fd_close_p) int fd = open(again, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "namespace %s", path);
	if (ioctl(fd, NS_GET_NSTYPE) != (int)flag)
		return err_say(err, EINVAL, "namespace %s: this is one of another kind than %s",
			       path, namespace_file(flag));
	return fd_take(&fd);
}

int namespace_enter(const char *path, uint64_t flag, struct err *err)
{
	AUTO(fd_close_p) int fd = namespace_open(path, flag, err);

	if (fd < 0)
		return fd;
	return setns(fd, (int)flag) < 0 ? err_set(err, errno, "namespace %s", path) : 0;
}

int namespace_own(uint64_t flag, struct err *err)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", namespace_file(flag)); /* fits */
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_set(err, errno, "open %s", path) : fd;
}

static bool namespace_same(const struct stat *a, const char *path)
{
	struct stat b;

	return stat(path, &b) == 0 && a->st_ino == b.st_ino && a->st_dev == b.st_dev;
}

bool namespace_is_own(int fd, uint64_t flag)
{
	char path[40];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", namespace_file(flag)); /* fits */
	return fstat(fd, &st) == 0 && namespace_same(&st, path);
}

bool namespace_is_shared(pid_t pid, uint64_t flag)
{
	char own[40], other[40];
	struct stat st;

	(void)snprintf(own, sizeof(own), "/proc/self/ns/%s", namespace_file(flag)); /* fits */
	(void)snprintf(other, sizeof(other), "/proc/%d/ns/%s", (int)pid, namespace_file(flag));
	return stat(own, &st) == 0 && namespace_same(&st, other);
}
