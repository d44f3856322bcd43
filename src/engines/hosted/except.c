/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions and interrupts: which there are, what a second one makes of the first, and the way in real mode.
 * Sources: SDM 3A, Interrupt and Exception Handling: Exception Classifications; Interrupt 8, Double Fault Exception;
 * SDM 3B, Interrupt and Exception Handling in Real-Address Mode.
 */
#include "engines/hosted/system.h"

#define DR6_TRAPS UINT64_C(0xf)
#define DR7_GD	  UINT64_C(0x2000)

/* A fault's class decides what a second one during its delivery makes of both. */
enum fault_class { FAULT_BENIGN, FAULT_CONTRIBUTORY, FAULT_PAGE };

static enum fault_class fault_class(uint8_t vector)
{
	switch (vector) {
	case SYS_PF:
		return FAULT_PAGE;
	case SYS_DE:
	case SYS_TS:
	case SYS_NP:
	case SYS_SS:
	case SYS_GP:
		return FAULT_CONTRIBUTORY;
	default:
		return FAULT_BENIGN;
	}
}

/* Table "Conditions for Generating a Double Fault". */
static bool makes_double(uint8_t first, uint8_t second)
{
	enum fault_class a = fault_class(first), b = fault_class(second);

	if (a == FAULT_CONTRIBUTORY)
		return b == FAULT_CONTRIBUTORY;
	return a == FAULT_PAGE && b != FAULT_BENIGN;
}

enum cpu_result except_enter(struct hosted_cpu *cpu, const struct except_event *event)
{
	if (!sys_is_protected(cpu))
		return except_real(cpu, event);
	if (sys_is_long(cpu))
		return except_long(cpu, event);
	return except_legacy(cpu, event);
}

static enum cpu_result except_shutdown(struct hosted_cpu *cpu)
{
	cpu->exit = VCPU_EXIT_SHUTDOWN;
	return CPU_EXIT;
}

/* All faults, but instruction breakpoints, push RF, so that the instruction runs when it is executed again. */
static struct except_event event_of_fault(const struct hosted_cpu *cpu, uint32_t ext)
{
	return (struct except_event){
		.vector = cpu->fault.vector,
		.has_error = cpu->fault.has_error,
		.error = cpu->fault.error,
		.ext = ext,
		.rip = cpu->rip,
		.flags = cpu->fault.vector == SYS_DB ? 0 : SYS_FL_RF,
	};
}

enum cpu_result except_deliver(struct hosted_cpu *cpu)
{
	for (;;) {
		const struct except_event event = event_of_fault(cpu, SYS_ERR_EXT);
		cpu->debug_hits = 0; /* what did not come to its end has met nothing */
		if (event.vector == SYS_PF)
			cpu->cr2 = cpu->fault.cr2;
		enum cpu_result r = except_enter(cpu, &event);
		if (r == CPU_OK && event.vector == SYS_DB)
			cpu->dr[7] &= ~DR7_GD;
		if (r != CPU_FAULT)
			return r;
		uint8_t second = cpu->fault.vector;
		if (second == SYS_PF)
			cpu->cr2 = cpu->fault.cr2;
		if (event.vector == SYS_DF && fault_class(second) != FAULT_BENIGN)
			return except_shutdown(cpu);
		if (makes_double(event.vector, second))
			(void)fault_error(cpu, SYS_DF, 0);
	}
}

/* What is no fault is benign: a fault on its way takes its place. */
static enum cpu_result except_event(struct hosted_cpu *cpu, const struct except_event *event)
{
	enum cpu_result r = except_enter(cpu, event);

	return r == CPU_FAULT ? except_deliver(cpu) : r;
}

enum cpu_result except_interrupt(struct hosted_cpu *cpu, uint8_t vector)
{
	const struct except_event event = { .vector = vector, .ext = SYS_ERR_EXT, .rip = cpu->rip };

	return except_event(cpu, &event);
}

enum cpu_result except_debug(struct hosted_cpu *cpu, uint64_t dr6_bits)
{
	const struct except_event event = { .vector = SYS_DB, .ext = SYS_ERR_EXT, .rip = cpu->rip };
	uint64_t dr6 = (cpu->dr[6] & ~DR6_TRAPS) | dr6_bits;

	cpu->dr[6] = dr6;
	enum cpu_result r = except_event(cpu, &event);
	if (r == CPU_OK)
		cpu->dr[7] &= ~DR7_GD;
	return r;
}

/* The image of FLAGS that virtual-8086 code sees: with IOPL below 3 (VME), VIF in IF's place. */
static uint64_t flags_8086(const struct hosted_cpu *cpu)
{
	uint64_t flags = cpu->rflags & SYS_FL_ALL;

	if (!sys_is_vm86(cpu) || sys_iopl(cpu) == 3)
		return flags | X86_RFLAGS_FIXED;
	flags = (flags & ~SYS_FL_IF) | SYS_FL_IOPL | X86_RFLAGS_FIXED;
	return cpu->rflags & SYS_FL_VIF ? flags | SYS_FL_IF : flags;
}

enum cpu_result except_real(struct hosted_cpu *cpu, const struct except_event *event)
{
	bool vm86 = sys_is_vm86(cpu);
	uint64_t table = vm86 ? 0 : cpu->idt.base, entry = 0;
	uint32_t at = event->vector * 4U;
	struct stack stack = stack_now(cpu);
	enum cpu_result r;

	if (!vm86 && at + 3 > cpu->idt.limit)
		return sys_gp(cpu, at * 2 + SYS_ERR_IDT + event->ext);
	/* A redirected INT is user code's: its table is read with user rights. */
	if (vm86)
		r = cpu_load(cpu, table + at, &entry, 4);
	else
		r = cpu_load_system(cpu, (table + at) & UINT32_MAX, &entry, 4);
	if (r != CPU_OK)
		return r;
	const uint64_t frame[] = { flags_8086(cpu), cpu->segs[X86_CS].selector, event->rip };
	r = stack_push(cpu, &stack, frame, 3, 2);
	if (r != CPU_OK)
		return r;
	stack_set_sp(cpu, &stack, stack.sp);
	seg_8086(cpu, X86_CS, (uint16_t)(entry >> 16));
	cpu->rip = entry & UINT16_MAX;
	cpu->rflags &= ~(SYS_FL_TF | SYS_FL_RF);
	if (vm86 && sys_iopl(cpu) != 3)
		cpu->rflags &= ~SYS_FL_VIF;
	else
		cpu->rflags &= ~(vm86 ? SYS_FL_IF : SYS_FL_IF | SYS_FL_AC);
	cpu_mode_update(cpu);
	return CPU_OK;
}

enum cpu_result except_code(struct hosted_cpu *cpu, uint16_t selector, uint32_t ext,
			    struct seg_desc *ret)
{
	if (sys_is_null(selector))
		return sys_gp(cpu, ext);
	enum cpu_result r = seg_desc(cpu, selector, SYS_GP, ext, ret);
	if (r != CPU_OK)
		return r;
	const struct x86_segment *s = &ret->seg;
	bool wrong = sys_is_long(cpu) && (!s->l || s->db);
	if (!seg_is_code(s) || s->dpl > cpu->cpl || wrong)
		return sys_gp(cpu, seg_error(selector, ext));
	if (!s->present)
		return sys_fault(cpu, SYS_NP, seg_error(selector, ext));
	return CPU_OK;
}
