/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Control groups, version 2, version 1, and both mounted side by side: each controller is used where it is found.
 *
 * A layout is read once from /proc/self/mountinfo (and cgroup.controllers of the v2 mount). An instance's
 * group is <parent>/<name> in the v2 tree, where there is one (kill, freeze, CPU time, device rules, and the controllers
 * it holds), and in as few v1 hierarchies as will do, since each costs the start (docs/cgroups.md has the figures):
 *
 *   always                memory (use, OOM kills)
 *   only when limited     cpu, cpuset, pids
 *   only without v2       cpuacct, freezer, devices (also where BPF is not allowed)
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"
#include "engines/spec.h"

enum cgroup_controller {
	CGROUP_CPU,
	CGROUP_CPUACCT,
	CGROUP_CPUSET,
	CGROUP_MEMORY,
	CGROUP_PIDS,
	CGROUP_BLKIO, /* "io" in v2 */
	CGROUP_DEVICES,
	CGROUP_FREEZER,
	/* Only where a setting asks for them. */
	CGROUP_HUGETLB,
	CGROUP_NET_CLS,
	CGROUP_NET_PRIO,
	CGROUP_RDMA,
	CGROUP_MISC,
	CGROUP_CONTROLLER_MAX,
};

#define CGROUP_HIERARCHIES 16
#define CGROUP_OTHERS	   6
#define CGROUP_SYSTEMD	   "name=systemd" /* options of that hierarchy */

struct cgroup_hierarchy {
	char mount[256]; /* where it is mounted, and our place in it: the root of what we may use */
	char options[64]; /* v1: "cpu,cpuacct": what a mount of it must ask */
	uint32_t
		controllers; /* bit n: enum cgroup_controller n; 0 for v2's may be: still good for kill and freeze */
	bool v2;
	bool adopt; /* the caller's: a group that is there is taken as it is, whoever is in it: systemd made it for us */
	bool used;  /* an instance gets a group here; else only when a limit needs it */
};

struct cgroup_layout {
	struct cgroup_hierarchy hierarchies[CGROUP_HIERARCHIES];
	unsigned n;
	int v2;		    /* index of the v2 hierarchy, or -1 */
	uint32_t also;	    /* the caller's: bits of controllers that settings will need */
	uint32_t read_only; /* controllers that are only mounted read-only: there, but not for us */
	uint32_t closed; /* an ordinary user's: controllers whose directories are somebody else's */
	/* v1 without a controller of ours: "name=systemd", "perf_event" */
	struct cgroup_hierarchy others[CGROUP_OTHERS];
	unsigned n_others;
};

/*
 * cgroup_layout_read() - @mountinfo: NULL for /proc/self/mountinfo; tests give another
 * Lines whose mount is hidden below another one are left out. A host without cgroups gives an empty layout, no error.
 */
int cgroup_layout_read(const char *mountinfo, struct cgroup_layout *ret, struct err *err);
/* cgroup_layout_parse() - the same from text alone (v2 has no controllers then); for tests and the fuzzer. */
int cgroup_layout_parse(const char *mountinfo, size_t len, struct cgroup_layout *ret,
			struct err *err);

/*
 * cgroup_layout_use_all() - an instance gets a group in every hierarchy that is mounted, known to us or not: a system container's
 * root may mount each of them inside, and would see the host's tree in one that it is at the top of
 */
void cgroup_layout_use_all(struct cgroup_layout *layout);
/*
 * cgroup_layout_user() - for whoever is not root of the host: only hierarchies in which he may make groups below parent stay
 * @parent: "" or a path in each of them   Return: false for the host's root, whose layout stays as it is.
 */
bool cgroup_layout_user(struct cgroup_layout *layout, const char *parent);
/*
 * cgroup_user_parent() - the group of version 2 below which an ordinary user's go: the highest above his own process that was
 * delegated to him (cgroup-v2.rst, "Model of Delegation"); "": there is none
 */
int cgroup_user_parent(char ret[256]);
/* cgroup_own_parse() - a process's group of version 2 out of /proc/PID/cgroup, without the first slash; false: none is there */
bool cgroup_own_parse(const char *text, char *ret, size_t size);
/* cgroup_layout_find() - index of a v1 hierarchy by its options, or -1; the others only after cgroup_layout_use_all(). */
int cgroup_layout_find(const struct cgroup_layout *layout, const char *options);

struct cgroup {
	const struct cgroup_layout *layout; /* borrowed */
	char path[256];			    /* "strata/ID" */
	int fds[CGROUP_HIERARCHIES];	    /* O_PATH | O_DIRECTORY; -EBADF where unused */
	bool v1_rules;			    /* cgroup_rules_early() set them all */
};

/*
 * cgroup_create() - the group in every used hierarchy, limits set, device rules in force
 * @limits: a limit that no mounted controller can give is an error (-ENOTSUP) that names it
 * @devices, @n: allowed on top of the default devices (null zero full random urandom tty console ptmx, pts/n; mknod of any);
 * @all_devices: no device rules at all (--privileged)
 * Errors: nothing is left behind. -EEXIST where the group exists and has processes; an empty one is taken over.
 */
int cgroup_create(const struct cgroup_layout *layout, const char *path,
		  const struct spec_limits *limits, const struct spec_device *devices, size_t n,
		  bool all_devices, struct cgroup *ret, struct err *err);
/*
 * cgroup_prepare(), cgroup_restrict() - cgroup_create() in two: the empty groups, then limits and device rules, so
 * that a process can be born into them while the rules are made
 * An error of the second leaves the groups: cgroup_destroy().
 */
int cgroup_prepare(const struct cgroup_layout *layout, const char *path,
		   const struct spec_limits *limits, bool all_devices, struct cgroup *ret,
		   struct err *err);
int cgroup_restrict(struct cgroup *cgroup, const struct spec_limits *limits,
		    const struct spec_device *devices, size_t n, bool all_devices, struct err *err);
/* cgroup_restrict_rules() - the same with device rules in the kernel's terms; the default ones are not added. */
struct device_rule;
int cgroup_restrict_rules(struct cgroup *cgroup, const struct spec_limits *limits,
			  const struct device_rule *rules, size_t n, bool all_devices,
			  struct err *err);

/*
 * cgroup_rules_early() - the same rules in version 1's list, where the group is in that hierarchy in any case: whoever reads it there
 * sees them. Before a process is in the group, for while the list is made everything is denied. What a group above does not allow
 * is not to be had and left out; a BPF program, or cgroup_restrict_rules(), has the last word.
 */
void cgroup_rules_early(struct cgroup *cgroup, const struct device_rule *rules, size_t n);

/* One file of a controller, as the kernel takes it. */
struct cgroup_setting {
	enum cgroup_controller controller;
	const char *v1,
		*v2; /* the file's name in either version; NULL: that one has nothing of the kind */
	const char *v1_value, *v2_value;
	const char *v2_else, *v2_else_value; /* optional: where the kernel has no file v2 */
	const char *what;		     /* who asked, for errors */
};
/* cgroup_settings_need() - bits of the controllers that these have files of, for a layout's also */
uint32_t cgroup_settings_need(const struct cgroup_setting *settings, size_t n);
/*
 * cgroup_read_file() - a file of a controller, in whichever version holds it; cut at size
 * @v1, @v2: NULL: that version has none
 * Return: its length, or a negative errno: -ENOENT where there is nothing to read.
 */
int cgroup_read_file(const struct cgroup *cgroup, enum cgroup_controller controller, const char *v1,
		     const char *v2, char *ret, size_t size);
/* cgroup_read_v2() - the same of version 2's group, whatever controllers it has */
int cgroup_read_v2(const struct cgroup *cgroup, const char *file, char *ret, size_t size);

/* Being told of a lack of memory. */
struct cgroup_oom {
	int fd;	  /* readable once there was one */
	int file; /* what it is about */
	bool v2;
	uint64_t seen; /* v2: kills so far */
};
/* cgroup_oom_open() - -ENOTSUP without a memory group; cgroup_oom_close() it */
int cgroup_oom_open(const struct cgroup *cgroup, struct cgroup_oom *ret, struct err *err);
/* cgroup_oom_take() - how many since the last time; fd is unreadable then */
uint64_t cgroup_oom_take(struct cgroup_oom *oom);
void cgroup_oom_close(struct cgroup_oom *oom);
/*
 * cgroup_settings_set() - in their order
 * Errors: -ENOTSUP, naming what and the controller, where the group is in no hierarchy that has the file.
 */
int cgroup_settings_set(const struct cgroup *cgroup, const struct cgroup_setting *settings,
			size_t n, struct err *err);
/*
 * cgroup_joins_open(), cgroup_join() - the cheap way in, in two steps since only the first needs rights: a process of one
 * thread writes "0" to the v1 groups' tasks files. Unlike cgroup.procs that takes no lock against every fork
 * of the machine, for which the kernel waits an RCU grace period of milliseconds (Linux,
 * kernel/cgroup/cgroup.c, cgroup_procs_write_start()). For v2 there is CLONE_INTO_CGROUP.
 */
int cgroup_joins_open(const struct cgroup *cgroup, int ret_fds[CGROUP_HIERARCHIES], unsigned *ret_n,
		      struct err *err);
int cgroup_join(const int *fds, unsigned n); /* 0 or -errno; async-signal-safe */
/*
 * cgroup_limits_denied() - whether this user may not make the groups that these limits take
 * @parent: "" or a path below which the group would be   @ret_where: the directory that is closed to him
 */
#define CGROUP_PATH_BYTES 4096
bool cgroup_limits_denied(const struct cgroup_layout *layout, const char *parent,
			  const struct spec_limits *limits, char ret_where[CGROUP_PATH_BYTES]);
/* cgroup_limits_check() - -ENOTSUP, naming limit and controller, where one has no controller here; -EACCES where it is not this user's. */
int cgroup_limits_check(const struct cgroup_layout *layout, const struct spec_limits *limits,
			struct err *err);
/* cgroup_open() - an existing one; -ENOENT where no hierarchy has it. */
int cgroup_open(const struct cgroup_layout *layout, const char *path, struct cgroup *ret,
		struct err *err);
/* cgroup_none() - in no hierarchy at all */
void cgroup_none(const struct cgroup_layout *layout, struct cgroup *ret);
void cgroup_close(struct cgroup *cgroup);
/* cgroup_v2_fd() - for clone3's CLONE_INTO_CGROUP; -EBADF without v2. */
int cgroup_v2_fd(const struct cgroup *cgroup);
/*
 * cgroup_attach() - move a process into every hierarchy; skip_v2: it was cloned into that one. pid 0: the caller
 * Cheapest as pid 0 from the child itself; CLONE_INTO_CGROUP costs more than it saves (docs/cgroups.md).
 */
int cgroup_attach(const struct cgroup *cgroup, pid_t pid, bool skip_v2, struct err *err);
/* cgroup_freeze() - and wait until every process is frozen or thawed; -ENOTSUP. */
int cgroup_freeze(const struct cgroup *cgroup, bool frozen, struct err *err);
/* cgroup_is_frozen() - or is to be, from cgroup_freeze()'s beginning to its undoing: 1, 0, or negative errno */
int cgroup_is_frozen(const struct cgroup *cgroup);
/* cgroup_kill() - SIGKILL to every process in it, frozen ones too; returns when none is left, -ETIMEDOUT after 10 s. */
int cgroup_kill(const struct cgroup *cgroup, struct err *err);
/* cgroup_destroy() - remove the directories (children too); kills first what is left. Absent is fine. */
int cgroup_destroy(const struct cgroup_layout *layout, const char *path, struct err *err);
/* cgroup_remove_empty() - only those of its directories that hold nobody, and no group: nobody is killed */
void cgroup_remove_empty(const struct cgroup_layout *layout, const char *path);
/* cgroup_is_none() - it is in no hierarchy */
bool cgroup_is_none(const struct cgroup *cgroup);
/*
 * cgroup_delegate() - the group in one hierarchy, with what is needed to make groups in it, becomes these ids' own; its limits do not
 * @index: of the layout's hierarchies   Source: Linux Documentation/admin-guide/cgroup-v2.rst, "Model of Delegation".
 */
int cgroup_delegate(const struct cgroup *cgroup, unsigned index, uid_t uid, gid_t gid,
		    struct err *err);
/*
 * cgroup_update() - new limits on a living group; members that are 0 are left alone
 * A v1 hierarchy that the group had no need of so far is joined by all its processes first.
 */
int cgroup_update(const struct cgroup *cgroup, const struct spec_limits *limits, struct err *err);

/*
 * cgroup_weight_of() - shares of version 1 as a weight of version 2, in proportion, 1024 being the default of 100: instances keep their
 * relation to one another and to everything that has no weight of its own
 */
int64_t cgroup_weight_of(int64_t shares);

struct cgroup_stats {
	uint64_t cpu_ns;
	uint64_t
		memory_bytes; /* without the file cache that is given back first, as `docker stats` */
	uint64_t memory_limit_bytes;		/* 0: none */
	uint64_t pids;				/* threads, as pids.current counts */
	uint64_t pids_limit;			/* 0: none */
	uint64_t io_read_bytes, io_write_bytes; /* 0 unless v2 holds the io controller */
	uint64_t oom_kills;
};
int cgroup_stats_read(const struct cgroup *cgroup, struct cgroup_stats *ret, struct err *err);
/* cgroup_pids() - every process in it, host's numbering; *ret is the caller's to free(). */
int cgroup_pids(const struct cgroup *cgroup, pid_t **ret, size_t *ret_n, struct err *err);
/* cgroup_report() - one line on what can be limited here, for `strata info`; -ENOSPC where ret is too small. */
int cgroup_report(const struct cgroup_layout *layout, char *ret, size_t size);
