/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/volume.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/clock.h"
#include "base/os/digest.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "storage/staging.h"
#include "storage/volume_priv.h"

#define VOLUME_NAME_MAX 200
#define VOLUME_COLUMNS	"name, labels, anonymous, created_ns, kind, size_bytes"

void volume_fini(struct volume *volume)
{
	free(volume->name);
	free(volume->path);
	json_decref(volume->labels);
	*volume = (struct volume){ 0 };
}

/* Docker's rule, and with it no "." or "..", no "/" and no flag. */
static int volume_check_name(const char *name, struct err *err)
{
	size_t n = strlen(name);
	bool ok = n >= 1 && n <= VOLUME_NAME_MAX && isalnum((unsigned char)name[0]);

	for (size_t i = 1; ok && i < n; i++)
		ok = isalnum((unsigned char)name[i]) || strchr("_.-", name[i]);
	return ok ? 0
		  : err_say(err, EINVAL,
			    "volume name \"%.220s\": must start with a letter or digit and hold only "
			    "letters, digits, _ . -, at most %d",
			    name, VOLUME_NAME_MAX);
}

static int volume_random_name(char ret[DIGEST_HEX + 1], struct err *err)
{
	unsigned char random[32];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return err_set(err, EIO, "random volume name");
	digest_of(random, sizeof(random), ret);
	return 0;
}

static int volume_row(struct store *store, sqlite3_stmt *stmt, struct volume *ret, struct err *err)
{
	AUTO(volume_fini)
	struct volume volume = { .anonymous = db_col_int(stmt, 2) != 0,
				 .created_ns = db_col_int(stmt, 3),
				 .recorded_bytes = (uint64_t)db_col_int(stmt, 5) };
	AUTO(buf_fini) struct buf path = { 0 };
	const char *labels = db_col_str(stmt, 1);

	int64_t kind = db_col_int(stmt, 4);
	if (kind < 0 || kind >= VOLUME_KIND_MAX)
		return err_say(err, EBADMSG, "volume %s is of a kind that is not known",
			       db_col_str(stmt, 0));
	volume.kind = (enum volume_kind)kind;
	volume.name = strdup(db_col_str(stmt, 0));
	const char *disk = volume_disk_name(volume.kind);
	(void)buf_printf(&path, "%s/volumes/%s/%s", store->root, db_col_str(stmt, 0),
			 disk ? disk : "data");
	volume.path = buf_steal(&path);
	if (!volume.name || !volume.path)
		return err_set(err, ENOMEM, "read volume");
	int r = json_parse(labels, strlen(labels), "volume labels", &volume.labels, err);
	if (r < 0)
		return r;
	*ret = volume;
	volume = (struct volume){ 0 };
	return 0;
}

int volume_find(struct store *store, const char *name, struct volume *ret, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;

	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT " VOLUME_COLUMNS " FROM volumes WHERE name = ?", "s", name);
	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r == 0)
		return err_say(err, ENOENT,
			       "no such volume: %.200s (strata volume ls shows what is here)",
			       name);
	return r < 0 ? r : volume_row(store, stmt, ret, err);
}

/* What it is to be. */
struct volume_new {
	const char *name;
	bool anonymous;
	const json_t *labels;
	enum volume_kind kind;
	uint64_t size_bytes;
};

/* Closed: a container can make set-user-ID programs there. Who mounts it opens it by our rights. */
static int volume_dir(struct store *store, int *ret, struct err *err)
{
	int r = storage_dir(store, "volumes", 0700, ret, err);

	/* Once it was 0711. */
	return r == 0 && fchmod(*ret, 0700) < 0 ? err_set(err, errno, "close the volumes") : r;
}

static int volume_make_dirs(struct store *store, const struct volume_new *new, struct err *err)
{
	AUTO(fd_close_p) int volumes = -EBADF;
	AUTO(buf_fini) struct buf data = { 0 };
	const char *name = new->name;
	bool is_disk = new->kind != VOLUME_DIRECTORY;

	int r = volume_dir(store, &volumes, err);
	if (r < 0)
		return r;
	if (buf_printf(&data, "%s/data", name) < 0)
		return err_set(err, ENOMEM, "make volume %s", name);
	/* Left by a create that was killed before its commit: empty, as nobody was told of it. */
	volume_disk_clear(volumes, name);
	if (is_disk)
		(void)unlinkat(volumes, data.data, AT_REMOVEDIR);
	if ((mkdirat(volumes, name, 0711) < 0 && errno != EEXIST) ||
	    (!is_disk && mkdirat(volumes, data.data, 0755) < 0 && errno != EEXIST) ||
	    /* Whatever the umask is: an unprivileged user inside must be able to enter. */
	    fchmodat(volumes, name, 0711, 0) < 0 ||
	    (!is_disk && fchmodat(volumes, data.data, 0755, 0) < 0))
		return err_set(err, errno, "make volume %s", name);
	AUTO(fd_close_p) int dir = openat(volumes, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fsync(dir) < 0 || fsync(volumes) < 0)
		return err_set(err, errno, "make volume %s", name);
	return is_disk ? volume_disk_make(store, name, new->kind, new->size_bytes, err) : 0;
}

static int volume_insert(struct store *store, const struct volume_new *new, struct err *err)
{
	AUTO(buf_fini)
	struct buf text = { .data = new->labels ? json_text(new->labels, 0) : strdup("{}") };

	if (!text.data)
		return err_set(err, ENOMEM, "make volume %s", new->name);
	int r = db_run(&store->db, err,
		       "INSERT INTO volumes (" VOLUME_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?)",
		       "ssiiii", new->name, text.data, (int64_t) new->anonymous, clock_real_ns(),
		       (int64_t) new->kind, (int64_t) new->size_bytes);
	if (r == -EEXIST)
		return err_say(err, EEXIST, "volume %s exists already", new->name);
	return r == 0 ? volume_make_dirs(store, new, err) : r;
}

/* Whether the caller has a transaction open already, which is then the one to end it. */
static bool volume_in_transaction(struct store *store)
{
	return !sqlite3_get_autocommit(store->db.handle);
}

/* new->name NULL: a random one. */
static int volume_create_new(struct store *store, struct volume_new *new, struct volume *ret,
			     struct err *err)
{
	char random[DIGEST_HEX + 1];
	bool nested = volume_in_transaction(store);

	int r = new->name ? volume_check_name(new->name, err) : volume_random_name(random, err);
	if (r == 0 && !nested)
		r = db_begin(&store->db, true, err);
	if (r < 0)
		return r;
	new->anonymous = !new->name;
	if (!new->name)
		new->name = random;
	r = volume_insert(store, new, err);
	if (r == 0)
		r = volume_find(store, new->name, ret, err);
	if (nested)
		return r;
	if (r == 0) {
		r = db_commit(&store->db, err);
		if (r < 0)
			volume_fini(ret);
	}
	if (r < 0)
		db_rollback(&store->db);
	return r;
}

int volume_create(struct store *store, const char *name, const json_t *labels, struct volume *ret,
		  struct err *err)
{
	struct volume_new new = { .name = name, .labels = labels };

	return volume_create_new(store, &new, ret, err);
}

int volume_create_disk(struct store *store, const char *name, const json_t *labels,
		       enum volume_kind kind, uint64_t size_bytes, struct volume *ret,
		       struct err *err)
{
	struct volume_new new = {
		.name = name, .labels = labels, .kind = kind, .size_bytes = size_bytes
	};

	return volume_create_new(store, &new, ret, err);
}

int volume_list(struct store *store, struct volume **ret, size_t *ret_n, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	struct volume *volumes = NULL;
	size_t n = 0;

	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT " VOLUME_COLUMNS " FROM volumes ORDER BY name", "");
	while (r == 0 && (r = db_step(&store->db, stmt, err)) == 1) {
		struct volume *more = reallocarray(volumes, n + 1, sizeof(*volumes));
		if (more)
			volumes = more;
		r = more ? volume_row(store, stmt, &volumes[n], err)
			 : err_set(err, ENOMEM, "list volumes");
		n += r == 0;
	}
	if (r < 0) {
		for (size_t i = 0; i < n; i++)
			volume_fini(&volumes[i]);
		free(volumes);
		return r;
	}
	*ret = volumes;
	*ret_n = n;
	return 0;
}

int volume_use(struct store *store, const char *name, const char *user, struct err *err)
{
	AUTO(volume_fini) struct volume volume = { 0 };

	int r = volume_find(store, name, &volume, err);
	if (r < 0)
		return r;
	r = db_run(&store->db, err,
		   "INSERT OR IGNORE INTO volume_users (volume, user) VALUES (?, ?)", "ss", name,
		   user);
	/* A remove that was killed half-way has taken the directory: see volume_remove_in(). */
	if (r == 0 && access(volume.path, F_OK) < 0 && errno == ENOENT) {
		const struct volume_new again = { .name = name,
						  .kind = volume.kind,
						  .size_bytes = volume.recorded_bytes };
		r = volume_make_dirs(store, &again, err);
	}
	return r;
}

int volume_unuse(struct store *store, const char *user, struct err *err)
{
	return db_run(&store->db, err, "DELETE FROM volume_users WHERE user = ?", "s", user);
}

static int volume_check_unused(struct store *store, const char *name, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;

	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT user FROM volume_users WHERE volume = ? LIMIT 1", "s", name);
	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r == 1)
		return err_say(err, EBUSY,
			       "volume %s is in use by instance %.12s: remove that first", name,
			       db_col_str(stmt, 0));
	return r;
}

/*
 * The directory leaves its name before the commit that forgets it, under the database's write lock:
 * killed in between, the volume is still listed, and empty, as whoever removed it wanted. So a
 * directory that no row names can only be the empty one of a create that was killed; its disk too is empty.
 */
static int volume_remove_in(struct store *store, struct staging *staging, const char *name,
			    struct err *err)
{
	AUTO(fd_close_p) int volumes = -EBADF;
	AUTO(volume_fini) struct volume volume = { 0 };

	int r = volume_find(store, name, &volume, err);
	if (r == 0)
		r = volume_check_unused(store, name, err);
	if (r == 0)
		r = volume_dir(store, &volumes, err);
	if (r == 0)
		r = db_run(&store->db, err, "DELETE FROM volumes WHERE name = ?", "s", name);
	return r == 0 ? storage_discard(staging, volumes, name, err) : r;
}

/* The commit failed (a full disk, mostly): nothing was removed, so nothing may be lost. */
static void volume_put_back(struct store *store, struct staging *staging, unsigned nth,
			    const char *name)
{
	AUTO(fd_close_p) int volumes = -EBADF;

	if (nth < staging->discarded && volume_dir(store, &volumes, NULL) == 0)
		storage_restore(staging, nth, volumes, name);
}

int volume_remove(struct store *store, const char *name, struct err *err)
{
	AUTO(staging_close) struct staging staging = STAGING_NONE;
	bool nested = volume_in_transaction(store);

	int r = staging_open(store, "volume", &staging, err);
	if (r == 0 && !nested)
		r = db_begin(&store->db, true, err);
	if (r < 0)
		return r;
	r = volume_remove_in(store, &staging, name, err);
	if (nested)
		return r;
	if (r == 0) {
		r = db_commit(&store->db, err);
		if (r < 0)
			volume_put_back(store, &staging, 0, name);
	}
	if (r < 0)
		db_rollback(&store->db);
	return r;
}

static int volume_unused(struct store *store, bool all, json_t *names, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;

	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT name FROM volumes WHERE (anonymous OR ?) AND NOT EXISTS "
			   "(SELECT 1 FROM volume_users WHERE volume = name) ORDER BY name",
			   "i", (int64_t)all);
	while (r == 0 && (r = db_step(&store->db, stmt, err)) == 1)
		r = json_array_append_new(names, json_string(db_col_str(stmt, 0))) < 0
			    ? err_set(err, ENOMEM, "list volumes")
			    : 0;
	return r;
}

/* Under the database's write lock. Empty ones, as volume_remove_in() says; what is not stays. */
static void volume_sweep(struct store *store)
{
	int fd = openat(store->root_fd, "volumes", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char data[NAME_MAX + 8];

	if (!dir) {
		fd_close(fd);
		return;
	}
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		AUTO(volume_fini) struct volume volume = { 0 };
		if (volume_check_name(e->d_name, NULL) < 0 ||
		    volume_find(store, e->d_name, &volume, NULL) != -ENOENT)
			continue;
		volume_disk_clear(fd, e->d_name);
		(void)snprintf(data, sizeof(data), "%s/data", e->d_name); /* fits */
		(void)unlinkat(fd, data, AT_REMOVEDIR);
		(void)unlinkat(fd, e->d_name, AT_REMOVEDIR);
	}
	(void)closedir(dir);
}

int volume_prune(struct store *store, bool all, json_t **ret_names, struct err *err)
{
	AUTO(staging_close) struct staging staging = STAGING_NONE;
	AUTO(json_decref_p) json_t *names = json_array();

	int r = names ? staging_open(store, "volume", &staging, err)
		      : err_set(err, ENOMEM, "list volumes");
	if (r == 0)
		r = db_begin(&store->db, true, err);
	if (r < 0)
		return r;
	volume_sweep(store);
	r = volume_unused(store, all, names, err);
	for (size_t i = 0; r == 0 && i < json_array_size(names); i++)
		r = volume_remove_in(store, &staging, json_string_value(json_array_get(names, i)),
				     err);
	if (r == 0)
		r = db_commit(&store->db, err);
	if (r < 0) {
		for (size_t i = 0; i < json_array_size(names); i++)
			volume_put_back(store, &staging, (unsigned)i,
					json_string_value(json_array_get(names, i)));
		db_rollback(&store->db);
		return r;
	}
	*ret_names = TAKE(names);
	return 0;
}
