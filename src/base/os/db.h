/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The state database: SQLite in WAL mode. It knows nothing of instances or images: each room brings
 * its own tables as a db_schema.
 */
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"

struct db_schema {
	const char *room; /* "storage" */
	const char *const
		*versions; /* versions[i] is SQL that brings the room from version i to i + 1 */
	unsigned count;	   /* the version this program understands */
};

struct db {
	sqlite3 *handle;
};

/*
 * db_open() - open or create the database file and bring each room's tables up to date
 * @path: absolute   @schemas: NULL-ended
 * Errors: -EPROTO where a room's tables are from a newer version; -EBADMSG for a damaged file.
 */
int db_open(const char *path, const struct db_schema *const schemas[], struct db *ret,
	    struct err *err);
void db_close(struct db *db); /* a zeroed db is a no-op */

/*
 * db_begin() - take the write lock (waits up to 30 s for other commands)
 * @durable: the commit is on disk before db_commit() returns; else it survives a crash of any
 *           process but may be lost, whole, with the machine's power.
 * db_rollback() is for AUTO-like error paths: a no-op outside a transaction.
 */
int db_begin(struct db *db, bool durable, struct err *err);
int db_commit(struct db *db, struct err *err);
void db_rollback(struct db *db);

/*
 * db_prepare() - compile one statement and bind its arguments from left to right
 * @types: one letter an argument: s (const char *, NULL binds NULL), i (int64_t)
 * The texts must outlive the statement.
 */
int db_prepare(struct db *db, sqlite3_stmt **ret, struct err *err, const char *sql,
	       const char *types, ...);
void db_stmt_p(sqlite3_stmt **stmt); /* for AUTO */
/* db_step() - 1: a row is there; 0: done; or a negative errno. */
int db_step(struct db *db, sqlite3_stmt *stmt, struct err *err);
/* db_run() - prepare, step to the end, finalize. -EEXIST: a UNIQUE or PRIMARY KEY is taken; -ESTALE: a REFERENCES is not met. */
int db_run(struct db *db, struct err *err, const char *sql, const char *types, ...);
/* db_col_str() - never NULL; borrowed until the next step. */
const char *db_col_str(sqlite3_stmt *stmt, int col);
int64_t db_col_int(sqlite3_stmt *stmt, int col);
/* db_changes() - rows that the last db_run() changed. */
int db_changes(struct db *db);
