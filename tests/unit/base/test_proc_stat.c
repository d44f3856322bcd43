/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/proc_stat.h"

static int read_text(const char *text, struct proc_stat *ret)
{
	char path[] = "/tmp/strata-test-XXXXXX";
	AUTO(fd_close_p) int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	int r = proc_stat_read(AT_FDCWD, path, ret);
	(void)unlink(path);
	return r;
}

static void a_name_may_hold_brackets_and_spaces(void **state)
{
	struct proc_stat stat;

	(void)state;
	assert_int_equal(read_text("12 (a) R 1 (b) S 7 8 9 10 11 12 13 14 15 16 100 20 19 20 21 22 "
				   "3 24 25 26 400 28\n",
				   &stat),
			 0);
	assert_string_equal(stat.name, "a) R 1 (b");
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.parent, 7);
	assert_int_equal(stat.ticks, 120);
	assert_int_equal(stat.threads, 3);
	assert_int_equal(stat.resident, 400);
}

static void what_is_none_is_refused(void **state)
{
	struct proc_stat stat;

	(void)state;
	assert_int_equal(read_text("", &stat), -EBADMSG);
	assert_int_equal(read_text("12 (a) S 7", &stat), -EBADMSG);
	assert_int_equal(read_text(")( S 7", &stat), -EBADMSG);
	assert_int_equal(proc_stat_of(0, &stat), -ESRCH);
}

static void we_are_a_process_with_a_parent(void **state)
{
	struct proc_stat stat, parent;

	(void)state;
	assert_int_equal(prctl(PR_SET_NAME, "(of ours) 1"), 0);
	assert_int_equal(proc_stat_of(getpid(), &stat), 0);
	assert_string_equal(stat.name, "(of ours) 1");
	assert_int_equal(stat.parent, getppid());
	assert_int_equal(stat.threads, 1);
	assert_true(stat.resident > 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(proc_stat_of(getpid(), &parent) == 0 &&
				      proc_stat_is_child(&parent, "(of ours) 1") &&
				      !proc_stat_is_child(&parent, "of ours")
			      ? 0
			      : 1);
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_may_hold_brackets_and_spaces),
		cmocka_unit_test(what_is_none_is_refused),
		cmocka_unit_test(we_are_a_process_with_a_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
