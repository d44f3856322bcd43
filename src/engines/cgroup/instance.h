/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The cgroup of one instance, whichever engine runs it: <cgroup parent>/strata-ID. */
#include <linux/sched.h>
#include <stdbool.h>

#include "engines/cgroup/cgroup.h"
#include "engines/engine.h"

/* cgroup_instance_path() - one directory a hierarchy: no parent of ours is left when the last instance has gone. */
int cgroup_instance_path(const char *parent, const char *id, char ret[256], struct err *err);
/*
 * cgroup_clone_into() - clone3(2) into a v2 group where that can be
 * @cgroup_fd: or -EBADF   @ret_into: false: the caller moves the child
 * Return: as clone3(2), -1 with errno.
 */
long cgroup_clone_into(struct clone_args *args, int cgroup_fd, bool *ret_into);
/* cgroup_instance_move() - what cgroup_clone_into() could not do. */
int cgroup_instance_move(const struct cgroup *cgroup, pid_t pid, struct err *err);

/*
 * The slots of engine_ops that a cgroup answers; none needs the pid. stats: all but the network's.
 * Errors: -ENOENT where the instance has no cgroup, as an ordinary user's machine; sweep: 0.
 */
int cgroup_instance_freeze(const struct spec *spec, pid_t pid, bool frozen, struct err *err);
int cgroup_instance_stats(const struct spec *spec, struct guest_stats *ret, struct err *err);
int cgroup_instance_processes(const struct spec *spec, pid_t pid, pid_t **ret, size_t *ret_n,
			      struct err *err);
int cgroup_instance_update(const struct spec *spec, const struct spec_limits *change,
			   struct err *err);
int cgroup_instance_sweep(const char *id, const char *cgroup_parent, pid_t pid, struct err *err);
