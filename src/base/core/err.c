/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Guests, archives and users choose parts of the text: keep it one printable line. */
static void err_flatten(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		/* U+0080 to U+009F in UTF-8: U+009B begins an escape sequence, too. */
		const bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
		if (c1)
			c[1] = '?';
		if (*c < 0x20 || *c == 0x7f || c1)
			*c = '?';
	}
}

int err_set_at(struct err *err, int code, const char *where, const char *fmt, ...)
{
	if (code <= 0)
		code = EIO;
	if (!err)
		return -code;

	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);

	if (n >= 0 && (size_t)n < sizeof(err->text))
		(void)snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s",
			       strerror(code)); /* a cut text is still a text */
	err_flatten(err->text);
	err->code = code;
	err->where = where;
	return -code;
}

int err_say_at(struct err *err, int code, const char *where, const char *fmt, ...)
{
	if (code <= 0)
		code = EIO;
	if (!err)
		return -code;

	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, args); /* a cut text is still a text */
	va_end(args);
	err_flatten(err->text);
	err->code = code;
	err->where = where;
	return -code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	if (!err)
		return -EIO;

	char old[sizeof(err->text)];
	memcpy(old, err->text, sizeof(old));

	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(err->text))
		(void)snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s",
			       old); /* a cut text is still a text */
	err_flatten(err->text);
	if (err->code <= 0)
		err->code = EIO;
	return -err->code;
}
