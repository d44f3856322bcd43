/* SPDX-License-Identifier: Apache-2.0 */
/* Events in protected and virtual-8086 mode. Source: SDM 2A, INT n (PROTECTED-MODE and its branches). */
#include "engines/hosted/system.h"

struct gate32 {
	uint16_t selector;
	uint8_t type, dpl;
	bool present;
	uint32_t offset;
};

static bool gate_is_32(const struct gate32 *gate)
{
	return gate->type & 8;
}

static enum cpu_result gate32_load(struct hosted_cpu *cpu, const struct except_event *event,
				   struct gate32 *ret)
{
	uint32_t at = event->vector * 8U;
	uint32_t error = at + SYS_ERR_IDT + event->ext;
	uint64_t raw;

	if (at + 7 > cpu->idt.limit)
		return sys_gp(cpu, error);
	enum cpu_result r = cpu_load_system(cpu, (cpu->idt.base + at) & UINT32_MAX, &raw, 8);
	if (r != CPU_OK)
		return r;
	*ret = (struct gate32){
		.selector = (uint16_t)(raw >> 16),
		.type = raw >> 40 & 0x1f,
		.dpl = raw >> 45 & 3,
		.present = raw >> 47 & 1,
		.offset = (uint32_t)((raw & 0xffff) | (raw >> 32 & 0xffff0000)),
	};
	switch (ret->type) {
	case SYS_TYPE_TASK:
	case SYS_TYPE_INT16:
	case SYS_TYPE_TRAP16:
	case SYS_TYPE_INT:
	case SYS_TYPE_TRAP:
		break;
	default:
		return sys_gp(cpu, error);
	}
	if (event->is_software && ret->dpl < cpu->cpl)
		return sys_gp(cpu, error);
	if (!ret->present)
		return sys_fault(cpu, SYS_NP, error);
	if (ret->type <= SYS_TYPE_TRAP16)
		ret->offset &= UINT16_MAX;
	return CPU_OK;
}

static enum cpu_result enter_task(struct hosted_cpu *cpu, const struct except_event *event,
				  uint16_t selector)
{
	struct seg_desc tss;
	enum cpu_result r = task_tss(cpu, selector, false, SYS_GP, event->ext, &tss);

	if (r != CPU_OK)
		return r;
	cpu->rflags |= event->flags;
	return task_switch(cpu, &tss, TASK_GATE, event->rip, event->ext,
			   event->has_error ? &event->error : NULL);
}

/* The frame's words in the order in which they are pushed; Return: how many. */
static unsigned frame_of(const struct hosted_cpu *cpu, const struct except_event *event, bool inner,
			 uint64_t ret[10])
{
	unsigned n = 0;

	if (sys_is_vm86(cpu)) {
		ret[n++] = cpu->segs[X86_GS].selector;
		ret[n++] = cpu->segs[X86_FS].selector;
		ret[n++] = cpu->segs[X86_DS].selector;
		ret[n++] = cpu->segs[X86_ES].selector;
	}
	if (inner) {
		ret[n++] = cpu->segs[X86_SS].selector;
		ret[n++] = cpu->regs[X86_RSP];
	}
	ret[n++] = cpu->rflags | event->flags;
	ret[n++] = cpu->segs[X86_CS].selector;
	ret[n++] = event->rip;
	if (event->has_error)
		ret[n++] = event->error;
	return n;
}

static enum cpu_result frame_push(struct hosted_cpu *cpu, const struct except_event *event,
				  struct stack *stack, bool inner, uint8_t cpl, unsigned width)
{
	uint64_t frame[10];
	unsigned n = frame_of(cpu, event, inner, frame);
	uint8_t before = cpu->cpl;

	sys_set_cpl(cpu, cpl);
	enum cpu_result r = stack_push(cpu, stack, frame, n, width);
	if (r != CPU_OK)
		sys_set_cpl(cpu, before);
	return r;
}

/* Which privilege the handler has, and the stack for it. */
static enum cpu_result enter_stack(struct hosted_cpu *cpu, const struct except_event *event,
				   const struct seg_desc *code, struct stack *stack,
				   bool *ret_inner)
{
	bool inner = !seg_is_conforming(&code->seg) && code->seg.dpl < cpu->cpl;
	bool vm86 = sys_is_vm86(cpu);

	/* From virtual-8086 mode there is no way but to level 0. */
	if (vm86 && (!inner || code->seg.dpl != 0))
		return sys_gp(cpu, seg_error(code->seg.selector, event->ext));
	*ret_inner = inner;
	if (inner)
		return stack_inner(cpu, code->seg.dpl, 0, event->ext, stack);
	*stack = stack_now(cpu);
	stack->error = event->ext;
	return CPU_OK;
}

static void leave_vm86(struct hosted_cpu *cpu)
{
	static const uint8_t data[] = { X86_ES, X86_DS, X86_FS, X86_GS };

	for (unsigned i = 0; i < sizeof(data); i++)
		cpu->segs[data[i]] = seg_null(0, 0);
}

enum cpu_result except_legacy(struct hosted_cpu *cpu, const struct except_event *event)
{
	struct gate32 gate;
	struct seg_desc code;
	struct stack stack;
	bool inner = false;
	enum cpu_result r = gate32_load(cpu, event, &gate);

	if (r != CPU_OK)
		return r;
	if (gate.type == SYS_TYPE_TASK)
		return enter_task(cpu, event, gate.selector);
	r = except_code(cpu, gate.selector, event->ext, &code);
	if (r == CPU_OK)
		r = enter_stack(cpu, event, &code, &stack, &inner);
	if (r == CPU_OK)
		r = far_target(cpu, &code.seg, gate.offset, event->ext);
	if (r == CPU_OK)
		r = seg_accessed(cpu, &code);
	uint8_t cpl = inner ? code.seg.dpl : cpu->cpl;
	if (r == CPU_OK)
		r = frame_push(cpu, event, &stack, inner, cpl, gate_is_32(&gate) ? 4 : 2);
	if (r != CPU_OK)
		return r;

	if (sys_is_vm86(cpu))
		leave_vm86(cpu);
	if (inner)
		cpu->segs[X86_SS] = stack.ss;
	stack_set_sp(cpu, &stack, stack.sp);
	cpu->rflags &= ~(SYS_FL_TF | SYS_FL_RF | SYS_FL_VM | SYS_FL_NT);
	if (gate.type == SYS_TYPE_INT || gate.type == SYS_TYPE_INT16)
		cpu->rflags &= ~SYS_FL_IF;
	far_set_code(cpu, &code, gate.offset, cpl);
	return CPU_OK;
}
