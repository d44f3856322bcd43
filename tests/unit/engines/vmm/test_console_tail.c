/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "engines/vmm/console_tail.h"

static void say(struct console_tail *tail, const char *text)
{
	assert_int_equal(tail->console.ops->write(&tail->console, text, strlen(text)),
			 strlen(text));
}

static void the_last_line_that_says_something_is_kept(void **state)
{
	struct console_tail tail;
	char last[CONSOLE_TAIL_BYTES];

	(void)state;
	console_tail_init(&tail);
	console_tail_last(&tail, last);
	assert_string_equal(last, "");
	say(&tail, "one\r\ntwo\r");
	say(&tail, "\n\n");
	console_tail_last(&tail, last);
	assert_string_equal(last, "two");
	say(&tail, "Kernel pan");
	console_tail_last(&tail, last);
	assert_string_equal(last, "Kernel pan");
}

static void a_line_without_end_is_cut(void **state)
{
	struct console_tail tail;
	char last[CONSOLE_TAIL_BYTES];

	(void)state;
	console_tail_init(&tail);
	for (unsigned i = 0; i < 3 * CONSOLE_TAIL_BYTES; i++)
		say(&tail, "x");
	console_tail_last(&tail, last);
	assert_int_equal(strlen(last), CONSOLE_TAIL_BYTES - 1);
	say(&tail, "\nend\n");
	console_tail_last(&tail, last);
	assert_string_equal(last, "end");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_line_that_says_something_is_kept),
		cmocka_unit_test(a_line_without_end_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
