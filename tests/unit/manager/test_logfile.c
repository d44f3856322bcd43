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

static void a_chunk_of_many_lines_is_split_between_files(void **state)
{
	enum {
		MAX = 1000,
		FIRST = 1000,
		LAST = 3999
	}; /* numbers of four digits: lines of one length */
	struct scratch *s = *state;
	struct logfile log;
	struct stat st;
	char line[256];

	AUTO(buf_fini) struct buf chunk = { 0 };
	for (unsigned i = FIRST; i <= LAST; i++)
		assert_int_equal(buf_printf(&chunk, "line %u\n", i), 0);
	logfile_init(&log, s->fd, MAX, 3);
	assert_int_equal(logfile_add(&log, false, chunk.data, chunk.len), 0);
	logfile_fini(&log);
	static const char *const names[] = { "log", "log.1", "log.2" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(fstatat(s->fd, names[i], &st, 0), 0);
		assert_true(st.st_size > 0 && st.st_size <= MAX);
	}
	/* 30 bytes of time, 10 of marks, "line 3999" and a newline: twenty in each file, and none is lost between them */
	line_of(s->fd, "log", 19, line);
	assert_string_equal(line + 40, "line 3999");
	line_of(s->fd, "log.1", 0, line);
	assert_string_equal(line + 40, "line 3960");
}

static void an_entry_longer_than_the_bound_is_alone_in_its_file(void **state)
{
	struct scratch *s = *state;
	struct logfile log;
	struct stat st;
	char text[300];

	memset(text, 'x', sizeof(text));
	logfile_init(&log, s->fd, 100, 3);
	assert_int_equal(logfile_add(&log, false, "first\n", 6), 0);
	assert_int_equal(logfile_add(&log, false, text, sizeof(text)), 0);
	assert_int_equal(logfile_add(&log, false, "\nlast\n", 6), 0);
	logfile_fini(&log);
	assert_int_equal(fstatat(s->fd, "log", &st, 0), 0);
	assert_int_equal(st.st_size, 2 * 41 + 4);
	assert_int_equal(fstatat(s->fd, "log.1", &st, 0), 0);
	assert_int_equal(st.st_size, 41 + (int)sizeof(text));
	assert_int_equal(fstatat(s->fd, "log.2", &st, 0), 0);
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
		SCRATCH_TEST(a_chunk_of_many_lines_is_split_between_files),
		SCRATCH_TEST(an_entry_longer_than_the_bound_is_alone_in_its_file),
		SCRATCH_TEST(a_log_that_is_a_link_is_not_followed),
		cmocka_unit_test(broken_lines_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
