/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the cgroup_*.c files share; nobody else includes it. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engines/cgroup/cgroup.h"

#define CGROUP_BIT(controller) (UINT32_C(1) << (controller))

/* How long a kill, a freeze or a removal may take before it is reported as stuck. */
#define CGROUP_WAIT_MS 60000

extern const char *const cgroup_v1_names[CGROUP_CONTROLLER_MAX];

/* cgroup_layout_finish() - what follows from the hierarchies that are there: which is v2, which are used */
void cgroup_layout_finish(struct cgroup_layout *layout);
/* cgroup_find() - index of the hierarchy that holds a controller, or -1. */
int cgroup_find(const struct cgroup_layout *layout, enum cgroup_controller controller);
/* cgroup_controllers_parse() - "cpuset cpu io" to bits; words we do not use are skipped. */
uint32_t cgroup_controllers_parse(const char *words);
/* cgroup_path_check() - "strata/ID": relative, no empty, "." or ".." part; else -EINVAL. */
int cgroup_path_check(const char *path, struct err *err);
/* cgroup_full_path() - mount and path in one; -ENAMETOOLONG. */
int cgroup_full_path(const struct cgroup_hierarchy *h, const char *path, char *ret, size_t size);

/* cgroup_read() - a small kernel file into ret, NUL-terminated, cut at size; the length or a negative errno. */
int cgroup_read(int dirfd, const char *name, char *ret, size_t size);
/* cgroup_read_u64() - a file with one number; "max" is UINT64_MAX. */
int cgroup_read_u64(int dirfd, const char *name, uint64_t *ret);
/* cgroup_field() - the number after "key " at the start of a line; false where there is none. */
bool cgroup_field(const char *text, const char *key, uint64_t *ret);

/* cgroup_make() - the directory and its parents in one hierarchy; an empty old one is replaced. Returns its fd. */
int cgroup_make(const struct cgroup_hierarchy *h, const char *path, struct err *err);
/* cgroup_v2_enable() - let groups at path use these controllers; returns those that could be enabled, or -errno. */
int cgroup_v2_enable(const struct cgroup_hierarchy *h, const char *path, uint32_t want,
		     uint32_t *ret_got);
/* cgroup_v2_refused() - 0 where nothing is missing, else -ENOTSUP with what to do about it. */
int cgroup_v2_refused(const struct cgroup_hierarchy *h, uint32_t missing, struct err *err);
/* cgroup_main() - index of the hierarchy whose processes are counted, frozen and killed: v2 if there is one; -1. */
int cgroup_main(const struct cgroup *cgroup);

/* cgroup_limits_need() - bits of the controllers that these limits ask for. */
uint32_t cgroup_limits_need(const struct spec_limits *limits);
/* cgroup_io_set() - the limits' block I/O in one group of the controller */
int cgroup_io_set(int fd, bool v2, const struct spec_limits *limits, struct err *err);
int cgroup_limits_set(const struct cgroup *cgroup, const struct spec_limits *limits,
		      struct err *err);
/* cgroup_cpuset_inherit() - v1: a new cpuset has no CPU and no memory node, and so takes no process. */
int cgroup_cpuset_inherit(int parent, int child);

/* cgroup_devices_set() - default rules and these; may add the v1 devices group to cgroup. */
int cgroup_devices_set(struct cgroup *cgroup, const struct spec_device *devices, size_t n,
		       struct err *err);

int cgroup_rules_set(struct cgroup *cgroup, const struct device_rule *rules, size_t n,
		     struct err *err);

/* cgroup_walk() - call fn for every number in file `name` of the group and of those below it; fn <0 ends it. */
int cgroup_walk(int dirfd, const char *name, int (*fn)(pid_t pid, void *arg), void *arg);
/* cgroup_event_wait() - v2: until `key` in cgroup.events is value; -ETIMEDOUT. */
int cgroup_event_wait(int dirfd, const char *key, uint64_t value, int64_t deadline_ns);
/* cgroup_tree_remove() - rmdir a group and those below it, which must hold no process: else -EBUSY. */
int cgroup_tree_remove(const char *full_path);
