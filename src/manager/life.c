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
#include <time.h>
#include <unistd.h>

#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/json.h"
#include "manager/private.h"
#include "manager/status.h"
#include "manager/wire.h"
#include "network/network.h"

#define LIFE_TRIES    100
#define LIFE_AGAIN_NS (10 * NS_PER_MS)

static bool life_runs(const struct instance *instance)
{
	return instance->state == INSTANCE_RUNNING || instance->state == INSTANCE_PAUSED ||
	       instance->state == INSTANCE_RESTARTING;
}

static int life_must_run(const struct instance *instance, struct err *err)
{
	return life_runs(instance) ? 0 : instance_not_running(instance, err);
}

/* Until the monitor says that nothing will run again. -EPIPE: it hung up; -ECONNRESET: and had not heard us */
static int life_wait_end(int fd, int *ret_status)
{
	static struct wire_message message; /* as in start_wait() */

	for (;;) {
		ssize_t n = fd_receive(fd, &message, sizeof(message), NULL);
		if (n <= 0)
			return n ? (int)n : -EPIPE;
		if (message.tag == WIRE_ENDED && n == 1 + sizeof(int32_t)) {
			int32_t status;
			memcpy(&status, message.data, sizeof(status));
			*ret_status = status;
			return 0;
		}
	}
}

/*
 * Ask the monitor for something, and wait for the end of the run. One that has many commands to serve lets go of those who only wait:
 * they see the end by the run's lock. Who was not even heard asks again.
 * Return: 0, *ret_status written; 1: it has ended, or its monitor died: whoever settles it knows how. -ESRCH: it was not running.
 */
static int life_ask(struct manager *manager, const struct instance *instance, char tag,
		    const int32_t *words, size_t size, int *ret_status, struct err *err)
{
	const struct timespec moment = { .tv_nsec = LIFE_AGAIN_NS };

	for (int tries = 0; tries < LIFE_TRIES; tries++) {
		AUTO(fd_close_p) int run_fd = instance_open_run(manager, instance->id);
		AUTO(fd_close_p) int fd = instance_connect(manager, instance, err);
		if (fd < 0)
			return fd == -ESRCH && tries ? 1 : fd;
		const bool sent = wire_send(fd, tag, words, size) == 0;
		int r = sent ? life_wait_end(fd, ret_status) : -ECONNRESET;
		if (r == -EPIPE && run_fd >= 0)
			(void)status_wait(run_fd); /* the state is looked at next in any case */
		if (r == -EPIPE)
			return 1;
		if (r != -ECONNRESET)
			return r < 0 ? err_set(err, -r, "hear from its monitor") : 0;
		if (run_fd < 0 || status_alive(run_fd) != 1)
			return 1;
		(void)nanosleep(&moment, NULL); /* woken early: one try more */
	}
	return err_say(err, EBUSY, "%s: its monitor has too many commands to serve: end some",
		       instance->name);
}

/* After its last words the monitor has the end recorded; whoever waited sees to it that it is. */
static int life_settle(struct manager *manager, struct instance *instance, struct err *err)
{
	struct err gone = { 0 };
	AUTO(fd_close_p) int lock = instance_lock_fresh(manager, instance, &gone);

	if (lock < 0 && lock != -ENOENT) /* with --rm it is gone, as it should be */
		return err_say(err, -lock, "%s", gone.text);
	return 0;
}

static int life_paused_first(struct manager *manager, struct instance *instance, struct err *err)
{
	struct err resumed = { 0 };
	int r = instance->state == INSTANCE_PAUSED ? manager_resume(manager, instance, &resumed)
						   : 0;

	if (r < 0 && r != -EALREADY && err) /* that: by another command, meanwhile */
		*err = resumed;
	return r == -EALREADY ? 0 : r;
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
	r = life_ask(manager, instance, WIRE_STOP, words, sizeof(words), &status, err);
	if (r == -ESRCH)
		return life_settle(manager, instance, err);
	if (r < 0)
		return err_wrap(err, "stop %s", instance->name);
	event_add(manager, "stop", instance, NULL, 0);
	return life_settle(manager, instance, err);
}

static int life_kill(struct manager *manager, struct instance *instance, struct err *err)
{
	const int32_t word = SIGKILL;
	int status;
	int r = life_paused_first(manager, instance, err); /* a frozen v1 group does not even die */

	if (r < 0)
		return r;
	event_add(manager, "kill", instance, "signal", SIGKILL); /* before its end is one */
	r = life_ask(manager, instance, WIRE_SIGNAL, &word, sizeof(word), &status, err);
	return r < 0 ? r : life_settle(manager, instance, err);
}

int manager_kill(struct manager *manager, struct instance *instance, int sig, struct err *err)
{
	int32_t word = sig;
	int r = life_must_run(instance, err);

	if (r < 0)
		return r;
	if (sig == SIGKILL)
		return life_kill(manager, instance, err);
	AUTO(fd_close_p) int fd = instance_connect(manager, instance, err);
	if (fd < 0)
		return fd;
	r = wire_send(fd, WIRE_SIGNAL, &word, sizeof(word));
	if (r < 0)
		return err_set(err, -r, "kill %s", instance->name);
	event_add(manager, "kill", instance, "signal", sig);
	return 0;
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
		int r = life_ask(manager, instance, WIRE_WAIT, NULL, 0, &status, err);
		if (r < 0 && r != -ESRCH)
			return err_wrap(err, "wait for %s", instance->name);
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

/* 1: it runs, for another command has started it meanwhile */
static int life_remove(struct manager *manager, struct instance *instance, bool volumes,
		       struct err *err)
{
	struct err gone = { 0 };
	AUTO(fd_close_p) int lock = instance_lock_fresh(manager, instance, &gone);

	if (lock == -ENOENT)
		return 0; /* somebody else removed it, or --rm did */
	if (lock < 0)
		return err_say(err, -lock, "%s", gone.text);
	return life_runs(instance) ? 1 : instance_erase(manager, instance, volumes, err);
}

int manager_remove(struct manager *manager, struct instance *instance, bool force, bool volumes,
		   struct err *err)
{
	for (int tries = 0; tries < LIFE_TRIES; tries++) {
		if (life_runs(instance) && !force && !tries)
			return err_say(
				err, EBUSY,
				"%s is %s: stop it first ('strata stop %s'), or use 'strata rm "
				"-f'",
				instance->name, instance_state_name(instance->state),
				instance->name);
		int r = life_runs(instance) ? life_kill(manager, instance, err) : 0;
		if (r == 0 || r == -ESRCH || r == -ENOENT)
			r = life_remove(manager, instance, volumes, err);
		if (r <= 0)
			return r;
		if (!force)
			break;
	}
	return err_say(err, EBUSY, "%s was started again by another command", instance->name);
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
