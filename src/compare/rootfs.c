/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/oslevel/users.h"

#define ROOTFS_PATH 4096

static int rootfs_path(const struct rootfs *rootfs, const char *name, char ret[ROOTFS_PATH])
{
	int n = snprintf(ret, ROOTFS_PATH, "%s/%s", rootfs->dir, name);

	return n < 0 || n >= ROOTFS_PATH ? -ENAMETOOLONG : 0;
}

int rootfs_make(const struct column_setup *setup, const char *name, struct rootfs *ret,
		struct err *err)
{
	static const char *const parts[] = { "", "upper", "work", "root" };
	struct rootfs rootfs = { .setup = setup };
	char path[ROOTFS_PATH];
	int n = snprintf(rootfs.dir, sizeof(rootfs.dir), "%s/%s", setup->scratch, name);

	if (n < 0 || (size_t)n >= sizeof(rootfs.dir))
		return err_set(err, ENAMETOOLONG, "directory %s", setup->scratch);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		int r = rootfs_path(&rootfs, parts[i], path);
		if (r == 0 && mkdir(path, 0755) < 0 && errno != EEXIST)
			r = -errno;
		if (r < 0)
			return err_set(err, -r, "make %s/%s", rootfs.dir, parts[i]);
	}
	*ret = rootfs;
	return 0;
}

void rootfs_remove(const struct rootfs *rootfs)
{
	if (rootfs->dir[0])
		(void)dir_remove(AT_FDCWD,
				 rootfs->dir); /* what stays goes with the comparison's directory */
}

/* The loopback of a new network name space is down. */
static int rootfs_loopback(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	AUTO(fd_close_p) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

/* Names of layers are long and a mount's options at most a page: so they are looked up where they are. */
static int rootfs_overlay(const struct rootfs *rootfs)
{
	char options[ROOTFS_PATH], root[ROOTFS_PATH], layers[ROOTFS_PATH];
	int n = snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s/upper,workdir=%s/work",
			 rootfs->setup->layers, rootfs->dir, rootfs->dir);

	if (n < 0 || (size_t)n >= sizeof(options))
		return -E2BIG;
	n = snprintf(layers, sizeof(layers), "%s/layers", rootfs->setup->root);
	if (n < 0 || (size_t)n >= sizeof(layers) || rootfs_path(rootfs, "root", root) < 0)
		return -ENAMETOOLONG;
	if (chdir(layers) < 0 || mount("overlay", root, "overlay", 0, options) < 0 ||
	    chdir("/") < 0)
		return -errno;
	return 0;
}

int rootfs_attach(const struct rootfs *rootfs, struct err *err)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0)
		return err_set(err, errno, "new name spaces");
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_set(err, errno, "make the mounts our own");
	int r = rootfs_loopback();
	if (r < 0)
		return err_set(err, -r, "bring the loopback up");
	r = rootfs_overlay(rootfs);
	return r < 0 ? err_set(err, -r, "mount the image's layers at %s/root", rootfs->dir) : 0;
}

/* Those of the host: a plain process has no others. An image without such a directory does without. */
static void rootfs_system(const struct rootfs *rootfs)
{
	static const char *const names[] = { "proc", "sys", "dev" };
	char target[ROOTFS_PATH], name[16];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		(void)snprintf(name, sizeof(name), "root/%s", names[i]); /* fits */
		if (rootfs_path(rootfs, name, target) < 0)
			continue;
		(void)mkdir(target, 0755);				 /* there already: good */
		(void)snprintf(name, sizeof(name), "/%s", names[i]);	 /* fits */
		(void)mount(name, target, NULL, MS_BIND | MS_REC, NULL); /* what needs it says so */
	}
}

static int rootfs_user(const char *name, struct err *err)
{
	struct user user = { 0 };
	int r = users_resolve(name, NULL, &user, err);

	if (r < 0)
		return r;
	if (name[0] && (setgroups(user.n_groups, user.groups) < 0 ||
			setresgid(user.gid, user.gid, user.gid) < 0 ||
			setresuid(user.uid, user.uid, user.uid) < 0))
		r = err_set(err, errno, "become user %s", name);
	user_fini(&user);
	return r;
}

int rootfs_enter(const struct rootfs *rootfs, struct err *err)
{
	char root[ROOTFS_PATH];
	int r = rootfs_attach(rootfs, err);

	if (r < 0)
		return r;
	rootfs_system(rootfs);
	if (rootfs_path(rootfs, "root", root) < 0 || chroot(root) < 0 || chdir("/") < 0)
		return err_set(err, errno, "enter %s/root", rootfs->dir);
	const char *cwd = rootfs->setup->cwd;
	/* One that is not there is made, as everywhere else. */
	if (chdir(cwd) < 0 && (dir_make(AT_FDCWD, cwd, 0755) < 0 || chdir(cwd) < 0))
		return err_set(err, errno, "directory %s of the image", cwd);
	return rootfs_user(rootfs->setup->user, err);
}
