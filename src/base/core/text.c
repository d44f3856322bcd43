/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/text.h"

#include <string.h>

/* C0, DEL and, as UTF-8, C1: what a terminal obeys */
static unsigned text_control(const unsigned char *c)
{
	if (*c < 0x20 || *c == 0x7f)
		return 1;
	return *c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f ? 2 : 0;
}

unsigned text_add_printable(struct buf *buf, const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	unsigned width = 0;

	while (*c) {
		const unsigned char *from = c;
		unsigned control = 0;
		for (; *c && !(control = text_control(c)); c++)
			width += (*c & 0xc0) != 0x80;
		(void)buf_add(buf, from, (size_t)(c - from)); /* a failure is sticky */
		if (control) {
			(void)buf_adds(buf, "?"); /* likewise */
			width++;
			c += control;
		}
	}
	return width;
}

/* Bytes of the first so many characters of a word. */
static size_t text_prefix(const char *word, size_t len, unsigned chars)
{
	size_t n = 0;

	for (; n < len; n++) {
		if ((word[n] & 0xc0) != 0x80 && chars-- == 0)
			break;
	}
	return n;
}

static unsigned text_chars(const char *word, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++)
		n += (word[i] & 0xc0) != 0x80;
	return n;
}

void text_fold(struct buf *buf, const char *text, unsigned indent, unsigned width)
{
	const unsigned room = width > indent ? width - indent : 1;
	unsigned used = 0;
	AUTO(buf_fini) struct buf clean = { 0 };

	(void)text_add_printable(&clean, text); /* a failure is sticky */
	for (const char *word = buf_str(&clean); *word; word += strspn(word, " ")) {
		size_t len = strcspn(word, " ");
		if (used && used + 1 + text_chars(word, len) > room) {
			(void)buf_printf(buf, "\n%*s", (int)indent, ""); /* likewise */
			used = 0;
		}
		if (used)
			(void)buf_adds(buf, " "); /* likewise */
		used += used > 0;
		len = text_prefix(word, len, room - used);
		(void)buf_add(buf, word, len); /* likewise */
		used += text_chars(word, len);
		word += len;
	}
	buf->failed = buf->failed || clean.failed;
}
