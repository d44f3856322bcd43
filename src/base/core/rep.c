/* SPDX-License-Identifier: Apache-2.0 */
#define REP_HERE /* the functions themselves keep their names */
#include "base/core/rep.h"

#include <stdint.h>

void *rep_memcpy(void *to, const void *from, size_t n)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
	return to;
}

void *rep_memmove(void *to, const void *from, size_t n)
{
	if ((uintptr_t)to - (uintptr_t)from >= n)
		return rep_memcpy(to, from, n);
	void *last = (uint8_t *)to + n - 1;
	const void *last_from = (const uint8_t *)from + n - 1;
	__asm__ volatile("std; rep movsb; cld" : "+D"(last), "+S"(last_from), "+c"(n) : : "memory");
	return to;
}

void *rep_memset(void *to, int byte, size_t n)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(byte) : "memory");
	return to;
}

int rep_memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++) {
		if (*x != *y)
			return *x < *y ? -1 : 1;
	}
	return 0;
}
