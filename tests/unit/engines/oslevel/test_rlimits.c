/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/oslevel/rlimits.h"

/* In a child, for what is lowered cannot be raised again: 0, or 1 + the number of the failed check. */
static int lower_and_raise(void)
{
	const struct spec_ulimit low = { RLIMIT_NOFILE, "nofile", 100, 200 };
	const struct spec_ulimit high = { RLIMIT_NOFILE, "nofile", 100, UINT64_MAX };
	struct rlimit now;
	struct err err = { 0 };

	if (rlimits_apply(&low, 1, &err) < 0 || getrlimit(RLIMIT_NOFILE, &now) < 0 ||
	    now.rlim_cur != 100 || now.rlim_max != 200)
		return 1;
	/* Above fs.nr_open nobody may go, with or without CAP_SYS_RESOURCE. */
	if (rlimits_apply(&high, 1, &err) != -EPERM || !strstr(err.text, "nofile: unlimited") ||
	    !strstr(err.text, "which is 200"))
		return 2;
	return 0;
}

static void limits_take_hold(void **state)
{
	int status;

	(void)state;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(lower_and_raise());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(rlimits_apply(NULL, 0, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_take_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
