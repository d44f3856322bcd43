/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The guest benchmark: one static program that runs as a process, and as a kernel's first one. Each item does a fixed amount of
 * work, so that its time under one engine may be divided by that under another, and returns a sum by which a wrong CPU shows.
 */
#include <stdint.h>

/* What an item belongs to: bench/hosted.py takes geometric means over each. */
enum item_group {
	ITEM_COMPUTE,  /* integers, calls, memory */
	ITEM_FLOATING, /* floating point and SIMD */
	ITEM_SYSTEM,   /* the kernel's paths */
	ITEM_NATIVE,   /* beside native: kinds of loops */
};

struct item {
	const char *name;
	enum item_group group;
	uint64_t (*run)(void);
};

/* NULL-name-ended. */
extern const struct item items_compute[], items_floating[], items_system[], items_native[];

/* item_next() - xorshift64 (Marsaglia 2003): the same numbers everywhere. */
static inline uint64_t item_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}
