/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/file.h"
#include "manager/logfile.h"

/* Line n of the file, without its newline, in a buffer the caller gives. */
static void line_of(int dir, const char *name, unsigned n, char ret[256])
{
	AUTO(buf_fini) struct buf text = { 0 };

	assert_int_equal(file_read(dir, name, 1 << 20, &text), 0);
	const char *p = buf_str(&text);
	while (n--) {
		p = strchr(p, '\n');
		assert_non_null(p);
		p++;
	}
	size_t len = strcspn(p, "\n");
	assert_true(len < 256);
	memcpy(ret, p, len);
	ret[len] = '\0';
}

static void lines_and_parts_of_lines_come_back(void **state)
{
	struct scratch *s = *state;
	struct logfile log;
	struct logline l;
	char line[256];

	logfile_init(&log, s->fd, 0, 1);
	assert_int_equal(logfile_add(&log, false, "one\ntw", 6), 0);
	assert_int_equal(logfile_add(&log, true, "o\n", 2), 0);
	logfile_fini(&log);

	line_of(s->fd, "log", 0, line);
	assert_int_equal(logline_parse(line, strlen(line), &l), 0);
	assert_false(l.is_stderr);
	assert_false(l.partial);
	assert_int_equal(l.len, 3);
	assert_memory_equal(l.text, "one", 3);
	line_of(s->fd, "log", 1, line);
	assert_int_equal(logline_parse(line, strlen(line), &l), 0);
	assert_true(l.partial);
	assert_memory_equal(l.text, "tw", 2);
	line_of(s->fd, "log", 2, line);
	assert_int_equal(logline_parse(line, strlen(line), &l), 0);
	assert_true(l.is_stderr);
	assert_false(l.partial);
}

static void a_full_file_is_rotated_and_the_oldest_dropped(void **state)
{
	struct scratch *s = *state;
	struct logfile log;
	struct stat st;
	char line[256];

	logfile_init(&log, s->fd, 100, 3);
	for (unsigned i = 0; i < 5; i++) {
		char text[80];
		memset(text, 'a' + (int)i, sizeof(text));
		text[sizeof(text) - 1] = '\n';
		assert_int_equal(logfile_add(&log, false, text, sizeof(text)), 0);
	}
	logfile_fini(&log);
	line_of(s->fd, "log", 0, line);
	assert_int_equal(line[strlen(line) - 1], 'e');
	line_of(s->fd, "log.2", 0, line);
	assert_int_equal(line[strlen(line) - 1], 'c');
	assert_int_equal(fstatat(s->fd, "log.3", &st, 0), -1);
}

static void a_log_that_is_a_link_is_not_followed(void **state)
{
	struct scratch *s = *state;
	struct logfile log;

	assert_int_equal(symlinkat("/tmp/strata-unit-must-not-exist", s->fd, "log"), 0);
	logfile_init(&log, s->fd, 0, 1);
	assert_int_equal(logfile_add(&log, false, "x\n", 2), -ELOOP);
	logfile_fini(&log);
	assert_int_equal(access("/tmp/strata-unit-must-not-exist", F_OK), -1);
}

static void broken_lines_are_refused(void **state)
{
	static const char *const lines[] = {
		"",
		"2026-11-23T10:20:30.123456789Z",
		"2026-11-23T10:20:30.123456789Z stdout",
		"2026-11-23T10:20:30.123456789Z stdin  F x",
		"2026-11-23T10:20:30.123456789Z stdout X x",
		"2026-11-23 10:20:30.123456789Z stdout F x",
		"yesterday stdout F x",
	};
	struct logline l;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(logline_parse(lines[i], strlen(lines[i]), &l), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(lines_and_parts_of_lines_come_back),
		SCRATCH_TEST(a_full_file_is_rotated_and_the_oldest_dropped),
		SCRATCH_TEST(a_log_that_is_a_link_is_not_followed),
		cmocka_unit_test(broken_lines_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
