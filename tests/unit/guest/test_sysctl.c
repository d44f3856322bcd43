/* SPDX-License-Identifier: Apache-2.0 */
#include "sysctl.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/core/macros.h"

static int path_of(const char *name, char *ret, size_t size)
{
	return sysctl_path(name, strlen(name), ret, size);
}

static void a_name_is_a_file(void **state)
{
	char path[64];

	(void)state;
	assert_int_equal(path_of("net.ipv4.ip_forward", path, sizeof(path)), 0);
	assert_string_equal(path, "/proc/sys/net/ipv4/ip_forward");
	assert_int_equal(sysctl_path("kernel.shmmax=1", 13, path, sizeof(path)), 0);
	assert_string_equal(path, "/proc/sys/kernel/shmmax");
}

static void no_name_leads_elsewhere(void **state)
{
	static const char *const names[] = { "",    ".",	"..",	       "a..b",
					     "...", "net/../x", "/etc/passwd", "net." };
	char path[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(path_of(names[i], path, sizeof(path)), -EINVAL);
	assert_int_equal(path_of("net.ipv4.a_name_that_does_not_fit", path, sizeof(path)), -EINVAL);
}

static void what_is_no_assignment_is_refused(void **state)
{
	char *texts[] = { (char[]){ "net.ipv4.ip_forward" }, NULL };
	const struct config config = { .sysctls = texts, .n_sysctls = 1 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(sysctl_apply(&config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "net.ipv4.ip_forward"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_a_file),
		cmocka_unit_test(no_name_leads_elsewhere),
		cmocka_unit_test(what_is_no_assignment_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
