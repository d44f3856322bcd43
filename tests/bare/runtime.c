/* SPDX-License-Identifier: Apache-2.0 */
/* What the compiler, base/core and the rooms want of whoever links them: there is no C library here. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bare.h"

#define PORT_COM1 0x3f8

static inline void port_out(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t port_in(uint16_t port)
{
	uint8_t value;
	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* ---- <string.h> ---- */

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
	void *d = to;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(len) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t len)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if ((uintptr_t)d - (uintptr_t)s >= len)
		return memcpy(to, from, len);
	while (len--) {
		d[len] = s[len];
		__asm__ volatile("" : : : "memory"); /* not to be made a call of memmove() */
	}
	return to;
}

void *memset(void *to, int value, size_t len)
{
	void *d = to;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(len) : "a"(value) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < len; i++) {
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	}
	return 0;
}

/* ---- <stdio.h> as far as base/core/err.c goes ---- */

struct sink {
	char *text;
	size_t room, len;
};

static void sink_put(struct sink *sink, char c)
{
	if (sink->len + 1 < sink->room)
		sink->text[sink->len] = c;
	sink->len++;
}

static void sink_text(struct sink *sink, const char *text, size_t most, unsigned width)
{
	size_t len = 0;

	while (len < most && text[len])
		len++;
	for (size_t i = len; i < width; i++)
		sink_put(sink, ' ');
	for (size_t i = 0; i < len; i++)
		sink_put(sink, text[i]);
}

static void sink_number(struct sink *sink, uint64_t value, bool is_negative, unsigned base,
			unsigned width, char pad)
{
	char digits[24];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (is_negative)
		digits[n++] = '-';
	for (unsigned i = n; i < width; i++)
		sink_put(sink, pad);
	while (n)
		sink_put(sink, digits[--n]);
}

/* Integers of every length, %s with a precision, %c, %%; width and zero padding. */
static const char *sink_directive(struct sink *sink, const char *fmt, va_list *args)
{
	unsigned width = 0, longs = 0;
	size_t most = SIZE_MAX;
	char pad = ' ';

	if (*fmt == '0') {
		pad = '0';
		fmt++;
	}
	while (*fmt >= '0' && *fmt <= '9')
		width = width * 10 + (unsigned)(*fmt++ - '0');
	if (fmt[0] == '.' && fmt[1] == '*') {
		int precision = va_arg(*args, int);
		most = precision < 0 ? SIZE_MAX : (size_t)precision;
		fmt += 2;
	}
	for (; *fmt == 'l' || *fmt == 'z' || *fmt == 'h'; fmt++)
		longs += *fmt != 'h';
	if (*fmt == 's') {
		sink_text(sink, va_arg(*args, const char *), most, width);
	} else if (*fmt == 'c') {
		sink_put(sink, (char)va_arg(*args, int));
	} else if (*fmt == 'd') {
		int64_t value = longs ? va_arg(*args, int64_t) : va_arg(*args, int);
		uint64_t size = value < 0 ? -(uint64_t)value : (uint64_t)value;
		sink_number(sink, size, value < 0, 10, width, pad);
	} else if (*fmt == 'u' || *fmt == 'x') {
		uint64_t value = longs ? va_arg(*args, uint64_t) : va_arg(*args, unsigned);
		sink_number(sink, value, false, *fmt == 'x' ? 16 : 10, width, pad);
	} else {
		sink_put(sink, *fmt);
	}
	return *fmt ? fmt + 1 : fmt;
}

int vsnprintf(char *restrict text, size_t room, const char *restrict fmt, va_list args)
{
	struct sink sink = { text, room, 0 };
	va_list copy;

	va_copy(copy, args);
	while (*fmt) {
		if (*fmt == '%')
			fmt = sink_directive(&sink, fmt + 1, &copy);
		else
			sink_put(&sink, *fmt++);
	}
	va_end(copy);
	if (room)
		text[sink.len < room ? sink.len : room - 1] = 0;
	return (int)sink.len;
}

int snprintf(char *restrict text, size_t room, const char *restrict fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(text, room, fmt, args);
	va_end(args);
	return n;
}

char *strerror(int code)
{
	static char text[24]; /* one CPU, one caller */

	(void)snprintf(text, sizeof(text), "error %d", code); /* it fits */
	return text;
}

/* ---- base/core/lock.h: one CPU and no interrupts, so a lock that is taken will never be free ---- */

void lock_wait(uint32_t *word, uint32_t seen)
{
	(void)word;
	(void)seen;
	print("a lock is taken twice\n");
	quit(2);
}

void lock_wake(uint32_t *word)
{
	(void)word;
}

/* ---- the way out ---- */

void print(const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* a cut line is still a line */
	va_end(args);
	for (const char *c = text; *c; c++) {
		while (!(port_in(PORT_COM1 + 5) & 0x20))
			;
		port_out(PORT_COM1, (uint8_t)*c);
	}
}

void quit(int status)
{
	port_out(PORT_DEBUG_EXIT, (uint8_t)status);
	for (;;)
		__asm__ volatile("cli; hlt");
}
