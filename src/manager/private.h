/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside this room. */
#include "engines/engine.h"
#include "manager/manager.h"
#include "manager/status.h"

extern const struct db_schema manager_schema;

/* instance_dir() - "<root>/instances/ID" or, run, "<run_root>/instances/ID"; -ENAMETOOLONG. */
int instance_dir(const struct manager *manager, const char *id, bool run, char ret[4096]);
/*
 * instance_lock() - serialise changes of one instance: a flock on its state directory, which is made
 * @wait: false: -EWOULDBLOCK where another command is at it
 * Return: an fd whose closing unlocks, or a negative errno.
 */
int instance_lock(struct manager *manager, const char *id, bool wait, struct err *err);
/* instance_unmake() - under the lock: the directory that taking the lock of what is gone has made. */
void instance_unmake(struct manager *manager, const char *id);
/*
 * instance_lock_fresh() - the same, and the row as it is now: instance_settle()
 * Errors: -ENOENT where it is gone; then the directory is not left either.
 */
int instance_lock_fresh(struct manager *manager, struct instance *instance, struct err *err);
/* instance_reload() - the row as it is now, under the lock; -ENOENT where it is gone. */
int instance_reload(struct manager *manager, struct instance *instance, struct err *err);
/* instance_set_state() - one small transaction. */
int instance_set_state(struct manager *manager, const char *id, enum instance_state state,
		       struct err *err);

/* instance_sync() - compare a row that says "running" with its monitor; see reconcile.c. */
int instance_sync(struct manager *manager, struct instance *instance, struct err *err);
/* instance_settle() - the same under the lock, from a fresh row; -ENOENT where that is gone. */
int instance_settle(struct manager *manager, struct instance *instance, struct err *err);
/* instance_ended() - under the lock: fold the end into the database and remove what only a run needs. */
int instance_ended(struct manager *manager, struct instance *instance, const struct status *status,
		   struct err *err);
/*
 * instance_sweep_engine() - no monitor lives: what is left of its processes and cgroups
 * @pid: the guest's, as the monitor last said; 0: not known
 */
int instance_sweep_engine(const struct instance *instance, pid_t pid, struct err *err);
/* instance_erase() - under the lock: volumes, row, directories. */
int instance_erase(struct manager *manager, struct instance *instance, bool volumes,
		   struct err *err);
/*
 * instance_sweep_orphans() - directories that a killed command left without a row
 * @list: the rows there are, to look up only what is not among them: this is part of every `ps -a`
 */
void instance_sweep_orphans(struct manager *manager, const struct instance *list, size_t n);

/* instance_engine() - never NULL: a spec names one that this build has, or -ENOTSUP was said. */
int instance_engine(const struct instance *instance, const struct engine_ops **ret,
		    struct err *err);
/* instance_spec() - the spec as the engines want it: absolute layers and volume paths, the filter's path. */
int instance_spec(struct manager *manager, const struct instance *instance, struct spec *ret,
		  struct err *err);
/* instance_seccomp() - the path of the compiled filter into a stored spec, where it has a profile */
int instance_seccomp(struct manager *manager, json_t *spec, struct err *err);
/* instance_view() - as much of a spec as an engine needs to act on what runs; borrowed from instance. */
struct spec instance_view(const struct instance *instance);
/* instance_not_running() - -ESRCH, and what to do */
int instance_not_running(const struct instance *instance, struct err *err);
/* instance_open_run() - the directory of the run that is under way; an fd or -errno */
int instance_open_run(struct manager *manager, const char *id);
/* instance_connect() - a socket to a living monitor; -ESRCH where none lives. */
int instance_connect(struct manager *manager, const struct instance *instance, struct err *err);

/*
 * start_fill() - Docker's rule: an empty volume gets what the image has at its target, before the first start with it
 * @spec: the running one, its volumes' paths absolute   @state_dir: the instance's
 * Killed halfway, the next start with that volume begins anew.
 */
int start_fill(json_t *spec, const char *state_dir, struct err *err);

/* instance_summary() - what a list shows of a spec, as text for free(); NULL: out of memory. */
char *instance_summary(const json_t *spec);
/* instance_record() - its spec, which has changed, and what a list shows of that */
int instance_record(struct manager *manager, const struct instance *instance, struct err *err);
/* manager_check_cpus() - of limits as docs/spec.md has them: not more CPUs than there are; -ERANGE. */
int manager_check_cpus(const json_t *limits, struct err *err);

/*
 * create_health() - the spec's "health" of what the command line asks over what the image's HEALTHCHECK says
 * @asked: members as the spec's, "args" too, or "none": true; or NULL   @image: the config of the image, hostile; or NULL
 * Errors: -EINVAL where only the times of a check are asked, and there is none; -ENOMEM.
 */
int create_health(json_t *spec, const json_t *asked, const json_t *image, struct err *err);

/* event_write() - one line in <root>/events, as event_add() does; for a process that has only these */
void event_write(int root_fd, const char *action, const char *id, const char *name, const char *key,
		 int64_t value);
/* event_add() - one line in <root>/events; failing to is not worth failing for. */
void event_add(struct manager *manager, const char *action, const struct instance *instance,
	       const char *key, int64_t value);

/* spawn_monitor() - strata-monitor with these fds from 3 up; its pid, or -errno. */
struct spawn_fds {
	int fds[6]; /* what becomes 0, 1, 2, 3, 4, 5; -EBADF: /dev/null for 0..2, closed above */
};
int spawn_monitor(char *const *argv, const struct spawn_fds *fds, pid_t *ret_pid, struct err *err);
/* spawn_memfd() - a sealed memfd with this text; an fd or -errno. */
int spawn_memfd(const char *name, const char *text, struct err *err);

/* instance_name_check() - -EINVAL, with the rule. */
int instance_name_check(const char *name, struct err *err);
