/* SPDX-License-Identifier: Apache-2.0 */
/* Far jumps, calls, returns, IRET, tasks, system calls. */
#include <string.h>

#include "base/core/macros.h"
#include "sys_rig.h"

#define GOOD 0xff

/* Memory operand at [rBX]: an offset and a selector. */
static void pointer(struct sys_rig *rig, uint64_t offset, uint16_t selector)
{
	rig->cpu.regs[X86_RBX] = SYS_DATA;
	sys_poke(rig, SYS_DATA, offset, 4);
	sys_poke(rig, SYS_DATA + 4, selector, 2);
}

/* What jmp far [rBX] and call far [rBX] do alike. */
static const struct {
	enum sys_mode mode;
	uint8_t cpl;
	uint16_t selector;
	uint64_t offset;
	uint8_t vector;
	uint16_t error, cs;
} branches[] = {
	{ SYS_P32, 0, SEL_CODE32, 0x1234, GOOD, 0, SEL_CODE32 },
	{ SYS_P32, 0, SEL_CODE16, 0x1234, GOOD, 0, SEL_CODE16 },
	{ SYS_P32, 0, SEL_CODE16, 0x10000, SYS_GP, 0, 0 }, /* beyond its limit */
	{ SYS_P32, 0, 0, 0, SYS_GP, 0, 0 },
	{ SYS_P32, 0, SEL_CODE32 | 3, 0, SYS_GP, SEL_CODE32, 0 },
	{ SYS_P32, 0, SEL_USER32, 0, SYS_GP, SEL_USER32, 0 },
	{ SYS_P32, 0, SEL_DATA, 0, SYS_GP, SEL_DATA, 0 },
	{ SYS_P32, 0, SEL_BEYOND, 0, SYS_GP, SEL_BEYOND, 0 },
	{ SYS_P32, 0, SEL_CODE_ABSENT, 0, SYS_NP, SEL_CODE_ABSENT, 0 },
	{ SYS_P32, 0, SEL_LDT, 0, SYS_GP, SEL_LDT, 0 },
	{ SYS_P32, 3, SEL_USER32 | 3, 0x1234, GOOD, 0, SEL_USER32 | 3 },
	{ SYS_P32, 3, SEL_USER32, 0x1234, GOOD, 0, SEL_USER32 | 3 },
	{ SYS_P32, 3, SEL_CODE32, 0, SYS_GP, SEL_CODE32, 0 },
	{ SYS_P32, 3, SEL_CONFORMING, 0x1234, GOOD, 0, SEL_CONFORMING | 3 },
	{ SYS_P32, 0, SEL_TSS, 0, SYS_GP, SEL_TSS, 0 }, /* busy */
	{ SYS_LONG, 0, SEL_CODE64, 0x1234, GOOD, 0, SEL_CODE64 },
	{ SYS_LONG, 0, SEL_CODE32, 0x1234, GOOD, 0, SEL_CODE32 },
	{ SYS_LONG, 0, SEL_BOTH, 0, SYS_GP, SEL_BOTH, 0 },
	{ SYS_LONG, 0, SEL_TSS, 0, SYS_GP, SEL_TSS, 0 },
	{ SYS_COMPAT, 0, SEL_CODE64, 0x1234, GOOD, 0, SEL_CODE64 },
};

static void far_branches_are_checked(void **state)
{
	struct sys_rig *rig = *state;
	static const char *const bytes[] = { "ff2b", "ff1b" }; /* jmp, call */

	for (size_t i = 0; i < ARRAY_SIZE(branches); i++) {
		for (unsigned call = 0; call < 2; call++) {
			sys_mode(rig, branches[i].mode, branches[i].cpl);
			uint16_t cs = rig->cpu.segs[X86_CS].selector;
			uint64_t rsp = rig->cpu.regs[X86_RSP];
			pointer(rig, branches[i].offset, branches[i].selector);
			if (branches[i].selector == SEL_TSS)
				sys_poke(rig, SYS_GDT + SEL_TSS + 5, 0x8b, 1);
			if (branches[i].vector != GOOD) {
				sys_faults(rig, bytes[call], branches[i].vector, branches[i].error);
				continue;
			}
			assert_int_equal(sys_exec(rig, bytes[call]), CPU_OK);
			assert_int_equal(rig->cpu.segs[X86_CS].selector, branches[i].cs);
			assert_int_equal(rig->cpu.rip, branches[i].offset);
			assert_int_equal(rig->cpu.cpl, branches[i].cpl);
			assert_int_equal(rig->cpu.regs[X86_RSP], rsp - (call ? 8 : 0));
			if (call) {
				assert_int_equal(sys_peek(rig, rsp - 8, 4), SYS_CODE + 2);
				assert_int_equal(sys_peek(rig, rsp - 4, 4), cs);
			}
		}
	}
}

static void direct_forms_of_8086_code(void **state)
{
	struct sys_rig *rig = *state;
	static const enum sys_mode modes[] = { SYS_REAL, SYS_VM86 };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		sys_mode(rig, modes[i], modes[i] == SYS_VM86 ? 3 : 0);
		uint64_t rsp = rig->cpu.regs[X86_RSP];
		assert_int_equal(sys_exec(rig, "9a 3412 00f0"), CPU_OK);
		assert_int_equal(rig->cpu.rip, 0x1234);
		assert_int_equal(rig->cpu.segs[X86_CS].base, 0xf0000);
		assert_int_equal(sys_peek(rig, rsp - 4, 4), (SYS_CODE >> 4) << 16 | 5);
		assert_int_equal(sys_exec(rig, "cb"), CPU_OK);
		assert_int_equal(rig->cpu.rip, 5);
		assert_int_equal(rig->cpu.regs[X86_RSP], rsp);
		sys_faults(rig, "66ea 00000100 0010", SYS_GP, 0); /* beyond 64 KiB */
	}
}

/* ---- call gates ---- */

static void a_call_gate_leads_inwards(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	static const enum sys_mode modes[] = { SYS_P32, SYS_COMPAT, SYS_LONG };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		unsigned width = modes[i] == SYS_P32 ? 4 : 8;
		sys_mode(rig, modes[i], 3);
		uint16_t cs = cpu->segs[X86_CS].selector, ss = cpu->segs[X86_SS].selector;
		pointer(rig, 0xdead, SEL_GATE | 3);
		assert_int_equal(sys_exec(rig, "ff1b"), CPU_OK);
		assert_int_equal(cpu->cpl, 0);
		assert_int_equal(cpu->rip, SYS_HANDLERS);
		assert_int_equal(cpu->segs[X86_CS].selector, i ? SEL_CODE64 : SEL_CODE32);
		assert_int_equal(cpu->segs[X86_SS].selector, i ? 0 : SEL_DATA);
		assert_int_equal(cpu->regs[X86_RSP], SYS_STACK0 - 4 * width);
		assert_int_equal(sys_peek(rig, SYS_STACK0 - width, width), ss);
		assert_int_equal(sys_peek(rig, SYS_STACK0 - 2 * width, width), SYS_STACK3);
		assert_int_equal(sys_peek(rig, SYS_STACK0 - 3 * width, width), cs);
		assert_int_equal(sys_peek(rig, SYS_STACK0 - 4 * width, width), SYS_CODE + 2);
		/* and back */
		assert_int_equal(sys_exec(rig, i ? "48cb" : "cb"), CPU_OK);
		assert_int_equal(cpu->cpl, 3);
		assert_int_equal(cpu->rip, SYS_CODE + 2);
		assert_int_equal(cpu->regs[X86_RSP], SYS_STACK3);
	}
}

static void a_gate_brings_its_parameters(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_P32, 3);
	sys_poke(rig, SYS_GDT + SEL_GATE + 4, 2, 1);
	sys_poke(rig, SYS_STACK3 - 8, 0x22222222, 4);
	sys_poke(rig, SYS_STACK3 - 4, 0x11111111, 4);
	cpu->regs[X86_RSP] = SYS_STACK3 - 8;
	pointer(rig, 0, SEL_GATE);
	assert_int_equal(sys_exec(rig, "ff1b"), CPU_OK);
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK0 - 24);
	assert_int_equal(sys_peek(rig, SYS_STACK0 - 12, 4), 0x11111111);
	assert_int_equal(sys_peek(rig, SYS_STACK0 - 16, 4), 0x22222222);
	assert_int_equal(sys_exec(rig, "ca0800"), CPU_OK); /* both stacks drop them */
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK3);
}

static void wrong_gates_are_refused(void **state)
{
	struct sys_rig *rig = *state;
	static const struct {
		unsigned at, value;
		uint8_t vector;
		uint16_t error;
	} rows[] = {
		{ 5, 0x8c, SYS_GP, SEL_GATE }, /* DPL 0 */
		{ 5, 0x6c, SYS_NP, SEL_GATE },	   { 2, 0, SYS_GP, 0 },
		{ 2, SEL_DATA, SYS_GP, SEL_DATA }, { 2, SEL_CODE_ABSENT, SYS_NP, SEL_CODE_ABSENT },
	};

	for (unsigned is_long = 0; is_long < 2; is_long++) {
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			sys_mode(rig, is_long ? SYS_LONG : SYS_P32, 3);
			sys_poke(rig, SYS_GDT + SEL_GATE + rows[i].at, rows[i].value, 1);
			pointer(rig, 0, SEL_GATE);
			sys_faults(rig, "ff1b", rows[i].vector, rows[i].error);
		}
	}
	sys_mode(rig, SYS_LONG, 3);
	sys_poke(rig, SYS_GDT + SEL_GATE + 12, 0x100, 4); /* a type in the upper half */
	pointer(rig, 0, SEL_GATE);
	sys_faults(rig, "ff1b", SYS_GP, SEL_GATE);
	sys_mode(rig, SYS_P32, 3);
	pointer(rig, 0, SEL_GATE); /* a jump changes no level */
	sys_faults(rig, "ff2b", SYS_GP, SEL_CODE32);
}

/* ---- RET and IRET ---- */

static void push(struct sys_rig *rig, unsigned width, uint64_t value)
{
	rig->cpu.regs[X86_RSP] -= width;
	sys_poke(rig, rig->cpu.regs[X86_RSP], value, width);
}

static void push_iret(struct sys_rig *rig, unsigned width, uint64_t ss, uint64_t rsp,
		      uint64_t flags, uint64_t cs, uint64_t rip)
{
	push(rig, width, ss);
	push(rig, width, rsp);
	push(rig, width, flags);
	push(rig, width, cs);
	push(rig, width, rip);
}

static const struct {
	enum sys_mode mode;
	uint16_t cs, ss;
	uint64_t rip;
	uint8_t vector;
	uint16_t error;
} irets[] = {
	{ SYS_P32, SEL_USER32 | 3, SEL_USER_DATA | 3, 0x1234, GOOD, 0 },
	{ SYS_P32, 0, 0, 0, SYS_GP, 0 },
	{ SYS_P32, SEL_USER32, SEL_USER_DATA | 3, 0, SYS_GP, SEL_USER32 }, /* RPL is not DPL */
	{ SYS_P32, SEL_USER32 | 3, 0, 0, SYS_GP, 0 },
	{ SYS_P32, SEL_USER32 | 3, SEL_USER_DATA, 0, SYS_GP, SEL_USER_DATA },
	{ SYS_P32, SEL_USER32 | 3, SEL_DATA | 3, 0, SYS_GP, SEL_DATA },
	{ SYS_P32, SEL_CODE_ABSENT, 0, 0, SYS_NP, SEL_CODE_ABSENT },
	{ SYS_P32, SEL_DATA, 0, 0, SYS_GP, SEL_DATA },
	{ SYS_LONG, SEL_USER64 | 3, SEL_USER_DATA | 3, 0x1234, GOOD, 0 },
	{ SYS_LONG, SEL_USER32 | 3, SEL_USER_DATA | 3, 0x1234, GOOD, 0 },
	{ SYS_LONG, SEL_CODE64, SEL_DATA, 0x1234, GOOD, 0 },
	{ SYS_LONG, SEL_CODE64, 0, 0x1234, GOOD, 0 }, /* a null stack segment at level 0 */
	{ SYS_LONG, SEL_USER64 | 3, 3, 0x1234, SYS_GP, 0 },
	{ SYS_LONG, SEL_CODE64, SEL_DATA, 0x800000000000, SYS_GP, 0 },
	{ SYS_LONG, SEL_BOTH, SEL_DATA, 0, SYS_GP, SEL_BOTH },
};

static void irets_are_checked(void **state)
{
	struct sys_rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(irets); i++) {
		bool is_long = irets[i].mode == SYS_LONG;
		const char *bytes = is_long ? "48cf" : "cf";
		sys_mode(rig, irets[i].mode, 0);
		push_iret(rig, is_long ? 8 : 4, irets[i].ss, SYS_STACK3 - 64, 0x3202, irets[i].cs,
			  irets[i].rip);
		if (irets[i].vector != GOOD) {
			sys_faults(rig, bytes, irets[i].vector, irets[i].error);
			continue;
		}
		assert_int_equal(sys_exec(rig, bytes), CPU_OK);
		assert_int_equal(rig->cpu.rip, irets[i].rip);
		assert_int_equal(rig->cpu.segs[X86_CS].selector, irets[i].cs);
		assert_int_equal(rig->cpu.segs[X86_SS].selector, irets[i].ss);
		assert_int_equal(rig->cpu.regs[X86_RSP], SYS_STACK3 - 64);
		assert_int_equal(rig->cpu.cpl, irets[i].cs & 3);
		assert_int_equal(rig->cpu.rflags, 0x3202);
		assert_int_equal(rig->cpu.segs[X86_DS].unusable, (irets[i].cs & 3) == 3);
	}
}

static void user_code_keeps_iopl_and_if(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_LONG, 3);
	push_iret(rig, 8, SEL_USER_DATA | 3, SYS_STACK3, 0x3fffff, SEL_USER64 | 3, 0);
	rig->cpu.rflags = 2;
	assert_int_equal(sys_exec(rig, "48cf"), CPU_OK);
	assert_int_equal(rig->cpu.rflags, 2 | (0x3f7fd5 & ~(SYS_FL_IOPL | SYS_FL_IF | SYS_FL_VM |
							    SYS_FL_VIF | SYS_FL_VIP)));
	rig->cpu.rflags = 2;
	push_iret(rig, 8, SEL_USER_DATA | 3, SYS_STACK3, 2, SEL_CODE64, 0);
	sys_faults(rig, "48cf", SYS_GP, SEL_CODE64); /* not inwards */
}

static void a_16_bit_stack_takes_16_bits_of_rsp(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_LONG, 0);
	sys_set_desc(rig, SEL_DATA16, 0, 0xffff, 0xf2, 0);
	push_iret(rig, 8, SEL_DATA16 | 3, 0x1111222233334444, 2, SEL_USER32 | 3, 0);
	uint64_t rsp = rig->cpu.regs[X86_RSP];
	assert_int_equal(sys_exec(rig, "48cf"), CPU_OK);
	assert_int_equal(rig->cpu.regs[X86_RSP], (rsp & ~0xffffULL) | 0x4444);
}

static void a_return_to_user_leaves_no_kernel_segment(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	cpu->segs[X86_GS].base = 0x123456789000;
	assert_int_equal(seg_load(cpu, X86_ES, SEL_USER_DATA | 3), CPU_OK);
	assert_int_equal(seg_load(cpu, X86_FS, SEL_CONFORMING), CPU_OK);
	push_iret(rig, 8, SEL_USER_DATA | 3, 0, 2, SEL_USER64 | 3, 0);
	assert_int_equal(sys_exec(rig, "48cf"), CPU_OK);
	assert_int_equal(cpu->segs[X86_DS].selector, 0);
	assert_true(cpu->segs[X86_DS].unusable);
	assert_int_equal(cpu->segs[X86_ES].selector, SEL_USER_DATA | 3);
	assert_int_equal(cpu->segs[X86_FS].selector, SEL_CONFORMING);
	assert_int_equal(cpu->segs[X86_GS].selector, 0);
	assert_int_equal(cpu->segs[X86_GS].base, 0x123456789000);
}

static void real_mode_iret(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_REAL, 0);
	rig->cpu.nmi_blocked = true;
	push(rig, 2, 0xffff);
	push(rig, 2, 0x1234);
	push(rig, 2, 0x5678);
	assert_int_equal(sys_exec(rig, "cf"), CPU_OK);
	assert_int_equal(rig->cpu.rip, 0x5678);
	assert_int_equal(rig->cpu.segs[X86_CS].base, 0x12340);
	assert_int_equal(rig->cpu.rflags, 0x7fd7);
	assert_false(rig->cpu.nmi_blocked);
}

static void virtual_8086_iret_and_flags(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_VM86, 3);
	sys_faults(rig, "cf", SYS_GP, 0);
	cpu->rflags |= SYS_FL_IOPL;
	push(rig, 2, 0x0202);
	push(rig, 2, 0x1234);
	push(rig, 2, 0x5678);
	assert_int_equal(sys_exec(rig, "cf"), CPU_OK);
	assert_int_equal(cpu->rflags, 0x23202); /* IOPL and VM stay */

	sys_mode(rig, SYS_VM86, 3);
	cpu->cr4 |= X86_CR4_VME;
	push(rig, 2, 0x0202);
	push(rig, 2, 0x1234);
	push(rig, 2, 0x5678);
	cpu->rflags |= SYS_FL_VIP;
	sys_faults(rig, "cf", SYS_GP, 0);
	cpu->rflags &= ~SYS_FL_VIP;
	assert_int_equal(sys_exec(rig, "cf"), CPU_OK);
	assert_int_equal(cpu->rflags, 0xa0002); /* VIF, VM */
}

/* ---- tasks ---- */

static void make_task(struct sys_rig *rig, uint16_t cs, uint16_t data, uint32_t flags)
{
	memset(rig->ram + SYS_TSS2, 0, 0x100);
	sys_poke(rig, SYS_TSS2 + 32, 0x4567, 4);
	sys_poke(rig, SYS_TSS2 + 36, flags, 4);
	for (unsigned i = 0; i < 8; i++)
		sys_poke(rig, SYS_TSS2 + 40 + i * 4, i == X86_RSP ? SYS_STACK1 : 0x1000 + i, 4);
	for (unsigned i = 0; i < 6; i++)
		sys_poke(rig, SYS_TSS2 + 72 + i * 4, i == X86_CS ? cs : data, 2);
}

static void a_call_nests_a_task_and_iret_returns(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_P32, 0);
	sys_poke(rig, SYS_GDT + SEL_TSS + 5, 0x8b, 1);
	make_task(rig, SEL_CODE32, SEL_DATA, 2);
	cpu->regs[X86_RAX] = 0xabcdef;
	pointer(rig, 0, SEL_TSS2);
	assert_int_equal(sys_exec(rig, "ff1b"), CPU_OK);
	assert_int_equal(cpu->rip, 0x4567);
	assert_int_equal(cpu->tr.selector, SEL_TSS2);
	assert_int_equal(cpu->regs[X86_RAX], 0x1000);
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK1);
	assert_int_equal(cpu->rflags, 2 | SYS_FL_NT);
	assert_true(cpu->cr0 & X86_CR0_TS);
	assert_int_equal(sys_peek(rig, SYS_TSS2, 2), SEL_TSS); /* the way back */
	assert_int_equal(sys_peek(rig, SYS_GDT + SEL_TSS2 + 5, 1), 0x8b);
	assert_int_equal(sys_peek(rig, SYS_GDT + SEL_TSS + 5, 1), 0x8b);
	assert_int_equal(sys_peek(rig, SYS_TSS + 32, 4), SYS_CODE + 2);

	assert_int_equal(sys_exec(rig, "cf"), CPU_OK);
	assert_int_equal(cpu->rip, SYS_CODE + 2);
	assert_int_equal(cpu->regs[X86_RAX], 0xabcdef);
	assert_int_equal(cpu->tr.selector, SEL_TSS);
	assert_int_equal(cpu->rflags, 2);
	assert_int_equal(sys_peek(rig, SYS_GDT + SEL_TSS2 + 5, 1), 0x89);
}

static void a_jump_leaves_the_old_task(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_P32, 0);
	sys_poke(rig, SYS_GDT + SEL_TSS + 5, 0x8b, 1);
	make_task(rig, SEL_USER32 | 3, SEL_USER_DATA | 3, 0x3202);
	pointer(rig, 0, SEL_TASK_GATE);
	assert_int_equal(sys_exec(rig, "ff2b"), CPU_OK);
	assert_int_equal(rig->cpu.cpl, 3);
	assert_int_equal(rig->cpu.rflags, 0x3202);
	assert_int_equal(rig->cpu.segs[X86_SS].selector, SEL_USER_DATA | 3);
	assert_int_equal(sys_peek(rig, SYS_GDT + SEL_TSS + 5, 1), 0x89);
	assert_int_equal(sys_peek(rig, SYS_TSS2, 2), 0);
}

static void what_is_wrong_with_a_task_is_its_own_fault(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_P32, 0);
	make_task(rig, SEL_CODE32, SEL_ABSENT, 2);
	sys_poke(rig, SYS_TSS2 + 80, SEL_DATA, 2); /* SS is fine */
	pointer(rig, 0, SEL_TSS2);
	assert_int_equal(sys_exec(rig, "ff2b"), CPU_FAULT);
	assert_int_equal(cpu->fault.vector, SYS_NP);
	assert_int_equal(cpu->fault.error, SEL_ABSENT);
	assert_int_equal(cpu->tr.selector, SEL_TSS2);
	assert_int_equal(cpu->rip, 0x4567);

	sys_mode(rig, SYS_P32, 0);
	make_task(rig, SEL_DATA, SEL_DATA, 2);
	pointer(rig, 0, SEL_TSS2);
	assert_int_equal(sys_exec(rig, "ff2b"), CPU_FAULT);
	assert_int_equal(cpu->fault.vector, SYS_TS);
	assert_int_equal(cpu->fault.error, SEL_DATA);

	sys_mode(rig, SYS_P32, 0);
	sys_set_desc(rig, SEL_TSS2, SYS_TSS2, 0x66, 0x89,
		     0); /* too short: before anything is done */
	pointer(rig, 0, SEL_TSS2);
	sys_faults(rig, "ff2b", SYS_TS, SEL_TSS2);
	assert_int_equal(cpu->tr.selector, SEL_TSS);
}

static void a_task_gate_takes_an_exception(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_P32, 3);
	sys_set_gate(rig, SYS_GP, SEL_TSS2, 0x85, 0);
	make_task(rig, SEL_CODE32, SEL_DATA, 2);
	(void)fault_error(cpu, SYS_GP, 0x1234);
	assert_int_equal(except_deliver(cpu), CPU_OK);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->rip, 0x4567);
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK1 - 4);
	assert_int_equal(sys_peek(rig, SYS_STACK1 - 4, 4), 0x1234);
	assert_int_equal(sys_peek(rig, SYS_TSS + 32, 4), SYS_CODE);
	assert_true(sys_peek(rig, SYS_TSS + 36, 4) & SYS_FL_RF);
}

static void the_trap_flag_of_a_task(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_P32, 0);
	make_task(rig, SEL_CODE32, SEL_DATA, 2);
	sys_poke(rig, SYS_TSS2 + 100, 1, 2);
	pointer(rig, 0, SEL_TSS2);
	assert_int_equal(sys_exec(rig, "ff2b"), CPU_OK);
	assert_int_equal(rig->cpu.rip, SYS_HANDLERS + SYS_DB * 16);
	assert_int_equal(rig->cpu.dr[6] & 0xf000, 0x8000);
	assert_int_equal(sys_peek(rig, rig->cpu.regs[X86_RSP], 4), 0x4567);
}

static void tasks_of_16_bits(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_P32, 0);
	sys_set_desc(rig, SEL_TSS2, SYS_TSS2, 0x2b, 0x81, 0);
	sys_poke(rig, SYS_TSS2 + 14, 0x4567, 2);
	sys_poke(rig, SYS_TSS2 + 16, 2, 2);
	sys_poke(rig, SYS_TSS2 + 18, 0x1234, 2);
	sys_poke(rig, SYS_TSS2 + 34, SEL_DATA, 2);
	sys_poke(rig, SYS_TSS2 + 36, SEL_CODE32, 2);
	sys_poke(rig, SYS_TSS2 + 38, SEL_DATA, 2);
	sys_poke(rig, SYS_TSS2 + 40, SEL_DATA, 2);
	pointer(rig, 0, SEL_TSS2);
	assert_int_equal(sys_exec(rig, "ff2b"), CPU_OK);
	assert_int_equal(cpu->rip, 0x4567);
	assert_int_equal(cpu->regs[X86_RAX] & 0xffff, 0x1234);
	assert_true(cpu->segs[X86_FS].unusable);
}

static void long_mode_has_no_tasks(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_LONG, 0);
	rig->cpu.rflags |= SYS_FL_NT;
	sys_faults(rig, "48cf", SYS_GP, 0);
}

/* ---- system calls ---- */

static void syscall_and_sysret(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 3);
	cpu->star = (uint64_t)(SEL_USER32 | 3) << 48 | (uint64_t)SEL_CODE32 << 32;
	cpu->lstar = 0xffffffff81000000;
	cpu->sfmask = 0x47700;
	cpu->rflags |= SYS_FL_IF | X86_CF | SYS_FL_RF;
	assert_int_equal(sys_exec(rig, "0f05"), CPU_OK);
	assert_int_equal(cpu->rip, 0xffffffff81000000);
	assert_int_equal(cpu->regs[X86_RCX], SYS_CODE + 2);
	assert_int_equal(cpu->regs[X86_R11], 0x203);
	assert_int_equal(cpu->rflags, 3);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->segs[X86_SS].selector, SEL_CODE32 + 8);
	assert_int_equal(cpu->mode & CPU_MODE_CODE, X86_CODE_64);
	assert_int_equal(sys_exec(rig, "480f07"), CPU_OK);
	assert_int_equal(cpu->rip, SYS_CODE + 2);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->segs[X86_CS].selector, (SEL_USER32 + 16) | 3);
	assert_int_equal(cpu->segs[X86_SS].selector, (SEL_USER32 + 8) | 3);
	assert_int_equal(cpu->rflags, 0x203);
	sys_faults(rig, "480f07", SYS_GP, 0); /* at level 3 */
	cpu->efer &= ~X86_EFER_SCE;
	sys_faults(rig, "0f05", SYS_UD, -1);
}

static void vendors_differ_over_system_calls(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	/* AMD: SYSCALL in compatibility mode, no SYSENTER in long mode, SYSRET faults at its target */
	sys_mode(rig, SYS_COMPAT, 3);
	cpu->cstar = 0x777000;
	cpu->star = (uint64_t)SEL_CODE32 << 32;
	cpu->sysenter_cs = SEL_CODE32;
	sys_faults(rig, "0f34", SYS_UD, -1);
	assert_int_equal(sys_exec(rig, "0f05"), CPU_OK);
	assert_int_equal(cpu->rip, 0x777000);
	cpu->regs[X86_RCX] = 0x800000000000;
	assert_int_equal(sys_exec(rig, "480f07"), CPU_OK);
	assert_int_equal(cpu->cpl, 3);

	/* Intel */
	cpu->leaves[0].ebx = 0x756e6547;
	sys_mode(rig, SYS_COMPAT, 3);
	sys_faults(rig, "0f05", SYS_UD, -1);
	cpu->sysenter_eip = 0xffffffff82000000;
	cpu->sysenter_esp = 0xffffc00000001000;
	assert_int_equal(sys_exec(rig, "0f34"), CPU_OK);
	assert_int_equal(cpu->rip, 0xffffffff82000000);
	assert_int_equal(cpu->regs[X86_RSP], 0xffffc00000001000);
	cpu->regs[X86_RCX] = 0x800000000000;
	sys_faults(rig, "480f07", SYS_GP, 0);
}

static void sysenter_of_protected_mode(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_P32, 3);
	cpu->sysenter_cs = 0;
	sys_faults(rig, "0f34", SYS_GP, 0);
	cpu->sysenter_cs = SEL_CODE32;
	cpu->sysenter_eip = 0x5000;
	cpu->sysenter_esp = 0x6000;
	cpu->rflags |= SYS_FL_IF;
	assert_int_equal(sys_exec(rig, "0f34"), CPU_OK);
	assert_int_equal(cpu->rip, 0x5000);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->rflags, 2);
	cpu->regs[X86_RDX] = 0x1111;
	cpu->regs[X86_RCX] = 0x2222;
	assert_int_equal(sys_exec(rig, "0f35"), CPU_OK);
	assert_int_equal(cpu->rip, 0x1111);
	assert_int_equal(cpu->regs[X86_RSP], 0x2222);
	assert_int_equal(cpu->segs[X86_CS].selector, (SEL_CODE32 + 16) | 3);
	assert_int_equal(cpu->segs[X86_SS].selector, (SEL_CODE32 + 24) | 3);
}

/* kvm-unit-tests, syscall: TF set by SYSRET traps at once */
static void sysret_traps_with_the_tf_that_it_loads(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	cpu->star = (uint64_t)SEL_USER32 << 48;
	cpu->regs[X86_RCX] = 0x1234;
	cpu->regs[X86_R11] = 0x102;
	assert_int_equal(sys_exec(rig, "480f07"), CPU_OK);
	assert_int_equal(cpu->rip, SYS_HANDLERS + SYS_DB * 16);
	assert_int_equal(sys_peek(rig, cpu->regs[X86_RSP], 8), 0x1234);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sys_rig_create, sys_rig_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(far_branches_are_checked),
		CASE(direct_forms_of_8086_code),
		CASE(a_call_gate_leads_inwards),
		CASE(a_gate_brings_its_parameters),
		CASE(wrong_gates_are_refused),
		CASE(irets_are_checked),
		CASE(user_code_keeps_iopl_and_if),
		CASE(a_16_bit_stack_takes_16_bits_of_rsp),
		CASE(a_return_to_user_leaves_no_kernel_segment),
		CASE(real_mode_iret),
		CASE(virtual_8086_iret_and_flags),
		CASE(a_call_nests_a_task_and_iret_returns),
		CASE(a_jump_leaves_the_old_task),
		CASE(what_is_wrong_with_a_task_is_its_own_fault),
		CASE(a_task_gate_takes_an_exception),
		CASE(the_trap_flag_of_a_task),
		CASE(tasks_of_16_bits),
		CASE(long_mode_has_no_tasks),
		CASE(syscall_and_sysret),
		CASE(vendors_differ_over_system_calls),
		CASE(sysenter_of_protected_mode),
		CASE(sysret_traps_with_the_tf_that_it_loads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
