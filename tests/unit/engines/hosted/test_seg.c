/* SPDX-License-Identifier: Apache-2.0 */
/* Logical addresses, and what loads a segment register. */
#include "base/core/macros.h"
#include "sys_rig.h"

#define GOOD 0xff

static void limits_are_kept(void **state)
{
	struct sys_rig *rig = *state;
	static const struct {
		uint16_t selector;
		uint64_t offset;
		unsigned len;
		bool write;
		uint8_t vector;
		uint64_t linear;
	} rows[] = {
		{ SEL_DATA, 0xffffffff, 1, true, GOOD, 0xffffffff },
		{ SEL_DATA, 0x1234, 8, true, GOOD, 0x1234 },
		{ SEL_SMALL, 0xfff, 1, true, GOOD, SYS_DATA + 0xfff },
		{ SEL_SMALL, 0xfff, 2, true, SYS_GP, 0 },
		{ SEL_SMALL, 0x1000, 1, false, SYS_GP, 0 },
		{ SEL_DOWN, 0xfff, 1, false, SYS_GP, 0 },
		{ SEL_DOWN, 0x1000, 1, true, GOOD, 0x1000 },
		{ SEL_DOWN, 0xffffffff, 1, true, GOOD, 0xffffffff },
		{ SEL_DOWN, 0xffffffff, 2, true, SYS_GP, 0 },
		{ SEL_READ_ONLY, 0, 4, false, GOOD, 0 },
		{ SEL_READ_ONLY, 0, 4, true, SYS_GP, 0 },
		{ SEL_CODE32, 0, 4, false, GOOD, 0 },
		{ SEL_CODE32, 0, 4, true, SYS_GP, 0 },
		{ 0, 0, 1, false, SYS_GP, 0 },
	};

	sys_mode(rig, SYS_P32, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t linear = 0;
		assert_int_equal(seg_load(&rig->cpu, X86_DS, rows[i].selector), CPU_OK);
		enum cpu_result r = seg_linear(&rig->cpu, X86_DS, rows[i].offset, rows[i].len,
					       rows[i].write, &linear);
		if (rows[i].vector == GOOD) {
			assert_int_equal(r, CPU_OK);
			assert_int_equal(linear, rows[i].linear);
		} else {
			assert_int_equal(r, CPU_FAULT);
			assert_int_equal(rig->cpu.fault.vector, rows[i].vector);
			assert_int_equal(rig->cpu.fault.error, 0);
		}
	}
}

static void the_stack_has_a_fault_of_its_own(void **state)
{
	struct sys_rig *rig = *state;
	uint64_t linear;

	sys_mode(rig, SYS_P32, 0);
	assert_int_equal(seg_load(&rig->cpu, X86_SS, SEL_SMALL), CPU_OK);
	assert_int_equal(seg_linear(&rig->cpu, X86_SS, 0x1000, 1, true, &linear), CPU_FAULT);
	assert_int_equal(rig->cpu.fault.vector, SYS_SS);

	sys_mode(rig, SYS_LONG, 0);
	assert_int_equal(seg_linear(&rig->cpu, X86_SS, 0x800000000000, 1, true, &linear),
			 CPU_FAULT);
	assert_int_equal(rig->cpu.fault.vector, SYS_SS);
}

static void code_that_cannot_be_read_is_executed(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	uint64_t linear;

	sys_mode(rig, SYS_P32, 0);
	cpu->segs[X86_CS].type = 9;
	assert_int_equal(seg_linear(cpu, X86_CS, 0, 1, false, &linear), CPU_FAULT);
	assert_int_equal(seg_fetch(cpu, 0x10, &linear), CPU_OK);
	assert_int_equal(linear, 0x10);
	cpu->segs[X86_CS].limit = 0xf;
	assert_int_equal(seg_fetch(cpu, 0x10, &linear), CPU_FAULT);
	assert_int_equal(cpu->fault.vector, SYS_GP);
}

static void bases_wrap_at_4_gib(void **state)
{
	struct sys_rig *rig = *state;
	uint64_t linear;

	sys_mode(rig, SYS_P32, 0);
	rig->cpu.segs[X86_DS].base = 0xfffff000;
	assert_int_equal(seg_linear(&rig->cpu, X86_DS, 0x1234, 4, false, &linear), CPU_OK);
	assert_int_equal(linear, 0x234);
}

static void long_mode_has_bases_of_fs_and_gs_alone(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	uint64_t linear;

	sys_mode(rig, SYS_LONG, 0);
	cpu->segs[X86_DS].base = 0x1000;
	cpu->segs[X86_GS].base = 0xffff800000000000;
	cpu->segs[X86_GS].unusable = true;
	assert_int_equal(seg_linear(cpu, X86_DS, 0x10, 1, true, &linear), CPU_OK);
	assert_int_equal(linear, 0x10);
	assert_int_equal(seg_linear(cpu, X86_GS, 0x10, 1, true, &linear), CPU_OK);
	assert_int_equal(linear, 0xffff800000000010);
	assert_int_equal(seg_linear(cpu, X86_DS, 0x7fffffffffff, 1, true, &linear), CPU_OK);
	assert_int_equal(seg_linear(cpu, X86_DS, 0x7fffffffffff, 2, true, &linear), CPU_FAULT);
	assert_int_equal(cpu->fault.vector, SYS_GP);
}

static void real_mode_keeps_the_limit(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	uint64_t linear;

	sys_mode(rig, SYS_REAL, 0);
	assert_int_equal(seg_linear(cpu, X86_DS, 0xffff, 2, false, &linear), CPU_FAULT);
	assert_int_equal(cpu->fault.vector, SYS_GP);
	cpu->segs[X86_DS].limit = UINT32_MAX; /* "unreal" */
	assert_int_equal(seg_load(cpu, X86_DS, 0xb800), CPU_OK);
	assert_int_equal(cpu->segs[X86_DS].base, 0xb8000);
	assert_int_equal(seg_linear(cpu, X86_DS, 0x100000, 4, true, &linear), CPU_OK);
	assert_int_equal(linear, 0x1b8000);
	assert_int_equal(seg_linear(cpu, X86_CS, 0, 1, true, &linear), CPU_OK);
}

/* mov ax, selector is done by hand: mov sreg, ax. */
static const struct {
	uint8_t cpl;
	enum x86_seg seg;
	uint16_t selector;
	uint8_t vector;
	uint16_t error;
} loads[] = {
	{ 0, X86_DS, SEL_DATA, GOOD, 0 },
	{ 0, X86_DS, SEL_DATA | 3, SYS_GP, SEL_DATA }, /* RPL above DPL */
	{ 0, X86_DS, SEL_USER_DATA | 3, GOOD, 0 },
	{ 3, X86_DS, SEL_DATA, SYS_GP, SEL_DATA },
	{ 3, X86_DS, SEL_USER_DATA, GOOD, 0 },
	{ 3, X86_DS, SEL_CONFORMING | 3, GOOD, 0 },
	{ 0, X86_ES, 0, GOOD, 0 },
	{ 3, X86_ES, 3, GOOD, 0 },
	{ 0, X86_ES, SEL_EXEC_ONLY, SYS_GP, SEL_EXEC_ONLY },
	{ 0, X86_ES, SEL_CODE32, GOOD, 0 },
	{ 0, X86_ES, SEL_ABSENT, SYS_NP, SEL_ABSENT },
	{ 0, X86_ES, SEL_TSS, SYS_GP, SEL_TSS },
	{ 0, X86_ES, SEL_BEYOND, SYS_GP, SEL_BEYOND },
	{ 0, X86_ES, SEL_BEYOND | 1, SYS_GP, SEL_BEYOND }, /* without the RPL */
	{ 0, X86_ES, 4, SYS_GP, 4 },			   /* an LDT that is not there */
	{ 0, X86_SS, SEL_DATA, GOOD, 0 },
	{ 0, X86_SS, SEL_DATA | 1, SYS_GP, SEL_DATA },
	{ 0, X86_SS, SEL_USER_DATA, SYS_GP, SEL_USER_DATA },
	{ 0, X86_SS, SEL_READ_ONLY, SYS_GP, SEL_READ_ONLY },
	{ 0, X86_SS, SEL_CODE32, SYS_GP, SEL_CODE32 },
	{ 0, X86_SS, SEL_ABSENT, SYS_SS, SEL_ABSENT },
	{ 3, X86_SS, SEL_USER_DATA | 3, GOOD, 0 },
	{ 3, X86_SS, SEL_USER_DATA, SYS_GP, SEL_USER_DATA },
};

static void segment_registers_are_checked(void **state)
{
	struct sys_rig *rig = *state;
	static const enum sys_mode modes[] = { SYS_P32, SYS_COMPAT, SYS_LONG };
	static const char *const movs[] = { "8ec0", "", "8ed0", "8ed8", "8ee0", "8ee8" };

	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
			const char *mov = movs[loads[i].seg];
			sys_mode(rig, modes[m], loads[i].cpl);
			rig->cpu.regs[X86_RAX] = loads[i].selector;
			if (loads[i].vector != GOOD) {
				sys_faults(rig, mov, loads[i].vector, loads[i].error);
				continue;
			}
			sys_runs(rig, mov);
			const struct x86_segment *seg = &rig->cpu.segs[loads[i].seg];
			assert_int_equal(seg->selector, loads[i].selector);
			assert_int_equal(seg->unusable, sys_is_null(loads[i].selector));
			if (!seg->unusable)
				assert_true(
					sys_peek(rig, SYS_GDT + (loads[i].selector & 0xf8) + 5, 1) &
					1);
		}
	}
}

static void a_null_stack_is_for_64_bit_code_of_inner_levels(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_LONG, 0);
	rig->cpu.regs[X86_RAX] = 0;
	sys_runs(rig, "8ed0");
	rig->cpu.regs[X86_RAX] = 1; /* another RPL */
	sys_faults(rig, "8ed0", SYS_GP, 0);
	sys_mode(rig, SYS_LONG, 3);
	rig->cpu.regs[X86_RAX] = 3;
	sys_faults(rig, "8ed0", SYS_GP, 0);
	sys_mode(rig, SYS_COMPAT, 0);
	rig->cpu.regs[X86_RAX] = 0;
	sys_faults(rig, "8ed0", SYS_GP, 0);
	sys_mode(rig, SYS_P32, 0);
	rig->cpu.regs[X86_RAX] = 0;
	sys_faults(rig, "8ed0", SYS_GP, 0);
}

static void mov_ss_casts_a_shadow(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_P32, 0);
	rig->cpu.regs[X86_RAX] = SEL_DATA;
	sys_runs(rig, "8ed8");
	assert_int_equal(rig->cpu.shadow, 0);
	sys_runs(rig, "8ed0");
	assert_int_equal(rig->cpu.shadow, CPU_SHADOW_STI | CPU_SHADOW_MOV_SS);
}

static void cs_cannot_be_moved_to(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_P32, 0);
	sys_faults(rig, "8ec8", SYS_UD, -1);
}

static void pushes_and_pops(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_P32, 0);
	sys_poke(rig, SYS_STACK0 - 4, 0xdeadbeef, 4);
	sys_runs(rig, "16"); /* push ss */
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK0 - 4);
	assert_int_equal(sys_peek(rig, SYS_STACK0 - 4, 4), 0xdead0000 | SEL_DATA);
	sys_runs(rig, "07"); /* pop es */
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK0);
	assert_int_equal(cpu->segs[X86_ES].selector, SEL_DATA);

	sys_mode(rig, SYS_LONG, 0);
	sys_poke(rig, SYS_STACK0 - 8, UINT64_MAX, 8);
	sys_runs(rig, "0fa0"); /* push fs */
	assert_int_equal(sys_peek(rig, SYS_STACK0 - 8, 8), SEL_DATA);
	sys_poke(rig, SYS_STACK0 - 8, SEL_USER_DATA, 8);
	sys_runs(rig, "0fa9"); /* pop gs */
	assert_int_equal(cpu->segs[X86_GS].selector, SEL_USER_DATA);
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK0);
}

static void far_pointers_are_loaded_whole_or_not(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_P32, 0);
	sys_poke(rig, SYS_DATA, 0x12345678, 4);
	sys_poke(rig, SYS_DATA + 4, SEL_ABSENT, 2);
	cpu->regs[X86_RBX] = SYS_DATA;
	sys_faults(rig, "c403", SYS_NP, SEL_ABSENT); /* les eax, [ebx] */
	assert_int_equal(cpu->regs[X86_RAX], 0);
	sys_poke(rig, SYS_DATA + 4, SEL_USER_DATA, 2);
	sys_runs(rig, "0fb403"); /* lfs */
	assert_int_equal(cpu->regs[X86_RAX], 0x12345678);
	assert_int_equal(cpu->segs[X86_FS].selector, SEL_USER_DATA);
}

static void ldt_and_tr(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	static const enum sys_mode modes[] = { SYS_P32, SYS_LONG };

	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		sys_mode(rig, modes[m], 0);
		cpu->regs[X86_RAX] = SEL_LDT;
		sys_runs(rig, "0f00d0"); /* lldt ax */
		assert_int_equal(cpu->ldt.base, SYS_LDT);
		assert_int_equal(cpu->ldt.limit, 0xff);
		cpu->regs[X86_RAX] = 0;
		sys_runs(rig, "0f00d0");
		assert_true(cpu->ldt.unusable);
		cpu->regs[X86_RAX] = SEL_DATA;
		sys_faults(rig, "0f00d0", SYS_GP, SEL_DATA);
		cpu->regs[X86_RAX] = 0;
		sys_faults(rig, "0f00d8", SYS_GP, 0); /* ltr ax */
		cpu->regs[X86_RAX] = SEL_TSS;
		sys_runs(rig, "0f00d8");
		assert_int_equal(sys_peek(rig, SYS_GDT + SEL_TSS + 5, 1), 0x8b);
		sys_faults(rig, "0f00d8", SYS_GP, SEL_TSS); /* it is busy */
		sys_mode(rig, modes[m], 3);
		sys_faults(rig, "0f00d0", SYS_GP, 0);
		sys_faults(rig, "0f00d8", SYS_GP, 0);
	}
	sys_mode(rig, SYS_REAL, 0);
	sys_faults(rig, "0f00d0", SYS_UD, -1);
}

static void the_upper_half_of_a_long_mode_base_counts(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_LONG, 0);
	rig->cpu.regs[X86_RAX] = SEL_LDT;
	sys_poke(rig, SYS_GDT + SEL_LDT + 8, 0xffff8000, 8);
	sys_runs(rig, "0f00d0");
	assert_int_equal(rig->cpu.ldt.base, 0xffff800000000000 | SYS_LDT);
	sys_poke(rig, SYS_GDT + SEL_LDT + 8, 0x80000000, 8);
	sys_faults(rig, "0f00d0", SYS_GP, SEL_LDT);
}

/* lar eax, cx; lsl eax, cx; verr cx; verw cx: what ZF says. */
static const struct {
	uint8_t cpl;
	uint16_t selector;
	bool lar, lsl, verr, verw;
} questions[] = {
	{ 0, SEL_DATA, true, true, true, true },
	{ 0, SEL_DATA | 3, false, false, false, false },
	{ 3, SEL_DATA, false, false, false, false },
	{ 3, SEL_USER_DATA | 3, true, true, true, true },
	{ 0, SEL_READ_ONLY, true, true, true, false },
	{ 0, SEL_EXEC_ONLY, true, true, false, false },
	{ 3, SEL_CONFORMING | 3, true, true, true, false },
	{ 0, SEL_TSS, true, true, false, false },
	{ 0, SEL_LDT, true, true, false, false },
	{ 3, SEL_GATE | 3, true, false, false, false },
	{ 0, SEL_ABSENT, true, true, true, true },
	{ 0, 0, false, false, false, false },
	{ 0, SEL_BEYOND, false, false, false, false },
};

static void ask(struct sys_rig *rig, const char *hex, bool expected)
{
	rig->cpu.rflags ^= expected ? 0 : X86_ZF;
	sys_runs(rig, hex);
	assert_int_equal(!!(rig->cpu.rflags & X86_ZF), expected);
}

static void selectors_can_be_asked_about(void **state)
{
	struct sys_rig *rig = *state;
	static const enum sys_mode modes[] = { SYS_P32, SYS_COMPAT, SYS_LONG };

	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
			sys_mode(rig, modes[m], questions[i].cpl);
			rig->cpu.regs[X86_RCX] = questions[i].selector;
			ask(rig, "0f02c1", questions[i].lar);
			ask(rig, "0f03c1", questions[i].lsl);
			ask(rig, "0f00e1", questions[i].verr);
			ask(rig, "0f00e9", questions[i].verw);
		}
	}
	sys_mode(rig, SYS_VM86, 3);
	sys_faults(rig, "0f02c1", SYS_UD, -1);
}

static void lar_and_lsl_answer(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_P32, 0);
	rig->cpu.regs[X86_RCX] = SEL_DATA;
	sys_runs(rig, "0f02c1");
	assert_int_equal(rig->cpu.regs[X86_RAX], 0xcf9200);
	sys_runs(rig, "0f03c1");
	assert_int_equal(rig->cpu.regs[X86_RAX], 0xffffffff);
	rig->cpu.regs[X86_RCX] = SEL_SMALL;
	rig->cpu.regs[X86_RAX] = 0x11110000;
	sys_runs(rig, "660f03c1");
	assert_int_equal(rig->cpu.regs[X86_RAX], 0x11110fff);
}

static void arpl_raises(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_P32, 3);
	cpu->regs[X86_RAX] = 0x10;
	cpu->regs[X86_RCX] = 0x23;
	sys_runs(rig, "63c8"); /* arpl ax, cx */
	assert_int_equal(cpu->regs[X86_RAX], 0x13);
	assert_true(cpu->rflags & X86_ZF);
	sys_runs(rig, "63c8");
	assert_false(cpu->rflags & X86_ZF);
	sys_mode(rig, SYS_REAL, 0);
	sys_faults(rig, "63c8", SYS_UD, -1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sys_rig_create, sys_rig_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(limits_are_kept),
		CASE(the_stack_has_a_fault_of_its_own),
		CASE(code_that_cannot_be_read_is_executed),
		CASE(bases_wrap_at_4_gib),
		CASE(long_mode_has_bases_of_fs_and_gs_alone),
		CASE(real_mode_keeps_the_limit),
		CASE(segment_registers_are_checked),
		CASE(a_null_stack_is_for_64_bit_code_of_inner_levels),
		CASE(mov_ss_casts_a_shadow),
		CASE(cs_cannot_be_moved_to),
		CASE(pushes_and_pops),
		CASE(far_pointers_are_loaded_whole_or_not),
		CASE(ldt_and_tr),
		CASE(the_upper_half_of_a_long_mode_base_counts),
		CASE(selectors_can_be_asked_about),
		CASE(lar_and_lsl_answer),
		CASE(arpl_raises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
