/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the compiler, base/core and the freestanding rooms want of whoever links them: there is no C library here. The image in
 * tests/bare links it too.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/format.h"

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

/* Words where there are many: an emulated server does one store a step. */
void *memset(void *to, int value, size_t len)
{
	uint8_t *d = to;
	size_t words = len / 8, rest = len % 8;
	uint64_t word = (uint8_t)value * UINT64_C(0x0101010101010101);

	__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(word) : "memory");
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(rest) : "a"(word) : "memory");
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

size_t strlen(const char *text)
{
	size_t n = 0;

	while (text[n]) {
		n++;
		__asm__ volatile("" : : : "memory"); /* not to be made a call of strlen() */
	}
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (a[i] != b[i] || !a[i])
			return (uint8_t)a[i] - (uint8_t)b[i];
	}
	return 0;
}

int vsnprintf(char *restrict text, size_t room, const char *restrict fmt, va_list args)
{
	return format_text(text, room, fmt, args);
}

int snprintf(char *restrict text, size_t room, const char *restrict fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	int n = format_text(text, room, fmt, args);
	va_end(args);
	return n;
}
