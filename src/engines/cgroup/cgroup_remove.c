/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "engines/cgroup/private.h"

/*
 * A workload makes its own tree of groups, as deep as it likes: removing it costs neither an fd nor stack per
 * level. Counting processes goes no deeper than this; the pid namespace's end finds those below.
 */
#define CGROUP_LEVELS 64

static DIR *dir_open(int dirfd, const char *name)
{
	AUTO(fd_close_p)
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	DIR *dir = fdopendir(fd);
	if (dir)
		(void)fd_take(&fd); /* closed with dir */
	return dir;
}

/* The next group below this one; NULL at the end, or where the directory is gone. */
static const char *next_child(DIR *dir)
{
	for (;;) {
		struct dirent *e = readdir(dir);
		if (!e)
			return NULL;
		if (e->d_type == DT_DIR && strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			return e->d_name;
	}
}

struct sweep { /* what one pass over the groups right below a directory did */
	unsigned removed;
	char busy[NAME_MAX + 1]; /* one that could not be removed, or "" */
};

static int sweep_children(DIR *dir, struct sweep *ret)
{
	const char *name;

	*ret = (struct sweep){ 0 };
	while ((name = next_child(dir))) {
		if (unlinkat(dirfd(dir), name, AT_REMOVEDIR) == 0)
			ret->removed++;
		else if (errno == EBUSY || errno == ENOTEMPTY)
			(void)snprintf(ret->busy, sizeof(ret->busy), "%s", name); /* d_name fits */
		else if (errno != ENOENT)
			return -errno;
	}
	return 0;
}

/* Replaces *dir by the directory `name` seen from it. */
static int dir_move(DIR **dir, const char *name)
{
	DIR *next = dir_open(dirfd(*dir), name);
	int r = next ? 0 : -errno;

	(void)closedir(*dir);
	*dir = next;
	return r;
}

/*
 * Everything below full_path: down into a group that is busy, up again when all below it is gone. A busy group
 * without groups below holds processes. Each step down is paid by a removal, so this ends.
 */
static int children_remove(const char *full_path)
{
	AUTO(dir_close_p) DIR *dir = dir_open(AT_FDCWD, full_path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;

	for (unsigned depth = 0;;) {
		struct sweep sweep;
		int r = sweep_children(dir, &sweep);
		if (r < 0)
			return r;
		if (sweep.busy[0]) {
			r = dir_move(&dir, sweep.busy);
			depth++;
		} else if (!depth) {
			return 0;
		} else if (!sweep.removed) {
			return -EBUSY;
		} else {
			r = dir_move(&dir, "..");
			depth--;
		}
		if (r < 0)
			return r == -ENOENT ? -EBUSY : r; /* somebody else removes too: try again */
	}
}

int cgroup_tree_remove(const char *full_path)
{
	if (rmdir(full_path) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY && errno != ENOTEMPTY)
		return -errno;
	int r = children_remove(full_path);
	if (r < 0)
		return r;
	return rmdir(full_path) == 0 || errno == ENOENT ? 0 : -errno;
}

/* The numbers in one file; a process that ended between is not our concern. */
static int walk_file(int dirfd, const char *name, int (*fn)(pid_t pid, void *arg), void *arg)
{
	AUTO(fd_close_p) int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	AUTO(buf_fini) struct buf text = { 0 };
	int r = fd_read_all(fd, 64u << 20, &text);
	if (r < 0)
		return r == -ENODEV ? 0 : r; /* the group was removed meanwhile */

	for (const char *p = buf_str(&text); *p;) {
		char *end;
		long pid = strtol(p, &end, 10);
		if (end == p)
			break;
		if (pid > 0 && pid <= INT_MAX) { /* 0: outside our pid namespace */
			r = fn((pid_t)pid, arg);
			if (r < 0)
				return r;
		}
		p = end + strspn(end, "\n");
	}
	return 0;
}

static int walk_level(int dirfd_at, const char *name, int (*fn)(pid_t pid, void *arg), void *arg,
		      unsigned levels)
{
	int r = walk_file(dirfd_at, name, fn, arg);
	if (r < 0 || !levels)
		return r;
	AUTO(dir_close_p) DIR *dir = dir_open(dirfd_at, ".");
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	const char *child;
	while ((child = next_child(dir))) {
		AUTO(fd_close_p)
		int fd = openat(dirfd(dir), child, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		r = walk_level(fd, name, fn, arg, levels - 1);
		if (r < 0)
			return r;
	}
	return 0;
}

int cgroup_walk(int dirfd, const char *name, int (*fn)(pid_t pid, void *arg), void *arg)
{
	return walk_level(dirfd, name, fn, arg, CGROUP_LEVELS);
}

/* Removes the group in one hierarchy; what is busy without a process in sight is waited for, growing from 1 ms. */
static int remove_one(const char *full, int64_t deadline_ns)
{
	int64_t nap_ns = NS_PER_MS;

	for (;;) {
		int r = cgroup_tree_remove(full);
		if (r != -EBUSY)
			return r;
		if (clock_mono_ns() >= deadline_ns)
			return -EBUSY;
		struct timespec nap = { .tv_nsec = nap_ns };
		(void)nanosleep(&nap,
				NULL); /* v1 has no event for "empty"; woken early: one try more */
		nap_ns = nap_ns < 64 * NS_PER_MS ? nap_ns * 2 : nap_ns;
	}
}

/* Kills what is left. Only called once a plain rmdir has failed: the usual end has nobody left. */
static int empty_group(const struct cgroup_layout *layout, const char *path, struct err *err)
{
	struct cgroup cgroup;
	int r = cgroup_open(layout, path, &cgroup, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = cgroup_kill(&cgroup, err);
	cgroup_close(&cgroup);
	return r == -ENODEV ? 0 : r; /* somebody else removed it meanwhile */
}

int cgroup_destroy(const struct cgroup_layout *layout, const char *path, struct err *err)
{
	char full[PATH_MAX];
	bool killed = false;
	int64_t deadline = clock_mono_ns() + CGROUP_WAIT_MS * NS_PER_MS;

	int r = cgroup_path_check(path, err);
	if (r < 0)
		return r;
	for (unsigned n = 0; n < layout->n; n++) {
		r = cgroup_full_path(&layout->hierarchies[n], path, full, sizeof(full));
		if (r < 0)
			return err_set(err, -r, "remove cgroup %s", path);
		if (rmdir(full) == 0 || errno == ENOENT)
			continue;
		if (!killed) {
			r = empty_group(layout, path, err);
			if (r < 0)
				return err_wrap(err, "remove cgroup %s", full);
			killed = true;
		}
		r = remove_one(full, deadline);
		if (r < 0)
			return err_set(err, -r, "remove cgroup %s", full);
	}
	return 0;
}

void cgroup_remove_empty(const struct cgroup_layout *layout, const char *path)
{
	char full[PATH_MAX];

	for (unsigned n = 0; n < layout->n && cgroup_path_check(path, NULL) == 0; n++) {
		if (cgroup_full_path(&layout->hierarchies[n], path, full, sizeof(full)) == 0)
			(void)rmdir(full); /* refused: it is in use, or not there */
	}
}
