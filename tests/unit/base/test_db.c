/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/db.h"
#include "base/os/file.h"

static const char *const one[] = { "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)" };
static const char *const two[] = { "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)",
				   "ALTER TABLE t ADD COLUMN extra TEXT" };
static const char *const broken[] = { "CREATE TABLE b (id INTEGER)", "NOT SQL" };
static const struct db_schema v1 = { "room", one, 1 };
static const struct db_schema v2 = { "room", two, 2 };
static const struct db_schema bad = { "bad", broken, 2 };
static const struct db_schema *const old_schemas[] = { &v1, NULL };
static const struct db_schema *const new_schemas[] = { &v2, NULL };
static const struct db_schema *const bad_schemas[] = { &v1, &bad, NULL };

struct path {
	char text[128];
};

static struct path db_file(void **state)
{
	const struct scratch *s = *state;
	struct path path;

	snprintf(path.text, sizeof(path.text), "%s/state.db", s->path);
	return path;
}

static int64_t rows(struct db *db)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;

	assert_int_equal(db_prepare(db, &stmt, NULL, "SELECT count(*) FROM t", ""), 0);
	assert_int_equal(db_step(db, stmt, NULL), 1);
	return db_col_int(stmt, 0);
}

static void values_round_trip(void **state)
{
	AUTO(db_close) struct db db = { 0 };
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;

	assert_int_equal(db_open(db_file(state).text, old_schemas, &db, NULL), 0);
	assert_int_equal(
		db_run(&db, NULL, "INSERT INTO t VALUES (?, ?)", "is", (int64_t)1 << 40, "it's"),
		0);
	assert_int_equal(db_changes(&db), 1);
	assert_int_equal(db_run(&db, NULL, "INSERT INTO t VALUES (2, ?)", "s", NULL), 0);
	assert_int_equal(
		db_prepare(&db, &stmt, NULL, "SELECT id, name FROM t ORDER BY id DESC", ""), 0);
	assert_int_equal(db_step(&db, stmt, NULL), 1);
	assert_true(db_col_int(stmt, 0) == (int64_t)1 << 40);
	assert_string_equal(db_col_str(stmt, 1), "it's");
	assert_int_equal(db_step(&db, stmt, NULL), 1);
	assert_string_equal(db_col_str(stmt, 1), "");
	assert_int_equal(db_step(&db, stmt, NULL), 0);
}

static void taken_key_is_eexist(void **state)
{
	AUTO(db_close) struct db db = { 0 };
	struct err err = { 0 };

	assert_int_equal(db_open(db_file(state).text, old_schemas, &db, NULL), 0);
	assert_int_equal(db_run(&db, &err, "INSERT INTO t (name) VALUES (?)", "s", "a"), 0);
	assert_int_equal(db_run(&db, &err, "INSERT INTO t (name) VALUES (?)", "s", "a"), -EEXIST);
	assert_non_null(strstr(err.text, "state.db"));
}

static void rollback_undoes_and_is_harmless_outside(void **state)
{
	AUTO(db_close) struct db db = { 0 };

	assert_int_equal(db_open(db_file(state).text, old_schemas, &db, NULL), 0);
	db_rollback(&db);
	assert_int_equal(db_begin(&db, false, NULL), 0);
	assert_int_equal(db_run(&db, NULL, "INSERT INTO t (name) VALUES ('x')", ""), 0);
	db_rollback(&db);
	assert_int_equal(rows(&db), 0);
	assert_int_equal(db_begin(&db, true, NULL), 0);
	assert_int_equal(db_run(&db, NULL, "INSERT INTO t (name) VALUES ('x')", ""), 0);
	assert_int_equal(db_commit(&db, NULL), 0);
	assert_int_equal(rows(&db), 1);
}

static void older_database_is_brought_up_to_date(void **state)
{
	AUTO(db_close) struct db db = { 0 };

	assert_int_equal(db_open(db_file(state).text, old_schemas, &db, NULL), 0);
	assert_int_equal(db_run(&db, NULL, "INSERT INTO t (name) VALUES ('kept')", ""), 0);
	db_close(&db);
	assert_int_equal(db_open(db_file(state).text, new_schemas, &db, NULL), 0);
	assert_int_equal(db_run(&db, NULL, "UPDATE t SET extra = 'y'", ""), 0);
	assert_int_equal(db_changes(&db), 1);
}

static void newer_database_is_refused_with_advice(void **state)
{
	AUTO(db_close) struct db db = { 0 };
	struct err err = { 0 };

	assert_int_equal(db_open(db_file(state).text, new_schemas, &db, NULL), 0);
	db_close(&db);
	assert_int_equal(db_open(db_file(state).text, old_schemas, &db, &err), -EPROTO);
	assert_non_null(strstr(err.text, "newer"));
	assert_null(db.handle);
}

static void failed_upgrade_leaves_nothing(void **state)
{
	AUTO(db_close) struct db db = { 0 };

	assert_int_equal(db_open(db_file(state).text, old_schemas, &db, NULL), 0);
	db_close(&db);
	assert_true(db_open(db_file(state).text, bad_schemas, &db, NULL) < 0);
	assert_int_equal(db_open(db_file(state).text, old_schemas, &db, NULL), 0);
	assert_int_equal(db_run(&db, NULL, "CREATE TABLE b (id INTEGER)", ""), 0);
}

static void damaged_file_is_ebadmsg(void **state)
{
	const struct scratch *s = *state;
	AUTO(db_close) struct db db = { 0 };
	struct err err = { 0 };
	char noise[8192];

	memset(noise, 'n', sizeof(noise));
	assert_int_equal(file_replace(s->fd, "state.db", 0600, noise, sizeof(noise), false), 0);
	assert_int_equal(db_open(db_file(state).text, old_schemas, &db, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "state.db"));
	db_close(&db);
}

static void missing_directory_is_enoent(void **state)
{
	AUTO(db_close) struct db db = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(db_open("/nonexistent/x.db", old_schemas, &db, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/x.db"));
}

static int open_once(const char *path)
{
	struct db db = { 0 };

	int r = db_open(path, new_schemas, &db, NULL);
	if (r == 0)
		r = db_run(&db, NULL, "INSERT INTO t (name) VALUES (NULL)", "");
	db_close(&db);
	return r;
}

/* Many commands meet on a fresh machine: each must wait for the others, none may fail. */
static void first_use_by_many_at_once(void **state)
{
	AUTO(db_close) struct db db = { 0 };
	struct path path = db_file(state);
	pid_t pids[12];

	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(open_once(path.text) == 0 ? 0 : 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		int status = -1;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(db_open(path.text, new_schemas, &db, NULL), 0);
	assert_int_equal(rows(&db), ARRAY_SIZE(pids));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRATCH_TEST(values_round_trip),
		SCRATCH_TEST(taken_key_is_eexist),
		SCRATCH_TEST(rollback_undoes_and_is_harmless_outside),
		SCRATCH_TEST(older_database_is_brought_up_to_date),
		SCRATCH_TEST(newer_database_is_refused_with_advice),
		SCRATCH_TEST(failed_upgrade_leaves_nothing),
		SCRATCH_TEST(damaged_file_is_ebadmsg),
		cmocka_unit_test(missing_directory_is_enoent),
		SCRATCH_TEST(first_use_by_many_at_once),
	};

	return cmocka_run_group_tests_name("base/db", tests, NULL, NULL);
}
