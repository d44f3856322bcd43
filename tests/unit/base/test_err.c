/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/err.h"

static void set_adds_the_words_of_the_code(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(err_set(&err, ENOENT, "open disk image %s", "/x"), -ENOENT);
	assert_string_equal(err.text, "open disk image /x: No such file or directory");
	assert_int_equal(err.code, ENOENT);
	assert_non_null(strstr(err.where, "test_err.c:"));
}

static void say_adds_nothing(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(err_say(&err, EINVAL, "name %s is taken", "web1"), -EINVAL);
	assert_string_equal(err.text, "name web1 is taken");
}

static void wrap_goes_in_front_and_keeps_the_code(void **state)
{
	struct err err = { 0 };

	(void)state;
	(void)err_set(&err, EACCES, "open b");
	assert_int_equal(err_wrap(&err, "create %s", "a"), -EACCES);
	assert_string_equal(err.text, "create a: open b: Permission denied");
}

static void null_err_still_gives_the_code(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, EPERM, "x"), -EPERM);
	assert_int_equal(err_say(NULL, EPERM, "x"), -EPERM);
	assert_true(err_wrap(NULL, "x") < 0);
}

static void never_reports_success(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(err_set(&err, 0, "x"), -EIO);
	assert_int_equal(err_say(&err, -3, "x"), -EIO);
	err = (struct err){ 0 };
	assert_int_equal(err_wrap(&err, "x"), -EIO);
}

static void hostile_text_stays_one_line(void **state)
{
	struct err err = { 0 };

	(void)state;
	(void)err_say(&err, EINVAL, "image %s", "a\n\x1b[2Jb\r\x7f");
	assert_string_equal(err.text, "image a??[2Jb??");
}

static void long_text_is_cut_not_overrun(void **state)
{
	struct err err = { 0 };
	char big[2000];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(err_set(&err, EIO, "%s", big), -EIO);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_int_equal(err_wrap(&err, "%s", big), -EIO);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

static void an_escape_sequence_of_one_character_is_none(void **state)
{
	struct err err = { 0 };

	(void)state;
	(void)err_say(&err, EIO,
		      "a\xc2\x9b"
		      "31mb\xc2\x80\xc2\x9f"
		      "c");
	assert_string_equal(err.text, "a??31mb????c");
	(void)err_say(&err, EIO,
		      "gr\xc3\xbc\xc3\x9f"
		      "e \xc2\xa0\xc2\xb5 \xc2");
	assert_string_equal(err.text, "gr\xc3\xbc\xc3\x9f"
				      "e \xc2\xa0\xc2\xb5 \xc2");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_adds_the_words_of_the_code),
		cmocka_unit_test(say_adds_nothing),
		cmocka_unit_test(wrap_goes_in_front_and_keeps_the_code),
		cmocka_unit_test(null_err_still_gives_the_code),
		cmocka_unit_test(never_reports_success),
		cmocka_unit_test(hostile_text_stays_one_line),
		cmocka_unit_test(long_text_is_cut_not_overrun),
		cmocka_unit_test(an_escape_sequence_of_one_character_is_none),
	};

	return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
