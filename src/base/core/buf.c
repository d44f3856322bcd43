/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_SHIFT_MIN 4096U /* bytes: fewer are not worth the copy */

void buf_fini(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){ 0 };
}

int buf_reserve(struct buf *buf, size_t more)
{
	if (buf->failed)
		return -ENOMEM;
	if (more < SIZE_MAX - buf->len - 1 && buf->len + more + 1 <= buf->cap)
		return 0;
	if (more > SIZE_MAX / 4 || buf->len > SIZE_MAX / 4) {
		buf->failed = true;
		return -ENOMEM;
	}

	size_t cap = (buf->len + more + 1) * 3 / 2 + 32;
	char *data = realloc(buf->data, cap);
	if (!data) {
		buf->failed = true;
		return -ENOMEM;
	}
	buf->data = data;
	buf->cap = cap;
	return 0;
}

int buf_add(struct buf *buf, const void *data, size_t len)
{
	int r = buf_reserve(buf, len);
	if (r < 0)
		return r;
	if (len)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return 0;
}

int buf_adds(struct buf *buf, const char *s)
{
	return buf_add(buf, s, strlen(s));
}

void buf_shift(struct buf *buf, size_t *at)
{
	const size_t left = buf->len - *at;

	if (!left) {
		buf_fini(buf);
	} else if (*at >= BUF_SHIFT_MIN && *at >= left) {
		memcpy(buf->data, buf->data + *at, left);
		buf->data[left] = '\0';
		buf->len = left;
	} else {
		return;
	}
	*at = 0;
}

int buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0 || buf_reserve(buf, (size_t)n) < 0)
		return -ENOMEM;

	va_start(args, fmt);
	(void)vsnprintf(buf->data + buf->len, buf->cap - buf->len, fmt, args); /* measured above */
	va_end(args);
	buf->len += (size_t)n;
	return 0;
}

const char *buf_str(const struct buf *buf)
{
	return buf->data ? buf->data : "";
}

char *buf_steal(struct buf *buf)
{
	char *data = buf->failed ? NULL : TAKE(buf->data);

	buf_fini(buf);
	return data;
}
