/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter: control flow, the stack, what goes on between instructions. What computes is in test_interp_diff.c. */
#include "interp_rig.h"

#include <cpuid.h>

#include "scratch.h"

#define AVX512_FP16 (1U << 23) /* CPUID 7, EDX */

/* ---- branches ---- */

static void conditions(void **state)
{
	/* flags, then a bit for each condition that holds, from O on */
	static const struct {
		uint64_t flags;
		uint16_t holds;
	} cases[] = {
		{ 0, 0xaaaa },
		{ X86_OF, 0x5aa9 },
		{ X86_CF, 0xaa66 },
		{ X86_ZF, 0x6a5a },
		{ X86_SF, 0x59aa },
		{ X86_PF, 0xa6aa },
		{ X86_SF | X86_OF, 0xa9a9 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint16_t holds = 0;
		for (unsigned cc = 0; cc < 16; cc++) {
			const char jcc[] = { (char)(0x70 + cc), 0x10 };
			cpu.rip = DIFF_CODE;
			cpu.rflags = cases[i].flags | 2;
			assert_int_equal(step(jcc, 2), CPU_OK);
			holds |= (uint16_t)((cpu.rip == DIFF_CODE + 0x12) << cc);
		}
		assert_int_equal(holds, cases[i].holds);
	}
}

static void calls_and_returns(void **state)
{
	(void)state;
	assert_int_equal(STEP("\xe8\x0b\x00\x00\x00"), CPU_OK); /* call +11 */
	assert_int_equal(cpu.rip, DIFF_CODE + 16);
	assert_int_equal(cpu.regs[X86_RSP], STACK - 8);
	assert_int_equal(get(STACK - 8, 8), DIFF_CODE + 5);
	assert_int_equal(STEP("\xc2\x10\x00"), CPU_OK); /* ret 16 */
	assert_int_equal(cpu.rip, DIFF_CODE + 5);
	assert_int_equal(cpu.regs[X86_RSP], STACK + 16);
	cpu.regs[X86_RAX] = DIFF_CODE + 64;
	assert_int_equal(STEP("\xff\xe0"), CPU_OK); /* jmp rax */
	assert_int_equal(cpu.rip, DIFF_CODE + 64);
	put(DIFF_DATA, DIFF_CODE + 80, 8);
	cpu.regs[X86_RBX] = DIFF_DATA;
	assert_int_equal(STEP("\xff\x13"), CPU_OK); /* call [rbx] */
	assert_int_equal(cpu.rip, DIFF_CODE + 80);
	assert_int_equal(get(STACK + 8, 8), DIFF_CODE + 66);
}

static void a_bad_target_changes_nothing(void **state)
{
	(void)state;
	cpu.regs[X86_RAX] = UINT64_C(0x800000000000);
	assert_fault(STEP("\xff\xd0"), GP); /* call rax */
	assert_int_equal(cpu.rip, DIFF_CODE);
	assert_int_equal(cpu.regs[X86_RSP], STACK);
	put(STACK, UINT64_C(0x800000000000), 8);
	assert_fault(STEP("\xc3"), GP);
	assert_int_equal(cpu.regs[X86_RSP], STACK);
	cpu.regs[X86_RSP] = DIFF_DATA; /* nothing below */
	assert_fault(STEP("\xe8\x00\x00\x00\x00"), PF);
	assert_int_equal(cpu.fault.cr2, DIFF_DATA - 8);
	assert_int_equal(cpu.rip, DIFF_CODE);
	code_is(X86_CODE_32);
	cpu.segs[X86_CS].limit = DIFF_CODE + 0x100;
	cpu_mode_update(&cpu);
	assert_fault(STEP("\xe9\x00\x10\x00\x00"), GP); /* beyond the limit */
}

static void loops(void **state)
{
	(void)state;
	cpu.regs[X86_RCX] = 2;
	assert_int_equal(STEP("\xe2\x10"), CPU_OK);
	assert_int_equal(cpu.rip, DIFF_CODE + 18);
	assert_done("\xe2\x10");
	assert_int_equal(cpu.regs[X86_RCX], 0);
	cpu.regs[X86_RCX] = UINT64_C(0x500000001);
	assert_done("\x67\xe2\x10"); /* loop, ecx */
	assert_int_equal(cpu.regs[X86_RCX], 0);
	cpu.regs[X86_RCX] = 5;
	cpu.rflags |= X86_ZF;
	assert_done("\xe0\x10"); /* loopne */
	cpu.regs[X86_RCX] = UINT64_C(0x500000000);
	assert_done("\xe3\x10"); /* jrcxz */
	uint64_t rip = cpu.rip;
	assert_int_equal(STEP("\x67\xe3\x10"), CPU_OK); /* jecxz */
	assert_int_equal(cpu.rip, rip + 0x13);
}

/* ---- the stack ---- */

static void pushes_and_pops(void **state)
{
	(void)state;
	assert_done("\x54"); /* push rsp: its old value */
	assert_int_equal(get(STACK - 8, 8), STACK);
	assert_done("\x6a\xfe"); /* push -2 */
	assert_int_equal(get(STACK - 16, 8), (uint64_t)-2);
	assert_done("\x66\x6a\xfe"); /* the same in 16 bits */
	assert_int_equal(cpu.regs[X86_RSP], STACK - 18);
	cpu.regs[X86_RSP] = STACK - 8;
	put(STACK - 8, 77, 8);
	assert_done("\x8f\x44\x24\x08"); /* pop [rsp + 8]: with rsp as it is after */
	assert_int_equal(get(STACK + 8, 8), 77);
	put(STACK, DIFF_DATA, 8);
	assert_done("\x5c"); /* pop rsp */
	assert_int_equal(cpu.regs[X86_RSP], DIFF_DATA);
	cpu.regs[X86_RSP] = STACK;
	cpu.regs[X86_RBX] = DIFF_REGION;
	assert_fault(STEP("\x8f\x03"), PF); /* pop [rbx]: nothing there */
	assert_int_equal(cpu.regs[X86_RSP], STACK);
}

static void all_registers(void **state)
{
	(void)state;
	code_is(X86_CODE_32);
	for (unsigned i = 0; i < 8; i++)
		cpu.regs[i] = i == X86_RSP ? STACK : 0x1000 + i;
	assert_done("\x60"); /* pusha */
	assert_int_equal(cpu.regs[X86_RSP], STACK - 32);
	assert_int_equal(get(STACK - 4, 4), 0x1000 + X86_RAX);
	assert_int_equal(get(STACK - 20, 4), STACK);
	for (unsigned i = 0; i < 8; i++) {
		if (i != X86_RSP)
			cpu.regs[i] = 0;
	}
	put(STACK - 20, 5, 4);
	assert_done("\x61"); /* popa, all but esp */
	assert_int_equal(cpu.regs[X86_RSP], STACK);
	assert_int_equal(cpu.regs[X86_RDI], 0x1000 + X86_RDI);
	cpu.regs[X86_RSP] = DIFF_DATA + 16; /* half of it has room */
	put(DIFF_DATA, 0x55, 4);
	assert_fault(STEP("\x60"), PF);
	assert_int_equal(cpu.regs[X86_RSP], DIFF_DATA + 16);
	assert_int_equal(get(DIFF_DATA, 4), 0x55);
}

static void frames(void **state)
{
	(void)state;
	cpu.regs[X86_RBP] = STACK + 512;
	put(STACK + 504, 0xabc, 8);
	assert_done("\xc8\x20\x00\x02"); /* enter 32, 2 */
	assert_int_equal(get(STACK - 8, 8), STACK + 512);
	assert_int_equal(get(STACK - 16, 8), 0xabc);
	assert_int_equal(get(STACK - 24, 8), STACK - 8);
	assert_int_equal(cpu.regs[X86_RBP], STACK - 8);
	assert_int_equal(cpu.regs[X86_RSP], STACK - 24 - 32);
	assert_done("\xc9"); /* leave */
	assert_int_equal(cpu.regs[X86_RBP], STACK + 512);
	assert_int_equal(cpu.regs[X86_RSP], STACK);
}

/* SDM 2A, ENTER: what becomes the frame pointer is the whole ESP as PUSH left it, whose upper half a 16-bit stack keeps. */
static void enter_carried_into_the_upper_half_of_a_16_bit_stack(void **state)
{
	(void)state;
	code_is(X86_CODE_32);
	cpu.segs[X86_SS].db = false;
	cpu.segs[X86_SS].base = DIFF_DATA - 0xf000;
	cpu.segs[X86_SS].limit = 0xffff;
	cpu_mode_update(&cpu);
	cpu.regs[X86_RSP] = 0x10000;
	cpu.regs[X86_RBP] = 0x5678;
	assert_done("\xc8\x04\x00\x01"); /* enter 4, 1 */
	assert_int_equal(cpu.regs[X86_RBP], 0x1fffc);
	assert_int_equal(cpu.regs[X86_RSP], 0x1fff4);
	assert_int_equal(get(DIFF_DATA + 0xffc, 4), 0x5678);
	assert_int_equal(get(DIFF_DATA + 0xff8, 4), 0x1fffc);
}

static void a_16_bit_stack_wraps(void **state)
{
	(void)state;
	code_is(X86_CODE_16);
	cpu.segs[X86_SS].db = false;
	cpu.segs[X86_SS].base = DIFF_DATA - 0x2000;
	cpu.segs[X86_SS].limit = 0xffff;
	cpu_mode_update(&cpu);
	cpu.regs[X86_RSP] = UINT64_C(0xabc02004);
	cpu.regs[X86_RAX] = 0x1234;
	assert_done("\x50");
	assert_int_equal(cpu.regs[X86_RSP], UINT64_C(0xabc02002));
	assert_int_equal(get(DIFF_DATA + 2, 2), 0x1234);
	cpu.regs[X86_RSP] = UINT64_C(0xabc00000);
	cpu.segs[X86_SS].base = DIFF_DATA - 0xf000;
	assert_done("\x50"); /* from 0 to fffe */
	assert_int_equal(cpu.regs[X86_RSP], UINT64_C(0xabc0fffe));
	assert_int_equal(get(DIFF_DATA + 0xffe, 2), 0x1234);
}

/* ---- between instructions ---- */

static void a_shadow_lasts_for_one_instruction(void **state)
{
	(void)state;
	cpu.shadow = CPU_SHADOW_STI;
	cpu.regs[X86_RBX] = DEVICE;
	assert_int_equal(STEP("\x8b\x03"), CPU_EXIT);
	assert_int_equal(cpu.shadow, CPU_SHADOW_STI); /* it has not retired */
	answer(1);
	assert_int_equal(interp_step(&cpu), CPU_OK);
	assert_int_equal(cpu.shadow, 0);
}

static void single_steps(void **state)
{
	(void)state;
	cpu.rflags |= X86_TF;
	cpu_mode_update(&cpu);
	(void)STEP("\x90"); /* there is no handler: the machine goes down on the way to it */
	assert_int_equal(cpu.dr[6] & 0x4000, 0x4000);
	assert_int_equal(cpu.rip, DIFF_CODE + 1);
}

static void the_resume_flag_is_not_in_a_trap_frame(void **state)
{
	(void)state;
	cpu.rflags |= X86_TF | UINT64_C(0x10000);
	cpu_mode_update(&cpu);
	(void)STEP("\x90");
	assert_int_equal(cpu.dr[6] & 0x4000, 0x4000);
	assert_false(cpu.rflags & UINT64_C(0x10000));
}

/* What an instruction met before it faulted is not told of the next. */
static void a_fault_forgets_watched_memory(void **state)
{
	(void)state;
	cpu.dr[0] = DIFF_DATA;
	cpu.dr[7] = 0x400 | 1 | 3U << 16 | 3U << 18; /* 4 bytes, reads and writes */
	cpu_mode_update(&cpu);
	cpu.regs[X86_RSI] = DIFF_DATA;
	cpu.regs[X86_RDI] = GUARD;
	assert_fault(STEP("\xa5"), PF); /* movsd */
	assert_done("\x90");
	assert_int_equal(cpu.dr[6] & 0xf, 0);
}

static void watched_memory(void **state)
{
	(void)state;
	cpu.dr[0] = DIFF_DATA + 4;
	cpu.dr[7] = 0x400 | 1 | 1U << 16 | 3U << 18; /* 4 bytes, writes */
	cpu_mode_update(&cpu);
	cpu.regs[X86_RBX] = DIFF_DATA + 4;
	assert_done("\x8b\x03");
	assert_int_equal(cpu.dr[6] & 0xf, 0);
	(void)STEP("\x88\x43\x03"); /* mov [rbx + 3], al */
	assert_int_equal(cpu.dr[6] & 0xf, 1);
	cpu.dr[6] = 0;
	cpu.dr[0] = cpu.rip;
	cpu.dr[7] = 0x400 | 1;
	cpu_mode_update(&cpu);
	assert_fault(STEP("\x90"), DB);
	assert_int_equal(cpu.dr[6] & 0xf, 1);
	cpu.rflags |= UINT64_C(0x10000); /* RF: passes, and is gone after */
	assert_done("\x90");
	assert_false(cpu.rflags & UINT64_C(0x10000));
}

/* ---- fetching ---- */

static void code_across_pages(void **state)
{
	static const uint8_t add[] = { 0x48, 0x81, 0xc0, 0x44, 0x33, 0x22, 0x11 };

	(void)state;
	for (unsigned split = 1; split < sizeof(add); split++) {
		cpu.rip = DIFF_DATA + DIFF_PAGE - split;
		cpu.regs[X86_RAX] = 0;
		for (unsigned i = 0; i < sizeof(add); i++)
			put(cpu.rip + i, add[i], 1);
		assert_int_equal(interp_step(&cpu), CPU_OK);
		assert_int_equal(cpu.regs[X86_RAX], 0x11223344);
		cpu.rip = GUARD - split;
		for (unsigned i = 0; i < split; i++)
			put(cpu.rip + i, add[i], 1);
		assert_fault(interp_step(&cpu), PF);
		assert_int_equal(cpu.fault.cr2, GUARD);
	}
	cpu.rip = GUARD - 1;
	put(GUARD - 1, 0x90, 1);
	assert_int_equal(interp_step(&cpu), CPU_OK); /* ends right there */
}

static void bytes_that_are_no_instruction(void **state)
{
	(void)state;
	assert_fault(STEP("\x06"), UD);
	assert_fault(STEP("\x0f\x0b"), UD);
	assert_fault(STEP("\xf0\x90"), UD); /* lock nop */
	assert_fault(STEP("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"), GP);
}

/* One that the host's CPU may lack decodes, and is the guest's #UD then. */
static void what_the_host_lacks(void **state)
{
	(void)state;
	unsigned a, b, c, d = 0;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & AVX512_FP16))
		SKIP("this CPU lacks nothing that is known here");
	handlers_again();
	assert_fault(STEP("\x62\xf5\x74\x48\x58\xc2"), UD); /* vaddph */
	cpu.regs[X86_RBX] = GUARD;
	assert_fault(STEP("\x62\xf5\x74\x48\x58\x03"),
		     UD); /* and before its operand is looked at */
}

static void changed_code_is_executed_as_it_is(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		const char mov[] = { (char)0xb0, (char)i };
		cpu.rip = DIFF_CODE;
		assert_int_equal(step(mov, 2), CPU_OK);
		assert_int_equal(cpu.regs[X86_RAX] & 0xff, i & 0xff);
	}
	code_is(X86_CODE_32);
	cpu.rip = DIFF_CODE;
	assert_int_equal(STEP("\x48\x01\xc8"),
			 CPU_OK); /* dec eax, where 64-bit code has a REX prefix */
	assert_int_equal(cpu.rip, DIFF_CODE + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(conditions),
		TEST(calls_and_returns),
		TEST(a_bad_target_changes_nothing),
		TEST(loops),
		TEST(pushes_and_pops),
		TEST(all_registers),
		TEST(frames),
		TEST(enter_carried_into_the_upper_half_of_a_16_bit_stack),
		TEST(a_16_bit_stack_wraps),
		TEST(a_shadow_lasts_for_one_instruction),
		TEST(single_steps),
		TEST(the_resume_flag_is_not_in_a_trap_frame),
		TEST(a_fault_forgets_watched_memory),
		TEST(watched_memory),
		TEST(code_across_pages),
		TEST(bytes_that_are_no_instruction),
		TEST(what_the_host_lacks),
		TEST(changed_code_is_executed_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
