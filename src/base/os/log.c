/* SPDX-License-Identifier: Apache-2.0 */
#include "base/os/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static bool log_debug_on; /* set once by main(), read by all */

void log_debug_enable(void)
{
	log_debug_on = true;
}

static void log_line(const char *level, const char *fmt, va_list args)
{
	char text[1024];

	(void)vsnprintf(text, sizeof(text), fmt, args); /* a cut text is still a text */
	(void)fprintf(stderr, "%s: %s\n", level, text); /* nobody left to tell */
}

void log_debug(const char *fmt, ...)
{
	if (!log_debug_on)
		return;
	va_list args;
	va_start(args, fmt);
	log_line("debug", fmt, args);
	va_end(args);
}

void log_warn(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	log_line("warning", fmt, args);
	va_end(args);
}

void log_error(const struct err *err)
{
	(void)fprintf(stderr, "error: %s\n", err->text); /* nobody left to tell */
	log_debug("set at %s", err->where ? err->where : "?");
}
