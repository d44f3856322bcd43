/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter: strings, and devices as operands. */
#include "interp_rig.h"

#include <string.h>

/* ---- strings ---- */

static void copies_across_pages(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3000; i++)
		put(DIFF_DATA + i, i * 7, 1);
	cpu.regs[X86_RSI] = DIFF_DATA;
	cpu.regs[X86_RDI] = DIFF_DATA + 3500;
	cpu.regs[X86_RCX] = 3000;
	assert_done("\xf3\xa4");
	assert_int_equal(cpu.regs[X86_RCX], 0);
	assert_int_equal(cpu.regs[X86_RSI], DIFF_DATA + 3000);
	for (unsigned i = 0; i < 3000; i++)
		assert_int_equal(get(DIFF_DATA + 3500 + i, 1), i * 7 & 0xff);
}

static void an_overlapping_copy_repeats_itself(void **state)
{
	(void)state;
	put(DIFF_DATA, UINT64_C(0x1122334455667788), 8);
	cpu.regs[X86_RSI] = DIFF_DATA;
	cpu.regs[X86_RDI] = DIFF_DATA + 3;
	cpu.regs[X86_RCX] = 1000;
	assert_done("\xf3\xa4");
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(get(DIFF_DATA + i, 1), get(DIFF_DATA + i % 3, 1));
	put(DIFF_DATA + 0x800, UINT64_C(0x0123456789abcdef), 8);
	put(DIFF_DATA + 0x808, 0, 8);
	cpu.regs[X86_RSI] = DIFF_DATA + 0x800;
	cpu.regs[X86_RDI] = DIFF_DATA + 0x804;
	cpu.regs[X86_RCX] = 2;
	assert_done("\xf3\x48\xa5"); /* eights: each is read whole before it is written */
	assert_int_equal(get(DIFF_DATA + 0x804, 8), UINT64_C(0x0123456789abcdef));
	assert_int_equal(get(DIFF_DATA + 0x80c, 4), 0x01234567);
}

static void backwards(void **state)
{
	(void)state;
	put(DIFF_DATA + 100, UINT64_C(0x1122334455667788), 8);
	cpu.rflags |= X86_DF;
	cpu.regs[X86_RSI] = DIFF_DATA + 104;
	cpu.regs[X86_RDI] = DIFF_DATA + 204;
	cpu.regs[X86_RCX] = 2;
	assert_done("\xf3\xa5");
	assert_int_equal(get(DIFF_DATA + 200, 8), UINT64_C(0x1122334455667788));
	assert_int_equal(cpu.regs[X86_RDI], DIFF_DATA + 196);
}

static void a_fault_leaves_what_is_done(void **state)
{
	(void)state;
	cpu.regs[X86_RAX] = UINT64_C(0x1111111111111111);
	cpu.regs[X86_RDI] = GUARD - 80;
	cpu.regs[X86_RCX] = 100;
	assert_fault(STEP("\xf3\x48\xab"), PF); /* rep stosq */
	assert_int_equal(cpu.fault.cr2, GUARD);
	assert_int_equal(cpu.fault.error, 6);
	assert_int_equal(cpu.regs[X86_RCX], 90);
	assert_int_equal(cpu.regs[X86_RDI], GUARD);
	assert_int_equal(cpu.rip, DIFF_CODE);
	assert_int_equal(get(GUARD - 8, 8), UINT64_C(0x1111111111111111));
}

static void compares_and_scans(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		put(DIFF_DATA + i, i, 1);
		put(DIFF_DATA + 100 + i, i == 20 ? 0x80 : i, 1);
	}
	cpu.regs[X86_RSI] = DIFF_DATA;
	cpu.regs[X86_RDI] = DIFF_DATA + 100;
	cpu.regs[X86_RCX] = 64;
	assert_done("\xf3\xa6"); /* repe cmpsb: 20 - 80h */
	assert_int_equal(cpu.regs[X86_RCX], 43);
	assert_int_equal(cpu.regs[X86_RSI], DIFF_DATA + 21);
	assert_int_equal(cpu.rflags & X86_FLAGS_ARITH, X86_CF | X86_SF | X86_OF);
	cpu.regs[X86_RAX] = 30;
	cpu.regs[X86_RDI] = DIFF_DATA;
	cpu.regs[X86_RCX] = 64;
	assert_done("\xf2\xae"); /* repne scasb */
	assert_int_equal(cpu.regs[X86_RCX], 33);
	assert_true(cpu.rflags & X86_ZF);
	cpu.regs[X86_RCX] = 0;
	uint64_t flags = cpu.rflags;
	assert_done("\xf3\xa6"); /* none at all */
	assert_int_equal(cpu.rflags, flags);
}

static void whoever_polls_is_heard(void **state)
{
	(void)state;
	cpu.regs[X86_RDI] = DIFF_DATA;
	cpu.regs[X86_RCX] = 8192;
	cpu.poll = CPU_POLL_KICK;
	assert_int_equal(STEP("\xf3\xaa"), CPU_OK);
	assert_int_equal(cpu.rip, DIFF_CODE); /* to be continued */
	assert_in_range(cpu.regs[X86_RCX], 1, 8191);
	assert_int_equal(cpu.regs[X86_RDI] + cpu.regs[X86_RCX], DIFF_DATA + 8192);
	while (cpu.rip == DIFF_CODE)
		assert_int_equal(interp_step(&cpu), CPU_OK);
	assert_int_equal(cpu.regs[X86_RCX], 0);
}

static void narrow_addresses(void **state)
{
	(void)state;
	put(DIFF_DATA + 8, 0x5a, 1);
	cpu.regs[X86_RSI] = UINT64_C(0xffff000000000000) | (DIFF_DATA + 8);
	cpu.regs[X86_RDI] = UINT64_C(0xffff000000000000) | DIFF_DATA;
	cpu.regs[X86_RCX] = UINT64_C(0xffff000000000001);
	assert_done("\x67\xf3\xa4");
	assert_int_equal(get(DIFF_DATA, 1), 0x5a);
	assert_int_equal(cpu.regs[X86_RDI], DIFF_DATA + 1);
	assert_int_equal(cpu.regs[X86_RCX], 0);
}

/* ---- devices ---- */

static void a_read_modify_write_of_a_device(void **state)
{
	(void)state;
	cpu.regs[X86_RBX] = DEVICE + 8;
	cpu.regs[X86_RAX] = 5;
	assert_int_equal(STEP("\x0f\xc1\x03"), CPU_EXIT); /* xadd [rbx], eax */
	assert_int_equal(cpu.exit, VCPU_EXIT_MMIO);
	assert_false(io.mmio.is_write);
	assert_int_equal(io.mmio.gpa, DEVICE_GPA + 8);
	assert_int_equal(io.mmio.len, 4);
	answer(100);
	assert_int_equal(interp_step(&cpu), CPU_EXIT);
	assert_true(io.mmio.is_write);
	assert_int_equal(*(uint32_t *)io.mmio.data, 105);
	assert_int_equal(cpu.regs[X86_RAX], 5); /* not yet */
	assert_int_equal(cpu.rip, DIFF_CODE);
	answer(0);
	assert_int_equal(interp_step(&cpu), CPU_OK);
	assert_int_equal(cpu.regs[X86_RAX], 100);
	assert_int_equal(cpu.rip, DIFF_CODE + 3);
}

static void a_pop_of_the_x87_stack_to_a_device_pops_once(void **state)
{
	uint16_t status;

	(void)state;
	__asm__ volatile("fninit; fld1; fldpi; fld1");
	cpu.regs[X86_RBX] = DEVICE;
	assert_int_equal(STEP("\xdd\x1b"), CPU_EXIT); /* fstp qword [rbx] */
	while (!io.mmio.is_write) { /* a store of the x87 may store nothing: what is there is read */
		answer(0);
		assert_int_equal(interp_step(&cpu), CPU_EXIT);
	}
	assert_int_equal(*(uint64_t *)io.mmio.data, UINT64_C(0x3ff0000000000000));
	answer(0);
	assert_int_equal(interp_step(&cpu), CPU_OK);
	__asm__ volatile("fnstsw %0; fninit" : "=a"(status));
	assert_int_equal(status >> 11 & 7, 6); /* two are left */
}

static void a_string_from_a_port(void **state)
{
	(void)state;
	cpu.cpl = 0;
	cpu_mode_update(&cpu);
	cpu.regs[X86_RDX] = 0x1f0;
	cpu.regs[X86_RDI] = DIFF_DATA;
	cpu.regs[X86_RCX] = 2;
	assert_int_equal(STEP("\xf3\x66\x6d"), CPU_EXIT); /* rep insw */
	assert_int_equal(cpu.exit, VCPU_EXIT_PIO);
	assert_int_equal(io.pio.port, 0x1f0);
	assert_int_equal(io.pio.len, 2);
	answer(0x1111);
	assert_int_equal(interp_step(&cpu), CPU_EXIT);
	assert_int_equal(cpu.regs[X86_RCX], 1);
	assert_int_equal(get(DIFF_DATA, 2), 0x1111);
	answer(0x2222);
	assert_int_equal(interp_step(&cpu), CPU_OK);
	assert_int_equal(get(DIFF_DATA + 2, 2), 0x2222);
	cpu.regs[X86_RSI] = DIFF_DATA;
	assert_int_equal(STEP("\x6e"), CPU_EXIT); /* outsb */
	assert_true(io.pio.is_write);
	assert_int_equal(*io.pio.data, 0x11);
	answer(0);
	assert_int_equal(interp_step(&cpu), CPU_OK);
	assert_int_equal(cpu.regs[X86_RSI], DIFF_DATA + 1);
}

static void a_port_is_not_read_for_a_page_that_is_not_there(void **state)
{
	(void)state;
	cpu.cpl = 0;
	cpu_mode_update(&cpu);
	cpu.regs[X86_RDI] = GUARD;
	assert_fault(STEP("\x6c"), PF);
	cpu.cpl = 3;
	cpu_mode_update(&cpu);
	cpu.regs[X86_RDI] = DIFF_DATA;
	assert_fault(STEP("\x6c"), GP); /* nor without the right to */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(copies_across_pages),
		TEST(an_overlapping_copy_repeats_itself),
		TEST(backwards),
		TEST(a_fault_leaves_what_is_done),
		TEST(compares_and_scans),
		TEST(whoever_polls_is_heard),
		TEST(narrow_addresses),
		TEST(a_read_modify_write_of_a_device),
		TEST(a_pop_of_the_x87_stack_to_a_device_pops_once),
		TEST(a_string_from_a_port),
		TEST(a_port_is_not_read_for_a_page_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
