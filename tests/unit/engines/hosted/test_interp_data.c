/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter: operands, faults that hang on modes. What computes is in test_interp_diff.c. */
#include "interp_rig.h"

/* ---- operands ---- */

static void locked_across_pages(void **state)
{
	const uint64_t where = DIFF_DATA + DIFF_PAGE - 3;

	(void)state;
	put(where, 0xffffff, 3);
	put(where + 3, 0, 5);
	cpu.regs[X86_RBX] = where;
	assert_done("\xf0\x48\x83\x03\x01"); /* lock add qword [rbx], 1 */
	assert_int_equal(get(where, 3), 0);
	assert_int_equal(get(where + 3, 5), 1);
	assert_int_equal(vm.lock_split, 0);
}

/* All of the registers below 8 are named: regression. */
static void an_address_of_two_registers_and_four_operands(void **state)
{
	(void)state;
	put(DIFF_DATA, UINT64_C(0x100000002), 8);
	cpu.regs[X86_RSI] = DIFF_DATA - 8;
	cpu.regs[X86_RDI] = 8;
	cpu.regs[X86_RAX] = 2;
	cpu.regs[X86_RDX] = 1;
	cpu.regs[X86_RBX] = 4;
	cpu.regs[X86_RCX] = 3;
	assert_done("\xf0\x0f\xc7\x0c\x3e"); /* lock cmpxchg8b [rsi + rdi] */
	assert_true(cpu.rflags & X86_ZF);
	assert_int_equal(get(DIFF_DATA, 8), UINT64_C(0x300000004));
}

/* Undefined, but not anything: what the CPU keeps is the program's own. */
static void what_a_multiplication_keeps_of_the_flags_was_ours(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 0x1000; i++) {
		uint64_t kept, before = (i & X86_FLAGS_ARITH) | X86_RFLAGS_FIXED, rax = 0x1234;
		__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
				 "push %2\n\tpopfq\n\t"
				 "imul $0x57, %w1, %w1\n\t"
				 "pushfq\n\tpop %0\n\t"
				 "lea 128(%%rsp), %%rsp"
				 : "=&r"(kept), "+r"(rax)
				 : "r"(before)
				 : "cc", "memory");
		cpu.rip = DIFF_CODE;
		cpu.rflags = before;
		cpu.regs[X86_RAX] = 0x1234;
		assert_done("\x66\x6b\xc0\x57"); /* imul ax, ax, 0x57 */
		assert_int_equal(cpu.regs[X86_RAX], rax);
		assert_int_equal(cpu.rflags & X86_FLAGS_ARITH, kept & X86_FLAGS_ARITH);
	}
}

static void bases_of_fs_and_gs(void **state)
{
	(void)state;
	cpu.segs[X86_FS].base = DIFF_DATA;
	cpu.segs[X86_GS].base = DIFF_DATA + 0x100;
	put(DIFF_DATA + 0x10, 0x77, 8);
	put(DIFF_DATA + 0x110, 0x88, 8);
	cpu.regs[X86_RAX] = 0x10;
	assert_done("\x64\x48\x8b\x18"); /* mov rbx, fs:[rax] */
	assert_int_equal(cpu.regs[X86_RBX], 0x77);
	assert_done("\x65\x48\x8b\x18");
	assert_int_equal(cpu.regs[X86_RBX], 0x88);
	assert_done("\x65\x48\x8d\x18"); /* lea: no base */
	assert_int_equal(cpu.regs[X86_RBX], 0x10);
}

static void limits_of_segments(void **state)
{
	(void)state;
	code_is(X86_CODE_32);
	cpu.segs[X86_DS].base = DIFF_DATA;
	cpu.segs[X86_DS].limit = 0xfff;
	cpu_mode_update(&cpu);
	put(DIFF_DATA + 0xffc, 0x99, 4);
	cpu.regs[X86_RBX] = 0xffc;
	assert_done("\x8b\x03");
	assert_int_equal(cpu.regs[X86_RAX], 0x99);
	cpu.regs[X86_RBX] = 0xffd;
	assert_fault(STEP("\x8b\x03"), GP);
	cpu.segs[X86_DS].type = 1; /* read-only */
	cpu.regs[X86_RBX] = 0;
	cpu_mode_update(&cpu);
	assert_fault(STEP("\x89\x03"), GP);
	cpu.segs[X86_DS] = cpu.segs[X86_ES]; /* flat: but code cannot be written */
	cpu_mode_update(&cpu);
	cpu.regs[X86_RBX] = DIFF_DATA;
	assert_done("\x2e\x8b\x03");
	assert_done("\x2e\x8b\x03");
	assert_fault(STEP("\x2e\x89\x03"), GP);
}

static void addresses_that_are_not_canonical(void **state)
{
	(void)state;
	cpu.regs[X86_RBX] = UINT64_C(0x800000000000);
	assert_fault(STEP("\x8b\x03"), GP);
	cpu.regs[X86_RBP] = UINT64_C(0x800000000000);
	assert_fault(STEP("\x8b\x45\x00"), 12); /* by the stack's segment */
}

/* ---- faults by mode ---- */

static void divisions(void **state)
{
	(void)state;
	cpu.regs[X86_RAX] = 7;
	cpu.regs[X86_RDX] = 5;
	cpu.regs[X86_RCX] = 5;
	assert_fault(STEP("\x48\xf7\xf1"), DE); /* div rcx: 2^64 * 5 / 5 */
	assert_int_equal(cpu.regs[X86_RAX], 7);
	cpu.regs[X86_RCX] = 6;
	assert_done("\x48\xf7\xf1");
	cpu.regs[X86_RAX] = 1;
	cpu.regs[X86_RCX] = 0;
	assert_fault(STEP("\xf6\xf1"), DE); /* div cl */
	cpu.regs[X86_RAX] = 0x80000000;
	cpu.regs[X86_RDX] = 0xffffffff;
	cpu.regs[X86_RCX] = 0xffffffff;
	assert_fault(STEP("\xf7\xf9"), DE); /* idiv ecx: -2^31 / -1 */
	cpu.regs[X86_RCX] = 1;
	assert_done("\xf7\xf9");
	assert_int_equal(cpu.regs[X86_RAX], 0x80000000);
	cpu.regs[X86_RBX] = DIFF_DATA;
	put(DIFF_DATA, 0, 8);
	assert_fault(STEP("\xf7\x33"), DE); /* div dword [rbx] */
}

static void units_that_are_off(void **state)
{
	(void)state;
	cpu.cr0 |= X86_CR0_TS;
	cpu_mode_update(&cpu);
	assert_fault(STEP("\xd9\xe8"), NM);	    /* fld1 */
	assert_fault(STEP("\x9b"), NM);		    /* fwait, MP */
	assert_fault(STEP("\x0f\x58\xc1"), NM);	    /* addps */
	assert_fault(STEP("\xc5\xf0\x58\xc1"), NM); /* vaddps */
	assert_fault(STEP("\x0f\xfc\xc1"), NM);	    /* paddb mm */
	assert_done("\xf3\x0f\xb8\xc1");	    /* popcnt is none of them */
	cpu.cr0 &= ~(X86_CR0_TS | X86_CR0_MP);
	cpu.cr0 |= X86_CR0_EM;
	cpu_mode_update(&cpu);
	assert_fault(STEP("\xd9\xe8"), NM);
	assert_fault(STEP("\x0f\xfc\xc1"), UD);
	assert_fault(STEP("\x0f\x58\xc1"), UD);
	cpu.cr0 &= ~X86_CR0_EM;
	cpu.cr4 &= ~(X86_CR4_OSFXSR | UINT64_C(0x40000));
	cpu_mode_update(&cpu);
	assert_fault(STEP("\x0f\x58\xc1"), UD);
	assert_fault(STEP("\xc5\xf0\x58\xc1"), UD);
	assert_done("\x9b");
}

static void alignment(void **state)
{
	(void)state;
	cpu.cr0 |= X86_CR0_AM;
	cpu.rflags |= UINT64_C(0x40000);
	cpu_mode_update(&cpu);
	cpu.regs[X86_RBX] = DIFF_DATA + 2;
	assert_fault(STEP("\x8b\x03"), AC);
	assert_int_equal(cpu.fault.error, 0);
	assert_done("\x66\x8b\x03");
	cpu.regs[X86_RSP] = STACK + 4;
	assert_fault(STEP("\x50"), AC);
}

static void unmasked_exceptions(void **state)
{
	uint32_t mxcsr = 0x1f00, plain = 0x1f80; /* an invalid operation is not masked */

	(void)state;
	handlers_again();
	put(DIFF_DATA, mxcsr, 4);
	put(DIFF_DATA + 8, 0xbf800000, 4); /* -1 */
	cpu.regs[X86_RBX] = DIFF_DATA;
	assert_done("\x0f\xae\x13");			       /* ldmxcsr */
	enum cpu_result result = STEP("\xf3\x0f\x51\x43\x08"); /* sqrtss xmm0, [rbx + 8] */
	__asm__ volatile("stmxcsr %0; ldmxcsr %1" : "=m"(mxcsr) : "m"(plain));
	assert_fault(result, 19);
	assert_int_equal(mxcsr, 0x1f01);
	cpu.cr4 &= ~X86_CR4_OSXMMEXCPT;
	assert_done("\x0f\xae\x13");
	result = STEP("\xf3\x0f\x51\x43\x08");
	__asm__ volatile("ldmxcsr %0" : : "m"(plain));
	assert_fault(result, UD);
	put(DIFF_DATA, 0x80001f80, 4);
	assert_fault(STEP("\x0f\xae\x13"), GP); /* reserved bits */
}

/* ---- what 64-bit code does not have ---- */

static void bounds(void **state)
{
	(void)state;
	code_is(X86_CODE_32);
	put(DIFF_DATA, (uint32_t)-5, 4);
	put(DIFF_DATA + 4, 10, 4);
	cpu.regs[X86_RBX] = DIFF_DATA;
	cpu.regs[X86_RAX] = (uint32_t)-5;
	assert_done("\x62\x03");
	cpu.regs[X86_RAX] = 11;
	assert_fault(STEP("\x62\x03"), BR);
	cpu.regs[X86_RAX] = 0x123;
	assert_fault(STEP("\xd4\x00"), DE); /* aam 0 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(locked_across_pages),
		TEST(an_address_of_two_registers_and_four_operands),
		TEST(what_a_multiplication_keeps_of_the_flags_was_ours),
		TEST(bases_of_fs_and_gs),
		TEST(limits_of_segments),
		TEST(addresses_that_are_not_canonical),
		TEST(divisions),
		TEST(units_that_are_off),
		TEST(alignment),
		TEST(unmasked_exceptions),
		TEST(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
