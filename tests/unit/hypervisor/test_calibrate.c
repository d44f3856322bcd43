/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/calibrate.h"

static void two_that_agree_are_enough(void **state)
{
	struct calibration c = { 0 };

	(void)state;
	assert_true(calibration_add(&c, 1000100, 900, 500));
	assert_false(calibration_add(&c, 1000000, 900, 499));
	assert_true(c.is_agreed);
	assert_int_equal(c.tsc, 1000000);
	assert_int_equal(c.apic, 499);
}

static void long_looks_are_outweighed_by_the_shortest(void **state)
{
	static const uint64_t looks[] = { 2700000, 3517131, 1400000, 7187731, 1000050, 1900000 };
	struct calibration c = { 0 };

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		assert_true(calibration_add(&c, looks[i], 900, (uint32_t)i));
	assert_int_equal(c.tsc, 1000050);
	assert_int_equal(c.apic, 4);
	assert_false(calibration_add(&c, 1000060, 900, 9)); /* not shorter, but it agrees */
	assert_int_equal(c.tsc, 1000050);
	assert_int_equal(c.apic, 4);
}

static void two_long_ones_that_agree_with_each_other_only_do_not_count(void **state)
{
	struct calibration c = { 0 };

	(void)state;
	assert_true(calibration_add(&c, 1000000, 0, 1));
	assert_true(calibration_add(&c, 3000000, 0, 2));
	assert_true(calibration_add(&c, 3000001, 0, 3));
	assert_int_equal(c.tsc, 1000000);
}

static void it_ends(void **state)
{
	struct calibration c = { 0 };
	unsigned n = 1;

	(void)state;
	/* none agrees with the shortest */
	for (uint64_t tsc = 1000000; calibration_add(&c, tsc, 0, 0) && n < 1000; tsc += 1000000)
		n++;
	assert_int_equal(n, CALIBRATE_MOST);
	assert_false(c.is_agreed);
	assert_int_equal(c.tsc, 1000000);
}

/* A loaded host let the emulator go on at its ticks only: two of 12 ms were believed, and the TSC went a fifth too fast. */
static void two_that_were_let_wait_do_not_agree(void **state)
{
	struct calibration c = { 0 };

	(void)state;
	assert_true(calibration_add(&c, 1200000, 150000, 1));
	assert_true(calibration_add(&c, 1200100, 150000, 2));
	assert_true(calibration_add(&c, 1100000, 150000, 3)); /* the best so far */
	assert_int_equal(c.tsc, 1100000);
	assert_true(calibration_add(&c, 1300000, 900, 4)); /* longer, and better */
	assert_int_equal(c.tsc, 1300000);
	assert_true(calibration_add(&c, 1000000, 900, 5));
	assert_true(calibration_add(&c, 999000, 200000, 6));
	assert_true(calibration_add(&c, 1000000, 200000, 7));
	assert_false(calibration_add(&c, 1000010, 900, 8));
	assert_true(c.is_agreed);
	assert_int_equal(c.tsc, 1000000);
	assert_int_equal(c.apic, 5);
}

static void the_shortest_counts_where_none_was_watched_closely(void **state)
{
	struct calibration c = { 0 };
	unsigned n = 1;

	(void)state;
	while (calibration_add(&c, 1300000 - 1000 * (n == 40), 150000, n) && n < 1000)
		n++;
	assert_int_equal(n, CALIBRATE_MOST);
	assert_false(c.is_agreed);
	assert_int_equal(c.tsc, 1299000);
	assert_int_equal(c.apic, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_that_agree_are_enough),
		cmocka_unit_test(long_looks_are_outweighed_by_the_shortest),
		cmocka_unit_test(two_long_ones_that_agree_with_each_other_only_do_not_count),
		cmocka_unit_test(two_that_were_let_wait_do_not_agree),
		cmocka_unit_test(the_shortest_counts_where_none_was_watched_closely),
		cmocka_unit_test(it_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
