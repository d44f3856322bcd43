/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repair without a daemon: whoever looks at an instance compares three witnesses.
 *
 *   row says      monitor's lock   status file      meaning, and what is done
 *   not running   -                -                as the row says
 *   running       held             "ended"          it ended: waited for until the lock is free
 *   running       held             else             it runs
 *   running       free             "ended"          it ended: folded into the row
 *   running       free             else, or none    the monitor, the starting command or the host died:
 *                                                   what is left is killed and removed, the row says "dead"
 *
 * The last two are done under the instance's lock; where a command holds that, the instance is in its hands: one that has ended is
 * known to have, recorded or not, so that whoever was told of the end may go on from there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/idspace.h"
#include "base/os/json.h"
#include "manager/private.h"
#include "manager/userns.h"
#include "network/network.h"
#include "storage/volume.h"

int instance_open_run(struct manager *manager, const char *id)
{
	char path[80];

	(void)snprintf(path, sizeof(path), "instances/%s", id); /* ids have 64 digits */
	int fd = openat(manager->store.run_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int instance_replace_error(struct instance *instance, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(instance->error);
	instance->error = copy;
	return 0;
}

static bool instance_claims_to_run(const struct instance *instance)
{
	return instance->state == INSTANCE_RUNNING || instance->state == INSTANCE_PAUSED ||
	       instance->state == INSTANCE_RESTARTING;
}

static void instance_take_status(struct instance *instance, const struct status *status)
{
	instance->pid = status->pid;
	instance->monitor = status->monitor;
	instance->exit_code = status->exit_code;
	instance->oom_killed = status->oom_killed;
	instance->restarts = status->restarts;
	instance->stopped_by_user = status->stopped_by_user;
	instance->started_ns = status->started_ns;
	instance->finished_ns = status->finished_ns;
	instance->health = status->state == STATUS_RUNNING ? status->health : HEALTH_NONE;
	if (status->state == STATUS_RESTARTING)
		instance->state = INSTANCE_RESTARTING;
}

static void instance_take_end(struct instance *instance, const struct status *status)
{
	instance_take_status(instance, status);
	instance->state = status->state == STATUS_ENDED ? INSTANCE_EXITED : INSTANCE_DEAD;
	instance->pid = instance->monitor = 0;
}

int instance_ended(struct manager *manager, struct instance *instance, const struct status *status,
		   struct err *err)
{
	char path[80];

	instance_take_end(instance, status);
	if (instance_replace_error(instance, status->error) < 0)
		return err_set(err, ENOMEM, "record the end of %s", instance->name);
	int r = network_release(&manager->store, instance->id, err);
	if (r < 0)
		return err_wrap(err, "clean up after %s", instance->name);
	event_add(manager, "die", instance, "exit_code", instance->exit_code);
	if (json_bool(instance->spec, "remove", false))
		return instance_erase(manager, instance, true, err);

	r = db_run(&manager->store.db, err,
		   "UPDATE instance SET state = ?, exit_code = ?, oom_killed = ?, restarts = ?, "
		   "stopped = ?, error = ?, started_ns = ?, finished_ns = ? WHERE id = ?",
		   "iiiiisiis", (int64_t)instance->state, (int64_t)instance->exit_code,
		   (int64_t)instance->oom_killed, (int64_t)instance->restarts,
		   (int64_t)instance->stopped_by_user, instance->error, instance->started_ns,
		   instance->finished_ns, instance->id);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "instances/%s", instance->id); /* fits */
	(void)dir_remove(manager->store.run_fd,
			 path); /* left-overs are removed with the instance */
	return 0;
}

int instance_sweep_engine(const struct instance *instance, pid_t pid, struct err *err)
{
	const struct engine_ops *engine;
	int r = instance_engine(instance, &engine, err);

	if (r == 0)
		r = engine->sweep(instance->id, json_str(instance->spec, "cgroup_parent", ""), pid,
				  err);
	return r < 0 ? err_wrap(err, "clean up after %s", instance->name) : 0;
}

/* The row said running, and no monitor lives. Under the lock. */
static int instance_fold(struct manager *manager, struct instance *instance, int run_fd,
			 struct err *err)
{
	struct status status = { .state = STATUS_STARTING };
	bool told = run_fd >= 0 && status_read(run_fd, &status) == 0;
	/* Also after "ended": the monitor says so first, and may have been killed before it removed them. */
	int r = instance_sweep_engine(instance, status.pid, err);

	if (r < 0)
		return r;
	if (told && status.state == STATUS_ENDED)
		return instance_ended(manager, instance, &status, err);
	(void)snprintf(status.error, sizeof(status.error), "%s",
		       run_fd >= 0 && status.monitor
			       ? "its monitor was killed"
			       : "the host restarted, or its start was interrupted");
	status.state = STATUS_RUNNING;
	status.exit_code = 137;
	status.finished_ns = clock_real_ns();
	return instance_ended(manager, instance, &status, err);
}

int instance_settle(struct manager *manager, struct instance *instance, struct err *err)
{
	struct status status;
	int r = instance_reload(manager, instance, err);

	if (r < 0 || !instance_claims_to_run(instance))
		return r;
	AUTO(fd_close_p) int run_fd = instance_open_run(manager, instance->id);
	if (run_fd >= 0 && status_alive(run_fd) == 1) {
		if (status_read(run_fd, &status) < 0 || status.state != STATUS_ENDED)
			return 0; /* it runs */
		(void)status_wait(
			run_fd); /* its monitor removes the cgroups, which the next start makes again */
	}
	r = instance_fold(manager, instance, run_fd, err);
	if (r == 0 && json_bool(instance->spec, "remove", false))
		return err_say(err, ENOENT, "no instance %s: it ended, and was removed (--rm)",
			       instance->name);
	return r;
}

/* In another command's hands (being started, stopped, recorded or removed), which may be done with it by now. */
static void instance_look(struct manager *manager, struct instance *instance, int run_fd)
{
	struct status status;

	if (run_fd >= 0 && status_read(run_fd, &status) == 0 && status.state == STATUS_ENDED)
		instance_take_end(instance, &status);
	else
		(void)instance_reload(manager, instance, NULL); /* else the row is as good as any */
}

int instance_sync(struct manager *manager, struct instance *instance, struct err *err)
{
	struct status status;

	if (!instance_claims_to_run(instance))
		return 0;
	char path[96];
	(void)snprintf(path, sizeof(path), "instances/%s/status", instance->id); /* fits */
	if (status_peek(manager->store.run_fd, path, &status) == 1 &&
	    status.state != STATUS_ENDED) {
		instance_take_status(instance, &status);
		return 0;
	}
	AUTO(fd_close_p) int run_fd = instance_open_run(manager, instance->id);
	if (run_fd >= 0 && status_alive(run_fd) == 1 && status_read(run_fd, &status) == 0 &&
	    status.state != STATUS_ENDED) {
		instance_take_status(instance, &status);
		return 0;
	}
	AUTO(fd_close_p) int lock = instance_lock(manager, instance->id, false, NULL);
	if (lock < 0) {
		instance_look(manager, instance, run_fd);
		return 0;
	}
	int r = instance_settle(manager, instance, err);
	if (r == -ENOENT)
		instance_unmake(manager, instance->id);
	return r;
}

int instance_erase(struct manager *manager, struct instance *instance, bool volumes,
		   struct err *err)
{
	char path[80];
	struct store *store = &manager->store;

	/* The row goes last but for its directory: until then a later command finds and repeats all this. */
	int r = network_release(store, instance->id, err);
	if (r < 0)
		return r;
	AUTO(json_decref_p)
	json_t *anonymous = volumes ? json_object_get(instance->spec, "volumes") : NULL;
	(void)json_incref(anonymous);
	(void)snprintf(path, sizeof(path), "instances/%s", instance->id); /* fits */
	(void)dir_remove(store->run_fd, path); /* a reboot removes what resists */

	r = db_begin(&store->db, !json_bool(instance->spec, "remove", false), err);
	if (r == 0)
		r = volume_unuse(store, instance->id, err);
	if (r == 0)
		r = db_run(&store->db, err, "DELETE FROM instance WHERE id = ?", "s", instance->id);
	if (r == 0)
		r = db_commit(&store->db, err);
	if (r < 0) {
		db_rollback(&store->db);
		return r;
	}
	size_t i;
	json_t *name;
	json_array_foreach(anonymous, i, name)(void) volume_remove(
		store, json_string_value(name), NULL); /* in use elsewhere: it stays */
	event_add(manager, "destroy", instance, NULL, 0);
	/* From here on it is an orphan, which instance_sweep_orphans() would find. */
	r = ids_remove(store->root_fd, path);
	AUTO(fd_close_p)
	int ids = json_object_get(instance->spec, "uid_map") ? userns_lock(NULL) : -EBADF;
	if (ids >= 0)
		(void)userns_record(store, ids, NULL); /* the next one that has ids says it */
	return r < 0 ? err_set(err, -r, "remove %s/%s", store->root, path) : 0;
}

static bool instance_has_row(struct manager *manager, const char *id)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	struct db *db = &manager->store.db;

	/* In doubt there is one: only what surely is an orphan is removed. */
	return db_prepare(db, &stmt, NULL, "SELECT 1 FROM instance WHERE id = ?", "s", id) < 0 ||
	       db_step(db, stmt, NULL) != 0;
}

static int instance_compare_ids(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void instance_sweep_one(struct manager *manager, int base_fd, const char *dir, int fd,
			       const char *name, const char *id)
{
	char path[512];
	AUTO(fd_close_p) int one = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (one < 0 || flock(one, LOCK_EX | LOCK_NB) < 0)
		return;
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name); /* a cut one is not found */
	if (!instance_has_row(manager, id))
		(void)ids_remove(base_fd, path); /* the next sweep tries again */
}

static void instance_sweep_dir(struct manager *manager, int base_fd, const char *dir,
			       const char **ids, size_t n)
{
	int fd = openat(base_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		fd_close(fd);
		return;
	}
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		const char *id = e->d_name;
		if (!digest_is_hex(id) || bsearch(&id, ids, n, sizeof(*ids), instance_compare_ids))
			continue;
		if (!instance_has_row(manager, id)) /* made since the list was */
			instance_sweep_one(manager, base_fd, dir, fd, e->d_name, id);
	}
	(void)closedir(d);
}

void instance_sweep_orphans(struct manager *manager, const struct instance *list, size_t n)
{
	const char **ids = calloc(n + 1, sizeof(*ids));

	if (!ids)
		return; /* the next list sweeps */
	for (size_t i = 0; i < n; i++)
		ids[i] = list[i].id;
	qsort(ids, n, sizeof(*ids), instance_compare_ids);
	instance_sweep_dir(manager, manager->store.root_fd, "instances", ids, n);
	instance_sweep_dir(manager, manager->store.run_fd, "instances", ids, n);
	free(ids);
}
