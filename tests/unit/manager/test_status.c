/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "manager/status.h"

static void what_is_written_is_read(void **state)
{
	struct scratch *s = *state;
	struct status in = { .state = STATUS_RESTARTING,
			     .pid = 7,
			     .monitor = 6,
			     .exit_code = 137,
			     .oom_killed = true,
			     .stopped_by_user = true,
			     .restarts = 3,
			     .started_ns = 1700000000123456789,
			     .finished_ns = 1700000001123456789,
			     .health = UNHEALTHY,
			     .error = "no such thing: it is gone" };
	struct status out;
	int held = -EBADF;

	assert_int_equal(status_write(s->fd, &in, &held), 0);
	fd_close(held);
	assert_int_equal(status_read(s->fd, &out), 0);
	assert_int_equal(out.state, STATUS_RESTARTING);
	assert_int_equal(out.pid, 7);
	assert_int_equal(out.monitor, 6);
	assert_int_equal(out.exit_code, 137);
	assert_true(out.oom_killed);
	assert_true(out.stopped_by_user);
	assert_int_equal(out.restarts, 3);
	assert_true(out.started_ns == in.started_ns && out.finished_ns == in.finished_ns);
	assert_int_equal(out.health, UNHEALTHY);
	assert_string_equal(out.error, in.error);
}

static void an_older_monitor_says_nothing_of_health(void **state)
{
	static const char text[] = "running 1 2 3 0 0 0 0 0\nwhy\n";
	struct status out = { .health = HEALTHY };

	(void)state;
	assert_int_equal(status_parse(text, sizeof(text) - 1, &out), 0);
	assert_int_equal(out.health, HEALTH_NONE);
	assert_string_equal(out.error, "why");
}

/* Anything else that has, or will have, the number is none to enter. */
static void only_a_child_that_its_monitor_calls_running_is_the_first_process(void **state)
{
	struct scratch *s = *state;
	struct status status = { .state = STATUS_RUNNING, .monitor = getpid() };
	int held = -EBADF;

	status.pid = fork();
	if (status.pid == 0) {
		(void)pause();
		_exit(0);
	}
	assert_int_equal(status_write(s->fd, &status, &held), 0);
	assert_false(status_is_first(s->fd, status.pid)); /* no monitor lives */
	AUTO(fd_close_p) int monitor = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(status_lock(monitor), 0);
	assert_true(status_is_first(s->fd, status.pid));
	assert_false(status_is_first(s->fd, getpid()));
	assert_false(status_is_first(s->fd, 0));
	status.state = STATUS_STARTING;
	assert_int_equal(status_write(s->fd, &status, &held), 0);
	assert_false(status_is_first(s->fd, status.pid));
	status.state = STATUS_RUNNING;
	status.monitor = getppid();
	assert_int_equal(status_write(s->fd, &status, &held), 0);
	assert_false(status_is_first(s->fd, status.pid)); /* of somebody else's */
	assert_int_equal(kill(status.pid, SIGKILL), 0);
	assert_int_equal(waitpid(status.pid, NULL, 0), status.pid);
	fd_close(held);
}

static void nonsense_is_refused(void **state)
{
	static const char *const texts[] = { "",
					     "running",
					     "running 1 2 3 0 0 0 0 0",
					     "walking 1 2 3 0 0 0 0 0\n\n",
					     "running 1 2 3 0 0 0 0\n\n",
					     "running 1 2 3 0 0 0 0 0 extra\n\n",
					     "running 1 2 3 0 0 0 0 0 4\n\n",
					     "running 1 2 3 0 0 0 0 0 1 1\n\n",
					     "run 1 2 3 0 0 0 0 0\n\n",
					     "running  1 2 3 0 0 0 0 0\n\n",
					     "running 1 - 3 0 0 0 0 0\n\n",
					     "running 1 -2 3 0 0 0 0 0\n\n",
					     "running 1 2 3 0 2 0 0 0\n\n",
					     "running 4294967297 2 3 0 0 0 0 0\n\n",
					     "running 1 2 3 0 0 0 99999999999999999999 0\n\n" };
	struct status out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(status_parse(texts[i], strlen(texts[i]), &out), -EBADMSG);
}

static void a_missing_file_is_said(void **state)
{
	struct scratch *s = *state;
	struct status out;

	assert_int_equal(status_read(s->fd, &out), -ENOENT);
}

static void only_a_held_lock_is_alive(void **state)
{
	struct scratch *s = *state;
	int mine = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(mine >= 0);
	assert_int_equal(status_alive(s->fd), 0);
	assert_int_equal(status_lock(mine), 0);
	assert_int_equal(status_alive(s->fd), 1);
	assert_int_equal(status_lock(s->fd), -EWOULDBLOCK);
	fd_close(mine);
	assert_int_equal(status_alive(s->fd), 0);
}

static void a_peek_sees_living_monitors_only(void **state)
{
	struct scratch *s = *state;
	const struct status in = { .state = STATUS_RUNNING, .pid = 7, .monitor = 6 };
	const struct status later = { .state = STATUS_RUNNING, .pid = 8, .monitor = 6 };
	struct status out = { 0 };
	int held = -EBADF;

	assert_int_equal(status_peek(s->fd, "status", &out), 0);
	assert_int_equal(status_write(s->fd, &in, &held), 0);
	assert_int_equal(status_peek(s->fd, "status", &out), 1);
	assert_int_equal(out.pid, 7);
	AUTO(fd_close_p) int old = openat(s->fd, "status", O_RDONLY | O_CLOEXEC);
	assert_int_equal(status_write(s->fd, &later, &held), 0);
	assert_int_equal(status_peek(s->fd, "status", &out), 1);
	assert_int_equal(out.pid, 8);
	assert_int_equal(flock(old, LOCK_SH | LOCK_NB),
			 0); /* of words that were replaced none is held */
	status_unlock(s->fd, &held);
	assert_int_equal(held, -EBADF);
	assert_int_equal(status_peek(s->fd, "status", &out), 0);
	assert_int_equal(status_read(s->fd, &out), 0);
}

/* A start that met somebody's look at the lock was refused: "is running already". */
static void a_look_is_not_another_monitor(void **state)
{
	struct scratch *s = *state;
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t looker = fork();
	if (looker == 0) {
		int fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		bool held = fd >= 0 && flock(fd, LOCK_SH) == 0 && write(ready[1], "", 1) == 1;
		(void)poll(NULL, 0, 20); /* long enough for the lock below to meet it */
		_exit(held ? 0 : 1);
	}
	assert_true(looker > 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(status_lock(s->fd), 0);
	int status = -1;
	assert_int_equal(waitpid(looker, &status, 0), looker);
	assert_int_equal(status, 0);
	fd_close(ready[0]);
	fd_close(ready[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(only_a_child_that_its_monitor_calls_running_is_the_first_process),
		SCRATCH_TEST(what_is_written_is_read),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(an_older_monitor_says_nothing_of_health),
		SCRATCH_TEST(a_missing_file_is_said),
		SCRATCH_TEST(only_a_held_lock_is_alive),
		SCRATCH_TEST(a_peek_sees_living_monitors_only),
		SCRATCH_TEST(a_look_is_not_another_monitor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
