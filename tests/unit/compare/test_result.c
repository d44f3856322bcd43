/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "compare/result.h"
#include "scene.h"

static const struct result_metric start = {
	.id = "life.start", .title = "start", .unit = "ms", .source = "clock"
};
static const struct result_column host = { .id = "host", .title = "host", .baseline = "host" };
static const struct result_column hosted = { .id = "hosted",
					     .title = "hosted",
					     .baseline = "host" };

static void cells_keep_their_place_when_columns_come_later(void **state)
{
	AUTO(result_fini) struct result r = { 0 };
	struct result_metric second = { .id = "cpu.x" };

	(void)state;
	assert_int_equal(result_metric_add(&r, &start), 0);
	assert_int_equal(result_column_add(&r, &host), 0);
	assert_int_equal(result_metric_add(&r, &second), 1);
	assert_int_equal(result_sample(&r, 0, 0, 1), 0);
	assert_int_equal(result_sample(&r, 1, 0, 2), 0);
	assert_int_equal(result_column_add(&r, &hosted), 1);
	assert_int_equal(result_sample(&r, 0, 1, 3), 0);
	assert_true(result_cell(&r, 0, 0)->samples[0] == 1);
	assert_true(result_cell(&r, 1, 0)->samples[0] == 2);
	assert_true(result_cell(&r, 0, 1)->samples[0] == 3);
	assert_int_equal(result_cell(&r, 1, 1)->n, 0);
	assert_int_equal(result_find_metric(&r, "cpu.x"), 1);
	assert_int_equal(result_find_column(&r, "hosted"), 1);
	assert_int_equal(result_find_column(&r, "none"), -ENOENT);
}

static void an_id_is_there_once(void **state)
{
	AUTO(result_fini) struct result r = { 0 };
	struct result_metric empty = { .id = (char[]){ "" } };

	(void)state;
	assert_int_equal(result_metric_add(&r, &start), 0);
	assert_int_equal(result_metric_add(&r, &start), -EEXIST);
	assert_int_equal(result_metric_add(&r, &empty), -EINVAL);
	assert_int_equal(result_column_add(&r, &host), 0);
	assert_int_equal(result_column_add(&r, &host), -EEXIST);
	assert_int_equal(r.n_metrics, 1);
	assert_int_equal(r.n_columns, 1);
}

static void what_is_no_number_is_no_sample(void **state)
{
	AUTO(result_fini) struct result r = { 0 };

	(void)state;
	(void)result_metric_add(&r, &start);
	(void)result_column_add(&r, &host);
	assert_int_equal(result_sample(&r, 0, 0, NAN), -EINVAL);
	assert_int_equal(result_sample(&r, 0, 0, INFINITY), -EINVAL);
	assert_int_equal(result_sample(&r, 0, 0, -1.1e150), -EINVAL);
	for (unsigned i = 0; i < RESULT_SAMPLES_MAX; i++)
		assert_int_equal(result_sample(&r, 0, 0, i), 0);
	assert_int_equal(result_sample(&r, 0, 0, 1), -E2BIG);
	assert_true(result_cell(&r, 0, 0)->samples[RESULT_SAMPLES_MAX - 1] ==
		    RESULT_SAMPLES_MAX - 1);
}

static void broken_text_is_mended_and_cut_where_a_character_ends(void **state)
{
	char longest[RESULT_STRING_MAX + 16];

	(void)state;
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "a\xff"
		  "b",
		  "a\xef\xbf\xbd"
		  "b" },
		{ "\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd" },		    /* overlong */
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* a surrogate */
		{ "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" }, /* ends early */
		{ "µ×\xf0\x9f\x92\xa9", "µ×\xf0\x9f\x92\xa9" },
		{ NULL, "" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = result_utf8(cases[i].in);
		assert_string_equal(text, cases[i].out);
		free(text);
	}
	memset(longest, 'x', sizeof(longest));
	memcpy(longest + RESULT_STRING_MAX - 1, "µ", 3);
	char *text = result_utf8(longest);
	assert_int_equal(strlen(text), RESULT_STRING_MAX - 1);
	free(text);
}

static void same(const struct result *a, const struct result *b)
{
	char *x = result_text(a), *y = result_text(b);

	assert_non_null(x);
	assert_non_null(y);
	assert_true(!strcmp(x, y)); /* without printing both */
	free(x);
	free(y);
}

static void what_is_saved_is_loaded(void **state)
{
	const struct scratch *s = *state;
	static const char *const names[] = { "full", "hostile", "one", "none" };
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/result.json", s->path);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTO(result_fini) struct result r = { 0 };
		AUTO(result_fini) struct result again = { 0 };
		struct err err = { 0 };

		assert_true(scene_named(names[i], &r));
		assert_int_equal(result_save(&r, path, &err), 0);
		if (result_load(path, &again, &err) < 0)
			fail_msg("%s: %s", names[i], err.text);
		same(&r, &again);
		assert_int_equal(again.level, r.level);
		assert_int_equal(again.n_columns, r.n_columns);
	}
}

static void a_save_that_fails_leaves_what_was_there(void **state)
{
	const struct scratch *s = *state;
	AUTO(result_fini) struct result r = { 0 };
	AUTO(buf_fini) struct buf text = { 0 };
	struct err err = { 0 };
	char path[128];
	unsigned n = 0;

	scene_one(&r);
	(void)snprintf(path, sizeof(path), "%s/none/result.json", s->path);
	assert_int_equal(result_save(&r, path, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));

	/* one file there, before and after: no half of another beside it */
	(void)snprintf(path, sizeof(path), "%s/result.json", s->path);
	assert_int_equal(result_save(&r, path, &err), 0);
	assert_int_equal(result_save(&r, path, &err), 0);
	DIR *dir = opendir(s->path);
	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	closedir(dir);
	assert_int_equal(n, 1);
	assert_int_equal(file_read(AT_FDCWD, path, 1 << 20, &text), 0);
	assert_true(text.len > 2 && text.data[text.len - 1] == '\n');
}

static void what_is_no_result_is_refused_with_its_name(void **state)
{
	const struct scratch *s = *state;
	AUTO(result_fini) struct result r = { 0 };
	static const struct {
		const char *text;
		int error;
	} cases[] = {
		{ "", -EBADMSG },
		{ "[1]", -EBADMSG },
		{ "{}", -EINVAL },
		{ "{\"format\": 1", -EBADMSG },
		{ "{\"format\": 1, \"format\": 1}", -EBADMSG },
	};
	char path[128];
	struct err err = { 0 };

	(void)snprintf(path, sizeof(path), "%s/r", s->path);
	assert_int_equal(result_load(path, &r, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(
			file_replace(s->fd, "r", 0600, cases[i].text, strlen(cases[i].text), false),
			0);
		err = (struct err){ 0 };
		assert_int_equal(result_load(path, &r, &err), cases[i].error);
		assert_non_null(strstr(err.text, path));
	}
}

/* The text of scene "one" with one thing replaced, read: its error. */
static int read_changed(const char *from, const char *to, struct err *err)
{
	AUTO(result_fini) struct result r = { 0 };
	AUTO(result_fini) struct result ret = { 0 };
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;

	scene_one(&r);
	char *whole = result_text(&r);
	char *at = strstr(whole, from);
	assert_non_null(at);
	*at = '\0';
	assert_int_equal(buf_printf(&text, "%s%s%s", whole, to, at + strlen(from)), 0);
	free(whole);
	*err = (struct err){ 0 };
	if (json_parse(text.data, text.len, "test", &json, err) < 0)
		fail_msg("%s", err->text);
	return result_from_json(json, &ret, err);
}

static void what_is_wrong_in_a_file_is_named(void **state)
{
	static const struct {
		const char *from, *to, *says;
	} cases[] = {
		{ "\"format\": 1", "\"format\": 2", "another version" },
		{ "\"format\": 1", "\"format\": \"1\"", "not a result" },
		{ "\"quick\"", "\"slow\"", "\"level\"" },
		{ "\"quick\"", "7", "\"level\" is not a string" },
		{ "\"started_ns\": ", "\"started_ns\": -", "\"started_ns\"" },
		{ "\"host\": {}", "\"host\": []", "\"host\"" },
		{ "\"host\": {}", "\"host\": {\"cpu\": 3}", "\"host\"" },
		{ "\"baseline\": \"host\"", "\"baseline\": null", "column 0: \"baseline\"" },
		{ "\"peer\": false", "\"peer\": 0", "column 0: \"peer\"" },
		{ "\"id\": \"hosted\"", "\"id\": \"other\"", "that there is not" },
		{ "\"id\": \"hosted\"", "\"id\": \"\"", "column 0: \"id\" is empty" },
		{ "\"better\": \"low\"", "\"better\": \"\"", "metric 0: \"better\"" },
		{ "\"once\": false", "\"once\": null", "metric 0: \"once\"" },
		{ "12.5", "\"12.5\"", "sample 0" },
		{ "12.5", "1e200", "sample 0" },
		{ "\"samples\": [", "\"why\": [], \"samples\": [", "\"why\"" },
		{ "\"samples\": [", "\"samples\": 1, \"x\": [", "\"samples\" is not an array" },
		{ "\"samples\": [", "\"detail\": [[[[[[[[[1]]]]]]]]], \"samples\": [",
		  "\"detail\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err;
		if (read_changed(cases[i].from, cases[i].to, &err) != -EINVAL ||
		    !strstr(err.text, cases[i].says))
			fail_msg("%s -> %s: %s", cases[i].from, cases[i].to, err.text);
	}
}

static void what_a_reader_does_not_know_it_leaves_alone(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(read_changed("\"median\": 12.5", "\"median\": [], \"later\": {}", &err),
			 0);
	assert_int_equal(read_changed("\"format\": 1", "\"format\": 1, \"more\": 1", &err), 0);
}

static void a_column_that_measured_something_is_not_empty(void **state)
{
	AUTO(result_fini) struct result r = { 0 };
	struct result_column cannot = { .id = "kvm", .title = "kvm", .why = "no /dev/kvm" };

	(void)state;
	(void)result_metric_add(&r, &start);
	(void)result_column_add(&r, &host);
	(void)result_column_add(&r, &cannot);
	assert_false(result_column_empty(&r, 0));
	assert_true(result_column_empty(&r, 1));
	(void)result_sample(&r, 0, 1, 1);
	assert_false(result_column_empty(&r, 1));
}

static void a_why_is_replaced_and_taken_back(void **state)
{
	AUTO(result_fini) struct result r = { 0 };

	(void)state;
	(void)result_metric_add(&r, &start);
	(void)result_column_add(&r, &host);
	assert_int_equal(result_why(&r, 0, 0, "first"), 0);
	assert_int_equal(result_why(&r, 0, 0, "second"), 0);
	assert_string_equal(result_cell(&r, 0, 0)->why, "second");
	assert_int_equal(result_why(&r, 0, 0, NULL), 0);
	assert_null(result_cell(&r, 0, 0)->why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cells_keep_their_place_when_columns_come_later),
		cmocka_unit_test(an_id_is_there_once),
		cmocka_unit_test(what_is_no_number_is_no_sample),
		cmocka_unit_test(broken_text_is_mended_and_cut_where_a_character_ends),
		SCRATCH_TEST(what_is_saved_is_loaded),
		SCRATCH_TEST(a_save_that_fails_leaves_what_was_there),
		SCRATCH_TEST(what_is_no_result_is_refused_with_its_name),
		cmocka_unit_test(what_is_wrong_in_a_file_is_named),
		cmocka_unit_test(what_a_reader_does_not_know_it_leaves_alone),
		cmocka_unit_test(a_column_that_measured_something_is_not_empty),
		cmocka_unit_test(a_why_is_replaced_and_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
