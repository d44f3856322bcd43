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

static void a_descriptor_is_taken_apart_as_it_was_packed(void **state)
{
	const struct x86_segment page = x86_descriptor_parse(UINT64_C(0x12df9a3456780009), 0x1b);

	(void)state;
	assert_int_equal(page.base, 0x12345678);
	assert_int_equal(page.limit, 0xf0009fff);
	assert_int_equal(page.selector, 0x1b);
	assert_int_equal(page.type, 0xa);
	assert_int_equal(page.dpl, 0);
	assert_true(page.s && page.present && page.avl && page.db && page.g);
	assert_false(page.l || page.unusable);
	assert_int_equal(x86_descriptor(&page), UINT64_C(0x12df9a3456780009));
}

static void xcr0_takes_what_goes_together(void **state)
{
	static const struct {
		uint64_t value;
		bool is_valid;
	} rows[] = {
		{ 0x1, true },	 { 0x3, true },	   { 0x7, true },   { 0xe7, true },
		{ 0x0, false },	 { 0x2, false },   { 0x5, false },  { 0x27, false },
		{ 0xe3, false }, { 0x207, false }, { 0x67, false }, { 0xe1, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(x86_xcr0_is_valid(rows[i].value, 0xe7), rows[i].is_valid);
	assert_false(x86_xcr0_is_valid(0xe7, 0x7)); /* not shown */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reset_is_what_the_manual_says),
		cmocka_unit_test(another_processor_waits_then_starts_at_its_page),
		cmocka_unit_test(descriptors_are_packed_as_in_the_manual),
		cmocka_unit_test(a_descriptor_is_taken_apart_as_it_was_packed),
		cmocka_unit_test(xcr0_takes_what_goes_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
