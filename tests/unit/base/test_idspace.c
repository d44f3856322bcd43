/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/idspace.h"
#include "base/os/wait.h"

#define NOBODY 54321

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
	struct ids_map got[4];

	(void)state;
	assert_int_equal(ids_ranges(text, "strat", 54321, got, 4), 3);
	assert_int_equal(got[0].inside, 1);
	assert_int_equal(got[0].outside, 100000);
	assert_int_equal(got[1].inside, 65537);
	assert_int_equal(got[1].outside, 300000);
	assert_int_equal(got[2].inside, 65637);
	assert_int_equal(got[2].size, 7);
	assert_int_equal(ids_ranges(text, "strat", 54321, got, 1), 1);
	assert_int_equal(ids_ranges(text, "", 7, got, 4), 0);
	assert_int_equal(ids_ranges("", "strat", 1, got, 4), 0);
	/* As many ids as there are: no more follow. */
	assert_int_equal(ids_ranges("strat:1:4294967294\nstrat:1:2\n", "strat", 1, got, 4), 1);
}

static void the_kernels_table_is_read(void **state)
{
	struct ids_map got[2];

	(void)state;
	assert_int_equal(ids_parse("         0      54321          1\n"
				   "         1     700000      65536\n",
				   got, 2),
			 2);
	assert_int_equal(got[1].inside, 1);
	assert_int_equal(got[1].outside, 700000);
	assert_int_equal(got[1].size, 65536);
	assert_int_equal(ids_parse("0 0 4294967295\n1 1 1\n", got, 1), 1);
	assert_int_equal(got[0].size, UINT32_MAX);
	assert_int_equal(ids_parse("", got, 2), 0);
	assert_int_equal(ids_parse("x\n", got, 2), 0);
}

/* What runs as an ordinary user: without a range of his, for this process is not to need one. 0: all was well. */
static int as_user(int (*fn)(void *arg, struct err *err), void *arg, struct err *err)
{
	int status;

	if (geteuid() != 0)
		skip();
	pid_t pid = fork();
	if (pid == 0) {
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(99);
		(void)prctl(PR_SET_DUMPABLE, 1); /* as a program that he executed */
		int r = ids_call(0, fn, arg, err);
		/* Hosts that give nobody a namespace say so. */
		_exit(r == -EPERM || r == -ENOSPC ? 98 : -r);
	}
	status = wait_child(pid);
	if (status == 98)
		skip();
	return status;
}

static int is_root_there(void *arg, struct err *err)
{
	struct ids_map own[IDS_MAPS];

	(void)arg;
	if (ids_here() != IDS_INSIDE || ids_own(false, own) != 1)
		return err_say(err, ERANGE, "not inside");
	return own[0].outside == NOBODY && own[0].size == 1 && getuid() == 0 && getgid() == 0
		       ? 0
		       : err_say(err, EDOM, "not root");
}

static void a_user_without_ranges_is_root_of_himself(void **state)
{
	(void)state;
	assert_int_equal(as_user(is_root_there, NULL, NULL), 0);
}

static int fails(void *arg, struct err *err)
{
	return err_say(err, EBADMSG, "%s", (const char *)arg);
}

/* What overlayfs leaves in a work directory. */
static void what_its_owner_closed_is_removed(void **state)
{
	char dir[] = "/tmp/strata-ids.XXXXXX", path[64];

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0777), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(99);
		(void)snprintf(path, sizeof(path), "%s/closed", dir);
		if (mkdir(path, 0700) < 0)
			_exit(98);
		(void)snprintf(path, sizeof(path), "%s/closed/within", dir);
		if (mkdir(path, 0) < 0)
			_exit(97);
		(void)snprintf(path, sizeof(path), "%s/closed", dir);
		if (chmod(path, 0) < 0)
			_exit(96);
		_exit(-dir_remove(AT_FDCWD, path));
	}
	assert_int_equal(wait_child(pid), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void words_of_the_child_come_back(void **state)
{
	char word[] = "because";

	(void)state;
	assert_int_equal(as_user(fails, word, NULL), EBADMSG);
	assert_int_equal(ids_here(), geteuid() ? IDS_USER : ids_here());
}

static void what_another_owns_is_not_removed(void **state)
{
	char dir[] = "/tmp/strata-ids.XXXXXX", path[64];

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/theirs", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	fd_close(fd);
	pid_t pid = fork();
	if (pid == 0) {
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(99);
		_exit(-ids_remove(AT_FDCWD, dir));
	}
	assert_int_equal(wait_child(pid), EACCES);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(ids_remove(AT_FDCWD, dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_users_ranges_follow_each_other),
		cmocka_unit_test(the_kernels_table_is_read),
		cmocka_unit_test(a_user_without_ranges_is_root_of_himself),
		cmocka_unit_test(words_of_the_child_come_back),
		cmocka_unit_test(what_another_owns_is_not_removed),
		cmocka_unit_test(what_its_owner_closed_is_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
