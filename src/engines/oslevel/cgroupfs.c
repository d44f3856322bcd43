/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/cgroupfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/os/fd.h"
#include "engines/oslevel/mount.h"

static bool cgroupfs_is_systemd(const struct cgroup_hierarchy *h)
{
	return !h->v2 && !strcmp(h->options, CGROUP_SYSTEMD);
}

static int cgroupfs_new(const struct cgroup_hierarchy *h, uint64_t attrs, struct err *err)
{
	struct mount_option options[CGROUP_CONTROLLER_MAX + 1] = { { NULL, NULL } };
	char text[sizeof(h->options)];
	char *save = NULL;
	size_t n = 0;

	memcpy(text, h->options, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	for (char *o = strtok_r(text, ",", &save); o && !h->v2 && n < CGROUP_CONTROLLER_MAX;
	     o = strtok_r(NULL, ",", &save)) {
		char *name = strncmp(o, "name=", 5) ? NULL : o + 5;
		options[n++] = name ? (struct mount_option){ "name", name }
				    : (struct mount_option){ o, NULL };
		if (name && cgroupfs_is_systemd(h) && n < CGROUP_CONTROLLER_MAX)
			options[n++] = (struct mount_option){ "none", NULL };
	}
	return mount_new(h->v2 ? "cgroup2" : "cgroup", options, attrs, err);
}

static int cgroupfs_bound(const struct cgroup_hierarchy *h, const char *group, uint64_t attrs,
			  struct err *err)
{
	char path[sizeof(h->mount) + 257];

	(void)snprintf(path, sizeof(path), "%s/%.255s", h->mount, group); /* fits */
	AUTO(fd_close_p) int fd = mount_clone(AT_FDCWD, path, false, err);
	if (fd < 0)
		return fd;
	int r = mount_attrs(fd, false, attrs, 0);
	return r < 0 ? err_set(err, -r, "bind mount of %s", path) : fd_take(&fd);
}

static int cgroupfs_fd(const struct cgroup_hierarchy *h, const char *group, uint64_t attrs,
		       struct err *err)
{
	return group ? cgroupfs_bound(h, group, attrs, err) : cgroupfs_new(h, attrs, err);
}

/* A directory of a file system that was just made: nobody else has been there, so no path is walked again. */
static int cgroupfs_dir(const struct cgroup_hierarchy *h, const char *group, int top,
			uint64_t attrs, struct err *err)
{
	const char *name = h->v2 ? "unified" : cgroupfs_is_systemd(h) ? "systemd" : h->options;
	/* By this one a system container's init keeps its own groups. */
	if (cgroupfs_is_systemd(h))
		attrs &= ~(uint64_t)MOUNT_ATTR_RDONLY;
	AUTO(fd_close_p) int fd = cgroupfs_fd(h, group, attrs, err);
	if (fd < 0)
		return fd;
	if (mkdirat(top, name, 0755) < 0)
		return err_set(err, errno, "make /sys/fs/cgroup/%s", name);
	AUTO(fd_close_p) int dir = openat(top, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = dir < 0 ? -errno : mount_onto(fd, dir);
	return r < 0 ? err_set(err, -r, "mount at /sys/fs/cgroup/%s", name) : 0;
}

static bool cgroupfs_is_used(const struct cgroup_layout *layout, unsigned used, unsigned i, bool v2)
{
	return used >> i & 1 && layout->hierarchies[i].v2 == v2;
}

int cgroupfs_mount(const struct cgroup_layout *layout, unsigned used, const char *group, int root,
		   const char *target, uint64_t attrs, struct err *err)
{
	static const struct mount_option dir[] = { { "mode", "755" },
						   { "size", "64k" },
						   { NULL, NULL } };
	unsigned v1 = 0;

	for (unsigned i = 0; i < layout->n; i++)
		v1 += cgroupfs_is_used(layout, used, i, false);
	if (!v1 && layout->v2 < 0)
		return 0;
	if (!v1) {
		AUTO(fd_close_p)
		int fd = cgroupfs_fd(&layout->hierarchies[layout->v2], group, attrs, err);
		return fd < 0 ? fd
			      : mount_at(fd, root, target, MOUNT_TARGET_DIR, MOUNT_TRUST_NONE, err);
	}
	AUTO(fd_close_p)
	int top = mount_new("tmpfs", dir, attrs & ~(uint64_t)MOUNT_ATTR_RDONLY, err);
	if (top < 0)
		return top;
	int r = mount_at(top, root, target, MOUNT_TARGET_DIR, MOUNT_TRUST_NONE, err);
	for (unsigned i = 0; r == 0 && i < layout->n; i++) {
		if (used >> i & 1)
			r = cgroupfs_dir(&layout->hierarchies[i], group, top, attrs, err);
	}
	if (r == 0 && attrs & MOUNT_ATTR_RDONLY) {
		r = mount_attrs(top, false, MOUNT_ATTR_RDONLY, 0);
		if (r < 0)
			return err_set(err, -r, "make %s read-only", target);
	}
	return r;
}
