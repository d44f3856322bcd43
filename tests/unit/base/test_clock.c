/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <string.h>

#include "base/os/clock.h"

static void clocks_go_forward(void **state)
{
	(void)state;
	int64_t a = clock_mono_ns();
	int64_t b = clock_mono_ns();
	assert_true(b >= a && a > 0);
	assert_true(clock_real_ns() > 1700000000 * NS_PER_S);
}

static void dates_are_rfc3339(void **state)
{
	char text[36];

	(void)state;
	clock_rfc3339(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000000000Z");
	clock_rfc3339(1700000000123456789, text);
	assert_string_equal(text, "2023-11-14T22:13:20.123456789Z");
	clock_rfc3339(-1, text);
	assert_string_equal(text, "1969-12-31T23:59:59.999999999Z");
	clock_rfc3339(INT64_MIN, text);
	assert_string_equal(text, "1677-09-21T00:12:43.145224192Z");
	clock_rfc3339(INT64_MAX, text);
	assert_string_equal(text, "2262-04-11T23:47:16.854775807Z");
}

static void ago_is_in_the_largest_unit(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {
		{ 60, "1 minute ago" },		{ 119, "1 minute ago" },
		{ 7200, "2 hours ago" },	{ 3 * 86400, "3 days ago" },
		{ 800 * 86400, "2 years ago" },
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		clock_ago(clock_real_ns() - cases[i].seconds * NS_PER_S, text);
		assert_string_equal(text, cases[i].text);
	}
	clock_ago(clock_real_ns() - 5 * NS_PER_S, text);
	assert_non_null(strstr(text, " seconds ago"));
	clock_ago(clock_real_ns() + 50 * NS_PER_S, text);
	assert_string_equal(text, "0 seconds ago");
	clock_ago(INT64_MIN, text); /* no overflow: UBSan watches */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks_go_forward),
		cmocka_unit_test(dates_are_rfc3339),
		cmocka_unit_test(ago_is_in_the_largest_unit),
	};

	return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
