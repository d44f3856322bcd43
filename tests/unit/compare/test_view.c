/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/core/macros.h"
#include "compare/report.h"
#include "compare/view.h"
#include "scene.h"

/* A metric of three columns; five samples each, within a hundredth of at[]. 0: none. */
static void small(struct result *r, enum better better, const double at[4])
{
	static const struct result_column columns[] = {
		{ .id = "host", .title = "host", .baseline = "host" },
		{ .id = "a", .title = "a", .baseline = "host" },
		{ .id = "b", .title = "b", .baseline = "host" },
		{ .id = "c", .title = "c", .baseline = "c" },
	};
	const struct result_metric metric = { .id = "cpu.x", .better = better };

	*r = (struct result){ 0 };
	assert_int_equal(result_metric_add(r, &metric), 0);
	for (size_t c = 0; c < 4; c++) {
		assert_int_equal(result_column_add(r, &columns[c]), (int)c);
		for (int i = -2; i <= 2 && at[c] != 0; i++)
			assert_int_equal(result_sample(r, 0, c, at[c] * (1 + i * 0.005)), 0);
	}
}

static void ratios_are_to_the_columns_own_baseline(void **state)
{
	AUTO(result_fini) struct result r;
	AUTO(view_fini) struct view v;

	(void)state;
	small(&r, BETTER_LOW, (const double[]){ 10, 20, 10.01, 50 });
	assert_int_equal(view_init(&v, &r, NULL), 0);
	assert_int_equal(v.n_shown, 4);
	assert_true(fabs(view_figure(&v, 0, 1)->ratio - 2) < 1e-9);
	assert_int_equal(view_figure(&v, 0, 1)->differs, DIFFER_WORSE);
	assert_int_equal(view_figure(&v, 0, 2)->differs, DIFFER_NO);
	assert_true(view_figure(&v, 0, 3)->ratio == 1); /* its own */
	assert_true(view_is_baseline(&v, 0));
	assert_true(view_is_baseline(&v, 3));
	assert_false(view_is_baseline(&v, 1));
	assert_true(fabs(view_largest(&v, 0) - 50) < 1e-9);
}

static void the_best_is_told_apart_and_no_baseline(void **state)
{
	static const struct {
		enum better better;
		double at[4];
		bool best[4];
	} cases[] = {
		{ BETTER_LOW, { 1, 20, 30, 2 }, { 0, 1, 0, 0 } },
		{ BETTER_HIGH, { 1, 20, 30, 2 }, { 0, 0, 1, 0 } },
		{ BETTER_LOW, { 1, 20, 20.01, 2 }, { 0, 0, 0, 0 } }, /* all alike: none */
		{ BETTER_NEITHER, { 1, 20, 30, 2 }, { 0, 0, 0, 0 } },
		{ BETTER_LOW, { 1, 20, 0, 2 }, { 0, 0, 0, 0 } }, /* alone: better than nobody */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(result_fini) struct result r;
		AUTO(view_fini) struct view v;
		small(&r, cases[i].better, cases[i].at);
		assert_int_equal(view_init(&v, &r, NULL), 0);
		for (size_t c = 0; c < 4; c++) {
			if (view_figure(&v, 0, c)->best != cases[i].best[c])
				fail_msg("case %zu, column %zu", i, c);
		}
	}
}

static void a_noisy_figure_is_never_the_best(void **state)
{
	AUTO(result_fini) struct result r;
	AUTO(view_fini) struct view v;
	static const double wild[] = { 1, 5, 10, 15, 19 };

	(void)state;
	small(&r, BETTER_HIGH, (const double[]){ 1, 0, 3, 2 });
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(result_sample(&r, 0, 1, wild[i]), 0);
	assert_int_equal(view_init(&v, &r, NULL), 0);
	assert_true(view_figure(&v, 0, 1)->s.noisy);
	assert_false(view_figure(&v, 0, 1)->best);
}

static void a_fact_needs_one_sample_only(void **state)
{
	AUTO(result_fini) struct result r = { 0 };
	AUTO(view_fini) struct view v;
	const struct result_metric fact = { .id = "isolation.x",
					    .better = BETTER_LOW,
					    .once = true };
	const char *const ids[] = { "host", "a", "b" };

	(void)state;
	assert_int_equal(result_metric_add(&r, &fact), 0);
	for (size_t c = 0; c < 3; c++) {
		const struct result_column column = { .id = (char *)ids[c],
						      .baseline = (char *)"host" };
		assert_int_equal(result_column_add(&r, &column), (int)c);
		assert_int_equal(result_sample(&r, 0, c, (double)(10 - c)), 0);
	}
	assert_int_equal(view_init(&v, &r, NULL), 0);
	assert_int_equal(view_figure(&v, 0, 1)->differs, DIFFER_BETTER);
	assert_false(view_figure(&v, 0, 1)->best);
	assert_true(view_figure(&v, 0, 2)->best);
}

static void regressions_are_counted_past_a_percentage(void **state)
{
	AUTO(result_fini) struct result now;
	AUTO(result_fini) struct result was;
	AUTO(view_fini) struct view v;

	(void)state;
	small(&now, BETTER_LOW, (const double[]){ 10, 26, 30, 50 });
	small(&was, BETTER_LOW, (const double[]){ 10.01, 20, 33, 0 });
	assert_int_equal(report_regressions(&now, &was, 0), 1);
	assert_int_equal(report_regressions(&now, &was, 29), 1);
	assert_int_equal(report_regressions(&now, &was, 31), 0);
	assert_int_equal(view_init(&v, &now, &was), 0);
	assert_int_equal(view_figure(&v, 0, 0)->since, DIFFER_NO);
	assert_int_equal(view_figure(&v, 0, 1)->since, DIFFER_WORSE);
	assert_int_equal(view_figure(&v, 0, 2)->since, DIFFER_BETTER);
	assert_int_equal(view_figure(&v, 0, 3)->since, DIFFER_UNKNOWN);
	assert_true(fabs(view_figure(&v, 0, 1)->change - 30) < 1e-6);
}

static void throughput_that_fell_is_a_regression(void **state)
{
	AUTO(result_fini) struct result now;
	AUTO(result_fini) struct result was;

	(void)state;
	small(&now, BETTER_HIGH, (const double[]){ 10, 15, 30, 50 });
	small(&was, BETTER_HIGH, (const double[]){ 10, 20, 20, 50 });
	assert_int_equal(report_regressions(&now, &was, 20), 1);
	assert_int_equal(report_regressions(&now, &was, 26), 0);
}

static void what_the_baseline_does_not_have_is_no_regression(void **state)
{
	AUTO(result_fini) struct result now;
	AUTO(result_fini) struct result none = { 0 };

	(void)state;
	small(&now, BETTER_LOW, (const double[]){ 10, 15, 30, 50 });
	assert_int_equal(report_regressions(&now, &none, 0), 0);
	assert_int_equal(report_regressions(&none, &now, 0), 0);
}

static void from_nothing_to_something_is_a_regression_of_any_size(void **state)
{
	AUTO(result_fini) struct result now;
	AUTO(result_fini) struct result was;

	(void)state;
	small(&now, BETTER_LOW, (const double[]){ 10, 15, 30, 50 });
	small(&was, BETTER_LOW, (const double[]){ 10, 0, 30, 50 });
	for (int i = 0; i < 5; i++)
		assert_int_equal(result_sample(&was, 0, 1, 0), 0);
	assert_int_equal(report_regressions(&now, &was, 1e9), 1);
}

static void a_column_that_cannot_run_is_not_shown(void **state)
{
	AUTO(result_fini) struct result r;
	AUTO(view_fini) struct view v;

	(void)state;
	scene_full(&r);
	assert_int_equal(view_init(&v, &r, NULL), 0);
	assert_int_equal(v.n_shown, r.n_columns - 1);
	for (size_t i = 0; i < v.n_shown; i++)
		assert_string_not_equal(r.columns[v.shown[i]].id, "qemu-kvm");
	assert_string_equal(why_text(&r, 0, (size_t)result_find_column(&r, "qemu-kvm")),
			    r.columns[result_find_column(&r, "qemu-kvm")].why);
	assert_string_equal(why_text(&r, (size_t)result_find_metric(&r, "life.pause"), 0),
			    "a plain process is not paused");
}

static void a_baseline_that_is_not_there_leaves_no_ratio(void **state)
{
	AUTO(result_fini) struct result r;
	AUTO(view_fini) struct view v;

	(void)state;
	scene_one(&r);
	assert_int_equal(view_init(&v, &r, NULL), 0);
	assert_true(isnan(view_figure(&v, 0, 0)->ratio));
	assert_false(view_figure(&v, 0, 0)->best);
	assert_false(view_is_baseline(&v, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ratios_are_to_the_columns_own_baseline),
		cmocka_unit_test(the_best_is_told_apart_and_no_baseline),
		cmocka_unit_test(a_noisy_figure_is_never_the_best),
		cmocka_unit_test(a_fact_needs_one_sample_only),
		cmocka_unit_test(regressions_are_counted_past_a_percentage),
		cmocka_unit_test(throughput_that_fell_is_a_regression),
		cmocka_unit_test(what_the_baseline_does_not_have_is_no_regression),
		cmocka_unit_test(from_nothing_to_something_is_a_regression_of_any_size),
		cmocka_unit_test(a_column_that_cannot_run_is_not_shown),
		cmocka_unit_test(a_baseline_that_is_not_there_leaves_no_ratio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
