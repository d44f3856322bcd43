/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/json.h"

static int parse(const char *text, json_t **ret, struct err *err)
{
	return json_parse(text, strlen(text), "thing", ret, err);
}

static void bad_text_is_named(void **state)
{
	static const char *const bad[] = {
		"", "{", "[]", "1", "{\"a\":1,\"a\":2}", "{}{}", "{\"a\":}", "null", "\xff\xfe{}"
	};
	json_t *json = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = { 0 };
		assert_int_equal(parse(bad[i], &json, &err), -EBADMSG);
		assert_null(json);
		assert_ptr_equal(strstr(err.text, "thing: "), err.text);
	}
}

static void deep_nesting_is_an_error_not_a_crash(void **state)
{
	size_t len = 200000;
	char *text = malloc(len);
	json_t *json = NULL;

	(void)state;
	assert_non_null(text);
	memset(text, '[', len);
	assert_int_equal(json_parse(text, len, "deep", &json, NULL), -EBADMSG);
	free(text);
}

static void members_have_types_and_defaults(void **state)
{
	AUTO(json_decref_p) json_t *json = NULL;

	(void)state;
	assert_int_equal(parse("{\"s\":\"x\",\"i\":7,\"b\":true,\"n\":null}", &json, NULL), 0);
	assert_string_equal(json_str(json, "s", "d"), "x");
	assert_string_equal(json_str(json, "i", "d"), "d");
	assert_string_equal(json_str(json, "n", "d"), "d");
	assert_null(json_str(json, "none", NULL));
	assert_int_equal(json_int(json, "i", 1), 7);
	assert_int_equal(json_int(json, "s", 1), 1);
	assert_true(json_bool(json, "b", false));
	assert_true(json_bool(json, "i", true));
	assert_false(json_bool(NULL, "b", false));
}

static void text_round_trips(void **state)
{
	AUTO(json_decref_p) json_t *json = NULL;

	(void)state;
	assert_int_equal(parse("{\"a\": [1, {\"b\": \"c\"}]}", &json, NULL), 0);
	char *compact = json_text(json, 0);
	char *wide = json_text(json, 2);
	assert_string_equal(compact, "{\"a\":[1,{\"b\":\"c\"}]}");
	assert_non_null(strchr(wide, '\n'));
	free(compact);
	free(wide);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_text_is_named),
		cmocka_unit_test(deep_nesting_is_an_error_not_a_crash),
		cmocka_unit_test(members_have_types_and_defaults),
		cmocka_unit_test(text_round_trips),
	};

	return cmocka_run_group_tests_name("base/json", tests, NULL, NULL);
}
