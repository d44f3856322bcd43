/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where all that a column starts is counted and, at the end, killed: one cgroup, "strata-TAG-NAME", with two places below it.
 * "own" takes what this program starts (the command, its monitor and VMM, a peer's program); an instance of strata's comes
 * beside it (--cgroup-parent), as does a peer's container.
 *
 * A user who may make no cgroups has none: then nothing is counted, and everything still works.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"
#include "engines/cgroup/cgroup.h"

struct group { /* not to be moved: own and whole point into it */
	bool made;
	struct cgroup_layout layout;
	char path[160]; /* "strata-compare-a1b2c3d4e5f6-crun-1": for --cgroup-parent */
	struct cgroup own, whole;
	uint64_t cpu_ns; /* that was used before group_begin() */
};

/*
 * group_make() - @tag: column_setup.tag   @name: tells the comparison's groups apart   @limits: of "own"; NULL: none
 * Zeroes *ret where there can be none.
 */
void group_make(const char *tag, const char *name, const struct spec_limits *limits,
		struct group *ret);
/* group_sweep() - those of a comparison that was killed: whether all are gone. */
bool group_sweep(const char *tag);
/*
 * group_tidy() - the directories with this prefix in hierarchies that are not ours to use: a peer makes its cgroup's parents in
 * all of them, systemd's own too, and lets them stand
 */
void group_tidy(const char *prefix);
/*
 * group_realtime() - leave to ask for a real-time policy, for the groups of this column's that there are (cyclictest asks for one before it
 * measures any): on v1, with real-time groups, a new one has no time for that (Linux Documentation/scheduler/sched-rt-group.rst)
 */
void group_realtime(const char *tag, const char *name);
/* group_join() - in the child, before execve(2): 0 or -errno. */
int group_join(const struct group *group);
/* group_begin() - what it uses counts from here on. */
void group_begin(struct group *group);
/* group_pids() - all that are in it; the caller's to free(); 0 of them where there is no group. */
int group_pids(const struct group *group, pid_t **ret, size_t *ret_n);
/* group_kill() - SIGKILL to all of it. */
void group_kill(const struct group *group);
/*
 * group_end() - wait until it is empty (2 s at most, then what is left is killed), read what it used, and remove it
 * @ret_cpu_ms, @ret_memory_mib: NAN where they are not counted; may be NULL
 */
void group_end(struct group *group, double *ret_cpu_ms, double *ret_memory_mib);
