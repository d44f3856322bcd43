/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <math.h>
#include <stdlib.h>

#include "base/core/macros.h"
#include "compare/summary.h"

#define CELL(values)                                                                               \
	(struct result_cell)                                                                       \
	{                                                                                          \
		.samples = (values), .n = ARRAY_SIZE(values)                                       \
	}

static void near(double a, double b)
{
	assert_true(fabs(a - b) < 1e-9);
}

/* By hand, type 7: position (n - 1) * p. */
static void quartiles_lie_between_closest_ranks(void **state)
{
	double four[] = { 4, 1, 3, 2 };		/* 1 2 3 4: q1 at 0.75, median at 1.5, q3 at 2.25 */
	double five[] = { 10, 50, 20, 40, 30 }; /* q1 at 1, median at 2, q3 at 3 */
	double two[] = { 1, 2 };
	struct result_cell cell = CELL(four);
	struct summary s = summarise(&cell);

	(void)state;
	near(s.q1, 1.75);
	near(s.median, 2.5);
	near(s.q3, 3.25);
	near(s.min, 1);
	near(s.max, 4);
	near(s.mean, 2.5);
	near(s.cv, sqrt(5.0 / 3) / 2.5); /* squares 2.25+2.25+0.25+0.25 over 3 */
	near(four[0], 4);		 /* in the order they were taken */

	cell = CELL(five);
	s = summarise(&cell);
	near(s.q1, 20);
	near(s.median, 30);
	near(s.q3, 40);
	cell = CELL(two);
	s = summarise(&cell);
	near(s.q1, 1.25);
	near(s.q3, 1.75);
}

static void one_sample_is_all_its_quartiles_and_none_is_nothing(void **state)
{
	double one[] = { 7 };
	struct result_cell cell = CELL(one), none = { 0 };
	struct summary s = summarise(&cell);

	(void)state;
	near(s.q1, 7);
	near(s.median, 7);
	near(s.q3, 7);
	near(s.cv, 0);
	assert_false(s.noisy);
	assert_int_equal(summarise(&none).n, 0);
}

static void more_samples_than_the_stack_has_room_for(void **state)
{
	double many[1001];
	struct result_cell cell = CELL(many);

	(void)state;
	for (size_t i = 0; i < 1001; i++)
		many[i] = (double)(i * 8 % 1001); /* 8 and 1001 have no factor in common */
	struct summary s = summarise(&cell);
	near(s.q1, 250);
	near(s.median, 500);
	near(s.q3, 750);
	near(s.mean, 500);
}

static void noisy_begins_past_15_percent_of_the_median(void **state)
{
	double at[] = { 92.5, 92.5, 100, 107.5, 107.5 }; /* 15 % exactly */
	double past[] = { 92.4, 92.4, 100, 107.5, 107.5 };
	double below_zero[] = { -92.4, -92.4, -100, -107.5, -107.5 };
	double zero[] = { -1, -1, 0, 1, 1 };
	struct result_cell cell = CELL(at);

	(void)state;
	assert_false(summarise(&cell).noisy);
	cell = CELL(past);
	assert_true(summarise(&cell).noisy);
	cell = CELL(below_zero);
	assert_true(summarise(&cell).noisy);
	cell = CELL(zero);
	assert_true(summarise(&cell).noisy);
	near(summarise(&cell).cv, 0); /* no mean to be over */
}

static void a_difference_is_one_only_where_the_quartiles_part(void **state)
{
	struct summary low = { .n = 5, .q1 = 1, .median = 2, .q3 = 3 };
	struct summary touching = { .n = 5, .q1 = 3, .median = 4, .q3 = 5 };
	struct summary high = { .n = 5, .q1 = 3.1, .median = 4, .q3 = 5 };
	struct summary few = { .n = 4, .q1 = 30, .median = 40, .q3 = 50 };

	(void)state;
	assert_int_equal(summary_differ(&low, &touching, BETTER_LOW), DIFFER_NO);
	assert_int_equal(summary_differ(&low, &high, BETTER_LOW), DIFFER_BETTER);
	assert_int_equal(summary_differ(&high, &low, BETTER_LOW), DIFFER_WORSE);
	assert_int_equal(summary_differ(&low, &high, BETTER_HIGH), DIFFER_WORSE);
	assert_int_equal(summary_differ(&high, &low, BETTER_HIGH), DIFFER_BETTER);
	assert_int_equal(summary_differ(&high, &low, BETTER_NEITHER), DIFFER_UNKNOWN);
	assert_int_equal(summary_differ(&low, &few, BETTER_LOW), DIFFER_UNKNOWN);
	assert_int_equal(summary_differ(&few, &low, BETTER_LOW), DIFFER_UNKNOWN);
}

static void there_is_no_ratio_to_nothing(void **state)
{
	struct summary a = { .n = 1, .median = 3 }, b = { .n = 1, .median = 4 };
	struct summary zero = { .n = 1 }, none = { 0 }, negative = { .n = 1, .median = -1 };
	struct summary huge = { .n = 1, .median = 1e150 }, tiny = { .n = 1, .median = 1e-300 };

	(void)state;
	near(summary_ratio(&a, &b), 0.75);
	near(summary_ratio(&zero, &b), 0);
	assert_true(isnan(summary_ratio(&a, &zero)));
	assert_true(isnan(summary_ratio(&a, &none)));
	assert_true(isnan(summary_ratio(&none, &a)));
	assert_true(isnan(summary_ratio(&a, &negative)));
	assert_true(isnan(summary_ratio(&negative, &a)));
	assert_true(isnan(summary_ratio(&huge, &tiny)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quartiles_lie_between_closest_ranks),
		cmocka_unit_test(one_sample_is_all_its_quartiles_and_none_is_nothing),
		cmocka_unit_test(more_samples_than_the_stack_has_room_for),
		cmocka_unit_test(noisy_begins_past_15_percent_of_the_median),
		cmocka_unit_test(a_difference_is_one_only_where_the_quartiles_part),
		cmocka_unit_test(there_is_no_ratio_to_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
