/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/os/fd.h"

#define DB_BUSY_MS 30000

/*
 * The first command to open the database after the last one has closed it reads the whole WAL, so it is kept short;
 * but moving it into the database takes two fsyncs, which no command should wait for in its work: db_close()
 * does it, once the WAL is this long: some six containers' lives.
 */
#define DB_WAL_BYTES (48 * 4096)

static int db_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_CONSTRAINT:
		return EEXIST;
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EBADMSG;
	case SQLITE_CANTOPEN:
		return ENOENT;
	default:
		return EIO;
	}
}

static const char *db_advice(int rc)
{
	switch (db_errno(rc)) {
	case EBADMSG:
		return ": restore a copy of it, or choose another --root";
	case ENOSPC:
		return ": make room there, then try again";
	default:
		return "";
	}
}

static int db_fail(struct db *db, struct err *err, int rc)
{
	const char *file = db->handle ? sqlite3_db_filename(db->handle, "main") : NULL;

	if (db->handle && sqlite3_extended_errcode(db->handle) == SQLITE_CONSTRAINT_FOREIGNKEY)
		return err_say(err, ESTALE,
			       "state database %s: it refers to what is gone, or is referred to",
			       file ? file : "");

	return err_say(err, db_errno(rc), "state database %s: %s%s", file ? file : "",
		       db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc), db_advice(rc));
}

static int db_exec(struct db *db, struct err *err, const char *sql)
{
	int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : db_fail(db, err, rc);
}

/* One number says whether anything is to do: the sum of all rooms' versions, in user_version. */
static int db_user_version(struct db *db, int64_t *ret, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(db, &stmt, err, "PRAGMA user_version", "");
	if (r < 0)
		return r;
	r = db_step(db, stmt, err);
	if (r < 0)
		return r;
	*ret = r == 1 ? db_col_int(stmt, 0) : 0;
	return 0;
}

static int db_room_version(struct db *db, const char *room, int64_t *ret, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(db, &stmt, err, "SELECT version FROM schema_version WHERE room = ?", "s",
			   room);
	if (r < 0)
		return r;
	r = db_step(db, stmt, err);
	if (r < 0)
		return r;
	*ret = r == 1 ? db_col_int(stmt, 0) : 0;
	return 0;
}

static int db_migrate_room(struct db *db, const struct db_schema *schema, struct err *err)
{
	int64_t version = 0;
	int r = db_room_version(db, schema->room, &version, err);
	if (r < 0)
		return r;
	if (version > (int64_t)schema->count)
		return err_say(
			err, EPROTO,
			"state database %s: its %s tables are of version %lld and this program "
			"knows only %u: run a newer strata, or choose another --root",
			sqlite3_db_filename(db->handle, "main"), schema->room, (long long)version,
			schema->count);
	for (unsigned v = (unsigned)version; v < schema->count; v++) {
		r = db_exec(db, err, schema->versions[v]);
		if (r < 0)
			return r;
	}
	return db_run(db, err,
		      "INSERT OR REPLACE INTO schema_version (room, version) VALUES (?, ?)", "si",
		      schema->room, (int64_t)schema->count);
}

static int db_migrate(struct db *db, const struct db_schema *const schemas[], struct err *err)
{
	int64_t want = 0;
	int64_t have = 0;

	for (size_t i = 0; schemas[i]; i++)
		want += schemas[i]->count;
	int r = db_user_version(db, &have, err);
	if (r < 0 || have == want)
		return r;

	/* The file keeps this: whoever finds its tables complete need not ask for it again. */
	r = db_exec(db, err, "PRAGMA journal_mode = WAL");
	if (r == 0)
		r = db_begin(db, true, err);
	if (r < 0)
		return r;
	r = db_exec(db, err,
		    "CREATE TABLE IF NOT EXISTS schema_version "
		    "(room TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID");
	for (size_t i = 0; r == 0 && schemas[i]; i++)
		r = db_migrate_room(db, schemas[i], err);
	if (r == 0) {
		char sql[64];
		(void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %lld", (long long)want);
		r = db_exec(db, err, sql);
	}
	if (r == 0)
		r = db_commit(db, err);
	if (r < 0)
		db_rollback(db);
	return r;
}

static int db_setup(struct db *db, struct err *err)
{
	int on = 1;

	(void)sqlite3_busy_timeout(db->handle, DB_BUSY_MS); /* fails only on a bad handle */
	/*
	 * The last command to close must not pay for a checkpoint and its fsync, nor delete the WAL
	 * that the next command would create again.
	 */
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
	(void)sqlite3_wal_autocheckpoint(db->handle, 0);
	return db_exec(db, err, "PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY");
}

/* SQLite would make it everybody's to read, and specs hold environments. Its journals take the same mode. */
static int db_make_private(const char *path, struct err *err)
{
	struct stat st;

	/* Not opened without need: closing it would let go of every lock that this process has on it, fcntl(2). */
	if (lstat(path, &st) == 0 && (!S_ISREG(st.st_mode) || !(st.st_mode & 0077)))
		return 0;
	AUTO(fd_close_p) int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fchmod(fd, 0600) < 0)
		return err_set(err, errno, "state database %s", path);
	return 0;
}

int db_open(const char *path, const struct db_schema *const schemas[], struct db *ret,
	    struct err *err)
{
	struct db db = { 0 };
	int made = db_make_private(path, err);
	if (made < 0)
		return made;
	int rc = sqlite3_open_v2(path, &db.handle,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
					 SQLITE_OPEN_NOFOLLOW,
				 NULL);
	int r = rc == SQLITE_OK ? 0
				: err_say(err, db_errno(rc), "state database %s: %s", path,
					  sqlite3_errstr(rc));
	if (r == 0)
		r = db_setup(&db, err);
	if (r == 0)
		r = db_migrate(&db, schemas, err);
	if (r < 0) {
		db_close(&db);
		return r;
	}
	*ret = db;
	return 0;
}

static bool db_wal_is_long(const struct db *db)
{
	const char *file = sqlite3_db_filename(db->handle, "main");
	struct stat st;

	return file && stat(sqlite3_filename_wal(file), &st) == 0 && st.st_size > DB_WAL_BYTES;
}

void db_close(struct db *db)
{
	if (!db->handle)
		return;
	if (db_wal_is_long(db)) {
		/*
		 * Truncated, since a log that is only copied is read again, whole, by whoever opens the database first.
		 * Where another command is at work it does not wait: that one, or a later one, does it.
		 */
		(void)sqlite3_busy_timeout(db->handle, 0);
		(void)sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
						NULL);
	}
	(void)sqlite3_close_v2(db->handle); /* statements still open keep it alive */
	db->handle = NULL;
}

int db_begin(struct db *db, bool durable, struct err *err)
{
	int r = db_exec(db, err,
			durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");

	return r < 0 ? r : db_exec(db, err, "BEGIN IMMEDIATE");
}

int db_commit(struct db *db, struct err *err)
{
	return db_exec(db, err, "COMMIT");
}

void db_rollback(struct db *db)
{
	if (db->handle && !sqlite3_get_autocommit(db->handle))
		(void)db_exec(db, NULL,
			      "ROLLBACK"); /* the error that led here is the one to report */
}

static int db_bind(struct db *db, sqlite3_stmt *stmt, const char *types, va_list args,
		   struct err *err)
{
	for (int i = 0; types[i]; i++) {
		int rc = types[i] == 'i'
				 ? sqlite3_bind_int64(stmt, i + 1, va_arg(args, int64_t))
				 : sqlite3_bind_text(stmt, i + 1, va_arg(args, const char *), -1,
						     SQLITE_STATIC);
		if (rc != SQLITE_OK)
			return db_fail(db, err, rc);
	}
	return 0;
}

static int db_vprepare(struct db *db, sqlite3_stmt **ret, struct err *err, const char *sql,
		       const char *types, va_list args)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return db_fail(db, err, rc);
	int r = db_bind(db, stmt, types, args, err);
	if (r < 0)
		return r;
	*ret = TAKE(stmt);
	return 0;
}

int db_prepare(struct db *db, sqlite3_stmt **ret, struct err *err, const char *sql,
	       const char *types, ...)
{
	va_list args;

	va_start(args, types);
	int r = db_vprepare(db, ret, err, sql, types, args);
	va_end(args);
	return r;
}

void db_stmt_p(sqlite3_stmt **stmt)
{
	(void)sqlite3_finalize(*stmt); /* repeats the last step's error */
	*stmt = NULL;
}

int db_step(struct db *db, sqlite3_stmt *stmt, struct err *err)
{
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW)
		return 1;
	return rc == SQLITE_DONE ? 0 : db_fail(db, err, rc);
}

int db_run(struct db *db, struct err *err, const char *sql, const char *types, ...)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	va_list args;

	va_start(args, types);
	int r = db_vprepare(db, &stmt, err, sql, types, args);
	va_end(args);
	while (r == 0 && (r = db_step(db, stmt, err)) == 1)
		r = 0;
	return r;
}

const char *db_col_str(sqlite3_stmt *stmt, int col)
{
	const unsigned char *text = sqlite3_column_text(stmt, col);

	return text ? (const char *)text : "";
}

int64_t db_col_int(sqlite3_stmt *stmt, int col)
{
	return sqlite3_column_int64(stmt, col);
}

int db_changes(struct db *db)
{
	return sqlite3_changes(db->handle);
}
