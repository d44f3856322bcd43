/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/oslevel/namespace.h"

static void its_kind_is_looked_at(void **state)
{
	struct err err = { 0 };
	AUTO(fd_close_p) int uts = namespace_open("/proc/self/ns/uts", CLONE_NEWUTS, &err);

	(void)state;
	assert_true(uts >= 0);
	assert_true(namespace_is_own(uts, CLONE_NEWUTS));
	assert_false(namespace_is_own(uts, CLONE_NEWIPC));
	assert_int_equal(namespace_open("/proc/self/ns/uts", CLONE_NEWNS, &err), -EINVAL);
	assert_non_null(strstr(err.text, "another kind than mnt"));
	AUTO(fd_close_p) int own = namespace_own(CLONE_NEWUTS, &err);
	assert_true(namespace_is_own(own, CLONE_NEWUTS));
	assert_true(namespace_is_shared(getpid(), CLONE_NEWUTS));
	assert_false(namespace_is_shared(-1, CLONE_NEWUTS));
}

/* A pipe that nobody writes to would be waited for, and a terminal taken. */
static void what_is_none_is_not_opened(void **state)
{
	struct scratch *s = *state;
	char path[96];
	struct err err = { 0 };

	(void)snprintf(path, sizeof(path), "%s/pipe", s->path); /* fits */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(namespace_open(path, CLONE_NEWNS, &err), -EINVAL);
	assert_non_null(strstr(err.text, "this is no namespace"));
	assert_int_equal(namespace_enter("/dev/null", CLONE_NEWUTS, &err), -EINVAL);
	assert_int_equal(namespace_open("/no/such", CLONE_NEWNS, &err), -ENOENT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_kind_is_looked_at),
		SCRATCH_TEST(what_is_none_is_not_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
