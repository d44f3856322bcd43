/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Containers of whoever is not the host's root. His monitor becomes root of a user namespace with all his ids (base/os/idspace.h)
 * before it makes one; the container has another one below that, with the same ids under the same numbers: no id of a file is
 * mapped twice, and nobody inside has a right over what the monitor holds. Where no cgroup is his, the processes are those of the
 * container's pid namespace, which end with the first of them, and that with the monitor.
 */
#include "engines/engine.h"
#include "engines/oslevel/private.h"

/* rootless_check() - what an ordinary user cannot have, by the flag's name; 0 for root */
int rootless_check(const struct spec *spec, struct err *err);
/* rootless_probe() - whether this host lets him make what a container takes: makes it, in a process that ends */
int rootless_probe(struct err *err);
/* rootless_ids() - our own namespace's ids, each as itself; the tables are the launch's */
int rootless_ids(struct launch *launch, struct err *err);
/* rootless_network() - passt for the container's network namespace, which is to be there, until that ends */
int rootless_network(const struct spec *spec, const struct guest_dirs *dirs, pid_t pid,
		     struct passt *ret, struct err *err);

/*
 * rootless_groups() - the groups that a process of the container may have: where nobody may change them (no newgidmap), none, and
 * what was asked for by --group-add is an error later
 * @denied: what ids_no_groups() said
 */
void rootless_groups(const struct spec *spec, bool denied, struct process *process);

/* engine_ops' own, where cgroup_instance_*() said -ENOENT: by the pid namespace. */
int rootless_freeze(pid_t pid, bool frozen, struct err *err);
int rootless_stats(pid_t pid, struct guest_stats *ret, struct err *err);
int rootless_processes(pid_t pid, pid_t **ret, size_t *ret_n, struct err *err);
/* rootless_sweep() - wait for the end of a container whose monitor died, and which dies of that */
int rootless_sweep(pid_t pid, struct err *err);
