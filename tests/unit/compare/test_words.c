/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <math.h>
#include <string.h>

#include "base/core/macros.h"
#include "compare/view.h"

static void a_figure_has_three_digits(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ -0.0, "0" },
		{ 1, "1" },
		{ 12, "12" },
		{ 1.2345, "1.23" },
		{ 9.996, "10.0" },
		{ 12.345, "12.3" },
		{ 99.96, "100" },
		{ 123.45, "123" },
		{ 81234.4, "81234" },
		{ 99999.6, "100k" },
		{ 123456, "123k" },
		{ 1234567, "1.23M" },
		{ 999600, "1.00M" },
		{ 4.5e9, "4.50G" },
		{ 1e12, "1T" },
		{ 1e15, "1.00e+15" },
		{ 0.5, "0.500" },
		{ 0.0856, "0.0856" },
		{ 0.00123, "0.00123" },
		{ 0.000123, "0.000123" },
		{ 0.00001, "1.00e-05" },
		{ -12.345, "-12.3" },
		{ -1234567, "-1.23M" },
		{ NAN, "–" },
		{ INFINITY, "–" },
		{ 1e150, "1.00e+150" },
		{ -1e-150, "-1.00e-150" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[FIGURE_TEXT];
		figure_text(cases[i].value, text);
		if (strcmp(text, cases[i].text) != 0)
			fail_msg("%g: %s, not %s", cases[i].value, text, cases[i].text);
	}
}

static void a_ratio_of_one_shows_its_digits(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{ 1, "1.00×" },	   { 0.9996, "1.00×" }, { 2, "2.00×" }, { 0, "0×" },
		{ 12.5, "12.5×" }, { 593.2, "593×" },	{ NAN, "" },	{ 0.0178, "0.0178×" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[FIGURE_TEXT];
		ratio_text(cases[i].value, text);
		if (strcmp(text, cases[i].text) != 0)
			fail_msg("%g: %s, not %s", cases[i].value, text, cases[i].text);
	}
}

static void a_change_says_which_way_the_figure_went(void **state)
{
	struct figure f = { .s = { .n = 5, .median = 13 }, .was = 10, .change = 30 };
	char text[FIGURE_TEXT];

	(void)state;
	change_text(&f, text);
	assert_string_equal(text, "+30 %");
	f = (struct figure){ .s = { .n = 5, .median = 7 }, .was = 10, .change = 30 };
	change_text(&f, text);
	assert_string_equal(text, "−30 %");
	f.change = 2.34;
	change_text(&f, text);
	assert_string_equal(text, "−2.3 %");
	f.change = INFINITY;
	change_text(&f, text);
	assert_string_equal(text, "from 0");
}

static void a_group_that_is_not_known_goes_by_its_own_word(void **state)
{
	char name[GROUP_NAME];

	(void)state;
	assert_string_equal(group_name("life.start", name), "Life cycle");
	assert_string_equal(group_name("life", name), "Life cycle");
	assert_string_equal(group_name("lifelong.x", name), "lifelong");
	assert_string_equal(group_name(".x", name), "");
	/* 30 bytes and a character of two: not half of it */
	assert_string_equal(group_name("aaaaaaaaaabbbbbbbbbbccccccccccµµ.x", name),
			    "aaaaaaaaaabbbbbbbbbbcccccccccc");
	assert_true(group_same("life.start", "life.stop"));
	assert_true(group_same("x", "x"));
	assert_false(group_same("life.start", "lif.start"));
	assert_true(group_is("life.start", "life"));
	assert_false(group_is("life.start", "lif"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_figure_has_three_digits),
		cmocka_unit_test(a_ratio_of_one_shows_its_digits),
		cmocka_unit_test(a_change_says_which_way_the_figure_went),
		cmocka_unit_test(a_group_that_is_not_known_goes_by_its_own_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
