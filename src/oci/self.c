/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "oci/oci.h"

/*
 * A process that enters a container shows there as /proc/PID/exe, and once it has become another program, what it was may be
 * opened for writing by whoever kept hold of it (CVE-2019-5736). Executed through a read-only mount of its own it cannot be.
 */
int self_seal(char *const *argv, struct err *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };
	struct statvfs fs;
	char own[PATH_MAX];

	if (statvfs("/proc/self/exe", &fs) == 0 && fs.f_flag & ST_RDONLY)
		return 0;
	if (geteuid() != 0)
		return err_say(err, EPERM,
			       "it needs root: containers of ordinary users are not supported");
	AUTO(fd_close_p)
	int fd = open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_set(err, errno, "a read-only mount of our own program");
	/* From there it does not find the programs beside it: base/os/self.h. */
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	own[n > 0 ? n : 0] = '\0';
	(void)setenv("STRATA_SELF", own, 1); /* without memory: not found */
	(void)syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH); /* returns on error */
	return err_set(err, errno, "execute our own program");
}
