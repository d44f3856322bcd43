/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/console_tail.h"

#include <string.h>

#include "base/core/macros.h"

static void tail_add(struct console_tail *tail, char c)
{
	if (c == '\n' || c == '\r') {
		if (tail->len) {
			memcpy(tail->last, tail->line, tail->len);
			tail->last[tail->len] = '\0';
		}
		tail->len = 0;
	} else if (tail->len < CONSOLE_TAIL_BYTES - 1) {
		tail->line[tail->len++] = c;
	}
}

static int64_t tail_write(struct console *console, const void *data, size_t len)
{
	struct console_tail *tail = container_of(console, struct console_tail, console);
	const char *text = data;

	lock_acquire(&tail->lock);
	for (size_t i = 0; i < len; i++)
		tail_add(tail, text[i]);
	lock_release(&tail->lock);
	return (int64_t)len;
}

static int64_t tail_read(struct console *console, void *ret, size_t len)
{
	(void)console;
	(void)ret;
	(void)len;
	return 0;
}

static void tail_close(struct console *console)
{
	(void)console; /* it holds nothing */
}

static const struct console_ops console_tail_ops = {
	.write = tail_write,
	.read = tail_read,
	.close = tail_close,
};

void console_tail_init(struct console_tail *tail)
{
	*tail = (struct console_tail){ .console = { .ops = &console_tail_ops } };
}

void console_tail_last(struct console_tail *tail, char ret[CONSOLE_TAIL_BYTES])
{
	lock_acquire(&tail->lock);
	memcpy(ret, tail->len ? tail->line : tail->last, CONSOLE_TAIL_BYTES);
	ret[tail->len ? tail->len : CONSOLE_TAIL_BYTES - 1] = '\0';
	lock_release(&tail->lock);
}
