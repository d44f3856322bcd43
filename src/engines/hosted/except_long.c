/* SPDX-License-Identifier: Apache-2.0 */
/* Events in long mode. Source: SDM 3A, Exception and Interrupt Handling in 64-bit Mode; SDM 2A, INT n (IA-32E-MODE). */
#include "engines/hosted/system.h"

#define GATE_BYTES 16U

struct gate64 {
	uint16_t selector;
	uint8_t ist, type, dpl;
	bool present;
	uint64_t offset;
};

static enum cpu_result gate64_load(struct hosted_cpu *cpu, const struct except_event *event,
				   struct gate64 *ret)
{
	uint32_t at = event->vector * GATE_BYTES;
	uint32_t error = event->vector * 8U + SYS_ERR_IDT + event->ext;
	uint64_t raw[2];

	if (at + GATE_BYTES - 1 > cpu->idt.limit)
		return sys_gp(cpu, error);
	enum cpu_result r = cpu_load_system(cpu, cpu->idt.base + at, raw, sizeof(raw));
	if (r != CPU_OK)
		return r;
	*ret = (struct gate64){
		.selector = (uint16_t)(raw[0] >> 16),
		.ist = raw[0] >> 32 & 7,
		.type = raw[0] >> 40 & 0x1f,
		.dpl = raw[0] >> 45 & 3,
		.present = raw[0] >> 47 & 1,
		.offset = (raw[0] & 0xffff) | (raw[0] >> 32 & 0xffff0000) | raw[1] << 32,
	};
	if (ret->type != SYS_TYPE_INT && ret->type != SYS_TYPE_TRAP)
		return sys_gp(cpu, error);
	if (event->is_software && ret->dpl < cpu->cpl)
		return sys_gp(cpu, error);
	return ret->present ? CPU_OK : sys_fault(cpu, SYS_NP, error);
}

/* The frame, with the privilege of the handler; on a fault everything is as it was. */
static enum cpu_result frame_push(struct hosted_cpu *cpu, const struct except_event *event,
				  struct stack *stack, uint8_t cpl)
{
	const uint64_t frame[] = {
		cpu->segs[X86_SS].selector, cpu->regs[X86_RSP], cpu->rflags | event->flags,
		cpu->segs[X86_CS].selector, event->rip,		event->error,
	};
	uint8_t before = cpu->cpl;

	stack->sp &= ~UINT64_C(15);
	sys_set_cpl(cpu, cpl);
	enum cpu_result r = stack_push(cpu, stack, frame, event->has_error ? 6 : 5, 8);
	if (r != CPU_OK)
		sys_set_cpl(cpu, before);
	return r;
}

enum cpu_result except_long(struct hosted_cpu *cpu, const struct except_event *event)
{
	struct gate64 gate;
	struct seg_desc code;
	struct stack stack = { .ss = cpu->segs[X86_SS],
			       .sp = cpu->regs[X86_RSP],
			       .is_64 = true,
			       .error = event->ext };
	enum cpu_result r = gate64_load(cpu, event, &gate);

	if (r == CPU_OK)
		r = except_code(cpu, gate.selector, event->ext, &code);
	if (r != CPU_OK)
		return r;
	bool inner = !seg_is_conforming(&code.seg) && code.seg.dpl < cpu->cpl;
	uint8_t cpl = inner ? code.seg.dpl : cpu->cpl;
	if (inner || gate.ist)
		r = stack_inner(cpu, cpl, gate.ist, event->ext, &stack);
	if (r == CPU_OK && !sys_is_canonical(gate.offset))
		r = sys_gp(cpu, event->ext);
	if (r == CPU_OK)
		r = seg_accessed(cpu, &code);
	if (r == CPU_OK)
		r = frame_push(cpu, event, &stack, cpl);
	if (r != CPU_OK)
		return r;

	cpu->regs[X86_RSP] = stack.sp;
	if (inner)
		cpu->segs[X86_SS] = seg_null(cpl, cpl);
	cpu->rflags &= ~(SYS_FL_TF | SYS_FL_RF | SYS_FL_VM | SYS_FL_NT);
	if (gate.type == SYS_TYPE_INT)
		cpu->rflags &= ~SYS_FL_IF;
	far_set_code(cpu, &code, gate.offset, cpl);
	return CPU_OK;
}
