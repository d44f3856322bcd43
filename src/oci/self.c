/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "oci/oci.h"

/* After a change of mount namespace the link in /proc leads to the old one's mount: then by name, if that is us. */
static int self_tree(void)
{
	const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
	char path[PATH_MAX] = "";
	struct stat own, st;
	int fd = open_tree(AT_FDCWD, "/proc/self/exe", flags);

	/* Root of a user namespace alone has no mounts: all that follows takes a namespace of them. */
	if (fd < 0 && errno == EPERM && unshare(CLONE_NEWNS) < 0)
		return -EPERM;
	if (fd >= 0)
		return fd;
	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return -errno;
	AUTO(fd_close_p) int named = open_tree(AT_FDCWD, path, flags);
	if (named < 0 || stat("/proc/self/exe", &own) < 0 || fstat(named, &st) < 0)
		return -errno;
	return st.st_ino == own.st_ino && st.st_dev == own.st_dev ? fd_take(&named) : -ESTALE;
}

/*
 * A process that enters a container shows there as /proc/PID/exe, and once it has become another program, what it was may be
 * opened for writing by whoever kept hold of it (CVE-2019-5736). Executed through a read-only mount of its own it cannot be.
 */
int self_seal(char *const *argv, bool again, struct err *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };
	struct statvfs fs;
	char own[PATH_MAX];
	const bool sealed = statvfs("/proc/self/exe", &fs) == 0 && fs.f_flag & ST_RDONLY;

	if (!again && sealed)
		return 0;
	AUTO(fd_close_p) int fd = self_tree();
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_set(err, fd < 0 ? -fd : errno, "a read-only mount of our own program");
	/* From there it does not find the programs beside it: base/os/self.h. */
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	own[n > 0 ? n : 0] = '\0';
	if (!sealed)
		(void)setenv("STRATA_SELF", own, 1); /* without memory: not found */
	(void)syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH); /* returns on error */
	return err_set(err, errno, "execute our own program");
}
