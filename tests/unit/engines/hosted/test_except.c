/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions and interrupts through the IDT, double and triple faults. */
#include "base/core/macros.h"
#include "sys_rig.h"

#define HANDLER(n) (SYS_HANDLERS + (n)*16U)

static enum cpu_result deliver(struct sys_rig *rig, uint8_t vector)
{
	(void)fault_raise(&rig->cpu, vector);
	return except_deliver(&rig->cpu);
}

static enum cpu_result deliver_error(struct sys_rig *rig, uint8_t vector, uint32_t error)
{
	(void)fault_error(&rig->cpu, vector, error);
	return except_deliver(&rig->cpu);
}

/* The frame at the stack pointer, from the lowest address on. */
static void frame_is(const struct sys_rig *rig, unsigned width, const uint64_t *expected,
		     unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(sys_peek(rig, rig->cpu.regs[X86_RSP] + i * width, width),
				 expected[i]);
}

/* ---- real mode ---- */

static void real_mode_has_a_vector_table(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	const uint64_t frame[] = { 0x12, SYS_CODE >> 4, 0x40302 };

	sys_mode(rig, SYS_REAL, 0);
	cpu->idt = (struct x86_table){ 0, 0x3ff };
	sys_poke(rig, 0x21 * 4, 0xf0001234, 4);
	cpu->rip = 0x12;
	cpu->rflags = 0x40302; /* AC, IF, TF */
	assert_int_equal(except_interrupt(cpu, 0x21), CPU_OK);
	assert_int_equal(cpu->rip, 0x1234);
	assert_int_equal(cpu->segs[X86_CS].selector, 0xf000);
	assert_int_equal(cpu->segs[X86_CS].base, 0xf0000);
	assert_int_equal(cpu->rflags, 2);
	frame_is(rig, 2, (const uint64_t[]){ frame[0], frame[1], frame[2] & 0xffff }, 3);
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK0 - 6);
}

static void real_mode_pushes_no_error_code(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_REAL, 0);
	cpu->idt = (struct x86_table){ 0, 0x3ff };
	assert_int_equal(deliver_error(rig, SYS_GP, 0), CPU_OK);
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK0 - 6);
}

static void real_mode_shuts_down_beyond_its_table(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_REAL, 0);
	rig->cpu.idt = (struct x86_table){ 0, 0 };
	assert_int_equal(deliver(rig, SYS_UD), CPU_EXIT);
	assert_int_equal(rig->cpu.exit, VCPU_EXIT_SHUTDOWN);
}

static void stack_pointers_wrap_at_64_kib(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_REAL, 0);
	cpu->regs[X86_RSP] = 0xabcd0002;
	assert_int_equal(deliver(rig, SYS_UD), CPU_OK);
	assert_int_equal(cpu->regs[X86_RSP], 0xabcdfffc);
	assert_int_equal(sys_peek(rig, 0, 2), 0x0002); /* flags */
	assert_int_equal(sys_peek(rig, 0xfffe, 2), SYS_CODE >> 4);
}

/* ---- protected mode ---- */

static void a_fault_in_the_kernel_stays_on_its_stack(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	const uint64_t frame[] = { 0x18, SYS_CODE, SEL_CODE32, 0x10202 };

	sys_mode(rig, SYS_P32, 0);
	cpu->rflags |= SYS_FL_IF;
	assert_int_equal(deliver_error(rig, SYS_GP, 0x18), CPU_OK);
	assert_int_equal(cpu->rip, HANDLER(SYS_GP));
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK0 - 16);
	frame_is(rig, 4, frame, 4);
	assert_int_equal(cpu->rflags, 2); /* an interrupt gate */
}

static void trap_gates_leave_interrupts_on(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	static const enum sys_mode modes[] = { SYS_P32, SYS_LONG };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		sys_mode(rig, modes[i], 0);
		sys_set_gate(rig, 0x30, i ? SEL_CODE64 : SEL_CODE32, 0x8f, 0);
		cpu->rflags |= SYS_FL_IF | SYS_FL_TF | SYS_FL_NT;
		assert_int_equal(except_interrupt(cpu, 0x30), CPU_OK);
		assert_int_equal(cpu->rflags, 2 | SYS_FL_IF);
	}
}

static void user_code_is_left_for_the_tss_stack(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	const uint64_t frame[] = { SYS_CODE, SEL_USER32 | 3, 0x202, SYS_STACK3, SEL_USER_DATA | 3 };

	sys_mode(rig, SYS_P32, 3);
	cpu->rflags |= SYS_FL_IF;
	assert_int_equal(except_interrupt(cpu, 0x40), CPU_OK);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->segs[X86_CS].selector, SEL_CODE32);
	assert_int_equal(cpu->segs[X86_SS].selector, SEL_DATA);
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK0 - 20);
	frame_is(rig, 4, frame, 5);
}

static void gates_of_16_bits_push_words(void **state)
{
	struct sys_rig *rig = *state;
	const uint64_t frame[] = { 0, SEL_CODE32, 2 };

	sys_mode(rig, SYS_P32, 0);
	sys_set_gate(rig, 0x40, SEL_CODE32, 0x86, 0);
	assert_int_equal(except_interrupt(&rig->cpu, 0x40), CPU_OK);
	assert_int_equal(rig->cpu.rip, HANDLER(0x40) & 0xffff);
	assert_int_equal(rig->cpu.regs[X86_RSP], SYS_STACK0 - 6);
	frame_is(rig, 2, frame, 3);
}

static void virtual_8086_code_leaves_its_segments_on_the_stack(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	const uint64_t frame[] = { 0,	       SYS_CODE >> 4, 0x20002 | SYS_FL_RF,
				   SYS_STACK3, 0x500,	      0x100,
				   0x200,      0x300,	      0x400 };

	sys_mode(rig, SYS_VM86, 3);
	seg_8086(cpu, X86_ES, 0x100);
	seg_8086(cpu, X86_DS, 0x200);
	seg_8086(cpu, X86_FS, 0x300);
	seg_8086(cpu, X86_GS, 0x400);
	seg_8086(cpu, X86_SS, 0x500);
	assert_int_equal(deliver(rig, SYS_UD), CPU_OK);
	assert_false(cpu->rflags & SYS_FL_VM);
	assert_int_equal(cpu->cpl, 0);
	assert_true(cpu->segs[X86_GS].unusable && cpu->segs[X86_ES].unusable);
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK0 - 36);
	frame_is(rig, 4, frame, 9);

	/* and back */
	assert_int_equal(sys_exec(rig, "cf"), CPU_OK);
	assert_true(cpu->rflags & SYS_FL_VM);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->rip, 0);
	assert_int_equal(cpu->segs[X86_CS].selector, SYS_CODE >> 4);
	assert_int_equal(cpu->segs[X86_GS].base, 0x4000);
	assert_int_equal(cpu->segs[X86_SS].selector, 0x500);
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK3);
}

static void virtual_8086_code_goes_to_level_0_only(void **state)
{
	struct sys_rig *rig = *state;
	struct except_event event = { .vector = 0x40 };

	sys_mode(rig, SYS_VM86, 3);
	sys_set_gate(rig, 0x40, SEL_CODE1, 0x8e, 0);
	assert_int_equal(except_enter(&rig->cpu, &event), CPU_FAULT);
	assert_int_equal(rig->cpu.fault.vector, SYS_GP);
	assert_int_equal(rig->cpu.fault.error, SEL_CODE1);
}

/* ---- long mode ---- */

static void long_mode_aligns_and_pushes_the_stack(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	const uint64_t frame[] = {
		2, SYS_CODE, SEL_CODE64, 2 | SYS_FL_RF, SYS_STACK0 - 3, SEL_DATA
	};

	sys_mode(rig, SYS_LONG, 0);
	cpu->regs[X86_RSP] = SYS_STACK0 - 3;
	(void)fault_page(cpu, 0x1234567, 2);
	assert_int_equal(except_deliver(cpu), CPU_OK);
	assert_int_equal(cpu->cr2, 0x1234567);
	assert_int_equal(cpu->rip, HANDLER(SYS_PF));
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK0 - 16 - 48);
	frame_is(rig, 8, frame, 6);
	assert_int_equal(cpu->segs[X86_SS].selector, SEL_DATA);
}

static void long_mode_clears_the_stack_segment_on_a_change_of_level(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	static const enum sys_mode modes[] = { SYS_LONG, SYS_COMPAT };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		sys_mode(rig, modes[i], 3);
		assert_int_equal(except_interrupt(cpu, 0x40), CPU_OK);
		assert_int_equal(cpu->cpl, 0);
		assert_int_equal(cpu->segs[X86_SS].selector, 0);
		assert_true(cpu->segs[X86_SS].unusable);
		assert_int_equal(cpu->regs[X86_RSP], SYS_STACK0 - 40);
		assert_int_equal(cpu->mode & CPU_MODE_CODE, X86_CODE_64);
	}
}

static void an_ist_is_used_at_every_level(void **state)
{
	struct sys_rig *rig = *state;

	for (uint8_t cpl = 0; cpl <= 3; cpl = (uint8_t)(cpl + 3)) {
		sys_mode(rig, SYS_LONG, cpl);
		sys_set_gate(rig, SYS_NMI, SEL_CODE64, 0x8e, 1);
		assert_int_equal(except_interrupt(&rig->cpu, SYS_NMI), CPU_OK);
		assert_int_equal(rig->cpu.regs[X86_RSP], SYS_STACK1 - 40);
	}
}

/* ---- what is wrong with a gate ---- */

/* The second fault is delivered; what its error code was is on the stack. */
static const struct {
	uint16_t selector;
	unsigned type;
	uint8_t vector;
	uint16_t error;
} gates[] = {
	{ SEL_CODE32, 0x0e, SYS_NP, 0x40 * 8 + 3 },
	{ SEL_CODE32, 0x82, SYS_GP, 0x40 * 8 + 3 },
	{ SEL_CODE32, 0x8c, SYS_GP, 0x40 * 8 + 3 },
	{ 0, 0x8e, SYS_GP, 1 },
	{ SEL_DATA, 0x8e, SYS_GP, SEL_DATA | 1 },
	{ SEL_BEYOND, 0x8e, SYS_GP, SEL_BEYOND | 1 },
	{ SEL_CODE_ABSENT, 0x8e, SYS_NP, SEL_CODE_ABSENT | 1 },
	{ SEL_USER32, 0x8e, SYS_GP, SEL_USER32 | 1 },
};

static void wrong_gates_are_faults_with_ext(void **state)
{
	struct sys_rig *rig = *state;
	static const enum sys_mode modes[] = { SYS_P32, SYS_LONG };

	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		for (size_t i = 0; i < ARRAY_SIZE(gates); i++) {
			struct except_event event = { .vector = 0x40, .ext = SYS_ERR_EXT };
			uint16_t selector = gates[i].selector;
			if (modes[m] == SYS_LONG && selector == SEL_CODE32)
				selector = SEL_CODE64;
			sys_mode(rig, modes[m], 0);
			sys_set_gate(rig, 0x40, selector, gates[i].type, 0);
			assert_int_equal(except_enter(&rig->cpu, &event), CPU_FAULT);
			assert_int_equal(rig->cpu.fault.vector, gates[i].vector);
			assert_int_equal(rig->cpu.fault.error, gates[i].error);
			assert_int_equal(rig->cpu.rip, SYS_CODE);
		}
	}
}

static void long_mode_handlers_are_64_bit_code(void **state)
{
	struct sys_rig *rig = *state;
	struct except_event event = { .vector = 0x40 };

	sys_mode(rig, SYS_LONG, 0);
	sys_set_gate(rig, 0x40, SEL_CODE32, 0x8e, 0);
	assert_int_equal(except_enter(&rig->cpu, &event), CPU_FAULT);
	assert_int_equal(rig->cpu.fault.error, SEL_CODE32);
	/* and there are no task gates */
	sys_set_gate(rig, 0x40, SEL_TSS, 0x85, 0);
	assert_int_equal(except_enter(&rig->cpu, &event), CPU_FAULT);
	assert_int_equal(rig->cpu.fault.error, 0x40 * 8 + 2);
}

static void software_interrupts_need_the_gate_s_level(void **state)
{
	struct sys_rig *rig = *state;
	static const enum sys_mode modes[] = { SYS_P32, SYS_COMPAT, SYS_LONG };

	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		sys_mode(rig, modes[m], 3);
		sys_faults(rig, "cd40", SYS_GP, 0x40 * 8 + 2);
		sys_faults(rig, "cc", SYS_GP, 3 * 8 + 2);
		sys_set_gate(rig, 0x40, m ? SEL_CODE64 : SEL_CODE32, 0xee, 0);
		sys_set_gate(rig, 3, m ? SEL_CODE64 : SEL_CODE32, 0xee, 0);
		assert_int_equal(sys_exec(rig, "cd40"), CPU_OK);
		assert_int_equal(rig->cpu.rip, HANDLER(0x40));
		unsigned width = m ? 8 : 4;
		assert_int_equal(sys_peek(rig, rig->cpu.regs[X86_RSP], width), SYS_CODE + 2);
		assert_false(sys_peek(rig, rig->cpu.regs[X86_RSP] + 2 * width, width) & SYS_FL_RF);
		/* INT1 asks nobody */
		sys_mode(rig, modes[m], 3);
		assert_int_equal(sys_exec(rig, "f1"), CPU_OK);
		assert_int_equal(rig->cpu.rip, HANDLER(SYS_DB));
	}
}

static void into_looks_at_the_overflow_flag(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_P32, 0);
	sys_runs(rig, "ce");
	rig->cpu.rflags |= X86_OF;
	assert_int_equal(sys_exec(rig, "ce"), CPU_OK);
	assert_int_equal(rig->cpu.rip, HANDLER(SYS_OF));
}

static void virtual_8086_int_needs_iopl_or_vme(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_VM86, 3);
	sys_set_gate(rig, 0x40, SEL_CODE32, 0xee, 0);
	sys_faults(rig, "cd40", SYS_GP, 0);
	cpu->rflags |= SYS_FL_IOPL;
	assert_int_equal(sys_exec(rig, "cd40"), CPU_OK);
	assert_int_equal(cpu->rip, HANDLER(0x40));

	/* redirected to the program's own vector table: the TSS's map has a 0 for it */
	sys_mode(rig, SYS_VM86, 3);
	cpu->cr4 |= X86_CR4_VME;
	sys_poke(rig, SYS_TSS + 102, 0x88, 2); /* the map is 32 bytes below */
	sys_poke(rig, 0x41 * 4, 0x30000777, 4);
	cpu->rflags |= SYS_FL_VIF;
	assert_int_equal(sys_exec(rig, "cd41"), CPU_OK);
	assert_int_equal(cpu->rip, 0x777);
	assert_int_equal(cpu->segs[X86_CS].selector, 0x3000);
	assert_true(cpu->rflags & SYS_FL_VM);
	assert_false(cpu->rflags & SYS_FL_VIF);
	assert_int_equal(sys_peek(rig, SYS_STACK3 - 2, 2), 0x3202);
	sys_poke(rig, SYS_TSS + 0x68 + 0x40 / 8, 1, 1);
	sys_faults(rig, "cd40", SYS_GP, 0);
}

/* ---- double and triple faults ---- */

static void two_contributory_faults_are_a_double_fault(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	sys_set_gate(rig, SYS_NP, SEL_CODE64, 0x0e, 0);
	assert_int_equal(deliver_error(rig, SYS_NP, 0x10), CPU_OK);
	assert_int_equal(cpu->rip, HANDLER(SYS_DF));
	assert_int_equal(sys_peek(rig, cpu->regs[X86_RSP], 8), 0);
}

/* benign and page, contributory and page, page and page */
static void classes_of_faults(void **state)
{
	struct sys_rig *rig = *state;
	static const struct {
		uint8_t first, expected;
	} rows[] = { { SYS_UD, SYS_PF }, { SYS_GP, SYS_PF }, { SYS_DE, SYS_PF }, { 0x40, SYS_PF } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* the first one's gate is in a page that is not there */
		sys_mode(rig, SYS_LONG, 3);
		sys_poke(rig, SYS_TSS + 36 + 8, SYS_ABSENT + 0x100, 8); /* IST 2 */
		sys_set_gate(rig, rows[i].first, SEL_CODE64, 0x8e, 2);
		assert_int_equal(deliver(rig, rows[i].first), CPU_OK);
		assert_int_equal(rig->cpu.rip, HANDLER(rows[i].expected));
		assert_int_equal(rig->cpu.cr2 & ~0xfffULL, SYS_ABSENT);
		assert_int_equal(rig->cpu.cpl, 0);
	}
	sys_mode(rig, SYS_LONG, 3);
	sys_poke(rig, SYS_TSS + 36 + 8, SYS_ABSENT + 0x100, 8);
	sys_set_gate(rig, SYS_PF, SEL_CODE64, 0x8e, 2);
	(void)fault_page(&rig->cpu, 0x5000000, 4);
	assert_int_equal(except_deliver(&rig->cpu), CPU_OK);
	assert_int_equal(rig->cpu.rip, HANDLER(SYS_DF));
	assert_int_equal(rig->cpu.cr2 & ~0xfffULL, SYS_ABSENT);
}

static void a_third_fault_shuts_down(void **state)
{
	struct sys_rig *rig = *state;
	static const enum sys_mode modes[] = { SYS_P32, SYS_LONG };

	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		sys_mode(rig, modes[m], 0);
		rig->cpu.idt.limit = 0;
		assert_int_equal(deliver_error(rig, SYS_GP, 0), CPU_EXIT);
		assert_int_equal(rig->cpu.exit, VCPU_EXIT_SHUTDOWN);
	}
}

/* The page fault's frame is written with the handler's privilege, and a failed attempt leaves user code its own. */
static void a_failed_delivery_changes_nothing(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	struct except_event event = { .vector = 0x40 };

	sys_mode(rig, SYS_LONG, 3);
	sys_poke(rig, SYS_TSS + 4, SYS_ABSENT + 0x100, 8);
	assert_int_equal(except_enter(cpu, &event), CPU_FAULT);
	assert_int_equal(cpu->fault.vector, SYS_PF);
	assert_int_equal(cpu->fault.error, 2); /* a supervisor's write */
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->regs[X86_RSP], SYS_STACK3);
	assert_int_equal(cpu->segs[X86_CS].selector, SEL_USER64 | 3);
}

static void tss_and_stack_are_checked(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	struct except_event event = { .vector = 0x40, .ext = SYS_ERR_EXT };
	static const struct {
		uint16_t ss;
		uint8_t vector;
		uint16_t error;
	} rows[] = {
		{ 0, SYS_TS, 1 },
		{ SEL_DATA | 1, SYS_TS, SEL_DATA | 1 },
		{ SEL_USER_DATA, SYS_TS, SEL_USER_DATA | 1 },
		{ SEL_READ_ONLY, SYS_TS, SEL_READ_ONLY | 1 },
		{ SEL_ABSENT, SYS_SS, SEL_ABSENT | 1 },
		{ SEL_BEYOND, SYS_TS, SEL_BEYOND | 1 },
		{ SEL_SMALL, SYS_SS, SEL_SMALL | 1 }, /* too small for where ESP is */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		sys_mode(rig, SYS_P32, 3);
		sys_poke(rig, SYS_TSS + 8, rows[i].ss, 2);
		assert_int_equal(except_enter(cpu, &event), CPU_FAULT);
		assert_int_equal(cpu->fault.vector, rows[i].vector);
		assert_int_equal(cpu->fault.error, rows[i].error);
		assert_int_equal(cpu->cpl, 3);
	}
	sys_mode(rig, SYS_P32, 3);
	cpu->tr.limit = 8;
	assert_int_equal(except_enter(cpu, &event), CPU_FAULT);
	assert_int_equal(cpu->fault.vector, SYS_TS);
	assert_int_equal(cpu->fault.error, SEL_TSS | 1);
	sys_mode(rig, SYS_LONG, 3);
	sys_poke(rig, SYS_TSS + 4, 0x900000000000, 8);
	assert_int_equal(except_enter(cpu, &event), CPU_FAULT);
	assert_int_equal(cpu->fault.vector, SYS_SS);
}

/* ---- debug exceptions ---- */

static void debug_exceptions_say_why(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	cpu->dr[6] |= 0x8001;
	cpu->dr[7] |= 0x2000;
	assert_int_equal(except_debug(cpu, 0x4002), CPU_OK);
	assert_int_equal(cpu->rip, HANDLER(SYS_DB));
	assert_int_equal(cpu->dr[6], 0xffff0ff0 | 0xc002); /* B0 went, BT stayed */
	assert_int_equal(cpu->dr[7], 0x400);
	assert_false(sys_peek(rig, cpu->regs[X86_RSP] + 16, 8) & SYS_FL_RF);
}

static void instruction_breakpoints_are_faults(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	cpu->dr[2] = 0x12345;
	cpu->dr[7] = 0x420; /* G2, execution */
	assert_int_equal(debug_fetch(cpu, 0x12344), CPU_OK);
	assert_int_equal(debug_fetch(cpu, 0x12345), CPU_FAULT);
	assert_int_equal(cpu->fault.vector, SYS_DB);
	assert_int_equal(cpu->dr[6] & 0xf, 4);
	cpu->rflags |= SYS_FL_RF;
	assert_int_equal(debug_fetch(cpu, 0x12345), CPU_OK);
}

static void data_breakpoints_have_kinds_and_lengths(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	cpu->dr[0] = 0x1002;
	cpu->dr[1] = 0x2000;
	cpu->dr[3] = 0x3000;
	cpu->dr[7] = 0x400 | 1 | 4 | 0x40 | 0xd0000 | 0xb00000 |
		     0x20000000; /* 4-byte write, 8-byte access, port */
	assert_int_equal(debug_data(cpu, 0x1000, 1, true), 1); /* aligned down */
	assert_int_equal(debug_data(cpu, 0x1000, 1, false), 0);
	assert_int_equal(debug_data(cpu, 0xfff, 1, true), 0);
	assert_int_equal(debug_data(cpu, 0x1004, 4, true), 0);
	assert_int_equal(debug_data(cpu, 0x1ffe, 4, false), 2);
	assert_int_equal(debug_data(cpu, 0x2007, 1, false), 2);
	assert_int_equal(debug_port(cpu, 0x3000, 1), 0);
	cpu->cr4 |= X86_CR4_DE;
	assert_int_equal(debug_port(cpu, 0x3000, 1), 8);
	assert_int_equal(debug_data(cpu, 0x3000, 1, true), 0);
}

static void armed_debug_registers_are_a_mode(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	assert_false(cpu->mode & CPU_MODE_TRAP);
	cpu->regs[X86_RAX] = 0x401;
	sys_runs(rig, "0f23f8"); /* mov dr7, rax */
	assert_true(cpu->mode & CPU_MODE_TRAP);
	cpu->regs[X86_RAX] = 0xffffffff0000;
	sys_faults(rig, "0f23f8", SYS_GP, 0);
	cpu->regs[X86_RAX] = 0;
	sys_runs(rig, "0f23f8");
	assert_false(cpu->mode & CPU_MODE_TRAP);
	assert_int_equal(cpu->dr[7], 0x400);
	cpu->regs[X86_RAX] = 0xffffffff;
	sys_runs(rig, "0f23f0");
	assert_int_equal(cpu->dr[6], 0xffffefff);
}

static void general_detect_guards_debug_registers(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	cpu->dr[7] |= 0x2000;
	sys_faults(rig, "0f21c0", SYS_DB, -1); /* mov rax, dr0 */
	assert_true(cpu->dr[6] & 0x2000);
	assert_int_equal(except_deliver(cpu), CPU_OK);
	assert_false(cpu->dr[7] & 0x2000);
	sys_mode(rig, SYS_LONG, 0);
	cpu->dr[6] = 0xffff0ff1;
	sys_runs(rig, "0f21e0"); /* dr4 is dr6 */
	assert_int_equal(cpu->regs[X86_RAX], 0xffff0ff1);
	cpu->cr4 |= X86_CR4_DE;
	sys_faults(rig, "0f21e0", SYS_UD, -1);
	sys_mode(rig, SYS_LONG, 3);
	sys_faults(rig, "0f21c0", SYS_GP, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sys_rig_create, sys_rig_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(real_mode_has_a_vector_table),
		CASE(real_mode_pushes_no_error_code),
		CASE(real_mode_shuts_down_beyond_its_table),
		CASE(stack_pointers_wrap_at_64_kib),
		CASE(a_fault_in_the_kernel_stays_on_its_stack),
		CASE(trap_gates_leave_interrupts_on),
		CASE(user_code_is_left_for_the_tss_stack),
		CASE(gates_of_16_bits_push_words),
		CASE(virtual_8086_code_leaves_its_segments_on_the_stack),
		CASE(virtual_8086_code_goes_to_level_0_only),
		CASE(long_mode_aligns_and_pushes_the_stack),
		CASE(long_mode_clears_the_stack_segment_on_a_change_of_level),
		CASE(an_ist_is_used_at_every_level),
		CASE(wrong_gates_are_faults_with_ext),
		CASE(long_mode_handlers_are_64_bit_code),
		CASE(software_interrupts_need_the_gate_s_level),
		CASE(into_looks_at_the_overflow_flag),
		CASE(virtual_8086_int_needs_iopl_or_vme),
		CASE(two_contributory_faults_are_a_double_fault),
		CASE(classes_of_faults),
		CASE(a_third_fault_shuts_down),
		CASE(a_failed_delivery_changes_nothing),
		CASE(tss_and_stack_are_checked),
		CASE(debug_exceptions_say_why),
		CASE(instruction_breakpoints_are_faults),
		CASE(data_breakpoints_have_kinds_and_lengths),
		CASE(armed_debug_registers_are_a_mode),
		CASE(general_detect_guards_debug_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
