/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the compiler, base/core and the freestanding rooms want of whoever links them: there is no C library here.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/format.h"

#define BLOCK_BYTES 64U

/* A word at any address, of any type's memory. */
typedef uint64_t __attribute__((aligned(1), may_alias)) loose_word;

/*
 * By words and blocks, not by string instructions: an emulated server takes those one element a step, at some 40 ns each,
 * and a real one loses little. What is not aligned is left to the CPU.
 */
static void copy_blocks(loose_word *to, const loose_word *from, size_t blocks)
{
	for (; blocks; blocks--, to += 8, from += 8) {
		uint64_t a = from[0], b = from[1], c = from[2], d = from[3];
		to[0] = a;
		to[1] = b;
		to[2] = c;
		to[3] = d;
		a = from[4];
		b = from[5];
		c = from[6];
		d = from[7];
		to[4] = a;
		to[5] = b;
		to[6] = c;
		to[7] = d;
		__asm__ volatile("" : : : "memory"); /* not to be made a call of memcpy() */
	}
}

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
	size_t whole = len / BLOCK_BYTES, done = whole * BLOCK_BYTES;
	uint8_t *d = to;
	const uint8_t *s = from;

	copy_blocks((loose_word *)to, (const loose_word *)from, whole);
	for (; done + 8 <= len; done += 8) {
		*(loose_word *)(d + done) = *(const loose_word *)(s + done);
		__asm__ volatile("" : : : "memory");
	}
	for (; done < len; done++) {
		d[done] = s[done];
		__asm__ volatile("" : : : "memory"); /* not to be made a call of memcpy() */
	}
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
	uint8_t *d = to;
	uint64_t word = (uint8_t)value * UINT64_C(0x0101010101010101);
	size_t done = 0;

	for (; done + BLOCK_BYTES <= len; done += BLOCK_BYTES) {
		loose_word *w = (loose_word *)(d + done);
		w[0] = word;
		w[1] = word;
		w[2] = word;
		w[3] = word;
		w[4] = word;
		w[5] = word;
		w[6] = word;
		w[7] = word;
		__asm__ volatile("" : : : "memory"); /* not to be made a call of memset() */
	}
	for (; done < len; done++) {
		d[done] = (uint8_t)value;
		__asm__ volatile("" : : : "memory");
	}
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
