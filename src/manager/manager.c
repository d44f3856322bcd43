/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/manager.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "manager/private.h"
#include "network/network.h"
#include "storage/image.h"

#define INSTANCE_COLUMNS                                                                           \
	"id, name, state, exit_code, oom_killed, restarts, stopped, error, created_ns, "           \
	"started_ns, finished_ns"
#define INSTANCE_COLUMN_SPEC 11 /* the first one after those */

static const char *const instance_names[] = {
	[INSTANCE_CREATED] = "created", [INSTANCE_RUNNING] = "running",
	[INSTANCE_PAUSED] = "paused",	[INSTANCE_RESTARTING] = "restarting",
	[INSTANCE_EXITED] = "exited",	[INSTANCE_DEAD] = "dead",
};

int manager_open(const char *root, const char *run_root, struct manager *ret, struct err *err)
{
	const struct db_schema *const schemas[] = { &storage_schema, &network_schema,
						    &manager_schema, NULL };

	return store_open(root, run_root, schemas, &ret->store, err);
}

void manager_use_host(struct manager *manager, const char *name, const char *socket)
{
	(void)snprintf(manager->host, sizeof(manager->host), "%s", name);
	(void)snprintf(manager->host_socket, sizeof(manager->host_socket), "%s", socket);
}

void manager_close(struct manager *manager)
{
	manager_dismiss(manager);
	store_close(&manager->store);
}

const char *instance_state_name(enum instance_state state)
{
	return (size_t)state < ARRAY_SIZE(instance_names) ? instance_names[state] : "unknown";
}

void instance_fini(struct instance *instance)
{
	free(instance->name);
	free(instance->error);
	free(instance->image);
	free(instance->virt);
	free(instance->command);
	json_decref(instance->spec);
	*instance = (struct instance){ 0 };
}

void instances_free(struct instance *instances, size_t n)
{
	for (size_t i = 0; i < n; i++)
		instance_fini(&instances[i]);
	free(instances);
}

int instance_dir(const struct manager *manager, const char *id, bool run, char ret[4096])
{
	int n = snprintf(ret, 4096, "%s/instances/%s",
			 run ? manager->store.run_root : manager->store.root, id);

	return n < 0 || n >= 4096 ? -ENAMETOOLONG : 0;
}

int instance_lock(struct manager *manager, const char *id, bool wait, struct err *err)
{
	char path[80];

	(void)snprintf(path, sizeof(path), "instances/%s", id); /* ids have 64 digits */
	for (;;) {
		AUTO(fd_close_p)
		int fd = openat(manager->store.root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT) {
			int r = dir_make(manager->store.root_fd, path, 0700);
			if (r < 0)
				return err_set(err, -r, "make %s/%s", manager->store.root, path);
			continue;
		}
		if (fd < 0)
			return err_set(err, errno, "open %s/%s", manager->store.root, path);
		if (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0) {
			if (errno == EINTR)
				continue;
			return err_set(err, errno, "lock %s/%s", manager->store.root, path);
		}
		/* Removed while we waited: then the lock is on a directory that nobody else will find. */
		struct stat st;
		if (fstat(fd, &st) == 0 && st.st_nlink > 0)
			return fd_take(&fd);
	}
}

static int instance_from_columns(sqlite3_stmt *stmt, struct instance *ret, struct err *err)
{
	struct instance i = { 0 };

	(void)snprintf(i.id, sizeof(i.id), "%s", db_col_str(stmt, 0)); /* our own 64 digits */
	i.name = strdup(db_col_str(stmt, 1));
	i.state = (enum instance_state)db_col_int(stmt, 2);
	i.exit_code = (int)db_col_int(stmt, 3);
	i.oom_killed = db_col_int(stmt, 4) != 0;
	i.restarts = (unsigned)db_col_int(stmt, 5);
	i.stopped_by_user = db_col_int(stmt, 6) != 0;
	i.error = strdup(db_col_str(stmt, 7));
	i.created_ns = db_col_int(stmt, 8);
	i.started_ns = db_col_int(stmt, 9);
	i.finished_ns = db_col_int(stmt, 10);
	*ret = i;
	return i.name && i.error ? 0 : err_set(err, ENOMEM, "read instance");
}

static int instance_from_row(sqlite3_stmt *stmt, enum list_detail detail, struct instance *ret,
			     struct err *err)
{
	struct instance i;
	const char *spec = db_col_str(stmt, INSTANCE_COLUMN_SPEC);
	int r = instance_from_columns(stmt, &i, err);

	if (r == 0 && sqlite3_column_count(stmt) > INSTANCE_COLUMN_SPEC + 1) { /* of a list */
		i.image = strdup(db_col_str(stmt, INSTANCE_COLUMN_SPEC + 1));
		i.virt = strdup(db_col_str(stmt, INSTANCE_COLUMN_SPEC + 2));
		i.command = strdup(db_col_str(stmt, INSTANCE_COLUMN_SPEC + 3));
		if (!i.image || !i.virt || !i.command)
			r = err_set(err, ENOMEM, "read instance");
	}
	if (r == 0 && detail != LIST_SHOWN)
		r = json_parse(spec, strlen(spec), "stored spec", &i.spec, err);
	if (r < 0) {
		instance_fini(&i);
		return r;
	}
	*ret = i;
	return 0;
}

int instance_reload(struct manager *manager, struct instance *instance, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	struct instance fresh;
	struct db *db = &manager->store.db;
	int r = db_prepare(db, &stmt, err,
			   "SELECT " INSTANCE_COLUMNS ", spec FROM instance WHERE id = ?", "s",
			   instance->id);

	if (r == 0)
		r = db_step(db, stmt, err);
	if (r < 0)
		return r;
	if (r == 0)
		return err_say(err, ENOENT, "no instance %s (it was just removed)", instance->name);
	r = instance_from_row(stmt, LIST_SUMMARY, &fresh, err);
	if (r < 0)
		return r;
	fresh.pid = instance->pid;
	fresh.monitor = instance->monitor;
	fresh.health = instance->health;
	fresh.image = TAKE(instance->image);
	fresh.virt = TAKE(instance->virt);
	fresh.command = TAKE(instance->command);
	instance_fini(instance);
	*instance = fresh;
	return 0;
}

void instance_unmake(struct manager *manager, const char *id)
{
	char path[80];

	(void)snprintf(path, sizeof(path), "instances/%s", id);	    /* fits */
	(void)unlinkat(manager->store.root_fd, path, AT_REMOVEDIR); /* only if we made it: empty */
}

int instance_not_running(const struct instance *instance, struct err *err)
{
	/* The second: its first process is not there yet. */
	const bool soon =
		instance->state == INSTANCE_RESTARTING || instance->state == INSTANCE_RUNNING;

	return err_say(err, ESRCH, "%s is not running (%s): %s%s%s", instance->name,
		       instance_state_name(instance->state),
		       soon ? "wait a moment" : "'strata start ", soon ? "" : instance->name,
		       soon ? "" : "' starts it");
}

int instance_lock_fresh(struct manager *manager, struct instance *instance, struct err *err)
{
	AUTO(fd_close_p) int lock = instance_lock(manager, instance->id, true, err);

	if (lock < 0)
		return lock;
	int r = instance_settle(manager, instance, err);
	if (r == -ENOENT)
		instance_unmake(manager, instance->id);
	return r < 0 ? r : fd_take(&lock);
}

int instance_set_state(struct manager *manager, const char *id, enum instance_state state,
		       struct err *err)
{
	return db_run(&manager->store.db, err, "UPDATE instance SET state = ? WHERE id = ?", "is",
		      (int64_t)state, id);
}

/* A name wins over an id's prefix, as with Docker. A whole id is found on whatever host: monitors name theirs so. */
static int manager_find_row(struct manager *manager, const char *ref, struct instance *ret,
			    struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	struct db *db = &manager->store.db;
	char end[DIGEST_HEX + 2];
	bool hex = ref[0] && strspn(ref, "0123456789abcdef") == strlen(ref) &&
		   strlen(ref) <= DIGEST_HEX;

	(void)snprintf(end, sizeof(end), "%sg",
		       hex ? ref : ""); /* 'g' sorts after every hex digit */
	int r = db_prepare(db, &stmt, err,
			   "SELECT " INSTANCE_COLUMNS
			   ", spec FROM instance WHERE (name = ?1 AND host = ?4) OR "
			   "(id >= ?2 AND id < ?3 AND (host = ?4 OR id = ?1)) "
			   "ORDER BY name = ?1 DESC LIMIT 2",
			   "ssss", ref, hex ? ref : "z", hex ? end : "z", manager->host);
	if (r == 0)
		r = db_step(db, stmt, err);
	if (r < 0)
		return r;
	if (r == 0)
		return err_say(err, ENOENT, "no instance %s: see 'strata ps -a'", ref);
	struct instance found;
	r = instance_from_row(stmt, LIST_SUMMARY, &found, err);
	if (r < 0)
		return r;
	if (strcmp(found.name, ref) != 0 && db_step(db, stmt, err) == 1) {
		instance_fini(&found);
		return err_say(err, ENOTUNIQ, "%s begins the id of more than one instance", ref);
	}
	*ret = found;
	return 0;
}

int manager_find(struct manager *manager, const char *ref, struct instance *ret, struct err *err)
{
	struct instance found;
	int r = manager_find_row(manager, ref, &found, err);

	if (r < 0)
		return r;
	r = instance_sync(manager, &found, err);
	if (r < 0) {
		instance_fini(&found);
		return r;
	}
	*ret = found;
	return 0;
}

static int manager_list_rows(struct manager *manager, enum list_detail detail,
			     struct instance **ret, size_t *ret_n, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	struct db *db = &manager->store.db;
	struct instance *list = NULL;
	size_t n = 0;
	int r = db_prepare(
		db, &stmt, err,
		detail == LIST_SHOWN
			? "SELECT " INSTANCE_COLUMNS
			  ", NULL, ref, virt, command FROM instance WHERE host = ? ORDER BY "
			  "created_ns DESC"
			: "SELECT " INSTANCE_COLUMNS
			  ", summary, ref, virt, command FROM instance WHERE host = ? ORDER BY "
			  "created_ns DESC",
		"s", manager->host);

	while (r == 0 && (r = db_step(db, stmt, err)) == 1) {
		if ((n & (n - 1)) == 0) { /* grow at powers of two */
			struct instance *more = realloc(list, (n ? n * 2 : 1) * sizeof(*list));
			if (!more) {
				r = err_set(err, ENOMEM, "list instances");
				break;
			}
			list = more;
		}
		r = instance_from_row(stmt, detail, &list[n], err);
		n += r == 0;
	}
	if (r < 0) {
		instances_free(list, n);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

int manager_list(struct manager *manager, bool all, enum list_detail detail, struct instance **ret,
		 size_t *ret_n, struct err *err)
{
	struct instance *list = NULL;
	size_t n = 0, kept = 0;
	int r = manager_list_rows(manager, detail, &list, &n, err);

	if (r < 0)
		return r;
	if (all)
		instance_sweep_orphans(manager, list, n);
	for (size_t i = 0; i < n; i++) {
		struct err gone = { 0 };
		r = instance_sync(manager, &list[i], &gone);
		bool live = list[i].state == INSTANCE_RUNNING || list[i].state == INSTANCE_PAUSED ||
			    list[i].state == INSTANCE_RESTARTING;
		if (r == -ENOENT || (!all && !live)) {
			instance_fini(&list[i]); /* --rm: recorded and removed on the way */
			continue;
		}
		if (i != kept) {
			list[kept] = list[i];
			list[i] = (struct instance){ 0 };
		}
		kept++;
	}
	*ret = list;
	*ret_n = kept;
	return 0;
}

int manager_reconcile(struct manager *manager, const char *id, struct err *err)
{
	if (!id) {
		struct instance *list = NULL;
		size_t n = 0;
		int r = manager_list(manager, true, LIST_SHOWN, &list, &n, err);
		if (r == 0)
			instances_free(list, n);
		return r;
	}
	struct instance instance;
	int r = manager_find(manager, id, &instance, err);
	if (r == 0)
		instance_fini(&instance);
	return r == -ENOENT ? 0 : r;
}

struct spec instance_view(const struct instance *instance)
{
	const char *mode = json_str(json_object_get(instance->spec, "network"), "mode", "bridge");
	const json_t *vm = json_object_get(instance->spec, "vm");

	return (struct spec){
		.id = instance->id,
		.name = instance->name,
		.cgroup_parent = json_str(instance->spec, "cgroup_parent", ""),
		.network = !strcmp(mode, "host")    ? SPEC_NETWORK_HOST
			   : !strcmp(mode, "none")  ? SPEC_NETWORK_NONE
			   : !strcmp(mode, "passt") ? SPEC_NETWORK_PASST
						    : SPEC_NETWORK_BRIDGE,
		.vm = { .agent = json_bool(vm, "agent", false),
			.host = json_str(vm, "host", NULL),
			.memory_bytes =
				vm ? (uint64_t)json_int(vm, "memory_bytes", SPEC_VM_MEMORY) : 0 },
	};
}

int instance_engine(const struct instance *instance, const struct engine_ops **ret, struct err *err)
{
	const char *virt = json_str(instance->spec, "virt", "auto");
	const struct engine_ops *engine = engine_find(virt, false);

	if (!engine)
		return err_say(err, ENOTSUP, "%s runs under %s, which this build does not have",
			       instance->name, virt);
	*ret = engine;
	return 0;
}
