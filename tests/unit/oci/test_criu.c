/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "oci/criu.h"

static void the_first_error_is_the_cause(void **state)
{
	char text[256];

	(void)state;
	criu_error(
		"(00.1) Error (criu/util.c:1): rlimit: Can't setup\n(00.2) all well\n"
		"(00.3) Error (criu/mount.c:7): no root\n(00.4) Error (criu/cr-dump.c:1): FAILED.\n",
		text);
	assert_string_equal(text, "Error (criu/mount.c:7): no root");
	criu_error("", text);
	assert_string_equal(text, "");
	criu_error("Error (x): unfinished", text);
	assert_string_equal(text, "Error (x): unfinished");
}

static void words_have_an_end(void **state)
{
	struct pool pool = { 0 };
	struct criu criu = { .pool = &pool };

	(void)state;
	for (size_t i = 0; i < CRIU_ARGS_MAX - 1; i++)
		criu_addf(&criu, "%zu", i);
	assert_false(criu.failed);
	assert_string_equal(criu.args[10], "10");
	assert_null(criu.args[CRIU_ARGS_MAX - 1]);
	criu_add(&criu, "more");
	assert_true(criu.failed);
	assert_null(criu.args[CRIU_ARGS_MAX - 1]);
	pool_fini(&pool);
}

static void mounts_from_outside_have_names(void **state)
{
	struct pool pool = { 0 };
	struct criu criu = { .pool = &pool };
	struct bundle_mount mounts[] = { { .target = "/proc", .type = "proc" },
					 { .target = "/data", .source = "/host/data" } };
	const char *masked[] = { "/proc/kcore" };
	const struct bundle bundle = {
		.mounts = mounts, .n_mounts = 2, .masked = masked, .n_masked = 1
	};

	(void)state;
	criu_mounts(&criu, &bundle, 0);
	assert_int_equal(criu.n, 4);
	assert_string_equal(criu.args[0], "--external");
	assert_string_equal(criu.args[1], "mnt[bind1]:/host/data");
	assert_string_equal(criu.args[3], "mnt[masked0]:/dev/null");
	/* No process has that number: nothing is covered there. */
	criu = (struct criu){ .pool = &pool };
	criu_mounts(&criu, &bundle, INT32_MAX);
	assert_int_equal(criu.n, 2);
	assert_string_equal(criu.args[1], "mnt[/data]:bind1");
	pool_fini(&pool);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_error_is_the_cause),
		cmocka_unit_test(words_have_an_end),
		cmocka_unit_test(mounts_from_outside_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
