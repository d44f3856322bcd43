/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "base/os/json.h"

static const struct column columns[] = {
	{ "NAME", "name" },
	{ NULL, "hidden" },
	{ "PORTS", "ports" },
	{ "N", "n" },
};

static void columns_line_up_and_nothing_trails(void **state)
{
	AUTO(json_decref_p)
	json_t *rows = json_pack("[{s:s, s:s, s:i}, {s:s, s:s, s:s}]", "name", "a", "ports", "",
				 "n", 7, "name", "bücher", "ports", "80", "hidden", "x");
	AUTO(buf_fini) struct buf text = { 0 };

	(void)state;
	assert_int_equal(table_text(columns, ARRAY_SIZE(columns), rows, &text, NULL), 0);
	assert_string_equal(buf_str(&text), "NAME     PORTS   N\n"
					    "a                7\n"
					    "bücher   80\n");
}

static void what_a_terminal_obeys_is_not_printed(void **state)
{
	AUTO(json_decref_p)
	json_t *rows = json_pack("[{s:s}]", "name", "a\x1b[31m\n\x7f\xc2\x9b");
	AUTO(buf_fini) struct buf text = { 0 };

	(void)state;
	assert_int_equal(table_text(columns, 1, rows, &text, NULL), 0);
	assert_string_equal(buf_str(&text), "NAME\na?[31m???\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_line_up_and_nothing_trails),
		cmocka_unit_test(what_a_terminal_obeys_is_not_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
