/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's printf is the judge. */
#include "scratch.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/core/macros.h"
#include "core/format.h"

static void PRINTF_LIKE(1, 2) same(const char *fmt, ...)
{
	char ours[128], theirs[128];
	va_list args;

	va_start(args, fmt);
	int n = format_text(ours, sizeof(ours), fmt, args);
	va_end(args);
	va_start(args, fmt);
	assert_int_equal(n, vsnprintf(theirs, sizeof(theirs), fmt, args));
	va_end(args);
	assert_string_equal(ours, theirs);
}

static int PRINTF_LIKE(3, 4) into(char *text, size_t room, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	int n = format_text(text, room, fmt, args);
	va_end(args);
	return n;
}

static void it_writes_what_printf_writes(void **state)
{
	(void)state;
	same("plain, %%, %c%c", 'a', 'b');
	same("%d %d %d %i", 0, -1, INT_MIN, INT_MAX);
	same("%u %x %X %o", UINT_MAX, 0xbeefU, 0xbeefU, 8U);
	same("%ld %lu %lx", LONG_MIN, ULONG_MAX, ULONG_MAX);
	same("%lld %llu", LLONG_MIN, ULLONG_MAX);
	same("%zu %hx %hhx %hd", SIZE_MAX, (unsigned short)0xffff, (unsigned char)0xff, (short)-3);
	same("[%5d|%-5d|%05d|%5s|%-5s|%.2s|%.*s]", -42, 42, -42, "ab", "ab", "abc", 1, "xyz");
	same("[%*d|%-*d|%08lx|%3s]", 6, 7, 6, 7, 0x123UL, "long");
	same("%p", (void *)0x1234);
	same("%s", "");
}

static void what_does_not_fit_is_cut_and_counted(void **state)
{
	char text[5] = "zzzz";

	(void)state;
	assert_int_equal(into(text, sizeof(text), "%s", "abcdefgh"), 8);
	assert_string_equal(text, "abcd");
	assert_int_equal(into(text, 1, "%d", 12345), 5);
	assert_string_equal(text, "");
	assert_int_equal(into(NULL, 0, "%d", 12345), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_writes_what_printf_writes),
		cmocka_unit_test(what_does_not_fit_is_cut_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
