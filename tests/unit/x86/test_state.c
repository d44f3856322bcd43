/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "x86/descriptor.h"

static void reset_is_what_the_manual_says(void **state)
{
	struct x86_state s;

	(void)state;
	x86_state_reset(&s, true);
	assert_int_equal(s.cr0, 0x60000010);
	assert_int_equal(s.segs[X86_CS].base + s.rip, 0xfffffff0);
	assert_int_equal(s.segs[X86_CS].selector, 0xf000);
	assert_int_equal(s.segs[X86_CS].type, 0xb);
	assert_int_equal(s.segs[X86_SS].limit, 0xffff);
	assert_int_equal(s.segs[X86_SS].type, 3);
	assert_int_equal(s.rflags, 2);
	assert_int_equal(s.apic_base, 0xfee00900);
	assert_int_equal(s.dr[6], 0xffff0ff0);
	assert_int_equal(s.dr[7], 0x400);
	assert_int_equal(s.gdt.limit, 0xffff);
	assert_int_equal(s.cr4 | s.cr3 | s.efer, 0);
	assert_false(s.wait_sipi || s.halted || s.tr.s || s.ldt.s);
}

static void another_processor_waits_then_starts_at_its_page(void **state)
{
	struct x86_state s;

	(void)state;
	x86_state_reset(&s, false);
	assert_true(s.wait_sipi);
	assert_int_equal(s.apic_base, 0xfee00800);
	x86_state_sipi(&s, 0x9a);
	assert_false(s.wait_sipi);
	assert_int_equal(s.segs[X86_CS].selector, 0x9a00);
	assert_int_equal(s.segs[X86_CS].base, 0x9a000);
	assert_int_equal(s.rip, 0);
	assert_int_equal(s.cr0, 0x60000010);
}

static void descriptors_are_packed_as_in_the_manual(void **state)
{
	const struct x86_segment byte = { .base = 0x12345678,
					  .limit = 0xabcde,
					  .type = 0x3,
					  .s = true,
					  .present = true,
					  .dpl = 3 };
	const struct x86_segment page = {
		.limit = 0xffffffff, .type = 0xb, .s = true, .present = true, .l = true, .g = true
	};

	(void)state;
	assert_int_equal(x86_descriptor(&byte), UINT64_C(0x120af3345678bcde));
	assert_int_equal(x86_descriptor(&page), UINT64_C(0x00af9b000000ffff));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reset_is_what_the_manual_says),
		cmocka_unit_test(another_processor_waits_then_starts_at_its_page),
		cmocka_unit_test(descriptors_are_packed_as_in_the_manual),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
