/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <math.h>

#include "compare/html.h"

static void near(double a, double b)
{
	assert_true(fabs(a - b) <= 1e-9 * fmax(1, fabs(b)));
}

static void a_logarithmic_axis_ends_at_round_numbers(void **state)
{
	struct axis axis = axis_empty(true);

	(void)state;
	axis_grow(&axis, 0.7);
	axis_grow(&axis, 2598);
	axis_grow(&axis, 0); /* no place on it */
	axis_grow(&axis, -1);
	axis_grow(&axis, NAN);
	axis_grow(&axis, INFINITY);
	axis_round(&axis);
	near(axis.low, 0.5);
	near(axis.high, 5000);
	near(axis_at(&axis, 0.5), 0);
	near(axis_at(&axis, 5000), 1);
	near(axis_at(&axis, 50), 0.5); /* in the middle of 4 decades */
	near(axis_at(&axis, 1e9), 1);
	near(axis_at(&axis, 0), 0);
	near(axis_at(&axis, -3), 0);
}

static void ends_that_are_round_stay(void **state)
{
	struct axis axis = { 1, 100, true };

	(void)state;
	axis_round(&axis);
	near(axis.low, 1);
	near(axis.high, 100);
}

static void a_single_value_still_makes_an_axis(void **state)
{
	struct axis log = axis_empty(true), linear = axis_empty(false), none = axis_empty(true);

	(void)state;
	axis_grow(&log, 5);
	axis_round(&log);
	assert_true(log.low <= 5 && log.high >= 5 && log.low < log.high);
	axis_grow(&linear, 0);
	axis_round(&linear);
	assert_true(linear.low <= 0 && linear.high > 0);
	axis_round(&none);
	assert_true(none.low < none.high);
}

static void ticks_are_decades_or_finer_and_never_too_many(void **state)
{
	double ticks[AXIS_TICKS];

	(void)state;
	assert_int_equal(axis_ticks(&(struct axis){ 0.5, 5000, true }, ticks), 4);
	near(ticks[0], 1);
	near(ticks[3], 1000);
	assert_int_equal(axis_ticks(&(struct axis){ 1, 20, true }, ticks), 5); /* 1 2 5 10 20 */
	near(ticks[2], 5);
	near(ticks[4], 20);
	assert_int_equal(axis_ticks(&(struct axis){ 0, 100, false }, ticks), 6); /* by 20 */
	near(ticks[1], 20);
	near(ticks[5], 100);
	for (double high = 1e-140; high < 1e150; high *= 1e7) {
		struct axis log = { 1e-145, high, true }, linear = { 0, high, false };
		axis_round(&log);
		axis_round(&linear);
		assert_in_range(axis_ticks(&log, ticks), 1, AXIS_TICKS);
		assert_in_range(axis_ticks(&linear, ticks), 2, AXIS_TICKS);
	}
}

static void a_linear_axis_of_the_largest_numbers_does_not_overflow(void **state)
{
	struct axis axis = axis_empty(false);

	(void)state;
	axis_grow(&axis, -RESULT_VALUE_MAX);
	axis_grow(&axis, RESULT_VALUE_MAX);
	axis_round(&axis);
	near(axis_at(&axis, 0), 0.5);
	near(axis_at(&axis, axis.high), 1);
}

static void a_tick_has_no_more_digits_than_it_needs(void **state)
{
	static const struct {
		double tick;
		const char *text;
	} cases[] = {
		{ 0.1, "0.1" }, { 0.05, "0.05" }, { 2.5, "2.5" },	{ 1, "1" },
		{ 20, "20" },	{ 1e5, "100k" },  { 1e-6, "1.00e-06" }, { 0, "0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[FIGURE_TEXT];
		axis_text(cases[i].tick, text);
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_logarithmic_axis_ends_at_round_numbers),
		cmocka_unit_test(ends_that_are_round_stay),
		cmocka_unit_test(a_single_value_still_makes_an_axis),
		cmocka_unit_test(ticks_are_decades_or_finer_and_never_too_many),
		cmocka_unit_test(a_tick_has_no_more_digits_than_it_needs),
		cmocka_unit_test(a_linear_axis_of_the_largest_numbers_does_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
