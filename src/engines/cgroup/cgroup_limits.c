/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/cgroup/private.h"

/* Linux Documentation/scheduler/sched-bwc.rst: the period where none is given. */
#define CPU_PERIOD_US 100000

/* One limit being set: which group, and what to call it in an error. */
struct limit {
	int fd;
	bool v2;
	const char *name;
	const char *group;
};

static int limit_write(const struct limit *limit, const char *file, int64_t value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRId64, value); /* fits */
	return file_write(limit->fd, file, text);
}

static int limit_error(struct err *err, int r, const struct limit *limit, int64_t value)
{
	return err_set(err, -r, "limit %s to %" PRId64 " in cgroup %s", limit->name, value,
		       limit->group);
}

static int swap_unsupported(struct err *err)
{
	return err_say(err, ENOTSUP,
		       "limit memory-swap: this kernel does not account swap (boot it with "
		       "swapaccount=1), or no memory controller is mounted");
}

/*
 * The total that memory and swap together may use, by Docker's rule: twice the memory where only that is
 * limited; where that is lifted this goes too, for version 1 has none above a total. 0: leave it alone; -1: no limit.
 */
static int64_t swap_total(const struct spec_limits *limits)
{
	if (!limits->memory_swap_bytes && limits->memory_bytes < 0)
		return -1;
	if (limits->memory_swap_bytes || limits->memory_alone)
		return limits->memory_swap_bytes;
	return limits->memory_bytes > INT64_MAX / 2 ? -1 : limits->memory_bytes * 2;
}

/*
 * v1 refuses a memory limit above the one for memory and swap, so which goes first depends on the direction:
 * memory first succeeds when lowering and on a new group, else the other order is right.
 */
static int v1_memory(const struct limit *limit, const struct spec_limits *limits, struct err *err)
{
	int64_t memory = limits->memory_bytes, total = swap_total(limits);
	int r = memory ? limit_write(limit, "memory.limit_in_bytes", memory) : 0;
	bool again = r == -EINVAL;

	if (r < 0 && !again)
		return r == -EBUSY ? err_say(err, EBUSY,
					     "limit memory to %" PRId64 ": the instance uses more "
					     "now, and it cannot be reclaimed",
					     memory)
				   : limit_error(err, r, limit, memory);
	r = total ? limit_write(limit, "memory.memsw.limit_in_bytes", total) : 0;
	if (r == -ENOENT && limits->memory_swap_bytes > 0)
		return swap_unsupported(err);
	if (r < 0 && r != -ENOENT && limits->memory_swap_bytes)
		return limit_error(err, r, limit, total);
	if (again)
		r = limit_write(limit, "memory.limit_in_bytes", memory);
	if (again && r < 0)
		return limit_error(err, r, limit, memory);
	return 0;
}

/* The memory limit in force, for a change of the swap limit alone; 0 where there is none. */
static int64_t v2_memory_now(const struct limit *limit)
{
	uint64_t now;

	if (cgroup_read_u64(limit->fd, "memory.max", &now) < 0 || now > INT64_MAX)
		return 0;
	return (int64_t)now;
}

/* v2 counts swap apart from memory. */
static int v2_memory(const struct limit *limit, const struct spec_limits *limits, struct err *err)
{
	int64_t memory = limits->memory_bytes, total = swap_total(limits);
	int r = memory < 0 ? file_write(limit->fd, "memory.max", "max")
		: memory   ? limit_write(limit, "memory.max", memory)
			   : 0;

	if (r < 0)
		return limit_error(err, r, limit, memory);
	if (memory <= 0)
		memory = v2_memory_now(limit);
	if (!total)
		return 0;
	if (total > 0 && !memory) /* version 1's kernel refuses that too */
		return err_say(err, EINVAL,
			       "limit memory-swap to %" PRId64 ": it is memory and swap together, "
			       "and takes a limit of memory",
			       total);
	if (total < 0)
		r = file_write(limit->fd, "memory.swap.max", "max");
	else
		r = limit_write(limit, "memory.swap.max", total > memory ? total - memory : 0);
	if (r == -ENOENT && limits->memory_swap_bytes > 0)
		return swap_unsupported(err);
	if (r < 0 && r != -ENOENT)
		return limit_error(err, r, limit, total);
	return 0;
}

static int set_memory(const struct limit *limit, const struct spec_limits *limits, struct err *err)
{
	int64_t reservation = limits->memory_reservation_bytes;
	int r = 0;

	if (limits->memory_bytes || limits->memory_swap_bytes)
		r = limit->v2 ? v2_memory(limit, limits, err) : v1_memory(limit, limits, err);
	if (r < 0 || !reservation)
		return r;
	if (limit->v2 && reservation < 0)
		reservation = 0; /* v1 knows -1 */
	r = limit_write(limit, limit->v2 ? "memory.low" : "memory.soft_limit_in_bytes",
			reservation);
	return r < 0 ? err_set(err, -r, "limit memory-reservation to %" PRId64, reservation) : 0;
}

int64_t cgroup_weight_of(int64_t shares)
{
	int64_t weight = (shares * 100 + 512) / 1024;

	return weight < 1 ? 1 : weight > 10000 ? 10000 : weight;
}

/* One file has both: what is not asked stays as it is, as in version 1, where each has its own. */
static int v2_cpu_quota(const struct limit *limit, const struct spec_limits *limits)
{
	char now[64], text[64], quota[24];
	int r = cgroup_read(limit->fd, "cpu.max", now, sizeof(now));

	if (r < 0)
		return r;
	const char *blank = strchr(now, ' ');
	long long period = blank ? strtoll(blank, NULL, 10) : 0;
	if (limits->cpu_period_us)
		period = limits->cpu_period_us;
	else if (period <= 0)
		period = CPU_PERIOD_US;
	if (limits->cpu_quota_us < 0)
		(void)snprintf(quota, sizeof(quota), "max"); /* fits */
	else if (limits->cpu_quota_us)
		(void)snprintf(quota, sizeof(quota), "%" PRId64, limits->cpu_quota_us); /* fits */
	else
		(void)snprintf(quota, sizeof(quota), "%.*s", (int)strcspn(now, " \n"),
			       now);				      /* a number: fits */
	(void)snprintf(text, sizeof(text), "%s %lld", quota, period); /* fits */
	return file_write(limit->fd, "cpu.max", text);
}

/* Between the two writes the pair must be valid too, within what the parent allows: so the other order is tried. */
static int v1_cpu_quota(const struct limit *limit, const struct spec_limits *limits)
{
	int64_t quota = limits->cpu_quota_us, period = limits->cpu_period_us;
	int r = period ? limit_write(limit, "cpu.cfs_period_us", period) : 0;
	bool again = r == -EINVAL && quota;

	if (r < 0 && !again)
		return r;
	r = quota ? limit_write(limit, "cpu.cfs_quota_us", quota) : 0;
	if (r == 0 && again)
		r = limit_write(limit, "cpu.cfs_period_us", period);
	return r;
}

static int set_cpu(const struct limit *limit, const struct spec_limits *limits, struct err *err)
{
	int64_t shares = limits->cpu_shares;
	int r = 0;

	if (limits->cpu_quota_us || limits->cpu_period_us)
		r = limit->v2 ? v2_cpu_quota(limit, limits) : v1_cpu_quota(limit, limits);
	if (r == -ENOENT)
		return err_say(err, ENOTSUP,
			       "limit cpus: this kernel has no CPU bandwidth control "
			       "(CONFIG_CFS_BANDWIDTH)");
	if (r == -EINVAL)
		return err_say(err, EINVAL,
			       "limit cpus: the kernel refuses a quota of %" PRId64
			       " us in each %" PRId64 " us; it must be at least 1000 us and "
			       "within what the group above has",
			       limits->cpu_quota_us,
			       limits->cpu_period_us ? limits->cpu_period_us : CPU_PERIOD_US);
	if (r < 0)
		return limit_error(err, r, limit, limits->cpu_quota_us);
	if (!shares)
		return 0;
	r = limit->v2 ? limit_write(limit, "cpu.weight", cgroup_weight_of(shares))
		      : limit_write(limit, "cpu.shares", shares);
	return r < 0 ? err_set(err, -r, "limit cpu-shares to %" PRId64, shares) : 0;
}

static int set_cpuset(const struct limit *limit, const struct spec_limits *limits, struct err *err)
{
	char has[256];

	if (!limits->cpuset)
		return 0;
	int r = file_write(limit->fd, "cpuset.cpus", limits->cpuset);

	if (r == 0)
		return 0;
	int n = cgroup_read(limit->fd,
			    limit->v2 ? "../cpuset.cpus.effective" : "../cpuset.effective_cpus",
			    has, sizeof(has));
	if (n > 0 && (r == -EINVAL || r == -ERANGE || r == -EACCES)) {
		has[strcspn(has, "\n")] = '\0';
		return err_say(err, EINVAL, "limit cpuset to '%.64s': this host gives CPUs %s",
			       limits->cpuset, has);
	}
	return err_set(err, -r, "limit cpuset to '%.64s'", limits->cpuset);
}

static int set_pids(const struct limit *limit, const struct spec_limits *limits, struct err *err)
{
	int r = limits->pids < 0 ? file_write(limit->fd, "pids.max", "max")
		: limits->pids	 ? limit_write(limit, "pids.max", limits->pids)
				 : 0;

	return r < 0 ? limit_error(err, r, limit, limits->pids) : 0;
}

static bool asks_memory(const struct spec_limits *l)
{
	return l->memory_bytes > 0 || l->memory_swap_bytes > 0 || l->memory_reservation_bytes > 0;
}

static bool asks_cpu(const struct spec_limits *l)
{
	return l->cpu_quota_us > 0 || l->cpu_period_us || l->cpu_shares;
}

static bool asks_cpuset(const struct spec_limits *l)
{
	return l->cpuset != NULL;
}

static bool asks_pids(const struct spec_limits *l)
{
	return l->pids > 0;
}

static bool asks_io(const struct spec_limits *l)
{
	return l->io_weight || l->n_io;
}

static int set_io(const struct limit *limit, const struct spec_limits *limits, struct err *err)
{
	return cgroup_io_set(limit->fd, limit->v2, limits, err);
}

static const struct {
	enum cgroup_controller controller;
	const char *name; /* as the command line calls it */
	/* A limit, not that one is lifted: where there is no controller nothing is limited. */
	bool (*asks)(const struct spec_limits *limits);
	int (*set)(const struct limit *limit, const struct spec_limits *limits, struct err *err);
} rows[] = {
	{ CGROUP_MEMORY, "memory", asks_memory, set_memory },
	{ CGROUP_CPU, "cpus", asks_cpu, set_cpu },
	{ CGROUP_CPUSET, "cpuset", asks_cpuset, set_cpuset },
	{ CGROUP_PIDS, "pids", asks_pids, set_pids },
	{ CGROUP_BLKIO, "I/O", asks_io, set_io },
};

uint32_t cgroup_limits_need(const struct spec_limits *limits)
{
	uint32_t need = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		need |= rows[i].asks(limits) ? CGROUP_BIT(rows[i].controller) : 0;
	return need;
}

int cgroup_limits_check(const struct cgroup_layout *layout, const struct spec_limits *limits,
			struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t bit = CGROUP_BIT(rows[i].controller);
		const char *controller = cgroup_v1_names[rows[i].controller];

		if (!rows[i].asks(limits) || cgroup_find(layout, rows[i].controller) >= 0)
			continue;
		if (layout->closed & bit)
			return err_say(
				err, EACCES,
				"limit %s: no cgroup with the controller '%s' is yours to "
				"divide: leave the limit out, have one delegated (systemd-run "
				"--user --scope -p Delegate=yes strata ...), or use sudo",
				rows[i].name, controller);
		if (layout->read_only & bit)
			return err_say(err, ENOTSUP,
				       "limit %s: the cgroup controller '%s' is mounted read-only "
				       "here",
				       rows[i].name, controller);
		return err_say(err, ENOTSUP,
			       "limit %s: the cgroup controller '%s' is not available here (see "
			       "/proc/cgroups, and cgroup.controllers of the cgroup2 mount)",
			       rows[i].name, controller);
	}
	return 0;
}

/* The first directory on the way up from parent that is there: the others would be made in it. */
static bool hierarchy_denies(const struct cgroup_hierarchy *h, const char *parent,
			     char path[CGROUP_PATH_BYTES])
{
	const size_t top = strlen(h->mount);

	(void)snprintf(path, CGROUP_PATH_BYTES, "%s%s%.255s", h->mount, parent[0] ? "/" : "",
		       parent); /* fits */
	for (;;) {
		char *slash = strrchr(path, '/');
		if (access(path, W_OK) == 0)
			return false;
		if (errno != ENOENT || !slash || (size_t)(slash - path) < top)
			return true;
		*slash = '\0';
	}
}

bool cgroup_limits_denied(const struct cgroup_layout *layout, const char *parent,
			  const struct spec_limits *limits, char ret_where[CGROUP_PATH_BYTES])
{
	const uint32_t need = cgroup_limits_need(limits);

	for (unsigned i = 0; i < layout->n; i++) {
		const struct cgroup_hierarchy *h = &layout->hierarchies[i];
		if (h->controllers & need && hierarchy_denies(h, parent, ret_where))
			return true;
	}
	return false;
}

int cgroup_limits_set(const struct cgroup *cgroup, const struct spec_limits *limits,
		      struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err why = { 0 };
		int h = cgroup_find(cgroup->layout, rows[i].controller);
		if (h < 0 || cgroup->fds[h] < 0)
			continue; /* what is asked is known to be there */
		struct limit limit = { .fd = cgroup->fds[h],
				       .v2 = cgroup->layout->hierarchies[h].v2,
				       .name = rows[i].name,
				       .group = cgroup->path };
		int r = rows[i].set(&limit, limits, &why);
		if (r == 0 || ((r == -ENOENT || r == -ENOTSUP) && !rows[i].asks(limits)))
			continue;
		if (err)
			*err = why;
		return r;
	}
	return 0;
}

int cgroup_cpuset_inherit(int parent, int child)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	char text[1024];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int r = cgroup_read(child, files[i], text, sizeof(text));
		if (r < 0)
			return r;
		if (text[strspn(text, "\n")])
			continue;
		r = cgroup_read(parent, files[i], text, sizeof(text));
		if (r >= 0)
			r = file_write(child, files[i], text);
		if (r < 0)
			return r;
	}
	return 0;
}
