/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "printed.h"
#include "scene.h"

#define FIELDS 7

/*
 * RFC 4180 by the book: a record's fields into ret, unquoted, in place. The next record; NULL where the text is no CSV.
 */
static char *csv_record(char *at, char *ret[FIELDS])
{
	for (size_t n = 0; n < FIELDS; n++) {
		char *to = at;
		ret[n] = at;
		if (*at == '"') {
			for (at++; *at && (*at != '"' || at[1] == '"'); at++) {
				at += *at == '"';
				*to++ = *at;
			}
			if (*at++ != '"')
				return NULL;
		} else {
			while (*at && !strchr(",\"\r\n", *at))
				*to++ = *at++;
		}
		const char *end = n + 1 < FIELDS ? "," : "\r\n";
		if (strncmp(at, end, strlen(end)) != 0)
			return NULL;
		at += strlen(end);
		*to = '\0';
	}
	return at;
}

static size_t cells(const struct result *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_metrics * r->n_columns; i++)
		n += r->cells[i].n + (!r->cells[i].n || r->cells[i].why);
	return n;
}

static void every_sample_is_a_record(void **state)
{
	static const char *const names[] = { "full", "hostile", "one", "none" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTO(result_fini) struct result r;
		char *fields[FIELDS];
		size_t n = 0;
		assert_true(scene_named(names[i], &r));
		char *text = printed_csv(&r), *at = csv_record(text, fields);
		assert_non_null(at);
		assert_string_equal(fields[0], "metric");
		assert_string_equal(fields[6], "why");
		for (; *at; n++) {
			at = csv_record(at, fields);
			assert_non_null(at);
			assert_true((*fields[3] != '\0') == (*fields[2] != '\0'));
			if (*fields[6] == '\0')
				assert_true(*fields[3] != '\0');
		}
		assert_int_equal(n, cells(&r));
		free(text);
	}
}

static void a_sample_comes_back_as_it_was(void **state)
{
	AUTO(result_fini) struct result r;
	char *fields[FIELDS];

	(void)state;
	scene_one(&r);
	char *text = printed_csv(&r);
	assert_string_equal(text, "metric,column,sample,value,unit,better,why\r\n"
				  "workload.time,hosted,1,12.5,ms,low,\r\n");
	free(text);
	assert_int_equal(result_sample(&r, 0, 0, 0.1), 0);
	assert_int_equal(result_why(&r, 0, 0, "said \"no\", then\nstopped"), 0);
	text = printed_csv(&r);
	char *at = csv_record(csv_record(csv_record(text, fields), fields), fields);
	assert_string_equal(fields[2], "2");
	assert_true(strtod(fields[3], NULL) == 0.1);
	at = csv_record(at, fields);
	assert_string_equal(fields[6], "said \"no\", then\nstopped");
	assert_string_equal(at, "");
	free(text);
}

static void what_a_spreadsheet_would_calculate_is_text(void **state)
{
	AUTO(result_fini) struct result r;
	static const char *const whys[] = { "=1+1", "+1", "-1", "@SUM(A1)", "\t=1" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(whys); i++) {
		scene_one(&r);
		assert_int_equal(result_why(&r, 0, 0, whys[i]), 0);
		char *text = printed_csv(&r);
		char want[64];
		(void)snprintf(want, sizeof(want), ",'%s\r\n", whys[i]); /* fits */
		assert_non_null(strstr(text, want));
		free(text);
		if (i + 1 < ARRAY_SIZE(whys))
			result_fini(&r);
	}
}

static void escape_sequences_went_through_to_the_terminal(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_one(&r);
	assert_int_equal(result_why(&r, 0, 0,
				    "\033]0;x\007\r\xc2\x9b"
				    "1m\177 no\tthen\nend"),
			 0);
	char *text = printed_csv(&r);
	for (const char *c = text; *c; c++)
		assert_true((unsigned char)*c >= ' ' || strchr("\r\n\t", *c));
	assert_null(strstr(text, "\177"));
	assert_null(strstr(text, "\xc2\x9b"));
	assert_non_null(strstr(text, "\"?]0;x???1m? no\tthen\nend\"\r\n"));
	free(text);
}

static void json_is_the_result(void **state)
{
	AUTO(result_fini) struct result r;
	AUTO(result_fini) struct result again = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;

	(void)state;
	scene_full(&r);
	char *text = printed_json(&r);
	assert_int_equal(json_parse(text, strlen(text), "report", &json, NULL), 0);
	assert_int_equal(result_from_json(json, &again, NULL), 0);
	assert_int_equal(again.n_metrics, r.n_metrics);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_sample_is_a_record),
		cmocka_unit_test(a_sample_comes_back_as_it_was),
		cmocka_unit_test(what_a_spreadsheet_would_calculate_is_text),
		cmocka_unit_test(escape_sequences_went_through_to_the_terminal),
		cmocka_unit_test(json_is_the_result),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
