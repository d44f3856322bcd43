/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include "base/core/text.h"

static void folded(const char *text, unsigned indent, unsigned width, const char *want)
{
	AUTO(buf_fini) struct buf buf = { 0 };

	text_fold(&buf, text, indent, width);
	assert_string_equal(buf_str(&buf), want);
}

static void lines_end_before_the_edge(void **state)
{
	(void)state;
	folded("", 2, 10, "");
	folded("one two three", 0, 80, "one two three");
	folded("one two three", 0, 7, "one two\nthree");
	folded("one two three", 0, 6, "one\ntwo\nthree");
	folded("one  two", 2, 7, "one\n  two");
	folded("äöü ßßß", 0, 7, "äöü ßßß"); /* characters, not bytes */
}

static void a_word_that_is_longer_than_a_line_is_cut(void **state)
{
	(void)state;
	folded("abcdefgh", 0, 3, "abc\ndef\ngh");
	folded("x abcdefgh y", 1, 5, "x\n abcd\n efgh\n y");
	folded("äöüß", 0, 2, "äö\nüß");
	folded("abc", 5, 5, "a\n     b\n     c"); /* no room at all is room for one */
}

static void what_a_terminal_obeys_does_not_come_through(void **state)
{
	(void)state;
	folded("a\nb \x1b[2J", 0, 80, "a?b ?[2J");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_end_before_the_edge),
		cmocka_unit_test(a_word_that_is_longer_than_a_line_is_cut),
		cmocka_unit_test(what_a_terminal_obeys_does_not_come_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
