/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "selftest/judge.h"

static const struct judge_feature features[] = { { 0, "paging" },
						 { 3, "next RIP" },
						 { 63, "last" } };

static void test_features(void **state)
{
	char text[64];

	(void)state;
	assert_int_equal(judge_features(9, features, 3, true, text, sizeof(text)), 2);
	assert_string_equal(text, "paging, next RIP");
	assert_int_equal(judge_features(9, features, 3, false, text, sizeof(text)), 1);
	assert_string_equal(text, "last");
	assert_int_equal(judge_features(0, features, 3, true, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(judge_features(UINT64_MAX, features, 3, true, text, 9), 3);
	assert_string_equal(text, "paging, ");
	assert_int_equal(judge_features(UINT64_MAX, features, 3, true, text, 0), 3);
}

struct said {
	unsigned n[3];
	char last[128];
};

static void hear(void *arg, enum judge_line kind, const char *line, size_t len)
{
	struct said *said = arg;

	said->n[kind]++;
	(void)snprintf(said->last, sizeof(said->last), "%.*s", (int)len, line);
}

static void read_text(const char *text, struct judge_output *output, struct said *said)
{
	*said = (struct said){ .last = "" };
	judge_output(text, strlen(text), output, hear, said);
}

static void test_output(void **state)
{
	struct judge_output output;
	struct said said;

	(void)state;
	read_text(
		"ok one\r\nskip two: none\ncpuid: 1234 ticks\nok cpuid\nend: 2 passed, 0 failed\nok late\n",
		&output, &said);
	assert_true(output.has_end);
	assert_int_equal(output.passed, 2);
	assert_int_equal(output.failed, 0);
	assert_int_equal(output.skipped, 1);
	assert_int_equal(said.n[JUDGE_SKIP], 1);
	assert_int_equal(said.n[JUDGE_COST], 1);
	assert_string_equal(said.last, "cpuid: 1234 ticks");
}

static void test_output_without_end(void **state)
{
	struct judge_output output;
	struct said said;

	(void)state;
	read_text("ok one\nFAIL two: got 0x1, not 0x2\nok thr", &output, &said);
	assert_false(output.has_end);
	assert_int_equal(output.passed, 2);
	assert_int_equal(output.failed, 1);
	assert_string_equal(said.last, "two: got 0x1, not 0x2");
	read_text("", &output, &said);
	assert_int_equal(output.passed + output.failed + output.skipped, 0);
}

/* A guest that was taken over by something else may print anything. */
static void test_output_hostile(void **state)
{
	static const char *const texts[] = {
		"end: passed, failed",	    "end: 1 passed, 0 failed!",
		"end: 1 passed, -1 failed", "end: 99999999999999999999 passed, 0 failed",
		"end: 1 passed,  0 failed", "end: 1 passed, 0 faile",
	};
	struct judge_output output;
	struct said said;
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		read_text(texts[i], &output, &said);
		assert_false(output.has_end);
	}
	memset(text, '\x1b', sizeof(text));
	memcpy(text, "FAIL ", 5);
	judge_output(text, sizeof(text), &output, hear, &said);
	assert_int_equal(strlen(said.last), 100);
	assert_null(strchr(said.last, '\x1b'));
	judge_output("ok a\nok b", 6, &output, NULL, NULL); /* no byte behind it */
	assert_int_equal(output.passed, 1);
}

static void test_offset_takes_the_shortest_look(void **state)
{
	struct judge_offset offset = { 0 };

	(void)state;
	assert_false(judge_offset_is_good(&offset, 1000000000));
	judge_offset_add(&offset, 1000, 5000, 9000);
	assert_int_equal(offset.ticks, 0);
	assert_int_equal(offset.error, 4000);
	judge_offset_add(&offset, 10000, 10150, 10100);
	assert_int_equal(offset.ticks, 100);
	assert_int_equal(offset.error, 50);
	judge_offset_add(&offset, 20000, 29000, 30000); /* longer: says less */
	assert_int_equal(offset.ticks, 100);
	judge_offset_add(&offset, 2000, 1000, 1000); /* time went backward: says nothing */
	assert_int_equal(offset.ticks, 100);
	assert_int_equal(offset.n, 3);
}

static void test_offset_is_good_within_a_microsecond(void **state)
{
	const struct judge_offset good = { .ticks = -1050, .error = 50, .n = 1 },
				  bad = { .ticks = 1051, .error = 50, .n = 1 },
				  vague = { .ticks = 4000, .error = 5000, .n = 1 },
				  far = { .ticks = INT64_MIN, .error = 1, .n = 1 };

	(void)state;
	assert_true(judge_offset_is_good(&good, 1000000000));
	assert_false(judge_offset_is_good(&bad, 1000000000));
	assert_true(judge_offset_is_good(&vague, 1000000000));
	assert_false(judge_offset_is_good(&far, 1000000000));
}

static void test_rates(void **state)
{
	(void)state;
	assert_true(judge_rates_agree(2000000, 2010000));
	assert_true(judge_rates_agree(2000000, 1990000));
	assert_false(judge_rates_agree(2000000, 2010001));
	assert_false(judge_rates_agree(0, 0));
	assert_false(judge_rates_agree(1000, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_output_without_end),
		cmocka_unit_test(test_output_hostile),
		cmocka_unit_test(test_offset_takes_the_shortest_look),
		cmocka_unit_test(test_offset_is_good_within_a_microsecond),
		cmocka_unit_test(test_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
