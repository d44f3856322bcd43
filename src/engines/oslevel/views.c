/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/oslevel/views.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/oslevel/mount.h"

#define VIEWS_DIR	  "views"
#define VIEWS_CPUINFO_MAX (16U << 20) /* bytes: a host of 8192 CPUs */
#define VIEWS_LOAD_NS	  (5 * NS_PER_S)
#define VIEWS_NO_LIMIT	  (UINT64_C(1) << 62) /* cgroup v1 says none by a number near the largest */
#define VIEWS_CPUS_WORDS  128
#define VIEWS_TICK_NS	  UINT64_C(10000000) /* USER_HZ is 100 */

static void views_name(enum view view, char ret[32])
{
	(void)snprintf(ret, 32, VIEWS_DIR "/%s", strrchr(view_path(view), '/') + 1); /* fits */
}

/* RFC 4122, 4.4: version 4, made of random bits. */
static int views_boot_id(char ret[37])
{
	unsigned char b[16];

	if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		return -errno;
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	(void)snprintf(ret, 37,
		       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
		       b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		       b[13], b[14], b[15]); /* fits */
	return 0;
}

static int views_make(int dir, int fds[VIEWS])
{
	for (unsigned i = 0; i < VIEWS; i++) {
		char name[32];
		views_name((enum view)i, name);
		/* Of a life before: its mounts may still be somewhere. */
		if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
			return -errno;
		fds[i] = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
		if (fds[i] < 0 || fchmod(fds[i], 0444) < 0) /* whatever the umask */
			return -errno;
	}
	return 0;
}

int views_open(const char *run_dir, struct views *ret, struct err *err)
{
	AUTO(fd_close_p) int dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct views views = VIEWS_NONE;
	int r = dir < 0 || (mkdirat(dir, VIEWS_DIR, 0755) < 0 && errno != EEXIST) ? -errno : 0;

	if (r == 0)
		r = views_boot_id(views.numbers.boot_id);
	if (r == 0)
		r = views_make(dir, views.fds);
	if (r < 0) {
		views_close(&views);
		return err_set(err, -r, "make %s/" VIEWS_DIR, run_dir);
	}
	views.begun_ns = views.load_ns = clock_mono_ns();
	views.numbers.begun_s = clock_real_ns() / NS_PER_S;
	*ret = views;
	return 0;
}

int views_mount(const char *run_dir, enum view view, struct err *err)
{
	char name[32], path[PATH_MAX];

	views_name(view, name);
	int n = snprintf(path, sizeof(path), "%s/%s", run_dir, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "%s/" VIEWS_DIR, run_dir);
	AUTO(fd_close_p) int fd = mount_clone(AT_FDCWD, path, false, err);
	if (fd < 0)
		return fd;
	int r = mount_attrs(
		fd, false,
		MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0);
	return r < 0 ? err_set(err, -r, "mount %s", path) : fd_take(&fd);
}

/* "key N" at the beginning of a line. */
static bool views_field(const char *text, const char *key, uint64_t *ret)
{
	const size_t len = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		if (!strncmp(p, key, len) && (p[len] == ' ' || p[len] == '\t' || p[len] == ':')) {
			*ret = strtoull(p + len + 1, NULL, 10);
			return true;
		}
	}
	return false;
}

static uint64_t views_number(const struct cgroup *cgroup, const char *v1, const char *v2,
			     uint64_t otherwise)
{
	char text[64], *end;

	if (cgroup_read_file(cgroup, CGROUP_MEMORY, v1, v2, text, sizeof(text)) < 0)
		return otherwise;
	const uint64_t n = strtoull(text, &end, 10);
	return end == text || n >= VIEWS_NO_LIMIT ? otherwise : n;
}

/* Which CPUs its init may run on, and no more of them than its quota is. */
static void views_cpus(struct views *views, const struct cgroup *cgroup, pid_t pid)
{
	unsigned long mask[VIEWS_CPUS_WORDS] = { 0 };
	char text[64], period_text[32];
	long long quota = 0, period = 0;
	unsigned cpus = 0;

	if (sched_getaffinity(pid, sizeof(mask), (cpu_set_t *)(void *)mask) == 0) {
		for (size_t i = 0; i < VIEWS_CPUS_WORDS; i++)
			cpus += (unsigned)__builtin_popcountl(mask[i]);
	}
	if (cgroup_read_file(cgroup, CGROUP_CPU, "cpu.cfs_quota_us", "cpu.max", text,
			     sizeof(text)) > 0 &&
	    sscanf(text, "%lld %lld", &quota, &period) == 1 &&
	    cgroup_read_file(cgroup, CGROUP_CPU, "cpu.cfs_period_us", NULL, period_text,
			     sizeof(period_text)) > 0)
		period = strtoll(period_text, NULL, 10);
	if (quota > 0 && period > 0 && (quota + period - 1) / period < cpus)
		cpus = (unsigned)((quota + period - 1) / period);
	views->numbers.cpus = cpus ? cpus : 1;
}

static void views_cpu_time(struct views *views, const struct cgroup *cgroup)
{
	struct view_numbers *n = &views->numbers;
	char text[1024];
	uint64_t user, system;

	if (cgroup_read_v2(cgroup, "cpu.stat", text, sizeof(text)) > 0 &&
	    views_field(text, "usage_usec", &user) && views_field(text, "system_usec", &system)) {
		n->cpu_ns = user * 1000; /* of microseconds */
		n->cpu_system_ns = system * 1000;
	} else if (cgroup_read_file(cgroup, CGROUP_CPUACCT, "cpuacct.stat", NULL, text,
				    sizeof(text)) > 0 &&
		   views_field(text, "user", &user) && views_field(text, "system", &system)) {
		n->cpu_ns = (user + system) * VIEWS_TICK_NS;
		n->cpu_system_ns = system * VIEWS_TICK_NS;
	}
}

static void views_memory(struct views *views, const struct cgroup *cgroup)
{
	struct view_numbers *n = &views->numbers;
	AUTO(buf_fini) struct buf host = { 0 };
	char stat[8192];
	uint64_t total = 0, swap = 0, active = 0, inactive = 0;

	if (file_read(AT_FDCWD, "/proc/meminfo", 65536, &host) < 0 ||
	    !views_field(buf_str(&host), "MemTotal", &total))
		return;
	(void)views_field(buf_str(&host), "SwapTotal", &swap); /* then it has none */
	total *= 1024;
	swap *= 1024;
	const uint64_t limit = views_number(cgroup, "memory.limit_in_bytes", "memory.max", total);
	n->memory = limit < total ? limit : total;
	n->memory_used = views_number(cgroup, "memory.usage_in_bytes", "memory.current", 0);
	/* v1 counts both together. */
	const uint64_t both = views_number(cgroup, "memory.memsw.limit_in_bytes", NULL, UINT64_MAX);
	uint64_t own = both == UINT64_MAX ? views_number(cgroup, NULL, "memory.swap.max", swap)
					  : both - (both < limit ? both : limit);
	n->swap = own < swap ? own : swap;
	const uint64_t used = views_number(cgroup, "memory.memsw.usage_in_bytes", NULL, 0);
	n->swap_used = used > n->memory_used ? used - n->memory_used
					     : views_number(cgroup, NULL, "memory.swap.current", 0);
	if (cgroup_read_file(cgroup, CGROUP_MEMORY, "memory.stat", "memory.stat", stat,
			     sizeof(stat)) < 0)
		return;
	if (!views_field(stat, "total_cache", &n->cache))
		(void)views_field(stat, "file", &n->cache); /* 0 is what it was */
	if (!views_field(stat, "total_shmem", &n->shmem))
		(void)views_field(stat, "shmem", &n->shmem);
	if (!views_field(stat, "total_inactive_file", &inactive))
		(void)views_field(stat, "inactive_file", &inactive);
	if (!views_field(stat, "total_active_file", &active))
		(void)views_field(stat, "active_file", &active);
	n->reclaimable = inactive + active;
}

static void views_loads(struct views *views, int64_t now)
{
	struct view_numbers *n = &views->numbers;
	const int64_t since = now - views->load_ns;

	if (since < VIEWS_LOAD_NS)
		return;
	const uint64_t used = n->cpu_ns > views->load_cpu_ns ? n->cpu_ns - views->load_cpu_ns : 0;
	const uint64_t active = used / (uint64_t)(since / 1000) * VIEW_ONE / 1000;
	/* Late by whole intervals, or by an hour: it counts as that much time. */
	for (int64_t i = 0; i < since / VIEWS_LOAD_NS && i < 720; i++)
		view_load(n->loads, active);
	views->load_ns = now;
	views->load_cpu_ns = n->cpu_ns;
}

/* In place, since the file is what is mounted; the same length mostly, so that a reader in between sees old or new numbers. */
static void views_put(int fd, const struct buf *text)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && pwrite(fd, text->data, text->len, 0) == (ssize_t)text->len &&
	    st.st_size > (off_t)text->len)
		(void)ftruncate(fd, (off_t)text->len); /* the next time, then */
}

void views_write(struct views *views, const struct cgroup *cgroup, pid_t pid)
{
	AUTO(buf_fini) struct buf cpuinfo = { 0 };
	struct cgroup_stats stats;
	const int64_t now = clock_mono_ns();

	if (views->fds[0] < 0)
		return;
	views_cpus(views, cgroup, pid);
	views_cpu_time(views, cgroup);
	views_memory(views, cgroup);
	views->numbers.up_ns = (uint64_t)(now - views->begun_ns);
	if (cgroup_stats_read(cgroup, &stats, NULL) == 0)
		views->numbers.pids = stats.pids;
	views_loads(views, now);
	const bool same = views->cpus_shown == views->numbers.cpus;
	if (!same && file_read(AT_FDCWD, "/proc/cpuinfo", VIEWS_CPUINFO_MAX, &cpuinfo) < 0)
		return;
	for (unsigned i = 0; i < VIEWS; i++) {
		AUTO(buf_fini) struct buf text = { 0 };
		if (same && (i == VIEW_CPUINFO || i == VIEW_ONLINE || i == VIEW_BOOT_ID))
			continue;
		if (view_text((enum view)i, &views->numbers, buf_str(&cpuinfo), &text) == 0)
			views_put(views->fds[i], &text);
	}
	views->cpus_shown = views->numbers.cpus;
}

void views_close(struct views *views)
{
	for (unsigned i = 0; i < VIEWS; i++)
		fd_close(views->fds[i]);
	*views = VIEWS_NONE;
}
