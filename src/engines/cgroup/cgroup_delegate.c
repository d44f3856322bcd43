/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engines/cgroup/private.h"

int cgroup_delegate(const struct cgroup *cgroup, unsigned index, uid_t uid, gid_t gid,
		    struct err *err)
{
	static const char *const files[] = {
		"cgroup.procs", "cgroup.threads",   "cgroup.subtree_control",
		"tasks",	"memory.oom.group",
	};
	int fd = index < CGROUP_HIERARCHIES ? cgroup->fds[index] : -EBADF;

	if (fd < 0)
		return err_say(err, ENOENT, "cgroup %s: not in the hierarchy to be delegated",
			       cgroup->path);
	if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		return err_set(err, errno, "delegate cgroup %s", cgroup->path);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (fchownat(fd, files[i], uid, gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
			return err_set(err, errno, "delegate cgroup %s: %s", cgroup->path,
				       files[i]);
	}
	return 0;
}
