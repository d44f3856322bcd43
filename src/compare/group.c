/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/group.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"

#define GROUP_END_MS  60000 /* for what still cleans up behind a command that ended */
#define GROUP_LOOK_US 500
#define GROUP_ROOM                                                                                 \
	(INT64_C(1) << 50) /* a limit that limits nothing: so that memory is counted on v2, too */
#define GROUP_MIB 1048576.0

void group_make(const char *tag, const char *name, const struct spec_limits *limits,
		struct group *ret)
{
	const struct spec_limits room = { .memory_bytes = GROUP_ROOM };
	char own[176];

	*ret = (struct group){ 0 };
	(void)snprintf(ret->path, sizeof(ret->path), "strata-%.40s-%.80s", tag, name); /* fits */
	(void)snprintf(own, sizeof(own), "%s/own", ret->path);			       /* fits */
	if (cgroup_layout_read(NULL, &ret->layout, NULL) < 0 || !ret->layout.n)
		return;
	if (cgroup_create(&ret->layout, own, limits ? limits : &room, NULL, 0, true, &ret->own,
			  NULL) < 0)
		return;
	if (cgroup_open(&ret->layout, ret->path, &ret->whole, NULL) == 0) {
		ret->made = true;
		return;
	}
	cgroup_close(&ret->own);
	(void)cgroup_destroy(&ret->layout, ret->path, NULL); /* nothing was in it */
}

/* In each hierarchy by itself: after a kill they need not have the same. */
static bool group_sweep_in(const struct cgroup_layout *layout, const char *mount,
			   const char *prefix)
{
	AUTO(dir_close_p) DIR *dir = opendir(mount);
	const struct dirent *entry;
	bool all = true;

	while (dir && (entry = readdir(dir))) {
		if (!strncmp(entry->d_name, prefix, strlen(prefix)))
			all &= cgroup_destroy(layout, entry->d_name, NULL) == 0;
	}
	return all;
}

/*
 * A directory and those in it; rmdir(2) of a cgroup that has processes fails, and so does that of any file. Where a hierarchy's place is
 * there and the hierarchy is not mounted, what a peer made is no cgroup, and has files of its own.
 */
static void group_rmdir(int parent, const char *name)
{
	AUTO(fd_close_p) int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs = { 0 };

	if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type != CGROUP_SUPER_MAGIC &&
	    fs.f_type != CGROUP2_SUPER_MAGIC) {
		(void)dir_remove(parent, name);
		return;
	}
	AUTO(dir_close_p) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (dir)
		(void)fd_take(&fd); /* the DIR's now */
	while (dir && (entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			(void)unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	}
	(void)unlinkat(parent, name, AT_REMOVEDIR);
}

/* What a peer froze, which nothing kills before it is thawed: freezer-subsystem.rst; cgroup-v2.rst, "cgroup.freeze". */
static void group_thaw(int parent, const char *name)
{
	AUTO(fd_close_p) int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(dir_close_p) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	char path[300];

	if (dir)
		(void)fd_take(&fd); /* the DIR's now */
	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || !strcmp(entry->d_name, ".."))
			continue;
		(void)snprintf(path, sizeof(path), "%s/freezer.state", entry->d_name); /* fits */
		(void)file_write(dirfd(dir), path, "THAWED"); /* only the freezer's has it */
		(void)snprintf(path, sizeof(path), "%s/cgroup.freeze", entry->d_name); /* fits */
		(void)file_write(dirfd(dir), path, "0"); /* likewise v2's */
	}
}

typedef void (*group_fn)(int parent, const char *name);

static void group_each_in(int top, const char *hierarchy, const char *prefix, group_fn fn)
{
	AUTO(fd_close_p) int fd = openat(top, hierarchy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(dir_close_p) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (dir)
		(void)fd_take(&fd); /* the DIR's now */
	while (dir && (entry = readdir(dir))) {
		if (!strncmp(entry->d_name, prefix, strlen(prefix)))
			fn(dirfd(dir), entry->d_name);
	}
}

static void group_each(const char *prefix, group_fn fn)
{
	AUTO(dir_close_p) DIR *dir = opendir("/sys/fs/cgroup");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, "..") != 0)
			group_each_in(dirfd(dir), entry->d_name, prefix, fn);
	}
}

/* Less than a child's share to each grandchild, so that there is some for several. */
#define GROUP_RT_US  40000 /* of a second's 950,000 */
#define GROUP_RT_WAY 2 /* levels below: "own", or an instance's, and what a peer makes in there */

/* A parent has to have it before its children may. */
static void group_realtime_in(int parent, const char *name, unsigned us, unsigned depth)
{
	AUTO(fd_close_p) int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(dir_close_p) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	char text[16];

	if (dir)
		(void)fd_take(&fd);		      /* the DIR's now */
	(void)snprintf(text, sizeof(text), "%u", us); /* fits */
	if (!dir || file_write(dirfd(dir), "cpu.rt_runtime_us", text) < 0)
		return; /* no hierarchy of CPUs, or a kernel without real-time groups: nobody needs any */
	while (depth && (entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			group_realtime_in(dirfd(dir), entry->d_name, us / 4, depth - 1);
	}
}

static void group_realtime_of(int parent, const char *name)
{
	group_realtime_in(parent, name, GROUP_RT_US, GROUP_RT_WAY);
}

void group_realtime(const char *tag, const char *name)
{
	char prefix[176];

	(void)snprintf(prefix, sizeof(prefix), "strata-%.40s-%.80s-", tag, name); /* fits */
	group_each(prefix, group_realtime_of);
}

void group_tidy(const char *prefix)
{
	group_each(prefix, group_rmdir);
}

bool group_sweep(const char *tag)
{
	struct cgroup_layout layout;
	char prefix[64];
	bool all = true;

	(void)snprintf(prefix, sizeof(prefix), "strata-%.40s-", tag); /* fits */
	if (cgroup_layout_read(NULL, &layout, NULL) < 0)
		return true;
	group_each(prefix, group_thaw);
	for (unsigned i = 0; i < layout.n; i++)
		all &= group_sweep_in(&layout, layout.hierarchies[i].mount, prefix);
	group_tidy(prefix);
	return all;
}

int group_join(const struct group *group)
{
	return group && group->made ? cgroup_attach(&group->own, 0, false, NULL) : 0;
}

int group_pids(const struct group *group, pid_t **ret, size_t *ret_n)
{
	*ret = NULL;
	*ret_n = 0;
	return group->made ? cgroup_pids(&group->whole, ret, ret_n, NULL) : 0;
}

static uint64_t group_cpu(const struct group *group)
{
	struct cgroup_stats stats = { 0 };

	return cgroup_stats_read(&group->whole, &stats, NULL) == 0 ? stats.cpu_ns : 0;
}

void group_begin(struct group *group)
{
	if (group && group->made)
		group->cpu_ns = group_cpu(group);
}

void group_kill(const struct group *group)
{
	if (group && group->made)
		(void)cgroup_kill(&group->whole, NULL); /* group_end() tries again */
}

static void group_wait(const struct group *group)
{
	const struct timespec look = { .tv_nsec = GROUP_LOOK_US * 1000 };
	int64_t until = clock_mono_ns() + GROUP_END_MS * NS_PER_MS;

	while (clock_mono_ns() < until) {
		pid_t *pids = NULL;
		size_t n = 0;
		int r = group_pids(group, &pids, &n);
		free(pids);
		if (r < 0 || !n)
			return;
		(void)nanosleep(&look, NULL); /* a shorter one does no harm */
	}
}

/* The peak of memory: v1 has it always, v2 since Linux 5.19 (Documentation/admin-guide/cgroup-v2.rst, memory.peak). */
static double group_peak(const struct group *group)
{
	for (unsigned i = 0; i < group->layout.n; i++) {
		const struct cgroup_hierarchy *h = &group->layout.hierarchies[i];
		char text[32];
		if (!(h->controllers & (1U << CGROUP_MEMORY)) || group->whole.fds[i] < 0)
			continue;
		AUTO(fd_close_p)
		int fd = openat(group->whole.fds[i],
				h->v2 ? "memory.peak" : "memory.max_usage_in_bytes",
				O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fd_read_text(fd, text, sizeof(text)) <= 0)
			continue;
		return strtod(text, NULL) / GROUP_MIB;
	}
	return NAN;
}

void group_end(struct group *group, double *ret_cpu_ms, double *ret_memory_mib)
{
	double cpu = NAN, memory = NAN;

	if (group->made) {
		group_wait(group);
		uint64_t now = group_cpu(group);
		if (now >= group->cpu_ns && now)
			cpu = (double)(now - group->cpu_ns) / NS_PER_MS;
		memory = group_peak(group);
		cgroup_close(&group->own);
		cgroup_close(&group->whole);
		(void)cgroup_destroy(&group->layout, group->path,
				     NULL); /* killed what is left; a stuck one stays */
		group->made = false;
	}
	if (ret_cpu_ms)
		*ret_cpu_ms = cpu;
	if (ret_memory_mib)
		*ret_memory_mib = memory;
}
