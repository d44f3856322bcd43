/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
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
			     .error = "no such thing: it is gone" };
	struct status out;

	assert_int_equal(status_write(s->fd, &in), 0);
	assert_int_equal(status_read(s->fd, &out), 0);
	assert_int_equal(out.state, STATUS_RESTARTING);
	assert_int_equal(out.pid, 7);
	assert_int_equal(out.monitor, 6);
	assert_int_equal(out.exit_code, 137);
	assert_true(out.oom_killed);
	assert_true(out.stopped_by_user);
	assert_int_equal(out.restarts, 3);
	assert_true(out.started_ns == in.started_ns && out.finished_ns == in.finished_ns);
	assert_string_equal(out.error, in.error);
}

static void nonsense_is_refused(void **state)
{
	static const char *const texts[] = { "",
					     "running",
					     "running 1 2 3 0 0 0 0 0",
					     "walking 1 2 3 0 0 0 0 0\n\n",
					     "running 1 2 3 0 0 0 0\n\n",
					     "running 1 2 3 0 0 0 0 0 extra\n\n" };
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(what_is_written_is_read),
		cmocka_unit_test(nonsense_is_refused),
		SCRATCH_TEST(a_missing_file_is_said),
		SCRATCH_TEST(only_a_held_lock_is_alive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
