/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/store.h"

static const struct db_schema *const no_schemas[] = { NULL };

static void makes_both_directories(void **state)
{
	const struct scratch *s = *state;
	char root[128], run[128];
	struct store store;
	struct stat st;

	snprintf(root, sizeof(root), "%s/a/root//", s->path);
	snprintf(run, sizeof(run), "%s/b/run", s->path);
	assert_int_equal(store_open(root, run, no_schemas, &store, NULL), 0);
	root[strlen(root) - 2] = '\0';
	assert_string_equal(store.root, root);
	assert_string_equal(store.run_root, run);
	assert_int_equal(fstat(store.run_fd, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
	assert_int_equal(faccessat(store.root_fd, "strata.db", F_OK, 0), 0);
	store_close(&store);
	assert_int_equal(store.root_fd, -EBADF);
}

static void relative_paths_become_absolute(void **state)
{
	const struct scratch *s = *state;
	char want[128];
	struct store store;
	AUTO(fd_close_p) int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(chdir(s->path), 0);
	int r = store_open("root", "run", no_schemas, &store, NULL);
	assert_int_equal(fchdir(cwd), 0);
	assert_int_equal(r, 0);
	snprintf(want, sizeof(want), "%s/root", s->path);
	assert_string_equal(store.root, want);
	store_close(&store);
}

static void zeroed_store_closes(void **state)
{
	struct store store = { 0 };

	(void)state;
	store_close(&store);
	store_close(&store);
	assert_int_equal(fcntl(STDIN_FILENO, F_GETFD) < 0 && errno == EBADF, 0);
}

static void foreign_directory_is_refused(void **state)
{
	const struct scratch *s = *state;
	char root[128];
	struct store store;
	struct err err = { 0 };

	if (geteuid() != 0)
		SKIP("needs root: it gives a directory away");
	snprintf(root, sizeof(root), "%s/foreign", s->path);
	assert_int_equal(mkdir(root, 0777), 0);
	assert_int_equal(chown(root, 12345, 12345), 0);
	assert_int_equal(store_open(root, s->path, no_schemas, &store, &err), -EPERM);
	assert_non_null(strstr(err.text, "foreign"));
}

static void a_file_in_the_way_is_named(void **state)
{
	const struct scratch *s = *state;
	char root[128];
	struct store store;
	struct err err = { 0 };

	snprintf(root, sizeof(root), "%s/file", s->path);
	fd_close(open(root, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(store_open(root, s->path, no_schemas, &store, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, root));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRATCH_TEST(makes_both_directories),
		SCRATCH_TEST(relative_paths_become_absolute),
		cmocka_unit_test(zeroed_store_closes),
		SCRATCH_TEST(foreign_directory_is_refused),
		SCRATCH_TEST(a_file_in_the_way_is_named),
	};

	return cmocka_run_group_tests_name("base/store", tests, NULL, NULL);
}
