/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/update.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "engines/engine.h"
#include "engines/limits_change.h"
#include "engines/rates.h"
#include "manager/private.h"

static json_t *update_io_find(json_t *list, const char *device)
{
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (!strcmp(json_str(one, "device", ""), device))
			return one;
	}
	return NULL;
}

/* Rates of 0 go, and a device that has none left. */
static void update_io_tidy(json_t *list)
{
	for (size_t i = json_array_size(list); i-- > 0;) {
		json_t *one = json_array_get(list, i);
		const char *key;
		json_t *value;
		void *next;
		json_object_foreach_safe(one, next, key, value)
		{
			if (json_is_integer(value) && json_integer_value(value) == 0)
				(void)json_object_del(one, key); /* it is there */
		}
		if (json_object_size(one) <= 1)
			(void)json_array_remove(list, i); /* likewise */
	}
}

static int update_io(json_t *limits, const json_t *changes)
{
	json_t *list = json_deep_copy(json_object_get(limits, "io"));
	json_t *one;
	size_t i;
	int r = 0;

	if (!list)
		list = json_array();
	json_array_foreach(changes, i, one)
	{
		json_t *old = update_io_find(list, json_str(one, "device", ""));
		r |= old ? json_object_update(old, one)
			 : json_array_append_new(list, json_deep_copy(one));
	}
	update_io_tidy(list);
	return r | json_object_set_new(limits, "io", list);
}

json_t *update_merge(const json_t *limits, const json_t *changes)
{
	json_t *merged = limits ? json_deep_copy(limits) : json_object();
	const char *key;
	json_t *value;
	int r = merged ? 0 : -1;

	json_object_foreach((json_t *)(uintptr_t)changes, key, value)
	{
		if (r == 0 && !strcmp(key, "io"))
			r = update_io(merged, value);
		else if (r == 0 && json_is_null(value))
			(void)json_object_del(merged, key); /* absent is fine */
		else if (r == 0)
			r = json_object_set(merged, key, value);
	}
	if (r == 0)
		return merged;
	json_decref(merged);
	return NULL;
}

/* The limit would mean nothing: it is a slip of the hand, and Docker refuses it as well. */
int manager_check_cpus(const json_t *limits, struct err *err)
{
	int64_t quota_us = json_int(limits, "cpu_quota_us", 0);
	int64_t period_us = json_int(limits, "cpu_period_us", 100000);

	if (!quota_us)
		return 0;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (cpus < 1 || quota_us / cpus <= period_us)
		return 0;
	return err_say(err, ERANGE, "--cpus %.2f: this host has %ld",
		       (double)quota_us / (double)period_us, cpus);
}

/* What only the layers' and volumes' paths of a start would make whole. */
static int update_view(const json_t *stored, json_t *limits, struct spec *ret, struct err *err)
{
	AUTO(json_decref_p) json_t *json = json_copy((json_t *)(uintptr_t)stored);

	if (!json || json_object_set(json, "limits", limits))
		return err_set(err, ENOMEM, "update");
	(void)json_object_del(json, "layers");
	(void)json_object_del(json, "mounts");
	return spec_load(json, ret, err);
}

/* A machine's size at its next start is decided anew, as when it was made. */
static int update_machine(json_t *spec, const struct spec_limits *to, struct err *err)
{
	json_t *vm = json_object_get(spec, "vm");
	const int64_t vcpus = json_int(vm, "vcpus", 1);

	if (to->cpu_quota_us && to->cpu_period_us &&
	    (to->cpu_quota_us + to->cpu_period_us - 1) / to->cpu_period_us > vcpus)
		return err_say(
			err, ENOTSUP,
			"--cpus: this virtual machine was made with %lld vcpus, and gets no more",
			(long long)vcpus);
	if (!to->memory_bytes)
		return 0;
	if (to->memory_swap_bytes || to->memory_reservation_bytes)
		return err_say(
			err, ENOTSUP,
			"--memory-swap or --memory-reservation is not for a virtual machine: --memory "
			"is the size of its memory");
	return update_memory(spec, to->memory_bytes, err);
}

int instance_record(struct manager *manager, const struct instance *instance, struct err *err)
{
	char *text = json_text(instance->spec, 0);
	char *summary = instance_summary(instance->spec);
	int r = text && summary ? db_run(&manager->store.db, err,
					 "UPDATE instance SET spec = ?, summary = ? WHERE id = ?",
					 "sss", text, summary, instance->id)
				: err_set(err, ENOMEM, "instance %s", instance->name);

	free(text);
	free(summary);
	return r;
}

static int update_record(struct manager *manager, const struct instance *instance, struct err *err)
{
	struct db *db = &manager->store.db;
	int r = db_begin(db, true, err);

	if (r == 0)
		r = instance_record(manager, instance, err);
	if (r == 0)
		r = db_commit(db, err);
	if (r < 0)
		db_rollback(db);
	return r;
}

/* For its monitor, which may start it again by itself. */
static int update_tell(struct manager *manager, const struct instance *instance,
		       const json_t *limits, struct err *err)
{
	char path[4096];
	char *text = json_text(limits, 0);

	if (!text || instance_dir(manager, instance->id, true, path) < 0) {
		free(text);
		return err_set(err, ENOMEM, "update");
	}
	AUTO(fd_close_p) int run_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = run_fd < 0 ? -errno
			   : file_replace(run_fd, UPDATE_FILE, 0600, text, strlen(text), false);
	free(text);
	return r < 0 ? err_set(err, -r, "write %s/" UPDATE_FILE, path) : 0;
}

static int update_running(struct manager *manager, struct instance *instance,
			  const struct spec *from, const struct spec *to, json_t *limits,
			  struct err *err)
{
	const struct engine_ops *engine;
	struct spec_limits change = { 0 }, back = { 0 };
	char run[4096];
	int r = instance_engine(instance, &engine, err);

	if (r == 0 && instance_dir(manager, instance->id, true, run) < 0)
		r = err_set(err, ENAMETOOLONG, "update");
	if (r == 0)
		r = limits_change(&from->limits, &to->limits, &change, err);
	if (r == 0)
		r = limits_change(&to->limits, &from->limits, &back, err);
	/* A machine without a limit has memory all the same: as much as before. */
	if (back.memory_bytes < 0 && json_object_get(instance->spec, "vm"))
		back.memory_bytes = (int64_t)from->vm.memory_bytes;
	if (r == 0 && (r = engine->update(to, run, &change, err)) < 0)
		(void)engine->update(to, run, &back,
				     NULL); /* the first error is the one to report */
	if (r == 0)
		r = update_tell(manager, instance, limits, err);
	limits_change_fini(&change);
	limits_change_fini(&back);
	return r;
}

static int update_locked(struct manager *manager, struct instance *instance, json_t *limits,
			 struct err *err)
{
	AUTO(spec_fini) struct spec from = { 0 };
	AUTO(spec_fini) struct spec to = { 0 };
	json_t *old = json_object_get(instance->spec, "limits");
	AUTO(json_decref_p) json_t *none = json_object();
	const bool runs = instance->state == INSTANCE_RUNNING ||
			  instance->state == INSTANCE_PAUSED ||
			  instance->state == INSTANCE_RESTARTING;
	int r = update_view(instance->spec, old ? old : none, &from, err);

	if (r == 0)
		r = update_view(instance->spec, limits, &to, err);
	if (r == 0)
		r = manager_check_cpus(limits, err);
	if (r == 0)
		r = rates_check(&to, err);
	if (r == 0 && json_object_get(instance->spec, "vm"))
		r = update_machine(instance->spec, &to.limits, err);
	if (r < 0)
		return r;
	if (runs && instance->pid > 0)
		r = update_running(manager, instance, &from, &to, limits, err);
	else if (runs)
		r = update_tell(manager, instance, limits, err);
	if (r == 0 && json_object_set(instance->spec, "limits", limits))
		r = err_set(err, ENOMEM, "update");
	return r == 0 ? update_record(manager, instance, err) : r;
}

int manager_update(struct manager *manager, struct instance *instance, const json_t *changes,
		   struct err *err)
{
	AUTO(fd_close_p) int lock = instance_lock_fresh(manager, instance, err);

	if (lock < 0)
		return lock;
	AUTO(json_decref_p)
	json_t *limits = update_merge(json_object_get(instance->spec, "limits"), changes);
	if (!limits)
		return err_set(err, ENOMEM, "update");
	int r = update_locked(manager, instance, limits, err);
	if (r == 0)
		event_add(manager, "update", instance, NULL, 0);
	return r < 0 ? err_wrap(err, "update %s", instance->name) : 0;
}
