/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <sys/resource.h>

#include "base/os/rlimit.h"

static void names_and_resources_stand_side_by_side(void **state)
{
	unsigned seen = 0;

	(void)state;
	assert_int_equal(rlimit_resources[rlimit_find("as")], RLIMIT_AS);
	assert_int_equal(rlimit_resources[rlimit_find("nofile")], RLIMIT_NOFILE);
	assert_int_equal(rlimit_resources[rlimit_find("msgqueue")], RLIMIT_MSGQUEUE);
	assert_int_equal(rlimit_resources[rlimit_find("stack")], RLIMIT_STACK);
	for (int i = 0; i < RLIMIT_NAMES; i++) {
		assert_int_equal(rlimit_find(rlimit_names[i]), i);
		seen |= 1U << rlimit_resources[i];
	}
	assert_int_equal(seen, (1U << RLIM_NLIMITS) - 1); /* each once */
	assert_null(rlimit_names[RLIMIT_NAMES]);
}

static void other_names_are_refused(void **state)
{
	(void)state;
	assert_int_equal(rlimit_find("files"), -EINVAL);
	assert_int_equal(rlimit_find("NOFILE"), -EINVAL);
	assert_int_equal(rlimit_find(""), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_resources_stand_side_by_side),
		cmocka_unit_test(other_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
