/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "engines/oslevel/views.h"

#define VIEW_HZ		UINT64_C(100) /* USER_HZ, which no architecture of ours has otherwise */
#define VIEW_KIB(bytes) ((bytes) / 1024)

static const char *const view_paths[VIEWS] = {
	[VIEW_CPUINFO] = "/proc/cpuinfo",
	[VIEW_LOADAVG] = "/proc/loadavg",
	[VIEW_MEMINFO] = "/proc/meminfo",
	[VIEW_STAT] = "/proc/stat",
	[VIEW_SWAPS] = "/proc/swaps",
	[VIEW_UPTIME] = "/proc/uptime",
	[VIEW_ONLINE] = "/sys/devices/system/cpu/online",
	[VIEW_BOOT_ID] = "/proc/sys/kernel/random/boot_id",
};

const char *view_path(enum view view)
{
	return view_paths[view];
}

static uint64_t view_minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Time of all its CPUs that nobody used. */
static uint64_t view_idle_ns(const struct view_numbers *n)
{
	return view_minus(n->up_ns * n->cpus, n->cpu_ns);
}

static uint64_t view_ticks(uint64_t ns)
{
	return ns / ((uint64_t)NS_PER_S / VIEW_HZ);
}

/* The host's blocks, as many as there are CPUs, numbered anew. */
static int view_cpuinfo(const struct view_numbers *n, const char *host, struct buf *ret)
{
	static const char key[] = "processor";
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n->cpus && *host; i++) {
		const char *end = strstr(host, "\n\n");
		const size_t len = end ? (size_t)(end - host) + 2 : strlen(host);
		const char *line = !strncmp(host, key, sizeof(key) - 1) ? strchr(host, '\n') : NULL;
		if (line && line < host + len) {
			r = buf_printf(ret, "processor\t: %u", i);
			r |= buf_add(ret, line, len - (size_t)(line - host));
		} else {
			r = buf_add(ret, host, len);
		}
		host += len;
	}
	return r;
}

static int view_loadavg(const struct view_numbers *n, struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; i < VIEW_LOADS; i++)
		r |= buf_printf(ret, "%" PRIu64 ".%02" PRIu64 " ", n->loads[i] / VIEW_ONE,
				n->loads[i] % VIEW_ONE * 100 / VIEW_ONE);
	return r | buf_printf(ret, "%u/%" PRIu64 " %" PRIu64 "\n", n->loads[0] >= VIEW_ONE / 2,
			      n->pids, n->pids);
}

static int view_meminfo(const struct view_numbers *n, struct buf *ret)
{
	const uint64_t free = view_minus(n->memory, n->memory_used);
	const uint64_t available = free + n->reclaimable;
	const struct {
		const char *name;
		uint64_t bytes;
	} lines[] = {
		{ "MemTotal:", n->memory },
		{ "MemFree:", free },
		{ "MemAvailable:", available < n->memory ? available : n->memory },
		{ "Buffers:", 0 },
		{ "Cached:", n->cache },
		{ "SwapCached:", 0 },
		{ "Active:", view_minus(n->memory_used, n->reclaimable) },
		{ "Inactive:", n->reclaimable },
		{ "SwapTotal:", n->swap },
		{ "SwapFree:", view_minus(n->swap, n->swap_used) },
		{ "Dirty:", 0 },
		{ "Writeback:", 0 },
		{ "AnonPages:", view_minus(n->memory_used, n->cache) },
		{ "Mapped:", 0 },
		{ "Shmem:", n->shmem },
		{ "Slab:", 0 },
		{ "SReclaimable:", 0 },
		{ "SUnreclaim:", 0 },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		r |= buf_printf(ret, "%-15s %8" PRIu64 " kB\n", lines[i].name,
				VIEW_KIB(lines[i].bytes));
	return r;
}

static int view_stat(const struct view_numbers *n, struct buf *ret)
{
	const uint64_t user = view_ticks(view_minus(n->cpu_ns, n->cpu_system_ns));
	const uint64_t system = view_ticks(n->cpu_system_ns), idle = view_ticks(view_idle_ns(n));
	int r = buf_printf(ret, "cpu  %" PRIu64 " 0 %" PRIu64 " %" PRIu64 " 0 0 0 0 0 0\n", user,
			   system, idle);

	for (unsigned i = 0; i < n->cpus; i++)
		r |= buf_printf(ret, "cpu%u %" PRIu64 " 0 %" PRIu64 " %" PRIu64 " 0 0 0 0 0 0\n", i,
				user / n->cpus, system / n->cpus, idle / n->cpus);
	return r | buf_printf(ret,
			      "intr 0\nctxt 0\nbtime %" PRId64 "\nprocesses %" PRIu64
			      "\nprocs_running 1\nprocs_blocked 0\n",
			      n->begun_s, n->pids);
}

static int view_swaps(const struct view_numbers *n, struct buf *ret)
{
	int r = buf_adds(ret, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");

	if (n->swap)
		r |= buf_printf(ret, "none\t\t\t\t\tvirtual\t\t%" PRIu64 "\t\t%" PRIu64 "\t\t0\n",
				VIEW_KIB(n->swap), VIEW_KIB(n->swap_used));
	return r;
}

static int view_seconds(uint64_t ns, const char *behind, struct buf *ret)
{
	const uint64_t cs = ns / ((uint64_t)NS_PER_S / 100);

	return buf_printf(ret, "%" PRIu64 ".%02" PRIu64 "%s", cs / 100, cs % 100, behind);
}

int view_text(enum view view, const struct view_numbers *numbers, const char *cpuinfo,
	      struct buf *ret)
{
	const struct view_numbers *n = numbers;

	switch (view) {
	case VIEW_CPUINFO:
		return view_cpuinfo(n, cpuinfo, ret);
	case VIEW_LOADAVG:
		return view_loadavg(n, ret);
	case VIEW_MEMINFO:
		return view_meminfo(n, ret);
	case VIEW_STAT:
		return view_stat(n, ret);
	case VIEW_SWAPS:
		return view_swaps(n, ret);
	case VIEW_UPTIME:
		return view_seconds(n->up_ns, " ", ret) | view_seconds(view_idle_ns(n), "\n", ret);
	case VIEW_ONLINE:
		return n->cpus > 1 ? buf_printf(ret, "0-%u\n", n->cpus - 1) : buf_adds(ret, "0\n");
	case VIEW_BOOT_ID:
		return buf_printf(ret, "%s\n", n->boot_id);
	default:
		return -EINVAL;
	}
}

void view_load(uint64_t loads[VIEW_LOADS], uint64_t active)
{
	/* EXP_1, EXP_5, EXP_15: 2048 / e^(5 s / minutes) */
	static const uint64_t decay[VIEW_LOADS] = { 1884, 2014, 2037 };

	for (size_t i = 0; i < VIEW_LOADS; i++)
		loads[i] = (loads[i] * decay[i] + active * (VIEW_ONE - decay[i]) +
			    (active >= loads[i] ? VIEW_ONE - 1 : 0)) /
			   VIEW_ONE;
}
