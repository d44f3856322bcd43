/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <stdlib.h>
#include <string.h>

#include "core/page.h"
#include "core/panic.h"

#define PAGES UINT64_C(2048) /* 8 MiB */

void panic(const char *fmt, ...)
{
	fail_msg("panic: %s", fmt);
	abort();
}

struct memory {
	struct page_pool pool;
	uint8_t *bytes, map[PAGES];
};

static int memory_setup(void **state)
{
	static struct memory memory;

	memory.bytes = aligned_alloc(PAGES * PAGE_BYTES, PAGES * PAGE_BYTES);
	page_pool_init(&memory.pool, (uintptr_t)memory.bytes, PAGES, memory.map);
	*state = &memory;
	return memory.bytes ? 0 : -1;
}

static int memory_teardown(void **state)
{
	struct memory *m = *state;

	free(m->bytes);
	return 0;
}

static void blocks_are_aligned_and_apart(void **state)
{
	struct memory *m = *state;
	uint8_t *at[64];

	page_pool_add(&m->pool, (uintptr_t)m->bytes, PAGES);
	for (unsigned i = 0; i < 64; i++) {
		unsigned order = i % 5;
		at[i] = page_pool_take(&m->pool, order);
		assert_non_null(at[i]);
		assert_int_equal((uintptr_t)at[i] % ((uintptr_t)PAGE_BYTES << order), 0);
		memset(at[i], (int)i, (size_t)PAGE_BYTES << order);
	}
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(at[i][0], i);
		assert_int_equal(at[i][(PAGE_BYTES << i % 5) - 1], i);
	}
}

static void what_is_given_back_joins_to_the_byte(void **state)
{
	struct memory *m = *state;
	void *at[PAGES];

	page_pool_add(&m->pool, (uintptr_t)m->bytes, PAGES);
	assert_int_equal(m->pool.free_bytes, PAGES * PAGE_BYTES);
	for (unsigned i = 0; i < PAGES; i++)
		at[i] = page_pool_take(&m->pool, 0);
	assert_int_equal(m->pool.free_bytes, 0);
	assert_null(page_pool_take(&m->pool, 0));
	for (unsigned i = 0; i < PAGES; i++) /* in an order that meets each buddy both ways */
		assert_true(page_pool_give(&m->pool, at[i * 1021 % PAGES], 0));
	assert_int_equal(m->pool.free_bytes, PAGES * PAGE_BYTES);
	assert_non_null(page_pool_take(&m->pool, 11)); /* all of it is one block again */
	assert_null(page_pool_take(&m->pool, 0));
}

static void run_give(struct memory *m, uint8_t *run, uint64_t n)
{
	uint64_t first = (uint64_t)(run - m->bytes) / PAGE_BYTES;

	for (uint64_t at = 0; at < n;) {
		unsigned part = page_pool_part(first + at, n - at);
		assert_true(page_pool_give(&m->pool, run + at * PAGE_BYTES, part));
		at += UINT64_C(1) << part;
	}
}

static void a_run_has_any_length_and_comes_back(void **state)
{
	struct memory *m = *state;

	page_pool_add(&m->pool, (uintptr_t)m->bytes, PAGES);
	assert_null(page_pool_take_run(&m->pool, 0, 0));
	assert_null(page_pool_take_run(&m->pool, PAGES + 1, 0));
	for (uint64_t n = 1; n <= PAGES; n += n < 40 ? 1 : 97) {
		uint8_t *run = page_pool_take_run(&m->pool, n, 0);
		assert_non_null(run);
		assert_int_equal(m->pool.free_bytes, (PAGES - n) * PAGE_BYTES);
		memset(run, 0xff, n * PAGE_BYTES); /* none of it is the pool's */
		run_give(m, run, n);
		assert_int_equal(m->pool.free_bytes, PAGES * PAGE_BYTES);
	}
	assert_non_null(page_pool_take(&m->pool, 11)); /* all of it is one block again */
}

/* What was before the aligned place, and what was behind it, is free again. */
static void a_run_is_aligned(void **state)
{
	struct memory *m = *state;

	page_pool_add(&m->pool, (uintptr_t)m->bytes + 3 * PAGE_BYTES, PAGES - 3);
	uint8_t *run = page_pool_take_run(&m->pool, 600, PAGE_ORDER_2M);
	assert_ptr_equal(run, m->bytes + 512 * PAGE_BYTES);
	assert_int_equal(m->pool.free_bytes, (PAGES - 3 - 600) * PAGE_BYTES);
	assert_null(page_pool_take_run(&m->pool, 513, PAGE_ORDER_2M));
	assert_ptr_equal(page_pool_take_run(&m->pool, 512, PAGE_ORDER_2M),
			 m->bytes + 1536 * PAGE_BYTES);
	assert_ptr_equal(page_pool_take_run(&m->pool, 509, 0), m->bytes + 3 * PAGE_BYTES);
	assert_ptr_equal(page_pool_take_run(&m->pool, 424, 0), m->bytes + 1112 * PAGE_BYTES);
	assert_int_equal(m->pool.free_bytes, 0);
	run_give(m, run, 600);
	run_give(m, m->bytes + 3 * PAGE_BYTES, 509);
	run_give(m, m->bytes + 1112 * PAGE_BYTES, 424);
	run_give(m, m->bytes + 1536 * PAGE_BYTES, 512);
	assert_int_equal(m->pool.free_bytes, (PAGES - 3) * PAGE_BYTES);
}

static void a_run_lies_across_blocks(void **state)
{
	struct memory *m = *state;
	uint8_t *pages[64];

	/* 2047 free pages, of which no block has more than 1024; then holes in between. */
	page_pool_add(&m->pool, (uintptr_t)m->bytes + PAGE_BYTES, PAGES - 1);
	uint8_t *run = page_pool_take_run(&m->pool, 1900, 0);
	assert_non_null(run);
	assert_int_equal(m->pool.free_bytes, 147 * PAGE_BYTES);
	assert_null(page_pool_take_run(&m->pool, 148, 0));
	run_give(m, run, 1900);
	for (unsigned i = 0; i < 64; i++)
		pages[i] = page_pool_take_run(&m->pool, 31, 0);
	for (unsigned i = 0; i < 64; i += 2)
		run_give(m, pages[i], 31);
	assert_null(
		page_pool_take_run(&m->pool, 100, 0)); /* 31 here and 31 there, and 63 at the end */
	run = page_pool_take_run(&m->pool, 31, 0);
	assert_non_null(run);
	run_give(m, run, 31);
	for (unsigned i = 1; i < 64; i += 2)
		run_give(m, pages[i], 31);
	assert_int_equal(m->pool.free_bytes, (PAGES - 1) * PAGE_BYTES);
	assert_non_null(page_pool_take(&m->pool, 10));
}

static void ranges_with_ragged_ends_are_used_to_the_page(void **state)
{
	struct memory *m = *state;
	unsigned n = 0;

	page_pool_add(&m->pool, (uintptr_t)m->bytes + 3 * PAGE_BYTES, 700);
	page_pool_add(&m->pool, (uintptr_t)m->bytes + 1001 * PAGE_BYTES, 5);
	assert_int_equal(m->pool.total_bytes, 705 * PAGE_BYTES);
	for (void *page; (page = page_pool_take(&m->pool, 0)); n++) {
		uint64_t i = (uint64_t)((uint8_t *)page - m->bytes) / PAGE_BYTES;
		assert_true((i >= 3 && i < 703) || (i >= 1001 && i < 1006));
	}
	assert_int_equal(n, 705);
}

static void what_was_not_handed_out_is_refused(void **state)
{
	struct memory *m = *state;

	page_pool_add(&m->pool, (uintptr_t)m->bytes, PAGES);
	uint8_t *block = page_pool_take(&m->pool, 2);
	assert_false(page_pool_give(&m->pool, block, 1));
	assert_false(page_pool_give(&m->pool, block + PAGE_BYTES, 0));
	assert_false(page_pool_give(&m->pool, block + 8, 2));
	assert_false(page_pool_give(&m->pool, m->bytes + PAGES * PAGE_BYTES, 0));
	assert_true(page_pool_give(&m->pool, block, 2));
	assert_false(page_pool_give(&m->pool, block, 2)); /* twice */
	assert_null(page_pool_take(&m->pool, PAGE_ORDERS));
}

static void a_block_that_was_split_comes_back_in_any_order(void **state)
{
	struct memory *m = *state;

	page_pool_add(&m->pool, (uintptr_t)m->bytes, PAGES);
	uint8_t *block = page_pool_take(&m->pool, 5);
	assert_false(page_pool_split(&m->pool, block, 5, 6));
	assert_false(page_pool_split(&m->pool, block, 4, 1));
	assert_false(page_pool_split(&m->pool, block + PAGE_BYTES, 5, 0));
	assert_true(page_pool_split(&m->pool, block, 5, 3));
	assert_false(page_pool_give(&m->pool, block, 5));
	assert_int_equal(m->pool.free_bytes, (PAGES - 32) * PAGE_BYTES);
	for (unsigned i = 0; i < 4; i++)
		assert_true(page_pool_give(&m->pool, block + (i * 3 % 4) * 8 * PAGE_BYTES, 3));
	assert_int_equal(m->pool.free_bytes, PAGES * PAGE_BYTES);
	assert_non_null(page_pool_take(&m->pool, 11));
}

#define T(name) cmocka_unit_test_setup_teardown(name, memory_setup, memory_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(blocks_are_aligned_and_apart),
		T(what_is_given_back_joins_to_the_byte),
		T(a_run_has_any_length_and_comes_back),
		T(a_run_is_aligned),
		T(a_run_lies_across_blocks),
		T(ranges_with_ragged_ends_are_used_to_the_page),
		T(a_block_that_was_split_comes_back_in_any_order),
		T(what_was_not_handed_out_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
