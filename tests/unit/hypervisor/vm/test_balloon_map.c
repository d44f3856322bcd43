/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vm/balloon_map.h"

#define PIECES 4U
#define END    (PIECES * MEM_PIECE_BYTES)
#define PAGE   GUEST_PAGE_BYTES

static int begin(void **state)
{
	struct balloon_map *map = calloc(1, sizeof(*map));

	assert_non_null(map);
	balloon_map_init(map, calloc(1, balloon_map_bytes(END)), END);
	assert_non_null(map->pieces);
	*state = map;
	return 0;
}

static int end(void **state)
{
	struct balloon_map *map = *state;

	free(map->pieces);
	free(map);
	return 0;
}

/* What is wanted, a bit a piece; and then nothing is. */
static unsigned wanted(struct balloon_map *map)
{
	unsigned set = 0;
	gpa_t gpa;

	while (balloon_map_take(map, &gpa)) {
		assert_int_equal(gpa % MEM_PIECE_BYTES, 0);
		set |= 1U << (gpa / MEM_PIECE_BYTES);
	}
	return set;
}

static void a_piece_is_wanted_once_its_last_page_is_in_the_balloon(void **state)
{
	struct balloon_map *map = *state;

	for (gpa_t gpa = MEM_PIECE_BYTES; gpa < 2 * MEM_PIECE_BYTES; gpa += 2 * PAGE)
		balloon_map_inflate(map, gpa, PAGE);
	for (gpa_t gpa = MEM_PIECE_BYTES + PAGE; gpa < 2 * MEM_PIECE_BYTES - PAGE; gpa += 2 * PAGE)
		balloon_map_inflate(map, gpa, PAGE);
	assert_int_equal(wanted(map), 0);
	balloon_map_inflate(map, 2 * MEM_PIECE_BYTES - PAGE, PAGE);
	assert_int_equal(wanted(map), 2);
}

static void a_run_over_pieces_wants_the_whole_ones(void **state)
{
	struct balloon_map *map = *state;

	balloon_map_inflate(map, PAGE, 3 * MEM_PIECE_BYTES);
	assert_int_equal(wanted(map), 2 | 4);
	balloon_map_inflate(map, 0, PAGE);
	assert_int_equal(wanted(map), 1);
}

static void a_deflated_page_is_missing_again(void **state)
{
	struct balloon_map *map = *state;

	balloon_map_inflate(map, 0, 2 * MEM_PIECE_BYTES);
	balloon_map_deflate(map, 5 * PAGE, PAGE);
	assert_int_equal(wanted(map), 2);
	balloon_map_inflate(map, 6 * PAGE, PAGE);
	assert_int_equal(wanted(map), 0);
	balloon_map_inflate(map, 5 * PAGE, PAGE);
	assert_int_equal(wanted(map), 1);
}

/* The guest uses reported memory again without a word: one page of it in the balloon must not take the others. */
static void reported_pages_are_not_in_the_balloon(void **state)
{
	struct balloon_map *map = *state;

	balloon_map_report(map, 0, MEM_PIECE_BYTES);
	assert_int_equal(wanted(map), 1);
	balloon_map_inflate(map, PAGE, MEM_PIECE_BYTES - PAGE);
	assert_int_equal(wanted(map), 0);
}

static void of_a_report_only_whole_pieces_count(void **state)
{
	struct balloon_map *map = *state;

	balloon_map_report(map, PAGE, MEM_PIECE_BYTES);
	balloon_map_report(map, 2 * MEM_PIECE_BYTES, MEM_PIECE_BYTES - PAGE);
	balloon_map_report(map, PAGE, PAGE);
	assert_int_equal(wanted(map), 0);
	balloon_map_report(map, PAGE, 3 * MEM_PIECE_BYTES);
	assert_int_equal(wanted(map), 2 | 4);
}

static void a_reset_empties_the_balloon(void **state)
{
	struct balloon_map *map = *state;

	balloon_map_inflate(map, 0, 2 * MEM_PIECE_BYTES - PAGE);
	balloon_map_reset(map);
	assert_int_equal(wanted(map), 0);
	balloon_map_inflate(map, 2 * MEM_PIECE_BYTES - PAGE, PAGE);
	assert_int_equal(wanted(map), 0);
}

static void what_lies_behind_the_end_is_passed_over(void **state)
{
	struct balloon_map *map = *state;

	balloon_map_inflate(map, END, MEM_PIECE_BYTES);
	balloon_map_deflate(map, END, MEM_PIECE_BYTES);
	balloon_map_report(map, END - MEM_PIECE_BYTES, 4 * MEM_PIECE_BYTES);
	assert_int_equal(wanted(map), 8);
}

static void each_page_counts_once(void **state)
{
	struct balloon_map *map = *state;

	balloon_map_inflate(map, MEM_PIECE_BYTES - 4096, 3 * 4096);
	balloon_map_inflate(map, MEM_PIECE_BYTES, 4096);
	assert_int_equal(map->n_pages, 3);
	assert_int_equal(balloon_map_count(map, 0, 2 * MEM_PIECE_BYTES), 3);
	assert_int_equal(balloon_map_count(map, MEM_PIECE_BYTES, 4096), 1);
	assert_int_equal(balloon_map_count(map, UINT64_C(1) << 40, 4096), 0);
	balloon_map_deflate(map, 0, MEM_PIECE_BYTES);
	balloon_map_deflate(map, 0, MEM_PIECE_BYTES);
	assert_int_equal(map->n_pages, 2);
	balloon_map_reset(map);
	assert_int_equal(map->n_pages, 0);
}

/* One that is said again is wanted once: what else came is not pushed out by it. */
static void a_piece_said_often_leaves_room_for_others(void **state)
{
	struct balloon_map *map = *state;

	for (unsigned i = 0; i < 2 * BALLOON_MAP_MOST; i++)
		balloon_map_report(map, 0, MEM_PIECE_BYTES);
	balloon_map_report(map, MEM_PIECE_BYTES, MEM_PIECE_BYTES);
	assert_int_equal(wanted(map), 1 | 2);
}

static void no_more_are_wanted_than_there_is_room_for(void **state)
{
	const gpa_t end_gpa = (BALLOON_MAP_MOST + 2) * MEM_PIECE_BYTES;
	struct balloon_map *map = calloc(1, sizeof(*map));
	gpa_t gpa;
	unsigned n = 0;

	(void)state;
	assert_non_null(map);
	balloon_map_init(map, calloc(1, balloon_map_bytes(end_gpa)), end_gpa);
	assert_non_null(map->pieces);
	balloon_map_report(map, 0, end_gpa);
	while (balloon_map_take(map, &gpa))
		n++;
	assert_int_equal(n, BALLOON_MAP_MOST);
	/* Said again and again after it was taken back: the list is full of what is wanted no more, and is emptied. */
	for (unsigned i = 0; i < 2 * BALLOON_MAP_MOST; i++) {
		balloon_map_report(map, 0, MEM_PIECE_BYTES);
		balloon_map_deflate(map, 0, GUEST_PAGE_BYTES);
	}
	assert_false(balloon_map_take(map, &gpa));
	balloon_map_report(map, 0, MEM_PIECE_BYTES);
	assert_true(balloon_map_take(map, &gpa));
	free(map->pieces);
	free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_piece_is_wanted_once_its_last_page_is_in_the_balloon, begin, end),
		cmocka_unit_test_setup_teardown(a_run_over_pieces_wants_the_whole_ones, begin, end),
		cmocka_unit_test_setup_teardown(a_deflated_page_is_missing_again, begin, end),
		cmocka_unit_test_setup_teardown(reported_pages_are_not_in_the_balloon, begin, end),
		cmocka_unit_test_setup_teardown(of_a_report_only_whole_pieces_count, begin, end),
		cmocka_unit_test_setup_teardown(a_reset_empties_the_balloon, begin, end),
		cmocka_unit_test_setup_teardown(each_page_counts_once, begin, end),
		cmocka_unit_test_setup_teardown(what_lies_behind_the_end_is_passed_over, begin,
						end),
		cmocka_unit_test_setup_teardown(a_piece_said_often_leaves_room_for_others, begin,
						end),
		cmocka_unit_test_setup_teardown(no_more_are_wanted_than_there_is_room_for, begin,
						end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
