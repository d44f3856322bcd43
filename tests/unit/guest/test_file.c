/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "scratch.h"

#include "file.h"

static const char *path_in(const struct scratch *scratch, const char *name, char ret[128])
{
	(void)snprintf(ret, 128, "%s/%s", scratch->path, name);
	return ret;
}

static void numbers_are_found_by_their_key(void **state)
{
	static const char text[] =
		"usage_usec 12\nuser 3\nMemTotal:     77 kB\noom 1\noom_kill 2\n";
	char path[128];

	path_in(*state, "f", path);
	assert_int_equal(file_put(path, text, strlen(text), 0600), 0);
	assert_int_equal(file_number(path, "usage_usec"), 12);
	assert_int_equal(file_number(path, "MemTotal"), 77);
	assert_int_equal(file_number(path, "oom_kill"), 2);
	assert_int_equal(file_number(path, "oom"), 1);
	assert_int_equal(file_number(path, "use"), 0);
	assert_int_equal(file_number("/nonexistent", "use"), 0);
	assert_int_equal(file_put(path, "4096\n", 5, 0600), 0);
	assert_int_equal(file_number(path, ""), 4096);
}

static void a_line_is_cut_to_its_place(void **state)
{
	char path[128], line[4];

	path_in(*state, "f", path);
	assert_int_equal(file_put(path, "ab\ncd\n", 6, 0600), 0);
	assert_int_equal(file_line(path, line, sizeof(line)), 2);
	assert_string_equal(line, "ab");
	assert_int_equal(file_put(path, "abcdef", 6, 0600), 0);
	assert_int_equal(file_line(path, line, sizeof(line)), 3);
	assert_string_equal(line, "abc");
	assert_int_equal(file_line("/nonexistent", line, sizeof(line)), -ENOENT);
	assert_int_equal(file_put_text("/nonexistent", "x"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(numbers_are_found_by_their_key),
		SCRATCH_TEST(a_line_is_cut_to_its_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
