/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/guest_console.h"

#include <stdint.h>

#include "base/core/macros.h"
#include "core/print.h"

static struct guest_console *console_of(struct console *console)
{
	return container_of(console, struct guest_console, console);
}

void guest_console_flush(struct guest_console *c)
{
	if (c->n)
		print("[%s] %.*s\n", c->name, (int)c->n, c->line);
	c->n = 0;
}

/* Return: false: it is not its turn, and the line stays. */
static bool line_end(struct guest_console *c)
{
	if (c->is_last) {
		guest_console_flush(c);
		return true;
	}
	if (c->n && !print_try(&c->waiter, "[%s] %.*s\n", c->name, (int)c->n, c->line))
		return false;
	c->n = 0;
	return true;
}

static bool line_byte(struct guest_console *c, char byte)
{
	if ((byte == '\n' || c->n == sizeof(c->line)) && !line_end(c))
		return false;
	/* A guest's escape sequences would be the operator's terminal's to obey. */
	if ((byte >= ' ' && byte != 0x7f) || byte == '\t')
		c->line[c->n++] = byte;
	return true;
}

static int64_t guest_console_write(struct console *console, const void *data, size_t len)
{
	struct guest_console *c = console_of(console);
	const char *bytes = data;
	size_t n = 0;

	if (c->is_raw)
		return (int64_t)console_write(c->is_last ? NULL : &c->waiter, data, len);
	while (n < len && line_byte(c, bytes[n]))
		n++;
	return (int64_t)n;
}

static int64_t guest_console_read(struct console *console, void *ret, size_t len)
{
	const struct guest_console *c = console_of(console);
	uint8_t *to = ret;
	size_t n = 0;

	while (c->is_raw && n < len) {
		int byte = console_read();
		if (byte < 0)
			break;
		to[n++] = (uint8_t)byte;
	}
	return (int64_t)n;
}

static void guest_console_close(struct console *console)
{
	guest_console_flush(console_of(console));
}

static const struct console_ops guest_console_ops = {
	.write = guest_console_write,
	.read = guest_console_read,
	.close = guest_console_close,
};

void guest_console_init(struct guest_console *c, const char *name, bool is_raw,
			void (*room)(struct out_waiter *w))
{
	*c = (struct guest_console){ .console = { .ops = &guest_console_ops },
				     .name = name,
				     .is_raw = is_raw,
				     .waiter = { .room = room } };
}

void guest_console_fini(struct guest_console *c)
{
	print_forget(&c->waiter);
}
