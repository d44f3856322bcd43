/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "oci/rootless.h"

/* Us: 54321 is root, and 700000 follows; in what the bundle asks both are the host's. */
static const struct ids_map own[] = { { 0, 54321, 1 }, { 1, 700000, 10 }, { 11, 700010, 5 } };

static void host_ids_become_ours(void **state)
{
	static const struct ids_map asked[] = { { 0, 54321, 1 }, { 1, 700002, 10 } };
	struct ids_map got[4];
	uint32_t id = 0;
	size_t n = 0;

	(void)state;
	assert_int_equal(rootless_map(own, 3, asked, 2, got, 4, &n, &id), 0);
	assert_int_equal(n, 3);
	assert_memory_equal(&got[0], (&(struct ids_map){ 0, 0, 1 }), sizeof(got[0]));
	assert_memory_equal(&got[1], (&(struct ids_map){ 1, 3, 8 }), sizeof(got[0]));
	assert_memory_equal(&got[2], (&(struct ids_map){ 9, 11, 2 }), sizeof(got[0]));
	assert_int_equal(rootless_map(own, 3, asked, 2, got, 2, &n, &id), -E2BIG);
}

static void an_id_that_is_not_ours_is_named(void **state)
{
	static const struct ids_map past[] = { { 0, 700014, 2 } }, root[] = { { 0, 0, 1 } };
	struct ids_map got[4];
	uint32_t id = 0;
	size_t n = 0;

	(void)state;
	assert_int_equal(rootless_map(own, 3, past, 1, got, 4, &n, &id), -EPERM);
	assert_int_equal(id, 700015);
	assert_int_equal(rootless_map(own, 3, root, 1, got, 4, &n, &id), -EPERM);
	assert_int_equal(id, 0);
	assert_int_equal(rootless_map(NULL, 0, root, 1, got, 4, &n, &id), -EPERM);
}

static void state_is_where_the_session_keeps_it(void **state)
{
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/user/7", 1), 0);
	assert_int_equal(rootless_state(path), 0);
	assert_string_equal(path, "/run/user/7/strata-oci");
	assert_int_equal(setenv("XDG_RUNTIME_DIR", "relative", 1), 0);
	assert_int_equal(rootless_state(path), -ENOENT);
	assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
	assert_int_equal(rootless_state(path), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_ids_become_ours),
		cmocka_unit_test(an_id_that_is_not_ours_is_named),
		cmocka_unit_test(state_is_where_the_session_keeps_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
