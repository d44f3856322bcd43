/* SPDX-License-Identifier: Apache-2.0 */
/* The index of translated blocks, without a CPU. */
#include "scratch.h"

#include <stdlib.h>

#include "engines/hosted/jit_parts.h"

#define CHAINS 65536U
#define PAGE   UINT64_C(0x12345000)

static struct jit_vcpu *index_of(size_t blocks)
{
	struct jit_vcpu *jit = calloc(1, sizeof(*jit));

	assert_non_null(jit);
	/* a reference is where it is from rw on, and none is 0 */
	jit->rw = calloc(blocks + 1, sizeof(struct jit_block));
	jit->by_rip = calloc(3 * (size_t)CHAINS, sizeof(jit_ref));
	assert_non_null(jit->rw);
	assert_non_null(jit->by_rip);
	jit->by_page = jit->by_rip + CHAINS;
	jit->by_page2 = jit->by_page + CHAINS;
	jit->index_mask = CHAINS - 1;
	return jit;
}

static void index_free(struct jit_vcpu *jit)
{
	free(jit->by_rip);
	free(jit->rw);
	free(jit);
}

/* The nth, of one page, as the nth process has it at an address of its own. */
static struct jit_block *block_at(struct jit_vcpu *jit, size_t n)
{
	struct jit_block *block = &((struct jit_block *)(void *)jit->rw)[n + 1];

	block->rip = UINT64_C(0x7f0000000000) + n * 4096;
	block->gpa = PAGE;
	return block;
}

static size_t chain_length(struct jit_vcpu *jit)
{
	jit_ref ref = jit->by_page[(PAGE >> 12) & jit->index_mask], before = 0;
	size_t n = 0;

	for (; ref; ref = jit_block(jit, ref)->next_page) {
		assert_int_equal(jit_block(jit, ref)->prev_page, before);
		before = ref;
		n++;
	}
	return n;
}

static bool is_found(struct jit_vcpu *jit, const struct jit_block *block)
{
	return jit_find(jit, block->rip, block->gpa, 0, 0) == block;
}

static void blocks_leave_a_page_in_any_order(void **state)
{
	static const size_t orders[][4] = {
		{ 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 2, 0, 3 }, { 2, 0, 3, 1 }
	};

	(void)state;
	for (size_t o = 0; o < ARRAY_SIZE(orders); o++) {
		struct jit_vcpu *jit = index_of(4);
		for (size_t i = 0; i < 4; i++)
			jit_insert(jit, block_at(jit, i));
		assert_int_equal(chain_length(jit), 4);
		for (size_t i = 0; i < 4; i++) {
			struct jit_block *block = block_at(jit, orders[o][i]);
			assert_true(is_found(jit, block));
			jit_remove(jit, block);
			assert_false(is_found(jit, block));
			assert_int_equal(chain_length(jit), 3 - i);
		}
		index_free(jit);
	}
}

/*
 * Each process has the dynamic linker elsewhere, so that its pages gather blocks until the cache is full; then the oldest went, each
 * after a walk past all others: programs started eight times slower from there on. With the walk this case takes longer than it may.
 */
static void the_oldest_of_many_blocks_is_not_searched_for(void **state)
{
	enum { MANY = 400000 };
	struct jit_vcpu *jit = index_of(MANY);

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		jit_insert(jit, block_at(jit, i));
	for (size_t i = 0; i < MANY - 1; i++)
		jit_remove(jit, block_at(jit, i));
	assert_int_equal(chain_length(jit), 1);
	assert_true(is_found(jit, block_at(jit, MANY - 1)));
	index_free(jit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_leave_a_page_in_any_order),
		cmocka_unit_test(the_oldest_of_many_blocks_is_not_searched_for),
	};

	return cmocka_run_group_tests_name("engines/hosted/jit_cache", tests, NULL, NULL);
}
