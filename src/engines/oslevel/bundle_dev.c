/* SPDX-License-Identifier: Apache-2.0 */
/* /dev of a bundle: config-linux.md, "Default Devices" and "Devices". */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/oslevel/bundle_private.h"
#include "engines/oslevel/dev.h"

static const struct bundle_device dev_defaults[] = {
	{ "/dev/null", S_IFCHR, 1, 3, 0666, 0, 0 },    { "/dev/zero", S_IFCHR, 1, 5, 0666, 0, 0 },
	{ "/dev/full", S_IFCHR, 1, 7, 0666, 0, 0 },    { "/dev/random", S_IFCHR, 1, 8, 0666, 0, 0 },
	{ "/dev/urandom", S_IFCHR, 1, 9, 0666, 0, 0 }, { "/dev/tty", S_IFCHR, 5, 0, 0666, 0, 0 },
};

/*
 * NULL: a default one in whose place the bundle has its own, or /dev/ptmx. Managers list the host's for a privileged container,
 * and bound into a user namespace it cannot be opened: a container's is that of its own devpts, dev_links() sees to it.
 */
static const struct bundle_device *dev_at(const struct bundle *bundle, size_t i)
{
	if (i >= ARRAY_SIZE(dev_defaults)) {
		const struct bundle_device *own = &bundle->devices[i - ARRAY_SIZE(dev_defaults)];
		return strcmp(own->path, "/dev/ptmx") != 0 ? own : NULL;
	}
	for (size_t k = 0; k < bundle->n_devices; k++) {
		if (!strcmp(bundle->devices[k].path, dev_defaults[i].path))
			return NULL;
	}
	return &dev_defaults[i];
}

static bool dev_is(const struct stat *st, const struct bundle_device *device)
{
	if ((st->st_mode & S_IFMT) != device->type)
		return false;
	return device->type == S_IFIFO ||
	       st->st_rdev == makedev(device->device_major, device->device_minor);
}

/* A path of the host's stands for a device only where that very device is behind it. */
static int dev_bind_source(const struct bundle_device *device, struct err *err)
{
	AUTO(fd_close_p) int fd = mount_clone(AT_FDCWD, device->path, false, err);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !dev_is(&st, device))
		return err_say(err, EPERM,
			       "device %s: in a user namespace it is the host's or none, and the "
			       "host has another one there",
			       device->path);
	return fd_take(&fd);
}

int bundle_devices_prepare(struct bundle_work *work, struct err *err)
{
	const size_t n = ARRAY_SIZE(dev_defaults) + work->bundle->n_devices;

	work->devices = calloc(n, sizeof(int));
	if (!work->devices)
		return err_set(err, ENOMEM, "devices");
	for (; work->n_devices < n; work->n_devices++) {
		const struct bundle_device *device = dev_at(work->bundle, work->n_devices);
		const bool is_bound = device && device->type != S_IFIFO;
		int fd = is_bound ? dev_bind_source(device, err) : -EBADF;
		if (fd < 0 && is_bound)
			return fd;
		work->devices[work->n_devices] = fd;
	}
	return 0;
}

/* Links within the root lead where they lead; the node itself never replaces anything. */
static int dev_make(int root, const struct bundle_device *device, struct err *err)
{
	const char *slash = strrchr(device->path, '/');
	char parent[PATH_MAX] = "/";
	size_t len = (size_t)(slash - device->path);
	struct stat st;

	if (len >= sizeof(parent))
		return err_set(err, ENAMETOOLONG, "device %.64s...", device->path);
	if (len)
		memcpy(parent, device->path, len);
	AUTO(fd_close_p) int dir = fd_mkdir_in(root, parent, 0755);
	if (dir < 0)
		return err_set(err, -dir, "device %s", device->path);
	if (mknodat(dir, slash + 1, device->type | device->mode,
		    makedev(device->device_major, device->device_minor)) < 0) {
		if (errno != EEXIST)
			return err_set(err, errno, "device %s", device->path);
		if (fstatat(dir, slash + 1, &st, AT_SYMLINK_NOFOLLOW) == 0 && dev_is(&st, device))
			return 0;
		return err_say(err, EEXIST, "device %s: there is something else", device->path);
	}
	if (fchmodat(dir, slash + 1, device->mode, 0) < 0 ||
	    fchownat(dir, slash + 1, device->uid, device->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, errno, "device %s", device->path);
	return 0;
}

/* A /dev that the bundle binds is its maker's business. */
static bool dev_is_bound(const struct bundle *bundle)
{
	for (size_t i = 0; i < bundle->n_mounts; i++) {
		if (!strcmp(bundle->mounts[i].target, "/dev"))
			return !bundle->mounts[i].type;
	}
	return false;
}

int bundle_devices(const struct bundle_work *work, struct err *err)
{
	const struct bundle *bundle = work->bundle;
	const size_t n = ARRAY_SIZE(dev_defaults) + bundle->n_devices;
	int r = 0;

	if (dev_is_bound(bundle))
		return 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct bundle_device *device = dev_at(bundle, i);
		if (!device)
			continue;
		if (work->devices && work->devices[i] >= 0)
			r = mount_at(work->devices[i], work->root, device->path, MOUNT_TARGET_FILE,
				     MOUNT_TRUST_NONE, err);
		else
			r = dev_make(work->root, device, err);
	}
	if (r < 0)
		return r;
	AUTO(fd_close_p) int dev = fd_open_in(work->root, "/dev", O_PATH | O_DIRECTORY, 0);
	return dev < 0 ? err_set(err, -dev, "open /dev") : dev_links(dev, err);
}
