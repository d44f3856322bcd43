/* SPDX-License-Identifier: Apache-2.0 */
#include "core/format.h"

#include <stdbool.h>
#include <stdint.h>

struct sink {
	char *text;
	size_t room, len;
};

struct directive {
	unsigned width, base;
	size_t most; /* of a string */
	int longs;   /* 1: long, size_t; 2: long long; -1: short; -2: char */
	bool is_left, is_zero, is_upper, is_signed;
};

static void sink_put(struct sink *sink, char c)
{
	if (sink->len + 1 < sink->room)
		sink->text[sink->len] = c;
	sink->len++;
}

static void sink_pad(struct sink *sink, char c, size_t have, unsigned width)
{
	for (; have < width; have++)
		sink_put(sink, c);
}

static void sink_text(struct sink *sink, const struct directive *d, const char *text)
{
	size_t len = 0;

	if (!text)
		text = "(null)";
	while (len < d->most && text[len])
		len++;
	if (!d->is_left)
		sink_pad(sink, ' ', len, d->width);
	for (size_t i = 0; i < len; i++)
		sink_put(sink, text[i]);
	if (d->is_left)
		sink_pad(sink, ' ', len, d->width);
}

static void sink_number(struct sink *sink, const struct directive *d, uint64_t value,
			bool is_negative)
{
	const char *set = d->is_upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char digits[24];
	unsigned n = 0;

	do {
		digits[n++] = set[value % d->base];
		value /= d->base;
	} while (value);
	unsigned len = n + is_negative;
	if (!d->is_left && !d->is_zero)
		sink_pad(sink, ' ', len, d->width);
	if (is_negative)
		sink_put(sink, '-');
	if (!d->is_left && d->is_zero)
		sink_pad(sink, '0', len, d->width);
	while (n)
		sink_put(sink, digits[--n]);
	if (d->is_left)
		sink_pad(sink, ' ', len, d->width);
}

static const char *read_flags(struct directive *d, const char *fmt)
{
	for (; *fmt == '-' || *fmt == '0' || *fmt == '#' || *fmt == '+' || *fmt == ' '; fmt++) {
		d->is_left |= *fmt == '-';
		d->is_zero |= *fmt == '0';
	}
	return fmt;
}

static const char *read_number(const char *fmt, unsigned *ret)
{
	*ret = 0;
	while (*fmt >= '0' && *fmt <= '9')
		*ret = *ret * 10 + (unsigned)(*fmt++ - '0');
	return fmt;
}

static const char *read_length(struct directive *d, const char *fmt)
{
	for (;; fmt++) {
		if (*fmt == 'l')
			d->longs++;
		else if (*fmt == 'z' || *fmt == 'j' || *fmt == 't')
			d->longs = 1;
		else if (*fmt == 'h')
			d->longs--;
		else
			return fmt;
	}
}

static uint64_t take_unsigned(const struct directive *d, va_list *args)
{
	if (d->longs >= 2)
		return va_arg(*args, unsigned long long);
	if (d->longs == 1)
		return va_arg(*args, unsigned long);
	unsigned value = va_arg(*args, unsigned);
	if (d->longs == -1)
		return (uint16_t)value;
	return d->longs <= -2 ? (uint8_t)value : value;
}

static int64_t take_signed(const struct directive *d, va_list *args)
{
	if (d->longs >= 2)
		return va_arg(*args, long long);
	if (d->longs == 1)
		return va_arg(*args, long);
	int value = va_arg(*args, int);
	if (d->longs == -1)
		return (int16_t)value;
	return d->longs <= -2 ? (int8_t)value : value;
}

static void sink_value(struct sink *sink, struct directive *d, char kind, va_list *args)
{
	d->base = kind == 'x' || kind == 'X' || kind == 'p' ? 16 : kind == 'o' ? 8 : 10;
	d->is_upper = kind == 'X';
	switch (kind) {
	case 's':
		sink_text(sink, d, va_arg(*args, const char *));
		break;
	case 'c':
		sink_put(sink, (char)va_arg(*args, int));
		break;
	case 'd':
	case 'i': {
		int64_t value = take_signed(d, args);
		sink_number(sink, d, value < 0 ? -(uint64_t)value : (uint64_t)value, value < 0);
		break;
	}
	case 'p':
		sink_put(sink, '0');
		sink_put(sink, 'x');
		sink_number(sink, d, (uintptr_t)va_arg(*args, void *), false);
		break;
	case 'u':
	case 'x':
	case 'X':
	case 'o':
		sink_number(sink, d, take_unsigned(d, args), false);
		break;
	default:
		sink_put(sink, kind);
		break;
	}
}

static const char *sink_directive(struct sink *sink, const char *fmt, va_list *args)
{
	struct directive d = { .most = SIZE_MAX };

	fmt = read_flags(&d, fmt);
	if (*fmt == '*') {
		int width = va_arg(*args, int);
		d.is_left |= width < 0;
		d.width = width < 0 ? -(unsigned)width : (unsigned)width;
		fmt++;
	} else {
		fmt = read_number(fmt, &d.width);
	}
	if (fmt[0] == '.' && fmt[1] == '*') {
		int precision = va_arg(*args, int);
		d.most = precision < 0 ? SIZE_MAX : (size_t)precision;
		fmt += 2;
	} else if (fmt[0] == '.') {
		unsigned precision;
		fmt = read_number(fmt + 1, &precision);
		d.most = precision;
	}
	fmt = read_length(&d, fmt);
	if (!*fmt)
		return fmt;
	sink_value(sink, &d, *fmt, args);
	return fmt + 1;
}

int format_text(char *text, size_t room, const char *fmt, va_list args)
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
