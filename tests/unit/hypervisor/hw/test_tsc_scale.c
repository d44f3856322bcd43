/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hw/tsc_scale.h"

static const struct tsc_factor_bits svm = { 8, 32 }, vmx = { 16, 48 }, none;

static struct tsc_scale scale;
static uint64_t hz;
static struct err err;

static int choose(struct tsc_factor_bits bits, uint64_t host_hz, uint32_t khz)
{
	return tsc_scale_choose(bits, host_hz, khz, &scale, &hz, &err);
}

static void no_factor_is_the_hosts_own_count(void **state)
{
	const struct tsc_scale own = { 0 };

	(void)state;
	assert_int_equal(tsc_scaled(&own, 0x123456789abcdef0), 0x123456789abcdef0);
}

static void factors_are_as_the_manuals_have_them(void **state)
{
	(void)state;
	assert_int_equal(choose(svm, 2000000000, 1000000), 0);
	assert_int_equal(scale.factor, UINT64_C(1) << 31);
	assert_int_equal(hz, 1000000000);
	assert_int_equal(choose(vmx, 2000000000, 3000000), 0);
	assert_int_equal(scale.factor, UINT64_C(3) << 47);
	assert_int_equal(hz, 3000000000);
	assert_int_equal(choose(vmx, 2000000000, 2000000), 0);
	assert_int_equal(scale.factor, UINT64_C(1) << 48);
}

static void a_rate_is_never_above_what_was_asked(void **state)
{
	(void)state;
	for (uint32_t khz = 1000; khz < 16000000; khz += 97531) {
		assert_int_equal(choose(svm, 2596555321, khz), 0);
		assert_in_range(hz, khz * UINT64_C(1000) - 2, khz * UINT64_C(1000));
		assert_int_equal(choose(vmx, 2596555321, khz), 0);
		assert_in_range(hz, khz * UINT64_C(1000) - 1, khz * UINT64_C(1000));
	}
}

static void counts_of_years_do_not_wrap_in_between(void **state)
{
	const uint64_t year = UINT64_C(2000000000) * 86400 * 365;

	(void)state;
	assert_int_equal(choose(svm, 2000000000, 3000000), 0);
	assert_int_equal(tsc_scaled(&scale, 10 * year), 15 * year);
	assert_int_equal(choose(vmx, 2000000000, 500000), 0);
	assert_int_equal(tsc_scaled(&scale, 20 * year), 5 * year);
}

static void what_a_cpu_cannot_is_said(void **state)
{
	(void)state;
	scale.factor = 77;
	assert_int_equal(choose(none, 2000000000, 1000000), -ENOTSUP);
	assert_string_equal(err.text, "tsc-khz 1000000: this server's CPU cannot scale its TSC: "
				      "without it, the guest has the server's 2000000 kHz");
	assert_int_equal(choose(svm, 10000000, 2560000), -ERANGE);
	assert_string_equal(err.text,
			    "tsc-khz 2560000: too far from the server's 10000 kHz for its CPU");
	assert_int_equal(scale.factor, 77); /* untouched */
	assert_int_equal(choose(svm, 10000000, 2559999), 0);
	assert_int_equal(choose(vmx, 10000000, 2560000), 0);
	assert_int_equal(choose(svm, UINT64_C(1) << 39, 1), 0);
	assert_int_equal(scale.factor, 7);
	assert_int_equal(choose((struct tsc_factor_bits){ 8, 8 }, UINT64_C(1) << 39, 1), -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_factor_is_the_hosts_own_count),
		cmocka_unit_test(factors_are_as_the_manuals_have_them),
		cmocka_unit_test(a_rate_is_never_above_what_was_asked),
		cmocka_unit_test(counts_of_years_do_not_wrap_in_between),
		cmocka_unit_test(what_a_cpu_cannot_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
