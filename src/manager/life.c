/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to an instance between its start and its removal. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/json.h"
#include "manager/private.h"
#include "manager/wire.h"
#include "network/network.h"

static bool life_runs(const struct instance *instance)
{
	return instance->state == INSTANCE_RUNNING || instance->state == INSTANCE_PAUSED ||
	       instance->state == INSTANCE_RESTARTING;
}

static int life_must_run(const struct instance *instance, struct err *err)
{
	return life_runs(instance) ? 0
				   : err_say(err, ESRCH, "%s is not running (%s)", instance->name,
					     instance_state_name(instance->state));
}

/* Until the monitor says that nothing will run again; a dead monitor says so too. */
static int life_wait_end(int fd, int *ret_status)
{
	static struct wire_message message; /* as in start_wait() */

	for (;;) {
		ssize_t n = wire_receive(fd, &message);
		if (n < 0)
			return (int)n;
		if (message.tag == WIRE_ENDED && n == sizeof(int32_t)) {
			int32_t status;
			memcpy(&status, message.data, sizeof(status));
			*ret_status = status;
			return 0;
		}
	}
}

/* After its last words the monitor has the end recorded; whoever waited sees to it that it is. */
static int life_settle(struct manager *manager, struct instance *instance, struct err *err)
{
	struct err gone = { 0 };
	AUTO(fd_close_p) int lock = instance_lock_fresh(manager, instance, &gone);
	int r = lock < 0 ? lock : instance_settle(manager, instance, &gone);

	if (r < 0 && r != -ENOENT) /* with --rm it is gone, as it should be */
		return err_say(err, -r, "%s", gone.text);
	return 0;
}

static int life_paused_first(struct manager *manager, struct instance *instance, struct err *err)
{
	return instance->state == INSTANCE_PAUSED ? manager_resume(manager, instance, err) : 0;
}

int manager_stop(struct manager *manager, struct instance *instance, int64_t timeout_ms,
		 struct err *err)
{
	int32_t words[2] = { 0, (int32_t)(timeout_ms < 0 ? json_int(instance->spec,
								    "stop_timeout_ms", 10000)
							 : timeout_ms) };
	int status;

	if (!life_runs(instance))
		return 0; /* as Docker: stopping what is stopped is done */
	int r = life_paused_first(manager, instance, err);
	if (r < 0)
		return r;
	AUTO(fd_close_p) int fd = instance_connect(manager, instance, err);
	if (fd == -ESRCH)
		return life_settle(manager, instance, err);
	if (fd < 0)
		return fd;
	r = wire_send(fd, WIRE_STOP, words, sizeof(words));
	if (r == 0)
		r = life_wait_end(fd, &status);
	if (r < 0 && r != -EPIPE)
		return err_set(err, -r, "stop %s", instance->name);
	event_add(manager, "stop", instance, NULL, 0);
	return life_settle(manager, instance, err);
}

int manager_kill(struct manager *manager, struct instance *instance, int sig, struct err *err)
{
	int32_t word = sig;
	int status;
	int r = life_must_run(instance, err);

	if (r < 0)
		return r;
	AUTO(fd_close_p) int fd = instance_connect(manager, instance, err);
	if (fd < 0)
		return fd;
	if (sig == SIGKILL && instance->state == INSTANCE_PAUSED)
		r = manager_resume(manager, instance,
				   err); /* a frozen v1 group does not even die */
	if (r < 0)
		return r;
	r = wire_send(fd, WIRE_SIGNAL, &word, sizeof(word));
	if (sig == SIGKILL && (r == -EPIPE || r == -ECONNRESET))
		return life_settle(manager, instance,
				   err); /* its monitor died meanwhile, and it with it */
	if (r < 0)
		return err_set(err, -r, "kill %s", instance->name);
	event_add(manager, "kill", instance, "signal", sig);
	if (sig != SIGKILL)
		return 0;
	(void)life_wait_end(fd, &status); /* its end of file is an end as well */
	return life_settle(manager, instance, err);
}

/* Its monitor checks nobody's health who cannot answer; one that is not told counts a check that comes to nothing. */
static void life_tell_frozen(struct manager *manager, const struct instance *instance, bool frozen)
{
	const int32_t word = frozen;

	if (!json_object_get(instance->spec, "health"))
		return;
	AUTO(fd_close_p) int fd = instance_connect(manager, instance, NULL);
	if (fd >= 0)
		(void)wire_send(fd, WIRE_FROZEN, &word, sizeof(word)); /* it may be gone */
}

static int life_freeze(struct manager *manager, struct instance *instance, bool frozen,
		       struct err *err)
{
	const struct engine_ops *engine;

	AUTO(fd_close_p) int lock = instance_lock_fresh(manager, instance, err);
	int r = lock < 0 ? lock : life_must_run(instance, err);
	if (r < 0)
		return r;
	if (instance->state == (frozen ? INSTANCE_PAUSED : INSTANCE_RUNNING))
		return err_say(err, EALREADY, "%s is %s already", instance->name,
			       instance_state_name(instance->state));
	r = instance_engine(instance, &engine, err);
	if (r < 0)
		return r;
	enum instance_state state = frozen ? INSTANCE_PAUSED : INSTANCE_RUNNING;
	struct spec spec = instance_view(instance);
	r = engine->freeze(&spec, instance->pid, frozen, err);
	if (r == 0)
		r = instance_set_state(manager, instance->id, state, err);
	if (r < 0)
		return r;
	instance->state = state;
	life_tell_frozen(manager, instance, frozen);
	event_add(manager, frozen ? "pause" : "resume", instance, NULL, 0);
	return 0;
}

int manager_pause(struct manager *manager, struct instance *instance, struct err *err)
{
	return life_freeze(manager, instance, true, err);
}

int manager_resume(struct manager *manager, struct instance *instance, struct err *err)
{
	return life_freeze(manager, instance, false, err);
}

int manager_wait(struct manager *manager, struct instance *instance, int *ret_status,
		 struct err *err)
{
	int status = instance->exit_code;

	if (life_runs(instance)) {
		AUTO(fd_close_p) int fd = instance_connect(manager, instance, err);
		int r = fd == -ESRCH ? -EPIPE : fd;
		if (r >= 0)
			r = wire_send(fd, WIRE_WAIT, NULL, 0);
		if (r == 0)
			r = life_wait_end(fd, &status);
		if (r < 0 && r != -EPIPE)
			return err_set(err, -r, "wait for %s", instance->name);
		bool told = r == 0;
		r = life_settle(manager, instance, err);
		if (r < 0)
			return r;
		if (!told)
			status = instance->exit_code;
	}
	*ret_status = status;
	return 0;
}

int manager_remove(struct manager *manager, struct instance *instance, bool force, bool volumes,
		   struct err *err)
{
	if (life_runs(instance)) {
		if (!force)
			return err_say(
				err, EBUSY,
				"%s is %s: stop it first ('strata stop %s'), or use 'strata rm "
				"-f'",
				instance->name, instance_state_name(instance->state),
				instance->name);
		int r = manager_kill(manager, instance, SIGKILL, err);
		if (r < 0 && r != -ESRCH)
			return r;
	}
	struct err gone = { 0 };
	AUTO(fd_close_p) int lock = instance_lock_fresh(manager, instance, &gone);
	if (lock == -ENOENT)
		return 0; /* somebody else removed it, or --rm did */
	if (lock < 0)
		return err_say(err, -lock, "%s", gone.text);
	if (life_runs(instance))
		return err_say(err, EBUSY, "%s was started again by another command",
			       instance->name);
	return instance_erase(manager, instance, volumes, err);
}

/* The end of the run that this process began: not of another one that has begun since. */
static bool life_is_ours(struct manager *manager, const struct instance *instance,
			 struct status *ret)
{
	char path[80];

	(void)snprintf(path, sizeof(path), "instances/%s", instance->id); /* ids have 64 digits */
	AUTO(fd_close_p)
	int run_fd = openat(manager->store.run_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return run_fd >= 0 && status_read(run_fd, ret) == 0 && ret->state == STATUS_ENDED &&
	       ret->monitor == instance->monitor;
}

int manager_end(struct manager *manager, struct instance *instance, int attach, struct err *err)
{
	struct status status;
	pid_t monitor = instance->monitor; /* instance_ended() forgets them */
	pid_t pid = instance->pid;
	AUTO(fd_close_p) int socket = attach; /* closing it releases the monitor */
	AUTO(fd_close_p) int lock = instance_lock(manager, instance->id, true, err);

	if (lock < 0)
		return lock;
	bool ours = life_is_ours(manager, instance, &status);
	int r = ours ? instance_ended(manager, instance, &status, err) : 0;
	fd_close(socket);
	socket = -EBADF;
	/* Its cgroups are gone once it is: nothing is left when the command returns. */
	int end = 0;
	while (monitor > 0 && waitpid(monitor, &end, 0) < 0 && errno == EINTR)
		;
	if (ours)
		return r == 0 && WIFSIGNALED(end) ? instance_sweep_engine(instance, pid, err) : r;
	fd_close(lock);
	lock = -EBADF;
	return life_settle(manager, instance,
			   err); /* recorded, removed or started by another command */
}

int manager_rename(struct manager *manager, struct instance *instance, const char *name,
		   struct err *err)
{
	struct db *db = &manager->store.db;
	int r = instance_name_check(name, err);

	if (r < 0)
		return r;
	AUTO(fd_close_p) int lock = instance_lock_fresh(manager, instance, err);
	if (lock < 0)
		return lock;
	if (json_object_set_new(instance->spec, "name", json_string(name)) < 0)
		return err_set(err, ENOMEM, "rename %s", instance->name);
	char *text = json_text(instance->spec, 0);
	if (!text)
		return err_set(err, ENOMEM, "rename %s", instance->name);
	r = db_begin(db, true, err);
	if (r == 0)
		r = db_run(db, err, "UPDATE instance SET name = ?, spec = ? WHERE id = ?", "sss",
			   name, text, instance->id);
	if (r == 0)
		r = db_commit(db, err);
	free(text);
	if (r < 0)
		db_rollback(db);
	if (r == -EEXIST)
		return err_say(err, EEXIST, "the name %s is taken", name);
	if (r < 0)
		return r;
	char *renamed = strdup(name);
	if (renamed) { /* else the event has the old one */
		free(instance->name);
		instance->name = renamed;
	}
	event_add(manager, "rename", instance, NULL, 0);
	return network_rename(&manager->store, instance->id, name, err);
}
