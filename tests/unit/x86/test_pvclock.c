/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "x86/pvclock.h"

#define GPA	 UINT64_C(0x5000)
#define NS_PER_S UINT64_C(1000000000)

/* Guest memory, and what its version was while the rest changed. */
struct ram {
	uint8_t bytes[32];
	uint32_t version_meanwhile;
	unsigned writes;
};

static void ram_write(void *arg, uint64_t gpa, const void *data, unsigned len)
{
	struct ram *ram = arg;

	assert_in_range(gpa, GPA, GPA + sizeof(ram->bytes) - len);
	if (len > sizeof(uint32_t))
		ram->version_meanwhile = le32_load(ram->bytes);
	memcpy(ram->bytes + (gpa - GPA), data, len);
	ram->writes++;
}

static const struct pvclock_line line = {
	.tsc_hz = 2596153000,
	.tsc_start = 12345,
	.is_stable = true,
};

static void scales_are_exact(void **state)
{
	static const uint64_t hz[] = { 1000000,	   999999999,  1000000000,
				       2000000000, 2596153000, 5000000001 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hz); i++) {
		uint32_t mul = 0;
		int8_t shift = 0;
		pvclock_scale(hz[i], &mul, &shift);
		uint64_t ticks = hz[i]; /* a second */
		ticks = shift < 0 ? ticks >> -shift : ticks << shift;
		uint64_t ns = (uint64_t)((unsigned __int128)ticks * mul >> 32);
		assert_in_range(ns, 999999990, 1000000001);
		assert_true(mul >> 30); /* no bits are wasted */
	}
}

static void a_reader_sees_an_odd_version_meanwhile(void **state)
{
	struct ram ram = { 0 };
	const struct pvclock_mem mem = { ram_write, &ram };
	struct pvclock clock = { 0 };
	uint32_t mul = 0;
	int8_t shift = 0;

	(void)state;
	assert_int_equal(pvclock_msr_write(&clock, 0x4b564d01, GPA | 1), PVCLOCK_TIME);
	for (uint32_t version = 2; version <= 6; version += 2) {
		pvclock_time_write(&clock, &line, &mem);
		assert_int_equal(ram.version_meanwhile, version - 1);
		assert_int_equal(le32_load(ram.bytes), version);
	}
	assert_int_equal(le64_load(ram.bytes + 8), 12345);
	assert_int_equal(le64_load(ram.bytes + 16), 0);
	pvclock_scale(line.tsc_hz, &mul, &shift);
	assert_int_equal(le32_load(ram.bytes + 24), mul);
	assert_int_equal((int8_t)ram.bytes[28], shift);
	assert_int_equal(ram.bytes[29], 1); /* stable */
}

static void one_that_is_off_is_left_alone(void **state)
{
	struct ram ram = { 0 };
	const struct pvclock_mem mem = { ram_write, &ram };
	struct pvclock clock = { 0 };

	(void)state;
	assert_int_equal(pvclock_msr_write(&clock, 0x12, GPA), PVCLOCK_TIME);
	assert_false(pvclock_is_on(&clock));
	pvclock_time_write(&clock, &line, &mem);
	assert_int_equal(ram.writes, 0);
	assert_int_equal(clock.version, 0);
}

static void the_time_of_day_has_seconds_and_the_rest(void **state)
{
	struct ram ram = { 0 };
	const struct pvclock_mem mem = { ram_write, &ram };
	struct pvclock clock = { 0 };

	(void)state;
	assert_int_equal(pvclock_msr_write(&clock, 0x11, GPA), PVCLOCK_WALL);
	pvclock_wall_write(&clock, 1700000000 * NS_PER_S + 42, &mem);
	assert_int_equal(le32_load(ram.bytes) & 1, 0);
	assert_int_equal(le32_load(ram.bytes + 4), 1700000000);
	assert_int_equal(le32_load(ram.bytes + 8), 42);
}

static void old_and_new_registers_are_the_same(void **state)
{
	struct pvclock clock = { 0 };
	uint64_t value = 0;

	(void)state;
	(void)pvclock_msr_write(&clock, 0x12, 0x7001);
	assert_true(pvclock_msr_read(&clock, 0x4b564d01, &value));
	assert_int_equal(value, 0x7001);
	(void)pvclock_msr_write(&clock, 0x4b564d00, 0x8000);
	assert_true(pvclock_msr_read(&clock, 0x11, &value));
	assert_int_equal(value, 0x8000);
	assert_false(pvclock_msr_read(&clock, 0x4b564d02, &value));
	assert_int_equal(pvclock_msr_write(&clock, 0x10, 0), PVCLOCK_NO_MSR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scales_are_exact),
		cmocka_unit_test(a_reader_sees_an_odd_version_meanwhile),
		cmocka_unit_test(one_that_is_off_is_left_alone),
		cmocka_unit_test(the_time_of_day_has_seconds_and_the_rest),
		cmocka_unit_test(old_and_new_registers_are_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
