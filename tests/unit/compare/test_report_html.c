/* SPDX-License-Identifier: Apache-2.0 */
/* What needs no browser to be seen; tests/browser looks at the rest. */
#include "scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "compare/html.h"
#include "printed.h"
#include "scene.h"

#define DATA "<script type=\"application/json\" id=\"result\">"

static void the_page_holds_no_markup_of_a_result(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_hostile(&r);
	char *text = printed_html(&r, &r);
	assert_int_equal(count(text, "<script"), 1);
	assert_int_equal(count(text, "</script"), 1);
	assert_int_equal(count(text, "</title></style>"), 0);
	assert_int_equal(count(text, "<img"), 0);
	assert_int_equal(count(text, "<b>&"), 0);
	assert_non_null(strstr(text, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
	for (const char *c = text; *c; c++)
		assert_true(*c == '\n' || *c == '\t' || (unsigned char)*c >= 0x20);
	free(text);
}

static void the_result_comes_back_out_of_the_page(void **state)
{
	static const char *const names[] = { "full", "hostile", "one", "none" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTO(result_fini) struct result r;
		AUTO(result_fini) struct result again = { 0 };
		AUTO(json_decref_p) json_t *json = NULL;
		assert_true(scene_named(names[i], &r));
		char *page = printed_html(&r, NULL), *text = result_text(&r);
		char *data = strstr(page, DATA) + strlen(DATA), *end = strstr(data, "</script>");
		assert_non_null(end);
		assert_int_equal(json_parse(data, (size_t)(end - data), "page", &json, NULL), 0);
		assert_int_equal(result_from_json(json, &again, NULL), 0);
		char *back = result_text(&again);
		assert_true(!strcmp(text, back));
		free(back);
		free(text);
		free(page);
	}
}

static void nothing_is_fetched_and_nothing_runs(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_full(&r);
	char *text = printed_html(&r, NULL);
	static const char *const words[] = { "src=",  "http:",	"https:",  "url(",    "@import",
					     "<link", "onload", "onclick", "<iframe", "href=\"/" };
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (count(text, words[i]))
			fail_msg("%s", words[i]);
	}
	assert_non_null(strstr(text, "default-src 'none'"));
	free(text);
}

static void an_architecture_says_what_it_costs_and_gives(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_full(&r);
	char *text = printed_html(&r, NULL);
	assert_non_null(strstr(
		text,
		"<b>658 ms</b> to start and <b>61.7 MiB</b> of memory, and against host <b>1.81×</b> for CPU"));
	assert_non_null(
		strstr(text, "; not told apart from host: CPU, disk, services.")); /* os-level */
	assert_non_null(strstr(text, "and against bare Linux <b>"));
	/* an engine's own words, and none where there is no engine */
	assert_non_null(strstr(text, "a kernel of its own on any x86-64 host"));
	assert_int_equal(count(text, "<span class=\"tag\">Gives</span>"), 4);
	assert_non_null(
		strstr(text, "<span class=\"tag\">Does not run here</span> /dev/kvm is not there"));
	free(text);
}

static void the_readers_workload_has_a_sentence_too(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_one(&r);
	char *text = printed_html(&r, NULL);
	assert_non_null(strstr(text, "<b>12.5 ms</b> for the workload"));
	assert_int_equal(count(text, "class=\"groups\""), 0); /* no ratio, no dots */
	free(text);
}

static void a_noisy_figure_is_pale_and_marked(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_full(&r);
	char *text = printed_html(&r, NULL);
	assert_int_not_equal(count(text, " faint\" href=\"#m-"), 0);
	assert_int_not_equal(count(text, "<td class=\"noisy\">"), 0);
	assert_int_equal(count(text, "<span class=\"mark\">±</span> " WORDS_NOISY), 1);
	free(text);
}

static void marks_that_are_not_used_are_not_explained(void **state)
{
	AUTO(result_fini) struct result r;
	AUTO(result_fini) struct result one;

	(void)state;
	scene_full(&r);
	scene_one(&one);
	char *text = printed_html(&r, NULL), *alone = printed_html(&one, NULL);
	assert_int_equal(count(text, WORDS_SAME), 1);
	assert_int_equal(count(text, WORDS_FEW), 0);
	assert_int_equal(count(alone, WORDS_SAME),
			 0); /* a baseline is not told apart from itself */
	free(text);
	free(alone);
}

static void ids_are_there_once_and_references_lead_somewhere(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_full(&r);
	char *text = printed_html(&r, &r);
	for (const char *at = text; (at = strstr(at, " href=\"#"));) {
		char id[64];
		at += strlen(" href=\"#");
		(void)snprintf(id, sizeof(id), " id=\"%.*s\"", (int)strcspn(at, "\""), at);
		if (count(text, id) != 1)
			fail_msg("%s", id);
	}
	free(text);
}

static void text_is_escaped_and_cleaned(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };

	(void)state;
	html_text(&buf, "<a href='x'>\"&\x01\x7f\xc2\x85\xe2\x80\xae\xef\xbf\xbfµ\n");
	assert_string_equal(
		buf_str(&buf),
		"&lt;a href=&#39;x&#39;&gt;&quot;&amp;\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
		"\xef\xbf\xbd\xef\xbf\xbdµ\n");
}

static void a_cost_is_turned_so_that_more_is_worse(void **state)
{
	AUTO(result_fini) struct result r;
	AUTO(view_fini) struct view v;

	(void)state;
	scene_full(&r);
	assert_int_equal(view_init(&v, &r, NULL), 0);
	size_t start = (size_t)result_find_metric(&r, "life.start");
	size_t cpu = (size_t)result_find_metric(&r, "cpu.integer");
	size_t exits = (size_t)result_find_metric(&r, "exits.total");
	double host_start = view_figure(&v, start, 0)->s.median;
	double host_cpu = view_figure(&v, cpu, 0)->s.median;
	assert_true(fabs(html_cost(&v, start, 3, host_start * 4) - 4) < 1e-9);
	assert_true(fabs(html_cost(&v, cpu, 3, host_cpu / 4) - 4) < 1e-9);
	assert_true(isnan(html_cost(&v, cpu, 3, 0)));
	assert_true(isnan(html_cost(&v, cpu, 3, -1)));
	assert_true(isnan(html_cost(&v, exits, 3, 1)));
	assert_true(html_has_dots(&v, start));
	assert_false(html_has_dots(&v, exits));
}

static void words_between_backquotes_are_code_whatever_they_are(void **state)
{
	char longest[600];
	static const char *const texts[][2] = {
		{ "`true`, from start", "<code>true</code>, from start" },
		{ "a `<b>` and `odd", "a <code>&lt;b&gt;</code> and `odd" },
		{ "``", "<code></code>" },
		{ "none", "none" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct page page = { 0 };
		page_code(&page, texts[i][0]);
		assert_string_equal(buf_str(&page.out), texts[i][1]);
		buf_fini(&page.out);
	}
	memset(longest, 'x', sizeof(longest));
	longest[0] = longest[sizeof(longest) - 2] = '`';
	longest[sizeof(longest) - 1] = '\0';
	struct page page = { 0 };
	page_code(&page, longest);
	assert_string_equal(buf_str(&page.out), longest); /* too long to be a word: as it is */
	buf_fini(&page.out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_holds_no_markup_of_a_result),
		cmocka_unit_test(the_result_comes_back_out_of_the_page),
		cmocka_unit_test(nothing_is_fetched_and_nothing_runs),
		cmocka_unit_test(an_architecture_says_what_it_costs_and_gives),
		cmocka_unit_test(the_readers_workload_has_a_sentence_too),
		cmocka_unit_test(a_noisy_figure_is_pale_and_marked),
		cmocka_unit_test(marks_that_are_not_used_are_not_explained),
		cmocka_unit_test(ids_are_there_once_and_references_lead_somewhere),
		cmocka_unit_test(text_is_escaped_and_cleaned),
		cmocka_unit_test(words_between_backquotes_are_code_whatever_they_are),
		cmocka_unit_test(a_cost_is_turned_so_that_more_is_worse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
