/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/protect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "engines/oslevel/mount.h"

/* Docker's lists: moby, oci/defaults.go, "MaskedPaths" and "ReadonlyPaths". */
static const char *const masked[] = {
	"/proc/acpi",
	"/proc/asound",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/sys/devices/virtual/powercap",
	"/sys/firmware",
};
const char *const protect_read_only[PROTECT_READ_ONLY] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

/* Covers of masked paths: a read-only empty directory, and the null device. */
struct protect_covers {
	int empty; /* a mount, attached at its first use */
	int null;  /* the caller's */
};

static void protect_covers_fini(struct protect_covers *covers)
{
	fd_close(covers->empty);
}

/* A swapped /dev/null would bind something else (CVE-2025-31133). */
int protect_null(struct err *err)
{
	AUTO(fd_close_p) int fd = open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, errno, "open /dev/null");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return err_say(err, EPERM, "the host's /dev/null is not the null device");
	return fd_take(&fd);
}

static int protect_cover(struct protect_covers *covers, bool dir, int target, struct err *err)
{
	static const struct mount_option options[] = {
		{ "size", "4k" }, { "nr_inodes", "2" }, { "mode", "555" }, { NULL, NULL }
	};

	if (dir && covers->empty < 0) {
		covers->empty = mount_new("tmpfs", options,
					  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
						  MOUNT_ATTR_RDONLY,
					  err);
		return covers->empty < 0 ? covers->empty : mount_onto(covers->empty, target);
	}
	AUTO(fd_close_p) int copy = mount_clone(dir ? covers->empty : covers->null, "", false, err);
	if (copy < 0)
		return copy;
	/* It is the host's own inode: writable, a chmod(2) of a masked file would be one of the host's /dev/null. */
	int r = mount_attrs(copy, false, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
			    0);
	return r < 0 ? r : mount_onto(copy, target);
}

static int mask_one(int root, const char *path, struct protect_covers *covers, struct err *err)
{
	AUTO(fd_close_p) int target = fd_open_in(root, path, O_PATH, 0);
	struct stat st;

	if (target == -ENOENT || target == -ENOTDIR)
		return 0;
	if (target < 0 || fstat(target, &st) < 0)
		return err_set(err, target < 0 ? -target : errno, "mask %s", path);
	int r = protect_cover(covers, S_ISDIR(st.st_mode), target, err);
	return r < 0 ? err_set(err, -r, "mask %s", path) : 0;
}

int protect_mask_paths(int root, int null, const char *const *paths, size_t n, struct err *err)
{
	AUTO(protect_covers_fini) struct protect_covers covers = { -EBADF, null };
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = mask_one(root, paths[i], &covers, err);
	return r;
}

int protect_mask(int root, int null, struct err *err)
{
	return protect_mask_paths(root, null, masked, ARRAY_SIZE(masked), err);
}

int protect_lock(int root, const char *path, struct err *err)
{
	AUTO(fd_close_p) int target = fd_open_in(root, path, O_PATH, 0);
	if (target == -ENOENT || target == -ENOTDIR)
		return 0;
	if (target < 0)
		return err_set(err, -target, "make %s read-only", path);
	AUTO(fd_close_p) int copy = mount_clone(target, "", true, err);
	if (copy < 0)
		return copy;
	int r = mount_attrs(copy, true, MOUNT_ATTR_RDONLY, 0);
	if (r == 0)
		r = mount_onto(copy, target);
	return r < 0 ? err_set(err, -r, "make %s read-only", path) : 0;
}
