/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/log.h"

/* What fn writes to standard error. */
static void caught(const struct scratch *s, void (*fn)(void), struct buf *ret)
{
	AUTO(fd_close_p) int keep = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	AUTO(fd_close_p)
	int file = openat(s->fd, "err", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(dup2(file, STDERR_FILENO) >= 0);
	fn();
	(void)fflush(stderr);
	assert_true(dup2(keep, STDERR_FILENO) >= 0);
	assert_int_equal(file_read(s->fd, "err", 10000, ret), 0);
}

static void say(void)
{
	struct err err = { 0 };

	(void)err_say(&err, 5, "broken %s", "thing");
	log_debug("hidden %d", 1);
	log_warn("odd %d", 2);
	log_error(&err);
}

static void lines_name_their_level(void **state)
{
	AUTO(buf_fini) struct buf out = { 0 };

	caught(*state, say, &out);
	assert_string_equal(buf_str(&out), "warning: odd 2\nerror: broken thing\n");
}

static void say_debug(void)
{
	log_debug_enable();
	log_debug("shown %d", 1);
}

static void debug_is_off_until_enabled(void **state)
{
	AUTO(buf_fini) struct buf out = { 0 };

	caught(*state, say_debug, &out);
	assert_string_equal(buf_str(&out), "debug: shown 1\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRATCH_TEST(lines_name_their_level),
		SCRATCH_TEST(debug_is_off_until_enabled),
	};

	return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
