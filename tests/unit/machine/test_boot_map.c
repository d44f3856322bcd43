/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_scene.h"

#include "machine/boot_priv.h"
#include "machine/layout.h"

static void check_map(const struct guest_mem *mem, const struct boot_map_entry *want, unsigned n)
{
	struct boot_map_entry map[BOOT_MAP];

	assert_int_equal(boot_map(mem, map), n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(map[i].gpa, want[i].gpa);
		assert_int_equal(map[i].len_bytes, want[i].len_bytes);
		assert_int_equal(map[i].type, want[i].type);
	}
}

static void small_memory(void **state)
{
	static const struct boot_map_entry want[] = {
		{ 0, 0x9fc00, BOOT_MAP_RAM },
		{ 0x9fc00, 0x400, BOOT_MAP_RESERVED },
		{ 0xe0000, 0x20000, BOOT_MAP_RESERVED },
		{ 0x100000, 0x7f00000, BOOT_MAP_RAM },
		{ 0xb0000000, 0x10000000, BOOT_MAP_RESERVED },
		{ 0xfffbc000, 0x4000, BOOT_MAP_RESERVED },
	};
	struct guest_mem mem = { 0 };
	uint8_t ram[1];

	(void)state;
	assert_int_equal(mem_add(&mem, 0, 0x8000000, ram, false), 0);
	check_map(&mem, want, ARRAY_SIZE(want));
}

static void memory_on_both_sides_of_the_hole(void **state)
{
	static const struct boot_map_entry want[] = {
		{ 0, 0x9fc00, BOOT_MAP_RAM },
		{ 0x9fc00, 0x400, BOOT_MAP_RESERVED },
		{ 0xe0000, 0x20000, BOOT_MAP_RESERVED },
		{ 0x100000, 0xaff00000, BOOT_MAP_RAM },
		{ 0xb0000000, 0x10000000, BOOT_MAP_RESERVED },
		{ 0xff000000, 0x1000, BOOT_MAP_RESERVED }, /* a ROM */
		{ 0xfffbc000, 0x4000, BOOT_MAP_RESERVED },
		{ 0x100000000, 0x40000000, BOOT_MAP_RAM },
	};
	struct guest_mem mem = { 0 };
	uint8_t ram[1];

	(void)state;
	assert_int_equal(mem_add(&mem, LAYOUT_HIGH_RAM, 0x40000000, ram, false), 0);
	assert_int_equal(mem_add(&mem, 0, LAYOUT_LOW_RAM_MAX, ram, false), 0);
	assert_int_equal(mem_add(&mem, 0xff000000, 0x1000, ram, true), 0);
	check_map(&mem, want, ARRAY_SIZE(want));
}

static void the_most_slots_fit(void **state)
{
	struct boot_map_entry map[BOOT_MAP];
	struct guest_mem mem = { 0 };
	uint8_t ram[1];

	(void)state;
	for (unsigned i = 0; i < MEM_SLOTS; i++)
		assert_int_equal(mem_add(&mem, i * 0x200000, 0x1ff000, ram, false), 0);
	assert_int_equal(boot_map(&mem, map), 4 + MEM_SLOTS + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_memory),
		cmocka_unit_test(memory_on_both_sides_of_the_hole),
		cmocka_unit_test(the_most_slots_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
