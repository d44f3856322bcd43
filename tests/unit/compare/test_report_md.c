/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "printed.h"
#include "scene.h"

/* Cells of a row of a table: bars that nothing escapes. */
static size_t bars(const char *line, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (line[i] == '\\')
			i++;
		else
			n += line[i] == '|';
	}
	return n;
}

static void every_row_has_the_tables_columns(void **state)
{
	static const char *const names[] = { "full", "hostile", "one" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTO(result_fini) struct result r;
		size_t empty = 0, rows = 0;
		assert_true(scene_named(names[i], &r));
		for (size_t c = 0; c < r.n_columns; c++)
			empty += result_column_empty(&r, c);
		char *text = printed_md(&r, NULL);
		for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
			if (*line != '|')
				continue;
			assert_int_equal(bars(line, strcspn(line, "\n")), r.n_columns - empty + 2);
			rows++;
		}
		assert_true(rows >= r.n_metrics + 2);
		free(text);
	}
}

static void a_hostile_result_is_no_markup(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_hostile(&r);
	char *text = printed_md(&r, &r);
	for (const char *c = text; *c; c++) {
		assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
		if (*c == '<' || *c == '>')
			assert_true(c > text && c[-1] == '\\');
	}
	free(text);
}

static void nobody_is_mentioned(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_one(&r);
	assert_int_equal(result_why(&r, 0, 0, "@maintainer *look* [here](x) `now`"), 0);
	char *text = printed_md(&r, NULL);
	assert_non_null(strstr(text, "&#64;maintainer \\*look\\* \\[here\\](x) \\`now\\`"));
	free(text);
}

static void the_best_is_bold_and_notes_follow(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_full(&r);
	char *text = printed_md(&r, NULL);
	assert_non_null(strstr(text, "| **9.75 8.79×** | 211 190× |"));
	assert_non_null(strstr(text, "- ± too noisy to use"));
	assert_non_null(strstr(text, "- qemu-kvm does not run here: "));
	assert_non_null(strstr(text, "\n| Kernel paths | host |"));
	free(text);
}

static void what_changed_has_its_own_heading(void **state)
{
	AUTO(result_fini) struct result now;
	AUTO(result_fini) struct result was;

	(void)state;
	scene_full(&now);
	scene_full(&was);
	struct result_cell *cell = result_cell(&now, 0, 1);
	for (size_t i = 0; i < cell->n; i++)
		cell->samples[i] *= 2;
	char *text = printed_md(&now, &was);
	assert_non_null(strstr(text, "## Since the baseline\n\n- worse: os-level, cold start"));
	free(text);
	text = printed_md(&now, NULL);
	assert_null(strstr(text, "## Since"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_has_the_tables_columns),
		cmocka_unit_test(a_hostile_result_is_no_markup),
		cmocka_unit_test(nobody_is_mentioned),
		cmocka_unit_test(the_best_is_bold_and_notes_follow),
		cmocka_unit_test(what_changed_has_its_own_heading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
