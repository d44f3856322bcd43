/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "base/os/pid_list.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_grows_and_keeps_the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
