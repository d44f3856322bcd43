/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/private.h"
#include "network/network.h"
#include "storage/image.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A store as the first release's tables were, with one instance that has ended. */
static void store_of_version_1(const char *root)
{
	const struct db_schema first = { manager_schema.room, manager_schema.versions, 1 };
	const struct db_schema *const schemas[] = { &storage_schema, &network_schema, &first,
						    NULL };
	struct err err = { 0 };
	struct db db;
	char path[512];

	assert_int_equal(mkdir(root, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/strata.db", root);
	assert_int_equal(db_open(path, schemas, &db, &err), 0);
	int r = db_run(&db, &err,
		       "INSERT INTO images (id, manifest, config, layers, size, created_ns) "
		       "VALUES ('none', '', '', '', 0, 1)",
		       "");
	if (r == 0)
		r = db_run(
			&db, &err,
			"INSERT INTO instance (id, name, image, summary, spec, state, created_ns) "
			"VALUES (?, 'old', 'none', '{\"image\": \"demo\"}', ?, ?, 5)",
			"ssi", ID,
			"{\"image\": \"demo\", \"virt\": \"os-level\","
			" \"args\": [\"sh\", \"-c\", \"echo \\\"x\\\"\"]}",
			(int64_t)INSTANCE_EXITED);
	if (r < 0)
		fail_msg("%s", err.text);
	db_close(&db);
}

static void an_older_store_gets_what_lists_show(void **state)
{
	struct scratch *s = *state;
	struct manager manager = { 0 };
	struct instance *list;
	struct err err = { 0 };
	char root[400], run[400];
	size_t n;

	(void)snprintf(root, sizeof(root), "%s/root", s->path);
	(void)snprintf(run, sizeof(run), "%s/run", s->path);
	store_of_version_1(root);
	if (manager_open(root, run, &manager, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(manager_list(&manager, true, LIST_SHOWN, &list, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_string_equal(list[0].name, "old");
	assert_string_equal(list[0].image, "demo");
	assert_string_equal(list[0].virt, "os-level");
	assert_string_equal(list[0].command, "sh -c echo \"x\"");
	assert_null(list[0].spec);
	instances_free(list, n);
	assert_int_equal(manager_list(&manager, true, LIST_SUMMARY, &list, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_non_null(list[0].spec);
	assert_string_equal(list[0].command,
			    "sh -c echo \"x\""); /* a filtered list crashed without */
	instances_free(list, n);
	manager_close(&manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(an_older_store_gets_what_lists_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
