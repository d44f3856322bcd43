/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A virtual machine as its monitor sees it: one child process, strata-vmm, in a cgroup of its own. It
 * implements engine_ops for every architecture that runs its vcpus in a VMM; the engine's table names itself.
 */
#include "engines/engine.h"

/* vmm_guest_create() - engine_ops.create; @ops: the engine's own table, which reap and destroy are called by. */
int vmm_guest_create(const struct engine_ops *ops, const struct spec *spec,
		     const struct guest_dirs *dirs, const struct guest_io *io, struct guest **ret,
		     struct err *err);
/* The slots that are the same for all. */
int vmm_guest_start(struct guest *guest, int *ret_status, struct err *err);
int vmm_guest_reap(struct guest *guest, struct guest_end *ret);
void vmm_guest_destroy(struct guest *guest);
/*
 * The cgroup answers these four where the machine has one (engines/cgroup/instance.h), and /proc and signals where its user
 * may make none: then stats has no I/O, and CPU time in the clock ticks of /proc. CPU time is what the machine takes of the
 * host. What the workload has of the rest only its guest knows; where it does not answer (paused, on its way up or down), or is
 * a kernel of its own, there is what its process takes.
 */
int vmm_guest_update(const struct spec *spec, const char *run_dir, const struct spec_limits *change,
		     struct err *err);
/* vmm_guest_shares() - the part of it that its cgroup and its network's link hold, where something of that changes */
int vmm_guest_shares(const struct spec *spec, const struct spec_limits *change, struct err *err);
int vmm_guest_freeze(const struct spec *spec, pid_t pid, bool frozen, struct err *err);
int vmm_guest_stats(const struct spec *spec, const char *run_dir, pid_t pid, bool paused,
		    struct stats_session *session, struct guest_stats *ret, struct err *err);
int vmm_guest_processes(const struct spec *spec, pid_t pid, pid_t **ret, size_t *ret_n,
			struct err *err);
int vmm_guest_sweep(const char *id, const char *cgroup_parent, pid_t pid, struct err *err);
/* vmm_guest_root_open() - always -ENOTSUP, saying what to do: the files are on disks that only the guest's kernel reads. */
int vmm_guest_root_open(const struct spec *spec, pid_t pid, const char *state_dir, int *ret_users,
			struct err *err);
/*
 * vmm_guest_check() - engine_ops.check: what a virtual machine cannot be given
 * Errors: -ENOTSUP, naming the flag and what to do instead.
 */
int vmm_guest_check(const struct spec *spec, struct err *err);
/*
 * vmm_guest_limits() - what the cgroup of the machine's process is to hold: memory and processes are the guest's own affair,
 * and so are whole CPUs where there is none
 * Errors: -EACCES, naming the flag, where that takes a cgroup that this user may not make.
 */
struct cgroup_layout;
int vmm_guest_limits(const struct spec *spec, const struct cgroup_layout *layout,
		     struct spec_limits *ret, struct err *err);
/* vmm_guest_files - engine_ops.files: through the same socket. */
extern const struct guest_files vmm_guest_files;
/*
 * vmm_raw_tty() - a new terminal of this size; nothing is done to its bytes on the way, the guest has its own
 * Return: 0 with both sides' fds, close-on-exec, or a negative errno.
 */
int vmm_raw_tty(const struct winsize *size, int *ret_master, int *ret_slave, struct err *err);
/* vmm_guest_exec() - engine_ops.exec: through the agent's socket in the run directory. */
int vmm_guest_exec(const struct guest_exec *exec, struct err *err);
