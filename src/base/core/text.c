/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/text.h"

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
