/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <string.h>

#include "boot/memory.h"

#define MIB UINT64_C(0x100000)

static bool is_free(const struct boot_free *free, uint64_t at)
{
	for (unsigned i = 0; i < free->n; i++) {
		if (at >= free->ranges[i].start && at - free->ranges[i].start < free->ranges[i].len)
			return true;
	}
	return false;
}

static uint64_t bytes_of(const struct boot_free *free)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < free->n; i++) {
		assert_int_equal(free->ranges[i].start % 4096, 0);
		assert_int_equal(free->ranges[i].len % 4096, 0);
		sum += free->ranges[i].len;
	}
	return sum;
}

static void what_somebody_else_claims_is_not_free(void **state)
{
	struct boot_info info;
	struct boot_free free;
	const struct boot_range image = { MIB, MIB / 2 + 1, 0 };

	(void)state;
	boot_info_init(&info, "test");
	boot_info_add_range(&info, 0, 0x9fc00, BOOT_RAM);
	boot_info_add_range(&info, MIB, 63 * MIB, BOOT_RAM);
	boot_info_add_range(&info, 32 * MIB + 100, 8, BOOT_RESERVED); /* in the midst of RAM */
	boot_info_add_range(&info, 63 * MIB, 16 * MIB, BOOT_ACPI);    /* over its end */
	boot_info_add_file(&info, 16 * MIB, 4097, 0);
	boot_free_memory(&info, &image, 1, &free);
	assert_false(is_free(&free, 0x1000));
	assert_false(is_free(&free, MIB));
	assert_false(is_free(&free, MIB + MIB / 2)); /* the page of the image's last byte */
	assert_true(is_free(&free, MIB + MIB / 2 + 4096));
	assert_false(is_free(&free, 16 * MIB));
	assert_false(is_free(&free, 16 * MIB + 4096));
	assert_true(is_free(&free, 16 * MIB + 8192));
	assert_false(is_free(&free, 32 * MIB));
	assert_true(is_free(&free, 32 * MIB + 4096));
	assert_true(is_free(&free, 63 * MIB - 1));
	assert_false(is_free(&free, 63 * MIB));
	assert_int_equal(bytes_of(&free), 62 * MIB - (MIB / 2 + 4096) - 8192 - 4096);
}

static void ram_that_is_told_twice_is_there_once(void **state)
{
	struct boot_info info;
	struct boot_free free;

	(void)state;
	boot_info_init(&info, "test");
	boot_info_add_range(&info, MIB, 8 * MIB, BOOT_RAM);
	boot_info_add_range(&info, 4 * MIB, 8 * MIB, BOOT_RAM);
	boot_info_add_range(&info, 2 * MIB, MIB, BOOT_RAM);
	boot_free_memory(&info, NULL, 0, &free);
	assert_int_equal(bytes_of(&free), 11 * MIB);
	for (unsigned i = 0; i < free.n; i++) {
		for (unsigned j = i + 1; j < free.n; j++)
			assert_true(
				free.ranges[i].start + free.ranges[i].len <= free.ranges[j].start ||
				free.ranges[j].start + free.ranges[j].len <= free.ranges[i].start);
	}
}

static void a_map_in_a_thousand_pieces_keeps_the_largest(void **state)
{
	struct boot_info info;
	struct boot_free free;
	struct boot_range taken[BOOT_FREE_RANGES + 40];

	(void)state;
	boot_info_init(&info, "test");
	boot_info_add_range(&info, MIB, 4096 * MIB, BOOT_RAM);
	for (unsigned i = 0; i < BOOT_FREE_RANGES + 40; i++)
		taken[i] = (struct boot_range){ 2 * MIB + i * 0x3000, 0x1000, 0 };
	boot_free_memory(&info, taken, BOOT_FREE_RANGES + 40, &free);
	assert_true(free.is_cut);
	assert_int_equal(free.n, BOOT_FREE_RANGES);
	assert_true(is_free(&free, 4000 * MIB));
}

static void the_end_of_memory_is_not_that_of_devices(void **state)
{
	struct boot_info info;

	(void)state;
	boot_info_init(&info, "test");
	boot_info_add_range(&info, MIB, 63 * MIB, BOOT_RAM);
	boot_info_add_range(&info, 64 * MIB, MIB, BOOT_ACPI);
	boot_info_add_range(&info, UINT64_C(0xfd00000000), UINT64_C(0x300000000), BOOT_RESERVED);
	assert_int_equal(boot_ram_end(&info), 65 * MIB);
	assert_int_equal(boot_ram_bytes(&info), 63 * MIB);
	assert_int_equal(boot_file_bytes(&info), 0);
	info.files[0].len = 4097;
	info.files[1].len = 4096;
	info.n_files = 2;
	assert_int_equal(boot_file_bytes(&info), 3 * 4096);
}

static void processors_start_in_a_page_that_nobody_uses(void **state)
{
	struct boot_info info;

	(void)state;
	boot_info_init(&info, "test");
	assert_int_equal(boot_low_page(&info), 0);
	boot_info_add_range(&info, 0, 0x9fc00, BOOT_RAM);
	assert_int_equal(boot_low_page(&info), 0x8000);
	boot_info_add_file(&info, 0x7800, 0x1000, 0);
	assert_int_equal(boot_low_page(&info), 0x6000);
	boot_info_add_range(&info, 0, 0x9e000, BOOT_RESERVED);
	assert_int_equal(boot_low_page(&info), 0x9e000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_somebody_else_claims_is_not_free),
		cmocka_unit_test(ram_that_is_told_twice_is_there_once),
		cmocka_unit_test(a_map_in_a_thousand_pieces_keeps_the_largest),
		cmocka_unit_test(the_end_of_memory_is_not_that_of_devices),
		cmocka_unit_test(processors_start_in_a_page_that_nobody_uses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
