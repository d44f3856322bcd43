/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/cgroupfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "base/os/fd.h"
#include "engines/oslevel/mount.h"

static int cgroupfs_new(const struct cgroup_hierarchy *h, uint64_t attrs, struct err *err)
{
	struct mount_option options[CGROUP_CONTROLLER_MAX + 1] = { { NULL, NULL } };
	char text[sizeof(h->options)];
	char *save = NULL;
	size_t n = 0;

	memcpy(text, h->options, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	for (char *o = strtok_r(text, ",", &save); o && !h->v2 && n < CGROUP_CONTROLLER_MAX;
	     o = strtok_r(NULL, ",", &save))
		options[n++] = (struct mount_option){ o, NULL };
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

static int cgroupfs_one(const struct cgroup_hierarchy *h, const char *group, int root,
			const char *target, uint64_t attrs, struct err *err)
{
	AUTO(fd_close_p)
	int fd = group ? cgroupfs_bound(h, group, attrs, err) : cgroupfs_new(h, attrs, err);

	return fd < 0 ? fd : mount_at(fd, root, target, MOUNT_TARGET_DIR, MOUNT_TRUST_NONE, err);
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
	if (!v1) {
		return layout->v2 < 0 ? 0
				      : cgroupfs_one(&layout->hierarchies[layout->v2], group, root,
						     target, attrs, err);
	}
	AUTO(fd_close_p)
	int top = mount_new("tmpfs", dir, attrs & ~(uint64_t)MOUNT_ATTR_RDONLY, err);
	if (top < 0)
		return top;
	int r = mount_at(top, root, target, MOUNT_TARGET_DIR, MOUNT_TRUST_NONE, err);
	for (unsigned i = 0; r == 0 && i < layout->n; i++) {
		const struct cgroup_hierarchy *h = &layout->hierarchies[i];
		char at[4096];
		if (!(used >> i & 1))
			continue;
		int n = snprintf(at, sizeof(at), "%s/%s", target, h->v2 ? "unified" : h->options);
		if (n < 0 || (size_t)n >= sizeof(at))
			return err_set(err, ENAMETOOLONG, "mount at %s", target);
		r = cgroupfs_one(h, group, root, at, attrs, err);
	}
	if (r == 0 && attrs & MOUNT_ATTR_RDONLY) {
		r = mount_attrs(top, false, MOUNT_ATTR_RDONLY, 0);
		if (r < 0)
			return err_set(err, -r, "make %s read-only", target);
	}
	return r;
}
