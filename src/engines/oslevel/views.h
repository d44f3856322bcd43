/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Files of a system container's /proc that show its limits, where no lxcfs serves them: ordinary files in the instance's run directory,
 * mounted read-only over the kernel's, which the monitor writes anew every two seconds. They need no FUSE and no other process; what
 * is lost is the moment's exactness, and whose process asks.
 *
 * Source of the formats: proc(5) of Linux man-pages 6, the pages of each file; the load's decay: Linux include/linux/sched/loadavg.h.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/buf.h"
#include "base/core/err.h"
#include "engines/cgroup/cgroup.h"

enum view {
	VIEW_CPUINFO,
	VIEW_LOADAVG,
	VIEW_MEMINFO,
	VIEW_STAT,
	VIEW_SWAPS,
	VIEW_UPTIME,
	VIEW_ONLINE, /* /sys/devices/system/cpu/online */
	VIEW_BOOT_ID, /* by which a journal tells boots apart: not one of /proc that lxcfs has, so always ours */
	VIEWS,
};
#define VIEW_LOADS 3

struct view_numbers {
	unsigned cpus;			/* how many it may use, rounded up */
	uint64_t cpu_ns, cpu_system_ns; /* since it was started; the second is part of the first */
	uint64_t up_ns;			/* likewise */
	int64_t begun_s;		/* since 1970 */
	uint64_t memory, memory_used;	/* bytes; of memory no limit is the host's all */
	uint64_t cache, shmem, reclaimable; /* parts of memory_used */
	uint64_t swap, swap_used;
	uint64_t pids;
	char boot_id[37];	    /* a random UUID; of each start its own */
	uint64_t loads[VIEW_LOADS]; /* CPUs in use over 1, 5, 15 minutes, times VIEW_ONE */
};
#define VIEW_ONE UINT64_C(2048)

/* view_text() - a file of them. @cpuinfo: the host's, for VIEW_CPUINFO   -ENOMEM. */
int view_text(enum view view, const struct view_numbers *numbers, const char *cpuinfo,
	      struct buf *ret);
/* view_load() - one more interval of five seconds, in which so many CPUs (times VIEW_ONE) were in use */
void view_load(uint64_t loads[VIEW_LOADS], uint64_t active);
/* view_path() - what it is mounted over */
const char *view_path(enum view view);

struct views {
	int fds[VIEWS]; /* -EBADF: there are none */
	struct view_numbers numbers;
	unsigned cpus_shown; /* the files of what seldom changes say this */
	int64_t begun_ns, load_ns;
	uint64_t load_cpu_ns; /* what was used then */
};
#define VIEWS_NONE                                                                                 \
	(struct views)                                                                             \
	{                                                                                          \
		.fds = { -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF }          \
	}
#define VIEWS_NS INT64_C(2000000000) /* between two writings */

/* views_open() - the files, still empty, in a directory "views" of the run directory. *ret is as it was on an error. */
int views_open(const char *run_dir, struct views *ret, struct err *err);
/* views_mount() - a detached read-only mount of one; or a negative errno */
int views_mount(const char *run_dir, enum view view, struct err *err);
/* views_write() - now. What cannot be read stays as it was. @pid: of the container's init */
void views_write(struct views *views, const struct cgroup *cgroup, pid_t pid);
void views_close(struct views *views); /* VIEWS_NONE is a no-op */
