/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/oslevel/dev.h"
#include "engines/oslevel/mount.h"
#include "engines/oslevel/protect.h"
#include "fill.h"

#define LAYOUT_NOTHING (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

struct layout_fs {
	const char *target, *type;
	uint64_t attrs;
	struct mount_option options[3];
	bool exact;
};

static const struct layout_fs layout_fs[] = {
	{ "/proc", "proc", LAYOUT_NOTHING, { { NULL, NULL } }, true },
	{ "/dev",
	  "tmpfs",
	  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	  { { "mode", "755" }, { "size", "64k" }, { NULL, NULL } },
	  true },
	{ "/dev/mqueue", "mqueue", LAYOUT_NOTHING, { { NULL, NULL } }, false },
	{ "/sys", "sysfs", LAYOUT_NOTHING, { { NULL, NULL } }, true },
	{ "/sys/fs/cgroup", "cgroup2", LAYOUT_NOTHING, { { NULL, NULL } }, false },
};

/* Mounted writable, for the agent's own use before: beside protect_read_only. */
static const char *const layout_read_only[] = { "/sys", "/sys/fs/cgroup" };

static bool layout_by_host(const struct config *config, const char *target)
{
	for (size_t i = 0; i < config->n_mounts; i++) {
		if (!strcmp(config->mounts[i].target, target))
			return true;
	}
	return false;
}

int layout_pts(struct err *err)
{
	static const struct mount_option options[] = {
		{ "newinstance", NULL }, { "ptmxmode", "0666" }, { "mode", "0620" }, { NULL, NULL }
	};

	return mount_new("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);
}

static int layout_mount(const struct config *config, int root, const struct layout_fs *fs,
			struct err *err)
{
	if (layout_by_host(config, fs->target))
		return 0;
	AUTO(fd_close_p) int fd = mount_new(fs->type, fs->options, fs->attrs, err);
	return fd < 0 ? fd
		      : mount_at(fd, root, fs->target, MOUNT_TARGET_DIR,
				 fs->exact ? MOUNT_TRUST_EXACT : MOUNT_TRUST_NONE, err);
}

static int layout_shm(const struct config *config, int root, struct err *err)
{
	char size[24];

	(void)snprintf(
		size, sizeof(size), "%llu",
		(unsigned long long)(config->shm_bytes ? config->shm_bytes : 64U << 20)); /* fits */
	const struct layout_fs shm = { "/dev/shm",
				       "tmpfs",
				       LAYOUT_NOTHING,
				       { { "mode", "1777" }, { "size", size }, { NULL, NULL } },
				       false };
	return layout_mount(config, root, &shm, err);
}

static int layout_devices(int root, struct err *err)
{
	AUTO(fd_close_p) int dev = fd_open_in(root, "/dev", O_PATH | O_DIRECTORY, 0);
	if (dev < 0)
		return err_set(err, -dev, "open /dev");
	int r = dev_links(dev, err);
	return r < 0 ? r : dev_nodes(dev, err);
}

/* /dev with a terminal's slave as its console. */
static int layout_dev(const struct config *config, int root, int pts, int console, struct err *err)
{
	if (layout_by_host(config, "/dev"))
		return 0;
	int r = layout_devices(root, err);
	if (r == 0)
		r = mount_at(pts, root, "/dev/pts", MOUNT_TARGET_DIR, MOUNT_TRUST_NONE, err);
	if (r < 0 || console < 0)
		return r;
	AUTO(fd_close_p) int copy = mount_clone(console, "", false, err);
	return copy < 0 ? copy
			: mount_at(copy, root, "/dev/console", MOUNT_TARGET_FILE, MOUNT_TRUST_NONE,
				   err);
}

static int layout_etc(const struct config *config, int root, struct err *err)
{
	const char *const files[][2] = {
		{ "/etc/hosts", config->hosts },
		{ "/etc/resolv.conf", config->resolv },
		{ "/etc/hostname", config->hostname },
	};
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (!files[i][1] || layout_by_host(config, files[i][0]))
			continue;
		(void)snprintf(path, sizeof(path), "%s%s", ROOT_DIR, files[i][0]); /* fits */
		AUTO(fd_close_p) int fd = mount_clone(AT_FDCWD, path, false, err);
		int r = fd < 0 ? fd
			       : mount_at(fd, root, files[i][0], MOUNT_TARGET_FILE,
					  MOUNT_TRUST_NONE, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int layout_make_read_only(int root, const char *path, struct err *err)
{
	AUTO(fd_close_p) int target = fd_open_in(root, path, O_PATH, 0);
	struct statfs fs;

	if (target == -ENOENT || target == -ENOTDIR)
		return 0;
	if (target < 0 || fstatfs(target, &fs) < 0)
		return err_set(err, target < 0 ? -target : errno, "make %s read-only", path);
	/* The mount itself where there is one; a directory of /proc is none yet. */
	if (mount_attrs(target, false, MOUNT_ATTR_RDONLY, 0) == 0)
		return 0;
	AUTO(fd_close_p) int copy = mount_clone(target, "", true, err);
	if (copy < 0)
		return copy;
	int r = mount_attrs(copy, true, MOUNT_ATTR_RDONLY, 0);
	if (r == 0)
		r = mount_onto(copy, target);
	return r < 0 ? err_set(err, -r, "make %s read-only", path) : 0;
}

static int layout_protect(const struct config *config, int root, struct err *err)
{
	int r = 0;

	if (config->flags & AGENT_FLAG_PRIVILEGED)
		return 0;
	for (size_t i = 0; r == 0 && i < PROTECT_READ_ONLY; i++)
		r = layout_make_read_only(root, protect_read_only[i], err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(layout_read_only); i++)
		r = layout_make_read_only(root, layout_read_only[i], err);
	if (r < 0)
		return r;
	AUTO(fd_close_p) int null = protect_null(err);
	return null < 0 ? null : protect_mask(root, null, err);
}

/* What the image's VOLUMEs name need not be in its layers. */
static int layout_directories(const struct config *config, int root, struct err *err)
{
	for (size_t i = 0; i < config->n_directories; i++) {
		AUTO(fd_close_p) int fd = fd_mkdir_in(root, config->directories[i], 0755);
		if (fd < 0)
			return err_set(err, -fd, "make %s, a VOLUME of the image",
				       config->directories[i]);
	}
	return 0;
}

/* A file of the host's may be shared by itself. */
static enum mount_target layout_kind(int mount)
{
	struct stat st;

	return fstat(mount, &st) == 0 && !S_ISDIR(st.st_mode) ? MOUNT_TARGET_FILE
							      : MOUNT_TARGET_DIR;
}

static int layout_fill(const struct config *config, const struct root *root, int pts, int console,
		       struct err *err)
{
	int r = layout_directories(config, root->fd, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(layout_fs); i++) {
		r = layout_mount(config, root->fd, &layout_fs[i], err);
		if (r == 0 && i == 1) /* what hangs below /dev needs its own devices first */
			r = layout_dev(config, root->fd, pts, console, err);
	}
	if (r == 0)
		r = layout_shm(config, root->fd, err);
	if (r == 0)
		r = layout_etc(config, root->fd, err);
	for (size_t i = 0; r == 0 && i < config->n_mounts; i++) {
		if (root->volumes[i] >= 0 && config->mounts[i].copy_up)
			r = fill_volume(root->fd, config->mounts[i].target, root->volumes[i], err);
		if (r == 0 && root->volumes[i] >= 0)
			r = mount_at(root->volumes[i], root->fd, config->mounts[i].target,
				     layout_kind(root->volumes[i]), MOUNT_TRUST_NONE, err);
	}
	return r == 0 ? layout_protect(config, root->fd, err) : r;
}

/*
 * The initramfs is a rootfs, which pivot_root(2) refuses: the new root is moved over "/" instead, where whoever climbs
 * with ".." arrives again (Linux: Documentation/filesystems/ramfs-rootfs-initramfs.rst, "What is rootfs?").
 */
static int layout_move(const struct config *config, int root, struct err *err)
{
	static const char *const ours[] = { "/dev", "/proc", "/sys", "/run", "/tmp" };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		(void)umount2(ours[i], MNT_DETACH); /* not each is a mount everywhere */
	if (fchdir(root) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		return err_set(err, errno, "enter the root file system");
	if (config->flags & AGENT_FLAG_READ_ONLY) {
		int r = mount_attrs(root, false, MOUNT_ATTR_RDONLY, 0);
		if (r < 0)
			return err_set(err, -r, "make the root file system read-only");
	}
	return 0;
}

int layout_enter(const struct config *config, const struct root *root, int pts, int console,
		 struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(err, errno, "make the mount namespace private");
	if (mkdir(ROOT_DIR "/at", 0755) < 0 && errno != EEXIST)
		return err_set(err, errno, "make %s/at", ROOT_DIR);
	AUTO(fd_close_p) int at = open(ROOT_DIR "/at", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = at < 0 ? -errno : mount_onto(root->fd, at);
	if (r < 0)
		return err_set(err, -r, "mount the root file system");
	r = layout_fill(config, root, pts, console, err);
	return r < 0 ? r : layout_move(config, root->fd, err);
}
