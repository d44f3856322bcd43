/* SPDX-License-Identifier: Apache-2.0 */
#include "selftest/selftest.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/print.h"

#define LINE_BYTES 400U

/* One server is tested once. */
static struct {
	unsigned passed, failed, absent;
	const struct firmware *off; /* NULL: it waits at the end */
} counts;

static void say(const char *what, const char *fmt, va_list args)
{
	char text[LINE_BYTES];

	(void)vsnprintf(text, sizeof(text), fmt, args); /* a cut line is still a line */
	print("self-test: %s%s\n", what, text);
}

void self_test_note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say("", fmt, args);
	va_end(args);
}

void self_test_pass(const char *fmt, ...)
{
	va_list args;

	counts.passed++;
	va_start(args, fmt);
	say("pass: ", fmt, args);
	va_end(args);
}

void self_test_fail(const char *fmt, ...)
{
	va_list args;

	counts.failed++;
	va_start(args, fmt);
	say("FAIL: ", fmt, args);
	va_end(args);
}

void self_test_absent(const char *fmt, ...)
{
	va_list args;

	counts.absent++;
	va_start(args, fmt);
	say("not here: ", fmt, args);
	va_end(args);
}

void self_test_add(unsigned passed, unsigned failed, unsigned absent)
{
	counts.passed += passed;
	counts.failed += failed;
	counts.absent += absent;
}

void self_test_end(void)
{
	print("self-test: %u passed, %u failed, %u not here\n", counts.passed, counts.failed,
	      counts.absent);
	if (counts.off)
		self_test_power_off(counts.off);
}

void self_test_is_off(const struct firmware *firmware)
{
	counts.off = firmware;
}
