/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engines/cgroup/private.h"

/* v1 writes "no limit" as the largest multiple of a page; whatever is near it is none. */
#define NO_LIMIT_BYTES (UINT64_C(1) << 62)

/* The group's fd where a controller is in use for it, else -EBADF. */
static int controller_fd(const struct cgroup *cgroup, enum cgroup_controller controller, bool *v2)
{
	int h = cgroup_find(cgroup->layout, controller);

	if (h < 0)
		return -EBADF;
	*v2 = cgroup->layout->hierarchies[h].v2;
	return cgroup->fds[h];
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static int read_field(int fd, const char *file, const char *key, uint64_t *ret)
{
	char text[8192];

	int r = cgroup_read(fd, file, text, sizeof(text));
	if (r < 0)
		return r;
	return cgroup_field(text, key, ret) ? 0 : -ENODATA;
}

/* v2 counts the time of every group, whether it holds the cpu controller or not. */
static int read_cpu(const struct cgroup *cgroup, struct cgroup_stats *ret)
{
	bool v2;
	int fd = controller_fd(cgroup, CGROUP_CPUACCT, &v2);

	if (fd >= 0)
		return cgroup_read_u64(fd, "cpuacct.usage", &ret->cpu_ns);
	fd = cgroup_v2_fd(cgroup);
	if (fd < 0)
		return 0;
	uint64_t us;
	int r = read_field(fd, "cpu.stat", "usage_usec", &us);
	if (r == 0)
		ret->cpu_ns = us * 1000;
	return r;
}

static int read_memory(const struct cgroup *cgroup, struct cgroup_stats *ret)
{
	bool v2 = false;
	int fd = controller_fd(cgroup, CGROUP_MEMORY, &v2);
	uint64_t usage, limit, inactive = 0, kills = 0;

	if (fd < 0)
		return 0;
	int r = cgroup_read_u64(fd, v2 ? "memory.current" : "memory.usage_in_bytes", &usage);
	if (r == -ENOENT && v2)
		return 0; /* the group above could not give the controller */
	if (r == 0)
		r = cgroup_read_u64(fd, v2 ? "memory.max" : "memory.limit_in_bytes", &limit);
	if (r < 0)
		return r;
	/* Kernels without one of these fields still give the rest. */
	(void)read_field(fd, "memory.stat", v2 ? "inactive_file" : "total_inactive_file",
			 &inactive);
	(void)read_field(fd, v2 ? "memory.events" : "memory.oom_control", "oom_kill", &kills);
	ret->memory_bytes = minus(usage, inactive);
	ret->memory_limit_bytes = limit >= NO_LIMIT_BYTES ? 0 : limit;
	ret->oom_kills = kills;
	return 0;
}

static int count_one(pid_t pid, void *arg)
{
	(void)pid;
	++*(uint64_t *)arg;
	return 0;
}

static int read_pids(const struct cgroup *cgroup, struct cgroup_stats *ret)
{
	bool v2;
	int fd = controller_fd(cgroup, CGROUP_PIDS, &v2);
	uint64_t limit;

	if (fd >= 0 && cgroup_read_u64(fd, "pids.current", &ret->pids) == 0) {
		int r = cgroup_read_u64(fd, "pids.max", &limit);
		if (r == 0)
			ret->pids_limit = limit == UINT64_MAX ? 0 : limit;
		return r;
	}
	int h = cgroup_main(cgroup);
	if (h < 0)
		return 0;
	return cgroup_walk(cgroup->fds[h],
			   cgroup->layout->hierarchies[h].v2 ? "cgroup.threads" : "tasks",
			   count_one, &ret->pids);
}

/* "8:0 rbytes=90112 wbytes=0 rios=1 ...", a line for each device. */
static void sum_io(const char *text, const char *key, uint64_t *sum)
{
	size_t len = strlen(key);

	for (const char *p = strstr(text, key); p; p = strstr(p + len, key))
		*sum += strtoull(p + len, NULL, 10);
}

static int read_io(const struct cgroup *cgroup, struct cgroup_stats *ret)
{
	char text[8192];
	bool v2 = false;
	int fd = controller_fd(cgroup, CGROUP_BLKIO, &v2);

	if (fd < 0 || !v2)
		return 0;
	int r = cgroup_read(fd, "io.stat", text, sizeof(text));
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	sum_io(text, " rbytes=", &ret->io_read_bytes);
	sum_io(text, " wbytes=", &ret->io_write_bytes);
	return 0;
}

int cgroup_stats_read(const struct cgroup *cgroup, struct cgroup_stats *ret, struct err *err)
{
	struct cgroup_stats stats = { 0 };

	int r = read_cpu(cgroup, &stats);
	if (r == 0)
		r = read_memory(cgroup, &stats);
	if (r == 0)
		r = read_pids(cgroup, &stats);
	if (r == 0)
		r = read_io(cgroup, &stats);
	if (r < 0)
		return err_set(err, -r, "read statistics of cgroup %s", cgroup->path);
	*ret = stats;
	return 0;
}
