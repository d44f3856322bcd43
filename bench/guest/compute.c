/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "items.h"

#define SIEVE_N	     4000000U
#define TREE_N	     150000U
#define CRC_BYTES    (8U << 20)
#define INDIRECT_N   8000000U
#define FIB_N	     32U
#define QSORT_N	     300000U
#define MEMCPY_BYTES (8U << 20)
#define MEMCPY_TIMES 40U

static uint64_t sieve(void)
{
	uint8_t *composite = calloc(SIEVE_N, 1);
	uint64_t primes = 0;

	if (!composite)
		return 0;
	for (unsigned i = 2; i < SIEVE_N; i++) {
		if (composite[i])
			continue;
		primes++;
		for (unsigned j = 2 * i; j < SIEVE_N; j += i)
			composite[j] = 1;
	}
	free(composite);
	return primes;
}

struct node {
	uint64_t key;
	struct node *child[2];
};

/* A plain binary search tree: pointers, compares that no predictor knows. */
static uint64_t tree(void)
{
	struct node *nodes = calloc(TREE_N, sizeof(*nodes));
	uint64_t state = 88172645463325252ULL, depth_sum = 0;
	struct node *root = NULL;

	if (!nodes)
		return 0;
	for (unsigned i = 0; i < TREE_N; i++) {
		struct node **at = &root;
		nodes[i].key = item_next(&state);
		while (*at) {
			at = &(*at)->child[nodes[i].key > (*at)->key];
			depth_sum++;
		}
		*at = &nodes[i];
	}
	free(nodes);
	return depth_sum;
}

static uint64_t crc(void)
{
	static uint32_t table[256];
	uint8_t *data = malloc(CRC_BYTES);
	uint32_t sum = ~0U;

	if (!data)
		return 0;
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320U ^ (c >> 1) : c >> 1; /* IEEE 802.3 */
		table[i] = c;
	}
	for (uint32_t i = 0; i < CRC_BYTES; i++)
		data[i] = (uint8_t)(i * 2654435761U >> 24);
	for (uint32_t i = 0; i < CRC_BYTES; i++)
		sum = table[(sum ^ data[i]) & 0xff] ^ (sum >> 8);
	free(data);
	return sum;
}

#define INDIRECT(n, expr)                                                                          \
	static __attribute__((noinline)) uint64_t indirect_##n(uint64_t x)                         \
	{                                                                                          \
		return expr;                                                                       \
	}
INDIRECT(0, x + 1)
INDIRECT(1, x ^ 0x55)
INDIRECT(2, x * 3)
INDIRECT(3, x - 7)
INDIRECT(4, (x << 1) | (x >> 63))
INDIRECT(5, ~x)
INDIRECT(6, x + (x >> 3))
INDIRECT(7, x ^ (x << 5))

static uint64_t indirect(void)
{
	static uint64_t (*const volatile table[8])(uint64_t) = {
		indirect_0, indirect_1, indirect_2, indirect_3,
		indirect_4, indirect_5, indirect_6, indirect_7,
	};
	uint64_t x = 1;

	for (unsigned i = 0; i < INDIRECT_N; i++)
		x = table[(i * 5 + (i >> 3)) & 7](x);
	return x;
}

/* The empty statement is in no compiler's way but that of one that would turn the calls into a loop. */
static __attribute__((noinline)) uint64_t fib(unsigned n)
{
	__asm__ volatile("" : "+r"(n));
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t recursive(void)
{
	return fib(FIB_N);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t sort(void)
{
	uint32_t *numbers = malloc(QSORT_N * sizeof(*numbers));
	uint64_t state = 1234567, sum = 0;

	if (!numbers)
		return 0;
	for (unsigned i = 0; i < QSORT_N; i++)
		numbers[i] = (uint32_t)item_next(&state);
	qsort(numbers, QSORT_N, sizeof(*numbers), compare);
	for (unsigned i = 0; i < QSORT_N; i += 1000)
		sum = sum * 31 + numbers[i];
	free(numbers);
	return sum;
}

static uint64_t copy(void)
{
	uint8_t *from = malloc(MEMCPY_BYTES), *to = malloc(MEMCPY_BYTES);
	uint64_t sum = 0;

	if (from && to) {
		memset(from, 0x5a, MEMCPY_BYTES);
		for (unsigned i = 0; i < MEMCPY_TIMES; i++) {
			from[i] = (uint8_t)i;
			memcpy(to, from, MEMCPY_BYTES);
			sum += to[i];
		}
	}
	free(from);
	free(to);
	return sum;
}

const struct item items_compute[] = {
	{ "sieve", ITEM_COMPUTE, sieve },
	{ "tree", ITEM_COMPUTE, tree },
	{ "crc", ITEM_COMPUTE, crc },
	{ "indirect", ITEM_COMPUTE, indirect },
	{ "recursive", ITEM_COMPUTE, recursive },
	{ "qsort", ITEM_COMPUTE, sort },
	{ "memcpy", ITEM_COMPUTE, copy },
	{ 0 },
};
