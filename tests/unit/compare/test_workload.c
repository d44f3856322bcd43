/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/workload.h"

static struct workload_numbers said(const char *text)
{
	struct workload_numbers numbers;

	assert_int_equal(workload_parse(text, strlen(text), NULL, &numbers), 0);
	return numbers;
}

static int parsed(const char *pattern, const char *text, double *ret)
{
	struct workload_numbers numbers;
	struct err err = { 0 };
	regex_t regex;

	assert_int_equal(workload_regex(pattern, &regex, &err), 0);
	int r = workload_parse(text, strlen(text), &regex, &numbers);
	regfree(&regex);
	if (r == 0)
		*ret = workload_find(&numbers, "parsed")->value;
	return r;
}

static void numbers_of_the_last_lines_object_are_taken(void **state)
{
	struct workload_numbers n = said(
		"{\"first\": 1}\nwords\n{\"rate\": 12.5, \"n\": 3, \"name\": \"x\", \"ok\": true}\n\n");

	(void)state;
	assert_int_equal(n.n, 2);
	assert_true(workload_find(&n, "rate")->value > 12.49 &&
		    workload_find(&n, "rate")->value < 12.51);
	assert_non_null(workload_find(&n, "n"));
	assert_null(workload_find(&n, "first"));
}

static void other_last_lines_are_none_and_no_error(void **state)
{
	static const char *const texts[] = { "",
					     "\n\n",
					     "garbage",
					     "{",
					     "{\"a\": }",
					     "[1, 2]",
					     "{\"a\": 1} x",
					     "{\"a\": 1}\nlast words",
					     "{\"a\": 1e999}" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(said(texts[i]).n, 0);
}

static void names_become_ids_and_are_cut(void **state)
{
	struct workload_numbers n = said("{\"re q/s\": 1, \"re_q/s\": 2, \"\": 3}");
	char text[400] = "{\"";

	(void)state;
	assert_int_equal(n.n, 1);
	assert_string_equal(n.list[0].name, "re_q_s");
	memset(text + 2, 'a', 300);
	strncat(text, "\": 1}", 8);
	n = said(text);
	assert_int_equal(strlen(n.list[0].name), WORKLOAD_NAME);
}

static void more_numbers_than_there_is_room_for_are_left_out(void **state)
{
	char text[4096] = "{\"x\": 0";

	(void)state;
	for (int i = 0; i < 100; i++) {
		char one[32];
		(void)snprintf(one, sizeof(one), ", \"n%d\": %d", i, i);
		strncat(text, one, sizeof(text) - strlen(text) - 2);
	}
	strncat(text, "}", 2);
	assert_int_equal(said(text).n, WORKLOAD_NUMBERS);
}

static void the_last_match_counts(void **state)
{
	double value = 0;

	(void)state;
	assert_int_equal(parsed("([0-9.]+) req", "10 req\n20 req\n30.5 req/s\n", &value), 0);
	assert_true(fabs(value - 30.5) < 1e-9);
	assert_int_equal(parsed("^total: (.*)$", "total: 1\ntotal: 2\nrest", &value), 0);
	assert_true(fabs(value - 2) < 1e-9);
	assert_int_equal(parsed("x*([0-9]*)", "a1b", &value), 0); /* matches nothing, too */
	assert_true(fabs(value - 1) < 1e-9);
}

static void a_group_that_is_no_number_is_none(void **state)
{
	static const char *const texts[] = { "v=",    "v=nan",	 "v=inf", "v=1.2.3",
					     "v=12x", "nothing", "" };
	double value = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(parsed("v=(.*)", texts[i], &value), -ENODATA);
}

static void an_expression_without_a_group_is_refused(void **state)
{
	struct err err = { 0 };
	regex_t regex;

	(void)state;
	assert_int_equal(workload_regex("[0-9]+", &regex, &err), -EINVAL);
	assert_non_null(strstr(err.text, "group"));
	assert_int_equal(workload_regex("([0-9", &regex, &err), -EINVAL);
	assert_non_null(strstr(err.text, "--parse"));
}

static void only_the_end_of_long_output_is_looked_at(void **state)
{
	const size_t n = 200000;
	char *text = malloc(n + 1);
	double value = 0;

	(void)state;
	assert_non_null(text);
	memset(text, ' ', n);
	memcpy(text, "v=1", 3);
	memcpy(text + n - 4, "v=2", 3);
	text[n] = '\0';
	assert_int_equal(parsed("v=([0-9])", text, &value), 0);
	assert_true(fabs(value - 2) < 1e-9);
	memcpy(text + n - 4, "   ", 3);
	assert_int_equal(parsed("v=([0-9])", text, &value), -ENODATA);
	free(text);
}

/* They were put among the samples of the metric that strata takes itself. */
static void a_number_called_as_one_of_ours_is_kept_apart(void **state)
{
	struct workload_numbers n = said(
		"{\"time\": 1, \"cpu\": 2, \"memory\": 3, \"status\": 4, \"parsed\": 5, \"timed\": 6}");

	(void)state;
	assert_int_equal(n.n, 6);
	assert_null(workload_find(&n, "time"));
	assert_non_null(workload_find(&n, "own-time"));
	assert_null(workload_find(&n, "status"));
	assert_non_null(workload_find(&n, "own-status"));
	assert_non_null(workload_find(&n, "timed"));
}

static void json_called_parsed_took_the_place_of_what_parse_found(void **state)
{
	double value = 0;

	(void)state;
	assert_int_equal(parsed("([0-9]+) ops", "42 ops\n{\"parsed\": 4}\n", &value), 0);
	assert_true(fabs(value - 42) < 1e-9);
	assert_int_equal(parsed("([0-9]+) ops", "{\"parsed\": 4}\n", &value), -ENODATA);
}

static void output_behind_a_nul_was_not_looked_at(void **state)
{
	static const char text[] = "1 ops\n\0\0junk\n42 ops\n\0";
	struct workload_numbers numbers;
	struct err err = { 0 };
	regex_t regex;

	(void)state;
	assert_int_equal(workload_regex("([0-9]+) ops", &regex, &err), 0);
	assert_int_equal(workload_parse(text, sizeof(text) - 1, &regex, &numbers), 0);
	regfree(&regex);
	assert_true(fabs(workload_find(&numbers, "parsed")->value - 42) < 1e-9);
}

static void a_line_behind_an_empty_match_had_no_beginning(void **state)
{
	double value = 0;

	(void)state;
	assert_int_equal(parsed("^([0-9]*)$", "\n\n5\n", &value), 0);
	assert_true(fabs(value - 5) < 1e-9);
}

static void an_expression_that_never_ends_hung_the_comparison(void **state)
{
	const size_t n = 60000;
	char *text = malloc(n + 1);
	double value = 0;

	(void)state;
	assert_non_null(text);
	memset(text, 'a', n);
	text[n] = '\0';
	/* Out of memory or out of time: whichever comes first. */
	assert_true(parsed("(.*)*\\1x$", text, &value) < 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_the_last_lines_object_are_taken),
		cmocka_unit_test(other_last_lines_are_none_and_no_error),
		cmocka_unit_test(names_become_ids_and_are_cut),
		cmocka_unit_test(more_numbers_than_there_is_room_for_are_left_out),
		cmocka_unit_test(the_last_match_counts),
		cmocka_unit_test(a_group_that_is_no_number_is_none),
		cmocka_unit_test(an_expression_without_a_group_is_refused),
		cmocka_unit_test(only_the_end_of_long_output_is_looked_at),
		cmocka_unit_test(a_number_called_as_one_of_ours_is_kept_apart),
		cmocka_unit_test(json_called_parsed_took_the_place_of_what_parse_found),
		cmocka_unit_test(output_behind_a_nul_was_not_looked_at),
		cmocka_unit_test(a_line_behind_an_empty_match_had_no_beginning),
		cmocka_unit_test(an_expression_that_never_ends_hung_the_comparison),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
