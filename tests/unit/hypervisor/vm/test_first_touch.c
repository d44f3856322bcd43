/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vm/first_touch.h"

#define PIECES 8U
#define OLD    0xa5 /* what another guest left */
#define HIGH   UINT64_C(0x100000000)

static void *pages_alloc(void *arg)
{
	(void)arg;
	void *page = aligned_alloc(4096, 4096);
	assert_non_null(page);
	return memset(page, 0, 4096);
}

static void pages_free(void *arg, void *page)
{
	(void)arg;
	free(page);
}

static uint64_t pages_hpa(const void *page)
{
	return (uintptr_t)page;
}

static void *pages_page(uint64_t hpa)
{
	return (void *)(uintptr_t)hpa;
}

static const struct npt_pages pages = {
	.alloc = pages_alloc, .free = pages_free, .hpa = pages_hpa, .page = pages_page
};

/* Half of the memory at 0, half of it at 4 GiB, as a guest's that does not fit below. */
struct scene {
	struct guest_mem mem;
	struct npt npt;
	struct first_touch touch;
	uint8_t *ram;
	uint64_t *bits;
};

static int begin(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	gpa_t end = HIGH + PIECES / 2 * MEM_PIECE_BYTES;

	assert_non_null(s);
	s->ram = aligned_alloc(MEM_PIECE_BYTES, PIECES * MEM_PIECE_BYTES);
	s->bits = calloc(1, first_touch_bytes(end));
	assert_non_null(s->ram);
	memset(s->ram, OLD, PIECES * MEM_PIECE_BYTES);
	uint64_t half = PIECES / 2 * MEM_PIECE_BYTES;
	assert_int_equal(mem_add(&s->mem, 0, half, s->ram, false), 0);
	assert_int_equal(mem_add(&s->mem, HIGH, half, s->ram + half, false), 0);
	assert_int_equal(npt_init(&s->npt, &npt_format_svm, &pages, true), 0);
	first_touch_init(&s->touch, &s->mem, &s->npt, s->bits, end);
	for (unsigned i = 0; i < s->mem.n; i++)
		assert_int_equal(first_touch_add(&s->touch, &s->mem.slots[i]), 0);
	*state = s;
	return 0;
}

static int end(void **state)
{
	struct scene *s = *state;

	npt_fini(&s->npt);
	free(s->ram);
	free(s->bits);
	free(s);
	return 0;
}

static bool is_all(const uint8_t *at, uint8_t value)
{
	return at[0] == value && !memcmp(at, at + 1, MEM_PIECE_BYTES - 1);
}

/* Which pieces are zero, mapped and said to be there: all three or none. */
static unsigned there(const struct scene *s)
{
	unsigned set = 0;

	for (unsigned i = 0; i < PIECES; i++) {
		uint8_t *at = s->ram + i * MEM_PIECE_BYTES;
		gpa_t gpa = (i < PIECES / 2 ? 0 : HIGH) + i % (PIECES / 2) * MEM_PIECE_BYTES;
		bool is_mapped = npt_translate(&s->npt, gpa, NULL) == (uintptr_t)at;
		assert_int_equal(is_mapped, first_touch_has(&s->touch, gpa));
		assert_true(is_all(at, is_mapped ? 0 : OLD));
		set |= (unsigned)is_mapped << i;
	}
	return set;
}

static void nothing_is_there_before_it_is_touched(void **state)
{
	const struct scene *s = *state;

	assert_true(mem_is_ram(&s->mem, HIGH, PIECES / 2 * MEM_PIECE_BYTES)); /* nor by asking */
	assert_false(mem_is_ram(&s->mem, HIGH, PIECES / 2 * MEM_PIECE_BYTES + 1));
	assert_false(mem_is_ram(&s->mem, HIGH, 0));
	assert_int_equal(there(s), 0);
}

static void a_fault_brings_its_piece_once(void **state)
{
	struct scene *s = *state;

	assert_int_equal(first_touch_fault(&s->touch, MEM_PIECE_BYTES + 5), FIRST_TOUCH_DONE);
	assert_int_equal(there(s), 2);
	assert_int_equal(first_touch_fault(&s->touch, MEM_PIECE_BYTES), FIRST_TOUCH_NOT_OURS);
	s->ram[MEM_PIECE_BYTES] = 1;
	assert_int_equal(first_touch_fault(&s->touch, MEM_PIECE_BYTES), FIRST_TOUCH_NOT_OURS);
	assert_int_equal(s->ram[MEM_PIECE_BYTES], 1);
	assert_int_equal(first_touch_fault(&s->touch, HIGH), FIRST_TOUCH_DONE);
	s->ram[MEM_PIECE_BYTES] = 0;
	assert_int_equal(there(s), 2 | 16);
}

static void where_there_is_no_memory_a_fault_is_none_of_ours(void **state)
{
	struct scene *s = *state;

	assert_int_equal(first_touch_fault(&s->touch, PIECES / 2 * MEM_PIECE_BYTES),
			 FIRST_TOUCH_NOT_OURS);
	assert_int_equal(first_touch_fault(&s->touch, 0xfee00000), FIRST_TOUCH_NOT_OURS);
	assert_int_equal(first_touch_fault(&s->touch, HIGH + PIECES / 2 * MEM_PIECE_BYTES),
			 FIRST_TOUCH_NOT_OURS);
	assert_int_equal(first_touch_fault(&s->touch, UINT64_MAX), FIRST_TOUCH_NOT_OURS);
	assert_false(first_touch_has(&s->touch, UINT64_MAX));
	assert_int_equal(there(s), 0);
}

static void devices_and_loaders_never_see_what_was_in_it(void **state)
{
	struct scene *s = *state;
	uint8_t byte = 1;

	assert_int_equal(mem_read(&s->mem, 100, &byte, 1), 0);
	assert_int_equal(byte, 0);
	assert_int_equal(there(s), 1);
	assert_ptr_equal(mem_hva(&s->mem, HIGH, 1), s->ram + PIECES / 2 * MEM_PIECE_BYTES);
	assert_non_null(mem_hva_rw(&s->mem, HIGH + MEM_PIECE_BYTES, 8));
	assert_int_equal(there(s), 1 | 16 | 32);
	byte = 0;
	assert_int_equal(mem_write(&s->mem, HIGH + 2 * MEM_PIECE_BYTES, &byte, 1), 0);
	assert_int_equal(there(s), 1 | 16 | 32 | 64);
}

static void a_range_over_pieces_brings_them_all(void **state)
{
	struct scene *s = *state;

	assert_non_null(mem_hva(&s->mem, MEM_PIECE_BYTES - 1, MEM_PIECE_BYTES + 2));
	assert_int_equal(there(s), 7);
	assert_null(mem_hva(&s->mem, 3 * MEM_PIECE_BYTES, MEM_PIECE_BYTES + 1)); /* not in a slot */
	assert_int_equal(there(s), 7);
}

static unsigned count(unsigned set)
{
	return (unsigned)__builtin_popcount(set);
}

/* A request over gigabytes that were never touched was zeroed in one go, with nobody else served meanwhile. */
static void what_a_request_is_over_comes_a_turn_after_the_other(void **state)
{
	struct scene *s = *state;
	const uint64_t all = PIECES / 2 * MEM_PIECE_BYTES;
	unsigned turns = 1;

	while (!s->mem.ready(&s->mem, 0, all) || !s->mem.ready(&s->mem, HIGH, all)) {
		assert_int_equal(count(there(s)), turns * FIRST_TOUCH_TURN);
		assert_false(s->mem.ready(&s->mem, HIGH, all)); /* nor by another request */
		assert_int_equal(count(there(s)), turns * FIRST_TOUCH_TURN);
		assert_true(first_touch_is_short(&s->touch));
		assert_true(first_touch_turn(&s->touch));
		turns++;
	}
	assert_int_equal(turns, PIECES / FIRST_TOUCH_TURN);
	assert_int_equal(there(s), 0xff);
	assert_false(first_touch_turn(&s->touch));
}

/* It is whoever reaches it that says so. */
static void where_there_is_no_memory_nothing_is_waited_for(void **state)
{
	struct scene *s = *state;
	const uint64_t all = PIECES / 2 * MEM_PIECE_BYTES;

	assert_true(s->mem.ready(&s->mem, all, 1));
	assert_true(s->mem.ready(&s->mem, 0, all + 1));
	assert_true(s->mem.ready(&s->mem, HIGH, UINT64_MAX));
	assert_true(s->mem.ready(&s->mem, UINT64_MAX, 2));
	assert_int_equal(there(s), 0);
	assert_false(first_touch_turn(&s->touch));
}

static void at_once_is_all_of_a_slot(void **state)
{
	struct scene *s = *state;

	assert_int_equal(first_touch_now(&s->touch, &s->mem.slots[1]), 0);
	assert_int_equal(there(s), 0xf0);
	assert_int_equal(first_touch_fault(&s->touch, HIGH), FIRST_TOUCH_NOT_OURS);
}

static void what_is_not_made_of_pieces_is_refused(void **state)
{
	struct scene *s = *state;
	struct mem_slot slot = { .gpa = 1 << 30, .size_bytes = 4096, .hva = s->ram };

	assert_int_equal(first_touch_add(&s->touch, &slot), -EINVAL);
	slot = (struct mem_slot){ 4096, MEM_PIECE_BYTES, s->ram, 0, false };
	assert_int_equal(first_touch_add(&s->touch, &slot), -EINVAL);
	slot = (struct mem_slot){ 1 << 30, MEM_PIECE_BYTES, s->ram + 4096, 0, false };
	assert_int_equal(first_touch_add(&s->touch, &slot), -EINVAL);
}

/* ---- memory that comes and goes ---- */

/* Two spare pieces, full of what another guest left, as all that is given is. */
static struct {
	uint8_t *spare[PIECES + 2];
	unsigned n;
} pool;

static void *pool_take(void)
{
	return pool.n ? pool.spare[--pool.n] : NULL;
}

static void pool_give(void *piece)
{
	memset(piece, OLD, MEM_PIECE_BYTES);
	assert_true(pool.n < PIECES + 2);
	pool.spare[pool.n++] = piece;
}

static const struct first_touch_source pool_source = { .take = pool_take, .give = pool_give };

struct movable {
	struct scene *s;
	uint8_t **at;
	uint8_t *other; /* a piece that was never the guest's */
};

static struct movable movable_begin(struct scene *s)
{
	struct movable m = { s, calloc(1, first_touch_movable_bytes(HIGH * 2)),
			     aligned_alloc(MEM_PIECE_BYTES, MEM_PIECE_BYTES) };

	assert_non_null(m.at);
	assert_non_null(m.other);
	pool.n = 0;
	first_touch_movable(&s->touch, m.at, &pool_source);
	assert_int_equal(first_touch_held_bytes(&s->touch), PIECES * MEM_PIECE_BYTES);
	return m;
}

static void movable_end(struct movable *m)
{
	m->s->mem.pieces = NULL;
	free(m->at);
	free(m->other);
}

static void a_piece_that_was_given_is_zero_wherever_it_comes_from(void **state)
{
	struct movable m = movable_begin(*state);
	struct scene *s = m.s;
	uint8_t byte = 1;

	assert_int_equal(mem_write(&s->mem, MEM_PIECE_BYTES, &byte, 1), 0);
	assert_true(first_touch_give(&s->touch, MEM_PIECE_BYTES + 4096));
	assert_false(first_touch_has(&s->touch, MEM_PIECE_BYTES));
	assert_int_equal(npt_translate(&s->npt, MEM_PIECE_BYTES, NULL), UINT64_MAX);
	assert_int_equal(first_touch_held_bytes(&s->touch), (PIECES - 1) * MEM_PIECE_BYTES);
	assert_ptr_equal(pool_take(), s->ram + MEM_PIECE_BYTES);
	pool_give(m.other); /* the first is another guest's by now */
	assert_int_equal(first_touch_fault(&s->touch, MEM_PIECE_BYTES), FIRST_TOUCH_DONE);
	assert_true(is_all(m.other, 0));
	assert_int_equal(npt_translate(&s->npt, MEM_PIECE_BYTES, NULL), (uintptr_t)m.other);
	assert_ptr_equal(mem_hva(&s->mem, MEM_PIECE_BYTES + 1, 1), m.other + 1);
	assert_int_equal(first_touch_held_bytes(&s->touch), PIECES * MEM_PIECE_BYTES);
	movable_end(&m);
}

static void a_piece_is_given_once_and_untouched_ones_too(void **state)
{
	struct movable m = movable_begin(*state);
	struct first_touch *touch = &m.s->touch;

	assert_true(first_touch_give(touch, HIGH));
	assert_false(first_touch_give(touch, HIGH));
	assert_int_equal(pool.n, 1);
	assert_false(first_touch_give(touch, PIECES / 2 * MEM_PIECE_BYTES)); /* no memory */
	assert_false(first_touch_give(touch, UINT64_MAX));
	assert_int_equal(pool.n, 1);
	movable_end(&m);
}

static void with_none_left_the_touch_fails_and_nothing_is_reached(void **state)
{
	struct movable m = movable_begin(*state);
	struct scene *s = m.s;
	uint8_t byte = 0;

	assert_true(first_touch_give(&s->touch, 0));
	assert_non_null(pool_take());
	assert_int_equal(first_touch_fault(&s->touch, 0), FIRST_TOUCH_NONE_LEFT);
	assert_null(mem_hva(&s->mem, 0, 1));
	assert_null(mem_hva_rw(&s->mem, MEM_PIECE_BYTES - 1, 2));
	assert_int_equal(mem_read(&s->mem, 0, &byte, 1), -EFAULT);
	assert_int_equal(mem_write(&s->mem, 0, &byte, 1), -EFAULT);
	assert_true(mem_is_ram(&s->mem, 0, 1));
	pool_give(s->ram);
	assert_int_equal(first_touch_fault(&s->touch, 0), FIRST_TOUCH_DONE);
	movable_end(&m);
}

static void a_range_whose_pieces_moved_is_reached_in_parts(void **state)
{
	struct movable m = movable_begin(*state);
	struct scene *s = m.s;
	uint8_t out[4], in[4] = { 1, 2, 3, 4 };
	gpa_t gpa = 2 * MEM_PIECE_BYTES - 2;
	uint64_t n = 0;

	assert_non_null(mem_hva(&s->mem, gpa, 4));
	assert_true(first_touch_give(&s->touch, 2 * MEM_PIECE_BYTES));
	assert_non_null(pool_take());
	pool_give(m.other);
	assert_null(mem_hva(&s->mem, gpa, 4));
	assert_non_null(mem_part(&s->mem, gpa, 4, true, &n));
	assert_int_equal(n, 2);
	assert_int_equal(mem_write(&s->mem, gpa, in, 4), 0);
	assert_int_equal(mem_read(&s->mem, gpa, out, 4), 0);
	assert_memory_equal(in, out, 4);
	assert_memory_equal(m.other, &in[2], 2);
	movable_end(&m);
}

static void a_large_leaf_is_split_for_one_of_its_pieces(void **state)
{
	struct scene *s = *state;

	assert_int_equal(first_touch_now(&s->touch, &s->mem.slots[1]), 0);
	struct movable m = movable_begin(s);
	assert_true(first_touch_give(&s->touch, HIGH + MEM_PIECE_BYTES));
	assert_int_equal(npt_translate(&s->npt, HIGH + MEM_PIECE_BYTES, NULL), UINT64_MAX);
	assert_int_equal(npt_translate(&s->npt, HIGH, NULL), (uintptr_t)m.at[HIGH >> 21]);
	movable_end(&m);
}

static void at_the_end_all_that_is_left_is_given(void **state)
{
	struct movable m = movable_begin(*state);

	assert_true(first_touch_give(&m.s->touch, 0));
	first_touch_fini(&m.s->touch);
	assert_int_equal(pool.n, PIECES);
	assert_int_equal(first_touch_held_bytes(&m.s->touch), 0);
	movable_end(&m);
}

/* Threads touch the same pieces and then count in them: a piece that was zeroed twice has lost some. */
static void *toucher(void *arg)
{
	struct scene *s = arg;

	for (unsigned i = 0; i < PIECES; i++) {
		gpa_t gpa = (i < PIECES / 2 ? 0 : HIGH) + i % (PIECES / 2) * MEM_PIECE_BYTES;
		uint32_t *at = mem_hva_rw(&s->mem, gpa, 4);
		(void)__atomic_fetch_add(at, 1, __ATOMIC_RELAXED);
		(void)first_touch_fault(&s->touch, gpa);
	}
	return NULL;
}

static void many_at_once_zero_a_piece_once(void **state)
{
	struct scene *s = *state;
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, toucher, s), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (unsigned i = 0; i < PIECES; i++) {
		uint32_t count;
		memcpy(&count, s->ram + i * MEM_PIECE_BYTES, sizeof(count));
		assert_int_equal(count, 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_there_before_it_is_touched, begin, end),
		cmocka_unit_test_setup_teardown(a_fault_brings_its_piece_once, begin, end),
		cmocka_unit_test_setup_teardown(where_there_is_no_memory_a_fault_is_none_of_ours,
						begin, end),
		cmocka_unit_test_setup_teardown(devices_and_loaders_never_see_what_was_in_it, begin,
						end),
		cmocka_unit_test_setup_teardown(a_range_over_pieces_brings_them_all, begin, end),
		cmocka_unit_test_setup_teardown(what_a_request_is_over_comes_a_turn_after_the_other,
						begin, end),
		cmocka_unit_test_setup_teardown(where_there_is_no_memory_nothing_is_waited_for,
						begin, end),
		cmocka_unit_test_setup_teardown(at_once_is_all_of_a_slot, begin, end),
		cmocka_unit_test_setup_teardown(what_is_not_made_of_pieces_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(
			a_piece_that_was_given_is_zero_wherever_it_comes_from, begin, end),
		cmocka_unit_test_setup_teardown(a_piece_is_given_once_and_untouched_ones_too, begin,
						end),
		cmocka_unit_test_setup_teardown(
			with_none_left_the_touch_fails_and_nothing_is_reached, begin, end),
		cmocka_unit_test_setup_teardown(a_range_whose_pieces_moved_is_reached_in_parts,
						begin, end),
		cmocka_unit_test_setup_teardown(a_large_leaf_is_split_for_one_of_its_pieces, begin,
						end),
		cmocka_unit_test_setup_teardown(at_the_end_all_that_is_left_is_given, begin, end),
		cmocka_unit_test_setup_teardown(many_at_once_zero_a_piece_once, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
