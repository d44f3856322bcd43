/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"

/*
 * CAP_MKNOD and CAP_DAC_OVERRIDE together would open any disk: through this mount no device can be
 * opened, only made. Kernels before 5.12 lack mount_setattr(2); then the plain directory stays.
 */
static void confine_nodev(int *dir)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	};
	AUTO(fd_close_p)
	int tree = (int)syscall(SYS_open_tree, *dir, "",
				AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0 ||
	    syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return;
	int view = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (view < 0)
		return;
	*dir = view; /* the old fd stays open: its lock lives as long as this process */
}

static int confine_caps(bool unpack, bool overlay)
{
	static const unsigned keep[] = {
		CAP_CHOWN, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP,
	};

	capng_clear(CAPNG_SELECT_ALL);
	int r = capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_OVERRIDE);
	for (size_t i = 0; unpack && r == 0 && i < ARRAY_SIZE(keep); i++)
		r = capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, keep[i]);
	if (overlay && r == 0)
		r = capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SYS_ADMIN);
	/* The bounding set only matters to an exec, which no_new_privs disarms. */
	return r == 0 ? capng_apply(CAPNG_SELECT_CAPS) : r;
}

int confine(int *dir, bool unpack, bool overlay, struct err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, errno, "set no_new_privs");
	if (geteuid() != 0)
		return 0;
	if (overlay)
		confine_nodev(dir);
	if (fchdir(*dir) < 0 || chroot(".") < 0)
		return err_set(err, errno, "confine strata-archive to its directory");
	if (confine_caps(unpack, overlay) != 0)
		return err_set(err, errno ? errno : EPERM, "drop capabilities");
	return 0;
}
