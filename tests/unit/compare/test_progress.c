/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/progress.h"

static void near(double a, double b)
{
	assert_true(fabs(a - b) < 1e-9);
}

static void a_slow_column_makes_its_own_rest_longer(void **state)
{
	struct progress p;

	(void)state;
	progress_init(&p, NULL, false);
	progress_expect(&p, 0, 4, 1);
	progress_expect(&p, 1, 4, 1);
	near(progress_left(&p), 8);
	progress_did(&p, 0, 1, 1);
	progress_did(&p, 1, 1, 10);
	near(progress_left(&p), 3 + 30);
}

static void what_is_dropped_takes_no_time(void **state)
{
	struct progress p;

	(void)state;
	progress_init(&p, NULL, false);
	progress_expect(&p, 0, 5, 2);
	progress_did(&p, 0, 2, 2);
	progress_drop(&p, 0, 4, 2);
	near(progress_left(&p), 0);
	assert_int_equal(p.total, 1);
	progress_drop(&p, 0, 100, 2); /* more than there is */
	near(progress_left(&p), 0);
	assert_int_equal(p.total, 0);
}

static void shown(bool terminal, char **ret)
{
	struct progress p;
	size_t size = 0;
	FILE *out = open_memstream(ret, &size);

	assert_non_null(out);
	progress_init(&p, out, terminal);
	progress_expect(&p, 0, 2, 60);
	progress_expect(&p, 1, 2, 60);
	progress_show(&p, "life.run", "host");
	progress_did(&p, 0, 60, 60);
	progress_show(&p, "life.run", "hosted");
	progress_did(&p, 1, 60, 60);
	progress_show(&p, "cpu.aes", "host");
	progress_end(&p);
	(void)fclose(out);
}

static void elsewhere_than_on_a_terminal_it_is_a_line_a_metric(void **state)
{
	char *text = NULL;

	(void)state;
	shown(false, &text);
	assert_string_equal(
		text,
		"measuring life.run; about 4 min 0 s left\nmeasuring cpu.aes; about 2 min 0 s left\n");
	free(text);
}

static void on_a_terminal_one_line_changes_and_goes(void **state)
{
	char *text = NULL;

	(void)state;
	shown(true, &text);
	assert_non_null(strstr(text, "\r\033[K2 of 4: life.run, hosted; about 3 min 0 s left"));
	assert_null(strchr(text, '\n'));
	assert_string_equal(text + strlen(text) - 4, "\r\033[K");
	free(text);
}

static void times_are_for_people(void **state)
{
	static const struct {
		double seconds;
		const char *text;
	} cases[] = { { 0, "1 s" },
		      { 59.4, "59 s" },
		      { 61, "1 min 1 s" },
		      { 3600, "1 h 0 min" },
		      { 1e12, "277 h 46 min" } };
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		progress_text(cases[i].seconds, text);
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slow_column_makes_its_own_rest_longer),
		cmocka_unit_test(what_is_dropped_takes_no_time),
		cmocka_unit_test(elsewhere_than_on_a_terminal_it_is_a_line_a_metric),
		cmocka_unit_test(on_a_terminal_one_line_changes_and_goes),
		cmocka_unit_test(times_are_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
