/* SPDX-License-Identifier: Apache-2.0 */
/* Images of vector state: XSAVE's family, FXSAVE, x87's own. */
#include <string.h>

#include "base/core/macros.h"
#include "sys_rig.h"

static void xcr0_is_checked(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	static const struct {
		uint64_t value;
		bool good;
	} rows[] = { { 1, true },  { 3, true },	 { 7, true },	  { 0, false },
		     { 2, false }, { 5, false }, { 0xe7, false }, { 9, false } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		sys_mode(rig, SYS_LONG, 0);
		cpu->cr4 |= X86_CR4_OSXSAVE;
		cpu->xcr0 = 1;
		cpu->regs[X86_RAX] = rows[i].value;
		if (!rows[i].good) {
			sys_faults(rig, "0f01d1", SYS_GP, 0);
			continue;
		}
		sys_runs(rig, "0f01d1");
		assert_int_equal(cpu->xcr0, rows[i].value);
		assert_int_equal(!!(cpu->mode & CPU_MODE_NO_AVX), rows[i].value != 7);
	}
	cpu->regs[X86_RCX] = 1;
	sys_faults(rig, "0f01d1", SYS_GP, 0);
	cpu->xcr0 = 7;
	cpu->regs[X86_RCX] = 0;
	sys_runs(rig, "0f01d0");
	assert_int_equal(cpu->regs[X86_RAX], 7);
}

static void start_xsave(struct sys_rig *rig, enum sys_mode mode)
{
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, mode, 0);
	cpu->cr4 |= X86_CR4_OSXSAVE;
	cpu->xcr0 = 7;
	cpu->regs[X86_RAX] = 7;
	cpu->regs[X86_RDI] = SYS_DATA;
	memset(rig->ram + SYS_DATA, 0xcc, 1024);
	memset(rig->ram + SYS_DATA + 512, 0, 64);
}

static void xsave_and_back(void **state)
{
	struct sys_rig *rig = *state;
	static const enum sys_mode modes[] = { SYS_LONG, SYS_P32 };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		uint64_t in = 0x1122334455667788, out = 0;
		start_xsave(rig, modes[i]);
		const struct x86_insn save = sys_decode(rig, "0fae27");
		const struct x86_insn restore = sys_decode(rig, "0fae2f");
		__asm__ volatile("movq %0, %%xmm3" : : "r"(in) : "xmm3");
		enum cpu_result r = system_execute(&rig->cpu, &save);
		assert_int_equal(r, CPU_OK);
		assert_int_equal(sys_peek(rig, SYS_DATA + 512, 8) & 2, 2);
		assert_int_equal(sys_peek(rig, SYS_DATA + 160 + 3 * 16, 8), in);
		assert_int_equal(sys_peek(rig, SYS_DATA + 8, 8), 0); /* no address of the host's */
		/* XMM8 and above are 64-bit code's */
		assert_int_equal(sys_peek(rig, SYS_DATA + 160 + 8 * 16, 8) == 0xcccccccccccccccc,
				 i);
		sys_poke(rig, SYS_DATA + 160 + 3 * 16, ~in, 8);
		r = system_execute(&rig->cpu, &restore);
		__asm__ volatile("movq %%xmm3, %0" : "=r"(out));
		assert_int_equal(r, CPU_OK);
		assert_int_equal(out, ~in);
	}
}

static void xsave_keeps_what_was_not_asked_for(void **state)
{
	struct sys_rig *rig = *state;

	start_xsave(rig, SYS_LONG);
	sys_poke(rig, SYS_DATA + 512, 0xfc, 8);
	rig->cpu.regs[X86_RAX] = 1;
	sys_runs(rig, "0fae27");
	assert_int_equal(sys_peek(rig, SYS_DATA + 512, 8) & 0xfe, 0xfc);
	assert_int_equal(sys_peek(rig, SYS_DATA + 160, 8), 0xcccccccccccccccc);
	assert_int_equal(sys_peek(rig, SYS_DATA + 24, 8), 0xcccccccccccccccc); /* MXCSR */
}

static void xsavec_is_compact(void **state)
{
	struct sys_rig *rig = *state;

	start_xsave(rig, SYS_LONG);
	rig->cpu.regs[X86_RAX] = 6;
	sys_runs(rig, "0fc727");
	assert_int_equal(sys_peek(rig, SYS_DATA + 520, 8), 1ULL << 63 | 6);
	assert_int_equal(sys_peek(rig, SYS_DATA, 8), 0xcccccccccccccccc);
	sys_runs(rig, "0fae2f");
}

/* Each makes an XRSTOR of the host's fault; the guest's does. */
static void bad_images_are_the_guest_s_fault(void **state)
{
	struct sys_rig *rig = *state;
	static const struct {
		unsigned at;
		uint64_t value;
	} rows[] = {
		{ 512, 8 },	    /* a component that XCR0 has not */
		{ 520, 1 },	    /* XCOMP_BV without its top bit */
		{ 528, 1 },	    /* reserved */
		{ 24, 0xffffffff }, /* MXCSR */
		{ 520, 1ULL << 63 | 8 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start_xsave(rig, SYS_LONG);
		sys_poke(rig, SYS_DATA + 24, 0x1f80, 4);
		sys_poke(rig, SYS_DATA + rows[i].at, rows[i].value, 8);
		sys_faults(rig, "0fae2f", SYS_GP, 0);
	}
	start_xsave(rig, SYS_LONG);
	rig->cpu.regs[X86_RDI] += 32;
	sys_faults(rig, "0fae2f", SYS_GP, 0);
	sys_faults(rig, "0fae27", SYS_GP, 0);
	rig->cpu.cr0 |= X86_CR0_TS;
	sys_faults(rig, "0fae27", SYS_NM, -1);
	rig->cpu.cr4 &= ~X86_CR4_OSXSAVE;
	sys_faults(rig, "0fae27", SYS_UD, -1);
}

static void an_absent_page_stops_xsave_before_it_writes(void **state)
{
	struct sys_rig *rig = *state;

	start_xsave(rig, SYS_LONG);
	rig->cpu.regs[X86_RDI] = SYS_ABSENT - 576;
	memset(rig->ram + SYS_ABSENT - 576, 0xcc, 512);
	sys_faults(rig, "0fae27", SYS_PF, 2);
	assert_int_equal(rig->cpu.fault.cr2, SYS_ABSENT);
	assert_int_equal(sys_peek(rig, SYS_ABSENT - 576 + 160, 8), 0xcccccccccccccccc);
}

static void xsaves_is_never_there_and_xsaveopt_where_shown(void **state)
{
	struct sys_rig *rig = *state;

	start_xsave(rig, SYS_LONG);
	sys_faults(rig, "0fc72f", SYS_UD, -1); /* XSAVES */
	sys_faults(rig, "0fc71f", SYS_UD, -1);
	sys_runs(rig, "0fae37");
	sys_show(rig, 0xd, 1, CPUID_EAX, 0, false);
	sys_faults(rig, "0fae37", SYS_UD, -1); /* XSAVEOPT */
}

static void fxsave_and_back(void **state)
{
	struct sys_rig *rig = *state;
	uint64_t in = 0x8877665544332211, out = 0;

	start_xsave(rig, SYS_LONG);
	const struct x86_insn save = sys_decode(rig, "0fae07");
	const struct x86_insn restore = sys_decode(rig, "0fae0f");
	__asm__ volatile("movq %0, %%xmm4" : : "r"(in) : "xmm4");
	enum cpu_result r = system_execute(&rig->cpu, &save);
	assert_int_equal(r, CPU_OK);
	assert_int_equal(sys_peek(rig, SYS_DATA + 160 + 4 * 16, 8), in);
	assert_int_equal(sys_peek(rig, SYS_DATA + 416, 8), 0xcccccccccccccccc);
	sys_poke(rig, SYS_DATA + 160 + 4 * 16, ~in, 8);
	r = system_execute(&rig->cpu, &restore);
	__asm__ volatile("movq %%xmm4, %0" : "=r"(out));
	assert_int_equal(r, CPU_OK);
	assert_int_equal(out, ~in);
	sys_poke(rig, SYS_DATA + 24, 0x80000000, 4);
	sys_faults(rig, "0fae0f", SYS_GP, 0);
	rig->cpu.regs[X86_RDI] += 8;
	sys_faults(rig, "0fae07", SYS_GP, 0);
}

static void x87_images_of_both_widths(void **state)
{
	struct sys_rig *rig = *state;

	for (unsigned narrow = 0; narrow < 2; narrow++) {
		start_xsave(rig, SYS_P32);
		__asm__ volatile("fninit; fld1; fldpi");
		sys_runs(rig, narrow ? "66dd37" : "dd37"); /* fnsave [edi] */
		unsigned env = narrow ? 14 : 28;
		assert_int_equal(sys_peek(rig, SYS_DATA, 2), 0x37f);
		assert_int_equal(sys_peek(rig, SYS_DATA + (narrow ? 2 : 4), 2) & 0x3800, 0x3000);
		assert_int_equal(sys_peek(rig, SYS_DATA + env, 8), 0xc90fdaa22168c235);
		uint16_t fsw;
		__asm__ volatile("fnstsw %0" : "=a"(fsw));
		assert_int_equal(fsw, 0);
		sys_runs(rig, narrow ? "66dd27" : "dd27"); /* frstor */
		double pi = 0, one = 0;
		__asm__ volatile("fstpl %0; fstpl %1" : "=m"(pi), "=m"(one));
		assert_true(pi > 3.14 && pi < 3.15 && one == 1.0);
		sys_runs(rig, narrow ? "66d937" : "d937"); /* fnstenv masks what it saved */
		assert_int_equal(sys_peek(rig, SYS_DATA, 2), 0x37f);
		sys_poke(rig, SYS_DATA, 0x27f, 2);
		sys_runs(rig, narrow ? "66d927" : "d927"); /* fldenv */
		uint16_t fcw;
		__asm__ volatile("fnstcw %0; fninit" : "=m"(fcw));
		assert_int_equal(fcw, 0x27f);
	}
	rig->cpu.cr0 |= X86_CR0_EM;
	sys_faults(rig, "dd37", SYS_NM, -1);
}

/* AMD's CPUs save it while an exception waits, others always: it told how the host's stub had encoded the instruction. */
static void the_opcode_of_the_last_x87_instruction_was_the_host_s(void **state)
{
	static const char *const saves[] = { "0fae07", "0fae27",
					     "0fc727" }; /* FXSAVE, XSAVE, XSAVEC */
	struct sys_rig *rig = *state;
	const uint16_t unmasked = 0x37b;

	for (size_t i = 0; i < ARRAY_SIZE(saves); i++) {
		start_xsave(rig, SYS_LONG);
		const struct x86_insn save = sys_decode(rig, saves[i]);
		__asm__ volatile("fninit; fldcw %0; fldz; fld1; fdiv %%st(1), %%st"
				 :
				 : "m"(unmasked));
		enum cpu_result r = system_execute(&rig->cpu, &save);
		__asm__ volatile("fnclex; fninit");
		assert_int_equal(r, CPU_OK);
		assert_int_equal(sys_peek(rig, SYS_DATA, 2), unmasked);
		assert_int_equal(sys_peek(rig, SYS_DATA + 2, 2) & 0x84, 0x84); /* it waits */
		assert_int_equal(sys_peek(rig, SYS_DATA + 6, 2), 0);
		assert_int_equal(sys_peek(rig, SYS_DATA + 8, 8), 0);
		assert_int_equal(sys_peek(rig, SYS_DATA + 16, 8), 0);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sys_rig_create, sys_rig_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(xcr0_is_checked),
		CASE(xsave_and_back),
		CASE(xsave_keeps_what_was_not_asked_for),
		CASE(xsavec_is_compact),
		CASE(bad_images_are_the_guest_s_fault),
		CASE(an_absent_page_stops_xsave_before_it_writes),
		CASE(xsaves_is_never_there_and_xsaveopt_where_shown),
		CASE(fxsave_and_back),
		CASE(x87_images_of_both_widths),
		CASE(the_opcode_of_the_last_x87_instruction_was_the_host_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
