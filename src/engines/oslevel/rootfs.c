/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/oslevel/private.h"

/*
 * Overlay takes its directories as one string that fsconfig(2) cuts at 255 bytes before Linux 6.7 brought
 * "lowerdir+". A directory's fd is a name of two or three digits when the current directory is
 * /proc/self/fd, so some 80 layers fit; and no path of the host shows in the guest's mountinfo.
 */
#define ROOTFS_STRING_MAX 255

struct rootfs_fds {
	int *fds; /* layers from the top down, then upper, then work */
	size_t n;
	int disk; /* of a root with a size, or -EBADF */
};

static void rootfs_fds_fini(struct rootfs_fds *set)
{
	for (size_t i = 0; i < set->n; i++)
		fd_close(set->fds[i]);
	fd_close(set->disk);
	free(set->fds);
}

/* A directory of the overlay, its owners mapped where the guest has a user namespace. */
static int rootfs_dir(const char *path, int idmap_fd, struct err *err)
{
	if (idmap_fd < 0) {
		int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? err_set(err, errno, "layer %s", path) : fd;
	}
	AUTO(fd_close_p) int fd = mount_clone(AT_FDCWD, path, false, err);
	if (fd < 0)
		return fd;
	int r = mount_idmap(fd, false, idmap_fd);
	if (r < 0)
		return err_set(err, -r, "map the owners of %s", path);
	return fd_take(&fd);
}

/* Overlay makes its work directory as the host's root, whom a mapped mount does not know: upper and work are plain. */
static int rootfs_owner(const struct spec *spec, const char *path, const struct stat *st,
			struct err *err)
{
	uint32_t uid = st->st_uid, gid = st->st_gid;

	if (spec->n_uid_map && (idmap_outside(spec->uid_map, spec->n_uid_map, uid, &uid) < 0 ||
				idmap_outside(spec->gid_map, spec->n_gid_map, gid, &gid) < 0))
		return err_say(
			err, EOVERFLOW,
			"the image's / belongs to %u:%u: map these ids too (--uidmap, --gidmap)",
			st->st_uid, st->st_gid);
	if (chown(path, uid, gid) < 0 || chmod(path, st->st_mode & 07777) < 0)
		return err_set(err, errno, "make %s", path);
	return 0;
}

/* The upper directory's owner and mode are the guest's "/": at first those of the uppermost layer. */
static int rootfs_upper(const struct spec *spec, const char *state_dir, const char *name,
			struct err *err)
{
	char path[4096];
	struct stat st;
	int n = snprintf(path, sizeof(path), "%s/%s", state_dir, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "state directory %s", state_dir);
	if (mkdir(path, 0700) == 0) {
		if (stat(spec->layers[spec->n_layers - 1], &st) < 0)
			return err_set(err, errno, "make %s", path);
		int r = rootfs_owner(spec, path, &st, err);
		if (r < 0) {
			(void)rmdir(path); /* the next start would take it as it is */
			return r;
		}
	} else if (errno != EEXIST) {
		return err_set(err, errno, "make %s", path);
	}
	return rootfs_dir(path, -EBADF, err);
}

static int rootfs_open_all(const struct spec *spec, const char *state_dir, int idmap_fd,
			   struct rootfs_fds *set, struct err *err)
{
	if (!spec->n_layers)
		return err_say(err, EINVAL, "the image has no layers");
	set->fds = calloc(spec->n_layers + 2, sizeof(int));
	if (!set->fds)
		return err_set(err, ENOMEM, "root file system");
	for (size_t i = spec->n_layers; i > 0; i--) {
		int fd = rootfs_dir(spec->layers[i - 1], idmap_fd, err);
		if (fd < 0)
			return fd;
		set->fds[set->n++] = fd;
	}
	char disk[32];
	if (spec->root_bytes) {
		set->disk = rootdisk_mount(state_dir, err);
		if (set->disk < 0)
			return set->disk;
		(void)snprintf(disk, sizeof(disk), "/proc/self/fd/%d", set->disk); /* fits */
		state_dir = disk;
	}
	static const char *const names[] = { "upper", "work" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int fd = rootfs_upper(spec, state_dir, names[i], err);
		if (fd < 0)
			return fd;
		set->fds[set->n++] = fd;
	}
	return 0;
}

static int rootfs_lower_string(const struct rootfs_fds *set, char ret[ROOTFS_STRING_MAX + 1])
{
	size_t len = 0;

	for (size_t i = 0; i + 2 < set->n; i++) {
		int n = snprintf(ret + len, ROOTFS_STRING_MAX + 1 - len, "%s%d", i ? ":" : "",
				 set->fds[i]);
		if (n < 0 || len + (size_t)n > ROOTFS_STRING_MAX)
			return -E2BIG;
		len += (size_t)n;
	}
	return 0;
}

/* The new way, one call a layer: only where the string is too short for them all. */
static int rootfs_mount_many(const struct rootfs_fds *set, const char *upper, const char *work,
			     bool confined, bool discard, struct err *err)
{
	size_t n = set->n - 2;
	struct mount_option *options = calloc(n + 5, sizeof(*options));
	char(*names)[12] = calloc(n, sizeof(*names));
	int fd = -ENOMEM;

	if (options && names) {
		for (size_t i = 0; i < n; i++) {
			(void)snprintf(names[i], sizeof(names[i]), "%d", set->fds[i]); /* fits */
			options[i] = (struct mount_option){ "lowerdir+", names[i] };
		}
		options[n] = (struct mount_option){ "upperdir", upper };
		options[n + 1] = (struct mount_option){ "workdir", work };
		n += 2;
		if (confined)
			options[n++] = (struct mount_option){ "userxattr", NULL };
		if (discard)
			options[n++] = (struct mount_option){ "volatile", NULL };
		fd = mount_new("overlay", options, 0, err);
	} else {
		fd = err_set(err, ENOMEM, "root file system");
	}
	free(options);
	free(names);
	return fd;
}

static int rootfs_mount_in_fds(const struct rootfs_fds *set, bool confined, bool discard,
			       struct err *err)
{
	char lower[ROOTFS_STRING_MAX + 1], upper[12], work[12];

	(void)snprintf(upper, sizeof(upper), "%d", set->fds[set->n - 2]); /* fits */
	(void)snprintf(work, sizeof(work), "%d", set->fds[set->n - 1]);	  /* fits */
	if (rootfs_lower_string(set, lower) < 0)
		return rootfs_mount_many(set, upper, work, confined, discard, err);

	struct mount_option options[6] = {
		{ "lowerdir", lower },
		{ "upperdir", upper },
		{ "workdir", work },
	};
	size_t n = 3;
	if (confined)
		options[n++] = (struct mount_option){ "userxattr", NULL };
	if (discard)
		options[n++] = (struct mount_option){ "volatile", NULL };
	return mount_new("overlay", options, 0, err);
}

int rootfs_mount(const struct spec *spec, const char *state_dir, int idmap_fd, bool confined,
		 bool discard, struct err *err)
{
	AUTO(rootfs_fds_fini) struct rootfs_fds set = { .disk = -EBADF };
	int r = rootfs_open_all(spec, state_dir, idmap_fd, &set, err);
	if (r < 0)
		return err_wrap(err, "root file system");
	AUTO(fd_close_p) int old = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (old < 0 || chdir("/proc/self/fd") < 0)
		return err_set(err, errno, "enter /proc/self/fd");
	int fd = rootfs_mount_in_fds(&set, confined, discard, err);
	if (fchdir(old) < 0) {
		fd_close(fd);
		return err_set(err, errno, "leave /proc/self/fd");
	}
	if (fd == -EINVAL)
		return err_wrap(
			err,
			"root file system of %s (is %s itself on an overlay? choose a --root "
			"on another file system)",
			spec->name, state_dir);
	return fd;
}
