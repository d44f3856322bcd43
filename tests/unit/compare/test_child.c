/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "compare/child.h"

static void run(const char *script, unsigned timeout, struct outcome *ret)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	const struct child child = { .argv = argv, .timeout = timeout, .stop = -EBADF };
	struct err err = { 0 };

	assert_int_equal(child_run(&child, ret, &err), 0);
}

static void output_status_and_times_are_told(void **state)
{
	struct outcome o;

	(void)state;
	run("echo out; echo first >&2; printf 'last\\001 words\\n\\n' >&2; exit 7", 60, &o);
	assert_int_equal(o.status, 7);
	assert_false(o.timed_out);
	assert_string_equal(o.out, "out\n");
	assert_int_equal(o.out_n, 4);
	assert_string_equal(o.err_line, "last? words");
	assert_true(o.first_byte > 0 && o.first_byte <= o.elapsed);
	outcome_fini(&o);
}

static void silence_has_no_first_byte(void **state)
{
	struct outcome o;

	(void)state;
	run("exit 0", 60, &o);
	assert_true(isnan(o.first_byte));
	assert_string_equal(o.out, "");
	assert_string_equal(o.err_line, "");
	outcome_fini(&o);
}

static void a_signals_end_is_told_as_a_shell_tells_it(void **state)
{
	struct outcome o;

	(void)state;
	run("kill -9 $$", 60, &o);
	assert_int_equal(o.status, 137);
	outcome_fini(&o);
}

static void what_cannot_be_executed_is_an_outcome(void **state)
{
	const char *const none[] = { "/nonexistent/program", NULL }, *const directory[] = { "/",
											    NULL };
	struct child child = { .argv = none, .timeout = 60, .stop = -EBADF };
	struct err err = { 0 };
	struct outcome o;

	(void)state;
	assert_int_equal(child_run(&child, &o, &err), 0);
	assert_int_equal(o.status, 127);
	assert_string_equal(o.err_line, "/nonexistent/program: No such file or directory");
	outcome_fini(&o);
	child.argv = directory;
	assert_int_equal(child_run(&child, &o, &err), 0);
	assert_int_equal(o.status, 126);
	outcome_fini(&o);
}

static void end_politely(void *arg)
{
	++*(int *)arg;
}

static void at_the_time_limit_it_is_killed_with_its_children(void **state)
{
	const char *const argv[] = { "sh", "-c", "sleep 1000 & echo $!; wait", NULL };
	int asked = 0;
	struct child child = {
		.argv = argv, .abort = end_politely, .arg = &asked, .timeout = 2, .stop = -EBADF
	};
	struct err err = { 0 };
	struct outcome o;
	pid_t sleeper = 0;

	(void)state;
	/* Again with more time where it was over before the shell had begun. */
	for (; sleeper <= 1; child.timeout *= 2) {
		assert_true(child.timeout < 100);
		assert_int_equal(child_run(&child, &o, &err), 0);
		assert_true(o.timed_out);
		sleeper = (pid_t)strtol(o.out, NULL, 10);
		if (sleeper <= 1)
			outcome_fini(&o);
	}
	assert_true(asked > 0);
	assert_true(child_gone(sleeper, 100000));
	outcome_fini(&o);
}

/* Output that nobody reads must not hold it up, and its end is what counts. */
static void endless_output_keeps_its_end(void **state)
{
	struct outcome o;

	(void)state;
	run("head -c 5000000 /dev/zero | tr '\\0' x; echo; echo '{\"n\": 1}'", 60, &o);
	assert_int_equal(o.status, 0);
	assert_int_equal(o.out_n, OUTCOME_MAX);
	assert_int_equal(strlen(o.out), OUTCOME_MAX);
	assert_string_equal(o.out + o.out_n - 10, "\n{\"n\": 1}\n");
	outcome_fini(&o);
}

/* A daemon that keeps the pipe open is not waited for. */
static void what_it_leaves_behind_is_not_waited_for(void **state)
{
	struct outcome o;

	(void)state;
	run("sleep 30 & echo $!", 20, &o);
	assert_false(o.timed_out);
	(void)kill((pid_t)strtol(o.out, NULL, 10), SIGKILL);
	outcome_fini(&o);
}

static void it_ends_when_asked_to_stop(void **state)
{
	const char *const argv[] = { "sleep", "1000", NULL };
	AUTO(fd_close_p) int stop = eventfd(1, EFD_CLOEXEC);
	const struct child child = { .argv = argv, .timeout = 100, .stop = stop };
	struct err err = { 0 };
	struct outcome o;

	(void)state;
	assert_int_equal(child_run(&child, &o, &err), -EINTR);
}

static int refuse(void *arg, struct err *err)
{
	(void)arg;
	return err_say(err, EPERM, "not today");
}

static void surroundings_that_fail_are_the_error(void **state)
{
	const char *const argv[] = { "true", NULL };
	const struct child child = { .argv = argv, .enter = refuse, .timeout = 60, .stop = -EBADF };
	struct err err = { 0 };
	struct outcome o;

	(void)state;
	assert_int_equal(child_run(&child, &o, &err), -EPERM);
	assert_string_equal(err.text, "not today");
}

static void the_environment_is_the_given_one_and_its_path_counts(void **state)
{
	struct scratch *s = *state;
	char script[128], path[100];
	const char *const argv[] = { "mine", NULL }, *const env[] = { path, "A=b", NULL };
	const struct child child = { .argv = argv, .env = env, .timeout = 60, .stop = -EBADF };
	struct err err = { 0 };
	struct outcome o;

	(void)snprintf(path, sizeof(path), "PATH=%s", s->path);
	(void)snprintf(script, sizeof(script), "%s/mine", s->path);
	FILE *file = fopen(script, "we");
	assert_non_null(file);
	(void)fputs("#!/bin/sh\necho $A $PATH\n", file);
	(void)fclose(file);
	assert_int_equal(chmod(script, 0755), 0);
	assert_int_equal(child_run(&child, &o, &err), 0);
	(void)snprintf(script, sizeof(script), "b %s\n", s->path);
	assert_string_equal(o.out, script);
	outcome_fini(&o);
}

static void a_tree_has_those_below_and_no_others(void **state)
{
	const char *const argv[] = { "sh", "-c", "sleep 1000 & wait", NULL };
	const struct child child = { .argv = argv };
	struct err err = { 0 };
	pid_t pid = 0, *tree = NULL;
	size_t n = 0;
	int64_t begin;

	(void)state;
	assert_int_equal(child_start(&child, -EBADF, &pid, &begin, &err), 0);
	const pid_t top = pid;
	/* its sleep is a moment away */
	for (int tries = 0; tries < 100000 && n != 2; tries++) {
		free(tree);
		assert_int_equal(child_tree(&top, 1, &tree, &n), 0);
	}
	assert_int_equal(n, 2);
	assert_true(tree[0] == top || tree[1] == top);
	pid_t other = tree[0] == top ? tree[1] : tree[0];
	free(tree);
	child_kill(&pid);
	assert_int_equal(pid, 0);
	assert_true(child_gone(other, 100000));
	child_kill(&pid); /* a no-op */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_status_and_times_are_told),
		cmocka_unit_test(silence_has_no_first_byte),
		cmocka_unit_test(a_signals_end_is_told_as_a_shell_tells_it),
		cmocka_unit_test(what_cannot_be_executed_is_an_outcome),
		cmocka_unit_test(at_the_time_limit_it_is_killed_with_its_children),
		cmocka_unit_test(endless_output_keeps_its_end),
		cmocka_unit_test(what_it_leaves_behind_is_not_waited_for),
		cmocka_unit_test(it_ends_when_asked_to_stop),
		cmocka_unit_test(surroundings_that_fail_are_the_error),
		SCRATCH_TEST(the_environment_is_the_given_one_and_its_path_counts),
		cmocka_unit_test(a_tree_has_those_below_and_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
