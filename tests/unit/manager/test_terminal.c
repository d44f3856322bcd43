/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "manager/terminal.h"

static void the_default_is_dockers(void **state)
{
	struct detach_keys keys;

	(void)state;
	assert_int_equal(detach_keys_parse(NULL, &keys, NULL), 0);
	assert_int_equal(keys.n, 2);
	assert_false(detach_keys_scan(&keys, "abc", 3));
	assert_true(detach_keys_scan(&keys, "x\x10\x11", 3));
}

static void keys_may_come_one_at_a_time(void **state)
{
	struct detach_keys keys;

	(void)state;
	assert_int_equal(detach_keys_parse("a,ctrl-b", &keys, NULL), 0);
	assert_false(detach_keys_scan(&keys, "a", 1));
	assert_false(detach_keys_scan(&keys, "a", 1)); /* begins again */
	assert_true(detach_keys_scan(&keys, "\x02", 1));
}

static void no_keys_never_detach(void **state)
{
	struct detach_keys keys;

	(void)state;
	assert_int_equal(detach_keys_parse("", &keys, NULL), 0);
	assert_false(detach_keys_scan(&keys, "\x10\x11", 2));
}

static void nonsense_is_named(void **state)
{
	static const char *const texts[] = { "ctrl-", "ctrl-P", "ab", "a,,b", "a,b,c,d,e,f,g,h,i" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct detach_keys keys;
		struct err err = { 0 };
		assert_int_equal(detach_keys_parse(texts[i], &keys, &err), -EINVAL);
		assert_non_null(strstr(err.text, texts[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_is_dockers),
		cmocka_unit_test(keys_may_come_one_at_a_time),
		cmocka_unit_test(no_keys_never_detach),
		cmocka_unit_test(nonsense_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
