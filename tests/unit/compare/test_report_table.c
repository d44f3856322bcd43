/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/core/text.h"
#include "compare/cells.h"
#include "printed.h"
#include "scene.h"

/* Characters of the longest line. */
static unsigned longest(const char *text)
{
	unsigned most = 0;

	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");
		unsigned n = 0;
		for (size_t i = 0; i < len; i++)
			n += (line[i] & 0xc0) != 0x80;
		most = n > most ? n : most;
		line += len + (line[len] == '\n');
	}
	return most;
}

static void no_line_passes_the_screens_edge(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_full(&r);
	for (unsigned width = 38; width <= 300; width += 7) {
		char *text = printed_table(&r, NULL, false, width);
		if (longest(text) > width)
			fail_msg("%u columns: %u", width, longest(text));
		/* each metric in each block, and no more blocks than columns */
		size_t n = count(text, "prime numbers");
		assert_in_range(n, 1, r.n_columns - 1);
		assert_int_equal(count(text, "● os-level"), 1);
		free(text);
	}
}

static void a_wide_screen_has_one_block_and_long_bars(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_full(&r);
	char *text = printed_table(&r, NULL, false, 0);
	assert_int_equal(count(text, "prime numbers"), 1);
	assert_int_not_equal(count(text, "████████████"), 0);
	free(text);
}

static void a_cell_without_a_figure_says_why_below(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_full(&r);
	char *text = printed_table(&r, NULL, false, 120);
	assert_int_equal(count(text, "] a plain process is not paused\n"), 1);
	assert_int_equal(count(text, "] exit status 3 in 2 of 13 runs\n"), 1);
	assert_int_equal(count(text, "qemu-kvm does not run here: /dev/kvm is not there"), 1);
	assert_int_equal(count(text, "±   " WORDS_NOISY "\n"), 1);
	assert_int_equal(count(text, "≈   " WORDS_SAME "\n"), 1);
	assert_int_equal(count(text, WORDS_FEW), 0); /* no mark that was not used */
	assert_int_equal(count(text, "×   ratio to bare Linux: bare-metal\n"), 1);
	free(text);
}

static void the_best_is_bold_and_colours_are_only_on_request(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_full(&r);
	char *plain = printed_table(&r, NULL, false, 120);
	char *colour = printed_table(&r, NULL, true, 120);
	assert_null(strchr(plain, '\033'));
	assert_int_equal(count(colour, "\033[1m   9.75\033[0m"), 0); /* padding is styled with it */
	assert_non_null(strstr(colour, "\033[1m"));
	/* hosted's start is not the best, os-level's is */
	const char *row = strstr(colour, "cold start");
	assert_non_null(row);
	const char *os = strstr(row, "9.75"), *bold = strstr(row, "\033[1m");
	assert_non_null(os);
	assert_non_null(bold);
	assert_true(bold < os && os - bold < 12);
	free(plain);
	free(colour);
}

static void a_hostile_result_stays_text(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_hostile(&r);
	for (unsigned width = 1; width < 400; width += 57) {
		char *text = printed_table(&r, &r, false, width);
		for (const char *c = text; *c; c++)
			assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
		free(text);
	}
}

static void one_column_and_none_at_all(void **state)
{
	AUTO(result_fini) struct result one;
	AUTO(result_fini) struct result none = { 0 };

	(void)state;
	scene_one(&one);
	char *text = printed_table(&one, NULL, false, 80);
	assert_non_null(strstr(text, "12.5"));
	assert_non_null(strstr(text, "“sort /usr/share/dict/words”"));
	free(text);
	free(printed_table(&none, NULL, false, 80));
}

static void ratios_to_a_host_that_could_not_run_were_claimed(void **state)
{
	AUTO(result_fini) struct result r = { 0 };
	const struct result_metric metric = { .id = (char *)"life.run", .better = BETTER_LOW };
	const struct result_column host = { .id = (char *)"host",
					    .baseline = (char *)"host",
					    .why = (char *)"no root" };
	const struct result_column other = { .id = (char *)"other", .baseline = (char *)"host" };

	(void)state;
	assert_int_equal(result_column_add(&r, &host), 0);
	assert_int_equal(result_column_add(&r, &other), 1);
	assert_int_equal(result_metric_add(&r, &metric), 0);
	assert_int_equal(result_sample(&r, 0, 1, 5), 0);
	char *text = printed_table(&r, NULL, false, 0);
	assert_int_equal(count(text, "ratio to"), 0);
	assert_int_equal(count(text, "no root"), 1);
	free(text);
}

static void what_changed_stands_below_with_both_figures(void **state)
{
	AUTO(result_fini) struct result now;
	AUTO(result_fini) struct result was;

	(void)state;
	scene_full(&now);
	scene_full(&was);
	char *text = printed_table(&now, &was, false, 100);
	assert_non_null(strstr(text, "Since the baseline\n    no figure"));
	free(text);

	struct result_cell *cell = result_cell(&now, 0, 1);
	for (size_t i = 0; i < cell->n; i++)
		cell->samples[i] *= 2;
	text = printed_table(&now, &was, false, 100);
	assert_int_equal(
		count(text,
		      "worse  os-level, cold start to the first byte: 19.5 ms, was 9.75 (+100 %)"),
		1);
	free(text);
	text = printed_table(&was, &now, false, 100);
	assert_int_equal(
		count(text,
		      "better os-level, cold start to the first byte: 9.75 ms, was 19.5 (−50 %)"),
		1);
	free(text);
}

static void a_bar_is_as_long_as_its_share(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_full(&r);
	char *text = printed_table(&r, NULL, false, 0);
	/* qemu-tcg's start is the longest of all; the host's is a sliver, not nothing */
	char *row = strstr(text, "cold start");
	*strchr(row, '\n') = '\0';
	const char *full = strstr(row, "████████████");
	assert_non_null(full);
	assert_true(full > strstr(row, "2598×"));
	assert_non_null(strstr(row, "1.11     ▏"));
	free(text);
}

static void a_stream_that_is_full_is_told(void **state)
{
	AUTO(result_fini) struct result r;
	FILE *full = fopen("/dev/full", "we");

	(void)state;
	scene_full(&r);
	assert_non_null(full);
	assert_int_equal(report_table(&r, NULL, full, false, 80), -ENOSPC);
	assert_int_equal(report_html(&r, NULL, full), -ENOSPC);
	fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_line_passes_the_screens_edge),
		cmocka_unit_test(a_wide_screen_has_one_block_and_long_bars),
		cmocka_unit_test(a_cell_without_a_figure_says_why_below),
		cmocka_unit_test(the_best_is_bold_and_colours_are_only_on_request),
		cmocka_unit_test(a_hostile_result_stays_text),
		cmocka_unit_test(one_column_and_none_at_all),
		cmocka_unit_test(ratios_to_a_host_that_could_not_run_were_claimed),
		cmocka_unit_test(what_changed_stands_below_with_both_figures),
		cmocka_unit_test(a_bar_is_as_long_as_its_share),
		cmocka_unit_test(a_stream_that_is_full_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
