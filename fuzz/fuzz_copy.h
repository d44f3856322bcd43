/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The input in memory of its own, so that AddressSanitizer sees whoever reads behind its end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* fuzz_copy() - just as long (one byte, if there is none). To be freed. */
static inline void *fuzz_copy(const void *data, size_t size)
{
	void *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	return size ? memcpy(copy, data, size) : copy;
}

/* fuzz_text() - with a NUL behind it. To be freed. */
static inline char *fuzz_text(const void *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		abort();
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}
