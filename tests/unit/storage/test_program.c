/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "scratch.h"
#include "storage/program.h"

#define RUN(dir, text, ...) program_run((const char *const[]){ __VA_ARGS__, NULL }, dir, text, NULL)

static void words_and_status_come_back(void **state)
{
	AUTO(buf_fini) struct buf text = { 0 };

	(void)state;
	assert_int_equal(RUN(NULL, &text, "sh", "-c", "echo out; echo err >&2; exit 7"), 7);
	assert_string_equal(buf_str(&text), "out\nerr\n");
	assert_int_equal(RUN(NULL, &text, "sh", "-c", "kill -15 $$"), 128 + 15);
	assert_int_equal(RUN(NULL, &text, "no-such-program-at-all"), 127);
}

static void it_runs_in_the_directory_in_english_without_input(void **state)
{
	const struct scratch *scratch = *state;
	AUTO(buf_fini) struct buf text = { 0 };

	assert_int_equal(setenv("LC_ALL", "de_DE.UTF-8", 1), 0);
	assert_int_equal(RUN(scratch->path, &text, "sh", "-c", "pwd -P; echo $LC_ALL; cat"), 0);
	assert_non_null(strstr(buf_str(&text), scratch->path));
	assert_non_null(strstr(buf_str(&text), "\nC\n"));
	assert_int_equal(RUN("/nowhere", &text, "true"), 125);
}

static void the_last_line_with_words_is_told(void **state)
{
	static const struct {
		const char *text, *line;
	} cases[] = {
		{ "", "failed without a word" },
		{ "\n \r\n", "failed without a word" },
		{ "one", "one" },
		{ "one\ntwo\n\n", "two" },
		{ "W: x\r\nE: y \r\n", "E: y" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(buf_fini) struct buf text = { 0 };
		assert_int_equal(buf_adds(&text, cases[i].text), 0);
		assert_string_equal(program_last_line(&text), cases[i].line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_and_status_come_back),
		SCRATCH_TEST(it_runs_in_the_directory_in_english_without_input),
		cmocka_unit_test(the_last_line_with_words_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
