/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os/wait.h"

static void an_end_is_the_shell_s_number(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (pid == 0)
		_exit(7);
	assert_int_equal(wait_child(pid), 7);
	assert_int_equal(wait_child(pid), -ECHILD); /* waited for already */
	pid = fork();
	if (pid == 0) {
		(void)pause();
		_exit(1);
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(wait_child(pid), 128 + SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_is_the_shell_s_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
