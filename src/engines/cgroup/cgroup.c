/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/cgroup/private.h"

/*
 * Absolute paths are used on purpose: opening a cgroup directory costs more than walking its four
 * components again (docs/cgroups.md), so a parent's fd would not earn its price.
 */

int cgroup_read(int dirfd, const char *name, char *ret, size_t size)
{
	AUTO(fd_close_p) int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : (int)fd_read_text(fd, ret, size);
}

int cgroup_read_u64(int dirfd, const char *name, uint64_t *ret)
{
	char text[64];

	int r = cgroup_read(dirfd, name, text, sizeof(text));
	if (r < 0)
		return r;
	if (!strncmp(text, "max", 3)) {
		*ret = UINT64_MAX;
		return 0;
	}
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (end == text || errno)
		return -EBADMSG;
	*ret = value;
	return 0;
}

bool cgroup_field(const char *text, const char *key, uint64_t *ret)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) || line[len] != ' ')
			continue;
		char *end;
		*ret = strtoull(line + len + 1, &end, 10);
		return end != line + len + 1;
	}
	return false;
}

int cgroup_path_check(const char *path, struct err *err)
{
	size_t len = strlen(path);

	if (!len || len >= sizeof(((struct cgroup *)0)->path))
		return err_say(err, EINVAL, "cgroup path '%.60s': must have 1 to %zu characters",
			       path, sizeof(((struct cgroup *)0)->path) - 1);
	for (const char *p = path;; p++) {
		size_t n = strcspn(p, "/");
		if (!n || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.') ||
		    n > NAME_MAX || memchr(p, '\n', n))
			return err_say(err, EINVAL,
				       "cgroup path '%s': must be relative, without '.', '..' or "
				       "empty parts",
				       path);
		p += n;
		if (!*p)
			return 0;
	}
}

/* The directories above path; a v1 cpuset takes no process until it has CPUs, at every level. */
static int parents_make(const struct cgroup_hierarchy *h, const char *path)
{
	char part[sizeof(((struct cgroup *)0)->path)];
	char full[PATH_MAX];

	AUTO(fd_close_p) int at = open(h->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return -errno;
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		memcpy(part, path, (size_t)(slash - path));
		part[slash - path] = '\0';
		int r = cgroup_full_path(h, part, full, sizeof(full));
		if (r < 0)
			return r;
		if (mkdir(full, 0755) < 0 && errno != EEXIST)
			return -errno;
		int next = open(full, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (next < 0)
			return -errno;
		r = h->v2 || !(h->controllers & CGROUP_BIT(CGROUP_CPUSET))
			    ? 0
			    : cgroup_cpuset_inherit(at, next);
		fd_close(at);
		at = next;
		if (r < 0)
			return r;
	}
	return 0;
}

static int found_one(pid_t pid, void *arg)
{
	(void)pid;
	(void)arg;
	return -EEXIST;
}

/* Left by a monitor that was killed: its limits must not pass on to us. One with processes stays untouched. */
static int stale_remove(const char *full)
{
	if (rmdir(full) == 0 || errno == ENOENT)
		return 0;
	AUTO(fd_close_p) int fd = open(full, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	int r = cgroup_walk(fd, "cgroup.procs", found_one, NULL);
	if (r == 0)
		r = cgroup_tree_remove(full);
	return r == -EBUSY ? -EEXIST : r;
}

static int group_mkdir(const struct cgroup_hierarchy *h, const char *path, const char *full)
{
	for (int tries = 0; tries < 3; tries++) {
		if (mkdir(full, 0755) == 0)
			return 0;
		int r = -errno;
		if (r == -EEXIST && h->adopt)
			return 0;
		if (r == -ENOENT)
			r = parents_make(h, path);
		else if (r == -EEXIST)
			r = stale_remove(full);
		if (r < 0)
			return r;
	}
	return -EEXIST;
}

static int make_error(struct err *err, int r, const char *full)
{
	if (r == -EEXIST)
		return err_say(err, EEXIST, "create cgroup %s: it exists and has processes", full);
	if (r == -EAGAIN || r == -ENOSPC)
		return err_say(err, -r,
			       "create cgroup %s: the kernel allows no more groups here "
			       "(cgroup.max.descendants, cgroup.max.depth)",
			       full);
	return err_set(err, -r, "create cgroup %s", full);
}

int cgroup_make(const struct cgroup_hierarchy *h, const char *path, struct err *err)
{
	char full[PATH_MAX];

	int r = cgroup_full_path(h, path, full, sizeof(full));
	if (r == 0)
		r = group_mkdir(h, path, full);
	if (r < 0)
		return make_error(err, r, r == -ENAMETOOLONG ? path : full);

	AUTO(fd_close_p) int fd = open(full, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		r = -errno;
	if (r == 0 && !h->v2 && h->controllers & CGROUP_BIT(CGROUP_CPUSET)) {
		AUTO(fd_close_p)
		int parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = parent < 0 ? -errno : cgroup_cpuset_inherit(parent, fd);
	}
	if (r < 0) {
		(void)rmdir(full); /* the first error is the one to report */
		return err_set(err, -r, "prepare cgroup %s", full);
	}
	return fd_take(&fd);
}

static void cgroup_init(const struct cgroup_layout *layout, const char *path, struct cgroup *ret)
{
	ret->layout = layout;
	ret->v1_rules = false;
	(void)snprintf(ret->path, sizeof(ret->path), "%s", path); /* checked before */
	for (int i = 0; i < CGROUP_HIERARCHIES; i++)
		ret->fds[i] = -EBADF;
}

void cgroup_none(const struct cgroup_layout *layout, struct cgroup *ret)
{
	cgroup_init(layout, "", ret);
}

bool cgroup_is_none(const struct cgroup *cgroup)
{
	return cgroup_main(cgroup) < 0;
}

void cgroup_close(struct cgroup *cgroup)
{
	for (int i = 0; cgroup->layout && i < CGROUP_HIERARCHIES; i++)
		fd_close_p(&cgroup->fds[i]);
	cgroup->layout = NULL;
}

/* Undoes a cgroup_create() that failed: the groups are ours and hold nobody. */
static void cgroup_abort_p(struct cgroup *cgroup)
{
	char full[PATH_MAX];

	for (unsigned i = 0; cgroup->layout && i < cgroup->layout->n; i++) {
		if (cgroup->fds[i] < 0)
			continue;
		if (cgroup_full_path(&cgroup->layout->hierarchies[i], cgroup->path, full,
				     sizeof(full)) == 0)
			(void)rmdir(full); /* the error that led here is the one to report */
	}
	cgroup_close(cgroup);
}

/* A hierarchy that only serves statistics may be closed to us: the instance does without. */
static bool can_do_without(int r, uint32_t needed)
{
	return !needed && (r == -EACCES || r == -EPERM || r == -EROFS);
}

/* What is good for statistics is enabled where it can be; what a limit needs must be. */
static int v2_prepare(const struct cgroup_hierarchy *h, const char *path, uint32_t needed,
		      struct err *err)
{
	uint32_t got = 0, want = needed | CGROUP_BIT(CGROUP_MEMORY) | CGROUP_BIT(CGROUP_PIDS) |
				 CGROUP_BIT(CGROUP_BLKIO);

	int r = cgroup_v2_enable(h, path, want & h->controllers, &got);
	if (r < 0 && !can_do_without(r, needed))
		return err_set(err, -r, "enable cgroup controllers below %s", h->mount);
	return cgroup_v2_refused(h, needed & ~got, err);
}

static int cgroup_make_all(struct cgroup *cgroup, uint32_t need, bool all_devices, struct err *err)
{
	for (unsigned i = 0; i < cgroup->layout->n; i++) {
		const struct cgroup_hierarchy *h = &cgroup->layout->hierarchies[i];
		uint32_t needed = h->controllers & need;

		if (!h->used && !needed)
			continue;
		if (all_devices && !needed && h->controllers == CGROUP_BIT(CGROUP_DEVICES))
			continue; /* no rules: no reason to be there */
		if (h->v2 && h->controllers) {
			int r = v2_prepare(h, cgroup->path, needed, err);
			if (r < 0)
				return r;
		}
		int fd = cgroup_make(h, cgroup->path, err);
		if (fd < 0 && !can_do_without(fd, needed))
			return fd;
		if (fd < 0 && err)
			*err = (struct err){ 0 };
		cgroup->fds[i] = fd < 0 ? -EBADF : fd;
	}
	return 0;
}

int cgroup_prepare(const struct cgroup_layout *layout, const char *path,
		   const struct spec_limits *limits, bool all_devices, struct cgroup *ret,
		   struct err *err)
{
	int r = cgroup_path_check(path, err);
	if (r < 0)
		return r;
	r = cgroup_limits_check(layout, limits, err);
	if (r < 0)
		return r;

	AUTO(cgroup_abort_p) struct cgroup cgroup;
	cgroup_init(layout, path, &cgroup);
	r = cgroup_make_all(&cgroup, cgroup_limits_need(limits) | layout->also, all_devices, err);
	if (r < 0)
		return r;
	*ret = cgroup;
	cgroup.layout = NULL; /* *ret owns the groups now */
	return 0;
}

int cgroup_open(const struct cgroup_layout *layout, const char *path, struct cgroup *ret,
		struct err *err)
{
	char full[PATH_MAX];
	bool found = false;

	int r = cgroup_path_check(path, err);
	if (r < 0)
		return r;
	struct cgroup cgroup;
	cgroup_init(layout, path, &cgroup);
	for (unsigned i = 0; i < layout->n; i++) {
		r = cgroup_full_path(&layout->hierarchies[i], path, full, sizeof(full));
		int fd = r < 0 ? r : open(full, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		cgroup.fds[i] = fd;
		found = true;
	}
	if (!found) {
		cgroup_close(&cgroup);
		return err_say(err, ENOENT, "cgroup %s: no such group", path);
	}
	*ret = cgroup;
	return 0;
}

int cgroup_v2_fd(const struct cgroup *cgroup)
{
	return cgroup->layout->v2 < 0 ? -EBADF : cgroup->fds[cgroup->layout->v2];
}

int cgroup_main(const struct cgroup *cgroup)
{
	static const enum cgroup_controller order[] = { CGROUP_FREEZER, CGROUP_DEVICES,
							CGROUP_MEMORY, CGROUP_PIDS };

	if (cgroup_v2_fd(cgroup) >= 0)
		return cgroup->layout->v2;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		int h = cgroup_find(cgroup->layout, order[i]);
		if (h >= 0 && cgroup->fds[h] >= 0)
			return h;
	}
	for (int h = 0; h < CGROUP_HIERARCHIES; h++) {
		if (cgroup->fds[h] >= 0)
			return h;
	}
	return -1;
}

int cgroup_restrict(struct cgroup *cgroup, const struct spec_limits *limits,
		    const struct spec_device *devices, size_t n, bool all_devices, struct err *err)
{
	int r = cgroup_limits_set(cgroup, limits, err);

	return r < 0 || all_devices ? r : cgroup_devices_set(cgroup, devices, n, err);
}

int cgroup_restrict_rules(struct cgroup *cgroup, const struct spec_limits *limits,
			  const struct device_rule *rules, size_t n, bool all_devices,
			  struct err *err)
{
	int r = cgroup_limits_set(cgroup, limits, err);

	return r < 0 || all_devices ? r : cgroup_rules_set(cgroup, rules, n, err);
}

int cgroup_create(const struct cgroup_layout *layout, const char *path,
		  const struct spec_limits *limits, const struct spec_device *devices, size_t n,
		  bool all_devices, struct cgroup *ret, struct err *err)
{
	AUTO(cgroup_abort_p) struct cgroup cgroup = { .layout = NULL };

	int r = cgroup_prepare(layout, path, limits, all_devices, &cgroup, err);
	if (r == 0)
		r = cgroup_restrict(&cgroup, limits, devices, n, all_devices, err);
	if (r < 0)
		return r;
	*ret = cgroup;
	cgroup.layout = NULL; /* *ret owns the groups now */
	return 0;
}

int cgroup_joins_open(const struct cgroup *cgroup, int ret_fds[CGROUP_HIERARCHIES], unsigned *ret_n,
		      struct err *err)
{
	unsigned n = 0;

	for (unsigned i = 0; i < cgroup->layout->n; i++) {
		if (cgroup->fds[i] < 0 || cgroup->layout->hierarchies[i].v2)
			continue;
		int fd = openat(cgroup->fds[i], "tasks", O_WRONLY | O_CLOEXEC);
		if (fd < 0) {
			int r = err_set(err, errno, "open tasks of cgroup %s/%s",
					cgroup->layout->hierarchies[i].mount, cgroup->path);
			while (n > 0)
				fd_close(ret_fds[--n]);
			return r;
		}
		ret_fds[n++] = fd;
	}
	*ret_n = n;
	return 0;
}

int cgroup_join(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (write(fds[i], "0", 1) < 0)
			return -errno;
	}
	return 0;
}

int cgroup_attach(const struct cgroup *cgroup, pid_t pid, bool skip_v2, struct err *err)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", (int)pid); /* fits */
	for (unsigned i = 0; i < cgroup->layout->n; i++) {
		const struct cgroup_hierarchy *h = &cgroup->layout->hierarchies[i];

		if (cgroup->fds[i] < 0 || (h->v2 && skip_v2))
			continue;
		int r = file_write(cgroup->fds[i], "cgroup.procs", text);
		if (r < 0)
			return err_set(err, -r, "move process %d into cgroup %s/%s",
				       pid ? (int)pid : (int)getpid(), h->mount, cgroup->path);
	}
	return 0;
}
