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

static void a_users_ranges_follow_each_other(void **state)
{
	static const char text[] = "other:1000:10\n"
				   "strat:100000:65536\n"
				   "stratum:5:5\n"
				   "strat:nonsense\n"
				   "strat\n"
				   "\n"
				   "54321:300000:100\n"
				   "strat:400000:0\n"
				   "strat:500000:7";
	struct spec_idmap got[4];

	(void)state;
	assert_int_equal(rootless_ranges(text, "strat", 54321, got, 4), 3);
	assert_int_equal(got[0].inside, 1);
	assert_int_equal(got[0].outside, 100000);
	assert_int_equal(got[1].inside, 65537);
	assert_int_equal(got[1].outside, 300000);
	assert_int_equal(got[2].inside, 65637);
	assert_int_equal(got[2].size, 7);
	assert_int_equal(rootless_ranges(text, "strat", 54321, got, 1), 1);
	assert_int_equal(rootless_ranges(text, "", 7, got, 4), 0);
	assert_int_equal(rootless_ranges("", "strat", 1, got, 4), 0);
	/* As many ids as there are: no more follow. */
	assert_int_equal(rootless_ranges("strat:1:4294967294\nstrat:1:2\n", "strat", 1, got, 4), 1);
}

static void the_kernels_table_is_read(void **state)
{
	struct spec_idmap got[2];

	(void)state;
	assert_int_equal(rootless_parse("         0      54321          1\n"
					"         1     700000      65536\n",
					got, 2),
			 2);
	assert_int_equal(got[1].inside, 1);
	assert_int_equal(got[1].outside, 700000);
	assert_int_equal(got[1].size, 65536);
	assert_int_equal(rootless_parse("0 0 4294967295\n1 1 1\n", got, 1), 1);
	assert_int_equal(got[0].size, UINT32_MAX);
	assert_int_equal(rootless_parse("", got, 2), 0);
	assert_int_equal(rootless_parse("x\n", got, 2), 0);
}

/* Us: 54321 is root, and 700000 follows; in what the bundle asks both are the host's. */
static const struct spec_idmap own[] = { { 0, 54321, 1 }, { 1, 700000, 10 }, { 11, 700010, 5 } };

static void host_ids_become_ours(void **state)
{
	static const struct spec_idmap asked[] = { { 0, 54321, 1 }, { 1, 700002, 10 } };
	struct spec_idmap got[4];
	uint32_t id = 0;
	size_t n = 0;

	(void)state;
	assert_int_equal(rootless_map(own, 3, asked, 2, got, 4, &n, &id), 0);
	assert_int_equal(n, 3);
	assert_memory_equal(&got[0], (&(struct spec_idmap){ 0, 0, 1 }), sizeof(got[0]));
	assert_memory_equal(&got[1], (&(struct spec_idmap){ 1, 3, 8 }), sizeof(got[0]));
	assert_memory_equal(&got[2], (&(struct spec_idmap){ 9, 11, 2 }), sizeof(got[0]));
	assert_int_equal(rootless_map(own, 3, asked, 2, got, 2, &n, &id), -E2BIG);
}

static void an_id_that_is_not_ours_is_named(void **state)
{
	static const struct spec_idmap past[] = { { 0, 700014, 2 } }, root[] = { { 0, 0, 1 } };
	struct spec_idmap got[4];
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
		cmocka_unit_test(a_users_ranges_follow_each_other),
		cmocka_unit_test(the_kernels_table_is_read),
		cmocka_unit_test(host_ids_become_ours),
		cmocka_unit_test(an_id_that_is_not_ours_is_named),
		cmocka_unit_test(state_is_where_the_session_keeps_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
