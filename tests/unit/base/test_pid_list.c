/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "base/os/pid_list.h"
#include "base/os/wait.h"

static void it_grows_and_keeps_the_order(void **state)
{
	AUTO(pid_list_fini) struct pid_list list = { 0 };

	(void)state;
	for (pid_t pid = 1; pid <= 100; pid++)
		assert_int_equal(pid_list_add(&list, pid), 0);
	assert_int_equal(list.n, 100);
	for (size_t i = 0; i < list.n; i++)
		assert_int_equal(list.pids[i], i + 1);
}

/* A number that another process has by now must not be taken for all of the host's. */
static void our_own_namespace_is_never_listed(void **state)
{
	AUTO(pid_list_fini) struct pid_list list = { 0 };

	(void)state;
	assert_int_equal(pid_list_of_namespace(getpid(), &list), -ESRCH);
	assert_int_equal(list.n, 0);
}

static void another_namespace_has_its_own_and_nobody_after_its_end(void **state)
{
	AUTO(pid_list_fini) struct pid_list list = { 0 };

	(void)state;
	if (geteuid() != 0)
		skip();
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0)
		skip();
	while (pid == 0)
		(void)pause();
	assert_int_equal(pid_list_of_namespace(pid, &list), 0);
	assert_int_equal(list.n, 1);
	assert_int_equal(list.pids[0], pid);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(wait_child(pid), 128 + SIGKILL);
	assert_int_equal(pid_list_of_namespace(pid, &list), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_grows_and_keeps_the_order),
		cmocka_unit_test(our_own_namespace_is_never_listed),
		cmocka_unit_test(another_namespace_has_its_own_and_nobody_after_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
