/* SPDX-License-Identifier: Apache-2.0 */
/* Asked of the processes of a pid namespace that the test makes. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/wait.h"
#include "engines/oslevel/rootless.h"

/* A first process and two children, one with a child of its own, which all rest; a byte when they are there. */
static _Noreturn void first(int told)
{
	for (int i = 0; i < 2; i++) {
		if (fork() == 0) {
			if (i == 1)
				(void)fork();
			(void)write(told, "", 1);
			for (;;)
				(void)pause();
		}
	}
	for (;;)
		(void)pause();
}

static pid_t family(void)
{
	char bytes[3];
	int told[2];

	if (geteuid() != 0)
		skip();
	assert_int_equal(pipe(told), 0);
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0) {
		(void)close(told[0]);
		(void)close(told[1]);
		skip();
	}
	if (pid == 0)
		first(told[1]);
	(void)close(told[1]);
	for (size_t n = 0; n < sizeof(bytes); n++)
		assert_int_equal(read(told[0], bytes, 1), 1);
	(void)close(told[0]);
	return pid;
}

static char state_of(pid_t pid)
{
	char path[40], text[512];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	(void)fclose(file);
	return strrchr(text, ')')[2];
}

static void all_of_them_are_listed_counted_stopped_and_let_go(void **state)
{
	struct guest_stats stats;
	struct err err = { 0 };
	pid_t *pids = NULL;
	size_t n = 0;
	const pid_t pid = family();

	(void)state;
	assert_int_equal(rootless_processes(pid, &pids, &n, &err), 0);
	assert_int_equal(n, 4);
	assert_int_equal(rootless_stats(pid, &stats, &err), 0);
	assert_int_equal(stats.pids, 4);
	assert_true(stats.memory_bytes > 0);
	assert_int_equal(rootless_freeze(pid, true, &err), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(state_of(pids[i]), 'T');
	assert_int_equal(rootless_freeze(pid, false, &err), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_not_equal(state_of(pids[i]), 'T');
	free(pids);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(wait_child(pid), 128 + SIGKILL);
	assert_int_equal(rootless_processes(pid, &pids, &n, &err), -ESRCH);
}

/* A number that is another process's by now must not be taken for the container. */
static void a_process_of_our_own_namespace_is_no_container(void **state)
{
	struct guest_stats stats;
	struct err err = { 0 };
	pid_t *pids = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(rootless_processes(getpid(), &pids, &n, &err), -ESRCH);
	assert_int_equal(rootless_stats(getpid(), &stats, &err), -ESRCH);
	assert_int_equal(rootless_freeze(getpid(), true, &err), -ESRCH);
	assert_int_equal(rootless_sweep(getpid(), &err), 0);
	assert_int_equal(rootless_sweep(0, &err), 0);
}

static void an_orphan_is_ended(void **state)
{
	struct err err = { 0 };
	const pid_t pid = family();

	(void)state;
	/* Its parent, this test, is no monitor: so it is one. */
	pid_t reaper = fork();
	if (reaper == 0)
		_exit(rootless_sweep(pid, &err) == 0 ? 0 : 1);
	assert_int_equal(wait_child(pid), 128 + SIGKILL);
	assert_int_equal(wait_child(reaper), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_them_are_listed_counted_stopped_and_let_go),
		cmocka_unit_test(a_process_of_our_own_namespace_is_no_container),
		cmocka_unit_test(an_orphan_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
