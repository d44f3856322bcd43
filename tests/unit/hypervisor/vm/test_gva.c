/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vm/gva.h"

#define RAM (UINT64_C(1) << 20)

static uint8_t ram[RAM] __attribute__((aligned(4096)));
static struct guest_mem mem;
static gpa_t gpa;
static uint32_t error;

static int setup(void **state)
{
	(void)state;
	memset(ram, 0, sizeof(ram));
	mem = (struct guest_mem){ 0 };
	gpa = 0;
	error = 0;
	return mem_add(&mem, 0, RAM, ram, false);
}

static void put(gpa_t at, unsigned bytes, uint64_t value)
{
	memcpy(ram + at, &value, bytes);
}

static const struct hw_paging long_mode = {
	.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP,
	.cr3 = 0x1000,
	.cr4 = X86_CR4_PAE,
	.efer = X86_EFER_LMA | X86_EFER_LME | X86_EFER_NX,
};

/* 0x400000 is at 0x8000, by four levels; rights of the leaf. */
static void map_4k(uint64_t rights)
{
	put(0x1000, 8, 0x2007);
	put(0x2000, 8, 0x3007);
	put(0x3010, 8, 0x4007);
	put(0x4000, 8, 0x8000 | rights);
}

static int walk(const struct hw_paging *p, gva_t gva, uint32_t access)
{
	return gva_translate(&mem, p, gva, access, &gpa, &error);
}

static void four_levels(void **state)
{
	(void)state;
	map_4k(7);
	assert_int_equal(walk(&long_mode, 0x400123, GVA_USER | GVA_WRITE), 0);
	assert_int_equal(gpa, 0x8123);
	assert_int_equal(walk(&long_mode, 0x401000, GVA_WRITE), -EFAULT);
	assert_int_equal(error, GVA_WRITE);
	put(0x3010, 8, 0x200000 | 0x83); /* a large page in its place */
	assert_int_equal(walk(&long_mode, 0x512345, 0), 0);
	assert_int_equal(gpa, 0x312345);
	put(0x2000, 8, 0x40000000 | 0x83); /* 1 GiB */
	assert_int_equal(walk(&long_mode, 0x512345, 0), 0);
	assert_int_equal(gpa, 0x40512345);
}

static void rights_are_those_of_all_levels(void **state)
{
	struct hw_paging no_wp = long_mode;

	(void)state;
	no_wp.cr0 &= ~X86_CR0_WP;
	map_4k(5);
	assert_int_equal(walk(&long_mode, 0x400000, GVA_WRITE), -EFAULT);
	assert_int_equal(error, GVA_PRESENT | GVA_WRITE);
	assert_int_equal(walk(&no_wp, 0x400000, GVA_WRITE), 0);
	assert_int_equal(walk(&no_wp, 0x400000, GVA_WRITE | GVA_USER), -EFAULT);
	map_4k(7);
	put(0x2000, 8, 0x3003); /* not the user's */
	assert_int_equal(walk(&long_mode, 0x400000, GVA_USER), -EFAULT);
	assert_int_equal(error, GVA_PRESENT | GVA_USER);
	put(0x2000, 8, 0x3007 | UINT64_C(1) << 63);
	assert_int_equal(walk(&long_mode, 0x400000, GVA_FETCH), -EFAULT);
	assert_int_equal(walk(&long_mode, 0x400000, 0), 0);
}

static void two_levels_and_pae(void **state)
{
	const struct hw_paging two = { .cr0 = X86_CR0_PE | X86_CR0_PG, .cr3 = 0x1000, .cr4 = 0x10 };
	const struct hw_paging pae = { .cr0 = X86_CR0_PE | X86_CR0_PG,
				       .cr3 = 0x1020,
				       .cr4 = X86_CR4_PAE };

	(void)state;
	put(0x1004, 4, 0x2007);
	put(0x2004, 4, 0x9007);
	assert_int_equal(walk(&two, 0xffffffff00401234, 0), 0); /* 32 bits of it count */
	assert_int_equal(gpa, 0x9234);
	put(0x1004, 4, 0x00c02087); /* 4 MiB, bit 32 by PSE-36 */
	assert_int_equal(walk(&two, 0x401234, 0), 0);
	assert_int_equal(gpa, UINT64_C(0x100c01234));
	put(0x1020 + 3 * 8, 8, 0x2001); /* the root's entries have no rights */
	put(0x2000, 8, 0x4007);
	put(0x4008, 8, 0xa007);
	assert_int_equal(walk(&pae, 0xc0001004, GVA_WRITE), 0);
	assert_int_equal(gpa, 0xa004);
}

static void no_paging_is_the_address_itself(void **state)
{
	const struct hw_paging none = { .cr0 = X86_CR0_PE };

	(void)state;
	assert_int_equal(walk(&none, 0x12345, GVA_WRITE | GVA_USER), 0);
	assert_int_equal(gpa, 0x12345);
}

static void tables_outside_of_ram_are_no_memory(void **state)
{
	struct hw_paging p = long_mode;

	(void)state;
	p.cr3 = RAM;
	assert_int_equal(walk(&p, 0, 0), -EIO);
	put(0x1000, 8, UINT64_C(0x000ffffffffff007));
	assert_int_equal(walk(&long_mode, 0, 0), -EIO);
}

static void copies_stop_at_the_page_that_is_not_there(void **state)
{
	uint8_t data[16] = { 0 };
	gva_t at = 0;

	(void)state;
	map_4k(7);
	memset(ram + 0x8000, 0xab, 4096);
	assert_int_equal(gva_read(&mem, &long_mode, 0x400ff8, 0, data, 8, &at, &error), 0);
	assert_int_equal(data[7], 0xab);
	assert_int_equal(gva_read(&mem, &long_mode, 0x400ff8, 0, data, 16, &at, &error), -EFAULT);
	assert_int_equal(at, 0x401000);
	assert_int_equal(error, 0);
	assert_int_equal(gva_write(&mem, &long_mode, 0x400ffe, 0, "xyz", 3, &at, &error), -EFAULT);
	assert_int_equal(at, 0x401000);
	assert_int_equal(error, GVA_WRITE);
	assert_memory_equal(ram + 0x8ffe, "xy", 2);
	put(0x4008, 8, RAM | 7);
	assert_int_equal(gva_write(&mem, &long_mode, 0x401000, 0, "x", 1, &at, &error), -EIO);
}

static void what_was_accessed_is_marked(void **state)
{
	uint64_t entry;

	(void)state;
	map_4k(7);
	gva_mark(&mem, &long_mode, 0x400ffc, 0, 4);
	memcpy(&entry, ram + 0x2000, 8);
	assert_int_equal(entry, 0x3027);
	memcpy(&entry, ram + 0x4000, 8);
	assert_int_equal(entry, 0x8027);
	gva_mark(&mem, &long_mode, 0x400000, GVA_WRITE, 4);
	memcpy(&entry, ram + 0x4000, 8);
	assert_int_equal(entry, 0x8067);
	memcpy(&entry, ram + 0x3010, 8);
	assert_int_equal(entry, 0x4027);	    /* no table is dirty */
	gva_mark(&mem, &long_mode, 0x400ffe, 0, 4); /* its end is mapped nowhere */
}

static void two_levels_are_marked_too(void **state)
{
	const struct hw_paging p = { .cr0 = X86_CR0_PE | X86_CR0_PG, .cr3 = 0x1000 };
	uint64_t entry;

	(void)state;
	put(0x1004, 4, 0x2007);
	put(0x2000, 4, 0x8007);
	put(0x2004, 4, 0x9007);
	gva_mark(&mem, &p, 0x400ffe, GVA_WRITE, 4);
	memcpy(&entry, ram + 0x2000, 8);
	assert_int_equal(entry, UINT64_C(0x906700008067));
	memcpy(&entry, ram + 0x1000, 8);
	assert_int_equal(entry, UINT64_C(0x202700000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(four_levels, setup),
		cmocka_unit_test_setup(rights_are_those_of_all_levels, setup),
		cmocka_unit_test_setup(two_levels_and_pae, setup),
		cmocka_unit_test_setup(no_paging_is_the_address_itself, setup),
		cmocka_unit_test_setup(tables_outside_of_ram_are_no_memory, setup),
		cmocka_unit_test_setup(copies_stop_at_the_page_that_is_not_there, setup),
		cmocka_unit_test_setup(what_was_accessed_is_marked, setup),
		cmocka_unit_test_setup(two_levels_are_marked_too, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
