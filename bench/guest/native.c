/* SPDX-License-Identifier: Apache-2.0 */
/* Loops of three kinds, to be held against the host's own CPU: in registers, mixed, and little but memory. */
#include <stdlib.h>

#include "items.h"

#define REGISTER_N  60000000U
#define MIXED_N	    12000000U
#define DENSE_N	    (1U << 20)
#define DENSE_TIMES 12U

static uint64_t registers(void)
{
	uint64_t x = 88172645463325252ULL, sum = 0;

	for (unsigned i = 0; i < REGISTER_N; i++)
		sum += item_next(&x);
	return sum;
}

/* One load and one store for every handful of instructions. */
static uint64_t mixed(void)
{
	static uint32_t counts[4096];
	uint64_t x = 2463534242ULL, sum = 0;

	for (unsigned i = 0; i < MIXED_N; i++) {
		uint64_t r = item_next(&x);
		sum += counts[r & 4095]++ ^ (r >> 40);
	}
	return sum;
}

static uint64_t dense(void)
{
	uint64_t *a = malloc(DENSE_N * sizeof(*a)), *b = malloc(DENSE_N * sizeof(*b)), sum = 0;

	if (!a || !b)
		return 0;
	for (unsigned i = 0; i < DENSE_N; i++)
		a[i] = i;
	for (unsigned times = 0; times < DENSE_TIMES; times++) {
		for (unsigned i = 1; i + 1 < DENSE_N; i++) {
			b[i] = a[i - 1] + a[i] + a[i + 1];
			__asm__ volatile("" : : : "memory"); /* one by one, no vectors */
		}
		sum += b[DENSE_N / 2];
		a[times] = sum;
	}
	free(a);
	free(b);
	return sum;
}

const struct item items_native[] = {
	{ "registers", ITEM_NATIVE, registers },
	{ "mixed", ITEM_NATIVE, mixed },
	{ "dense", ITEM_NATIVE, dense },
	{ 0 },
};
