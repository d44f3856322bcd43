/* SPDX-License-Identifier: Apache-2.0 */
/* Far jumps and calls: direct, through call gates, to tasks. Sources: SDM 2A, JMP, CALL; SDM 3A, Privilege Checking When Transferring Program Control Between Code Segments. */
#include "engines/hosted/system.h"

#define GATE_PARAMS_MAX 31U

struct far_pointer {
	uint16_t selector;
	uint64_t offset;
};

struct call_gate {
	uint16_t selector; /* of the gate itself */
	uint16_t code;	   /* that it leads to */
	uint64_t offset;
	unsigned width, n_params;
};

static enum cpu_result far_operand(struct hosted_cpu *cpu, const struct x86_insn *insn,
				   struct far_pointer *ret)
{
	uint64_t selector = insn->imm2, offset = (uint64_t)insn->imm;
	enum cpu_result r = CPU_OK;

	if (insn->has_mem) {
		r = operand_load(cpu, insn, 0, insn->op_bytes, &offset);
		if (r == CPU_OK)
			r = operand_load(cpu, insn, insn->op_bytes, 2, &selector);
	} else if (insn->op_bytes < 8) {
		offset &= insn->op_bytes == 2 ? UINT16_MAX : UINT32_MAX;
	}
	if (r == CPU_OK)
		*ret = (struct far_pointer){ (uint16_t)selector, offset };
	return r;
}

enum cpu_result far_target(struct hosted_cpu *cpu, const struct x86_segment *code, uint64_t rip,
			   uint32_t ext)
{
	bool fits = sys_is_long(cpu) && code->l ? sys_is_canonical(rip) : rip <= code->limit;

	return fits ? CPU_OK : sys_gp(cpu, ext);
}

void far_set_code(struct hosted_cpu *cpu, struct seg_desc *code, uint64_t rip, uint8_t cpl)
{
	code->seg.selector = (uint16_t)((code->seg.selector & ~3U) | cpl);
	cpu->segs[X86_CS] = code->seg;
	cpu->cpl = cpl;
	cpu->rip = rip;
	cpu_mode_update(cpu);
}

/* CS and RIP of the instruction after this one, on a stack. */
static enum cpu_result push_return(struct hosted_cpu *cpu, const struct x86_insn *insn,
				   struct stack *stack, unsigned width)
{
	const uint64_t frame[] = { cpu->segs[X86_CS].selector, sys_next(cpu, insn) };

	return stack_push(cpu, stack, frame, 2, width);
}

static enum cpu_result far_8086(struct hosted_cpu *cpu, const struct x86_insn *insn,
				const struct far_pointer *to, bool is_call)
{
	struct stack stack = stack_now(cpu);

	if (to->offset > cpu->segs[X86_CS].limit)
		return sys_gp(cpu, 0);
	if (is_call) {
		enum cpu_result r = push_return(cpu, insn, &stack, insn->op_bytes);
		if (r != CPU_OK)
			return r;
		stack_set_sp(cpu, &stack, stack.sp);
	}
	seg_8086(cpu, X86_CS, to->selector);
	cpu->rip = to->offset;
	cpu_mode_update(cpu);
	return CPU_OK;
}

/* A code segment of the same privilege, named itself. */
static enum cpu_result far_direct(struct hosted_cpu *cpu, const struct x86_insn *insn,
				  const struct far_pointer *to, struct seg_desc *code, bool is_call)
{
	const struct x86_segment *s = &code->seg;
	struct stack stack = stack_now(cpu);
	bool allowed = seg_is_conforming(s) ? s->dpl <= cpu->cpl
					    : s->dpl == cpu->cpl && (to->selector & 3) <= cpu->cpl;
	enum cpu_result r;

	if (!seg_is_code(s) || !allowed || (sys_is_long(cpu) && s->l && s->db))
		return sys_gp(cpu, seg_error(to->selector, 0));
	if (!s->present)
		return sys_fault(cpu, SYS_NP, seg_error(to->selector, 0));
	r = far_target(cpu, s, to->offset, 0);
	if (r == CPU_OK)
		r = seg_accessed(cpu, code);
	if (r == CPU_OK && is_call)
		r = push_return(cpu, insn, &stack, insn->op_bytes);
	if (r != CPU_OK)
		return r;
	if (is_call)
		stack_set_sp(cpu, &stack, stack.sp);
	far_set_code(cpu, code, to->offset, cpu->cpl);
	return CPU_OK;
}

static struct call_gate gate_parse(const struct hosted_cpu *cpu, const struct seg_desc *desc)
{
	struct call_gate gate = {
		.selector = desc->seg.selector,
		.code = (uint16_t)(desc->raw >> 16),
		.offset = (desc->raw & 0xffff) | (desc->raw >> 32 & 0xffff0000),
		.width = 4,
		.n_params = desc->raw >> 32 & 0x1f,
	};

	if (desc->seg.type == SYS_TYPE_CALL16) {
		gate.width = 2;
		gate.offset &= UINT16_MAX;
	}
	if (sys_is_long(cpu)) {
		gate.width = 8;
		gate.n_params = 0;
		gate.offset |= desc->high << 32;
	}
	return gate;
}

static enum cpu_result gate_code(struct hosted_cpu *cpu, const struct call_gate *gate, bool is_call,
				 struct seg_desc *ret)
{
	enum cpu_result r = except_code(cpu, gate->code, 0, ret);

	if (r != CPU_OK)
		return r;
	/* A jump does not change privilege. */
	if (!is_call && !seg_is_conforming(&ret->seg) && ret->seg.dpl != cpu->cpl)
		return sys_gp(cpu, seg_error(gate->code, 0));
	r = far_target(cpu, &ret->seg, gate->offset, 0);
	return r == CPU_OK ? seg_accessed(cpu, ret) : r;
}

/* The old stack, its parameters, the way back: on the new one, with its privilege. */
static enum cpu_result gate_push(struct hosted_cpu *cpu, const struct x86_insn *insn,
				 const struct call_gate *gate, struct stack *stack, uint8_t cpl)
{
	const struct stack old = stack_now(cpu);
	uint64_t params[GATE_PARAMS_MAX], frame[GATE_PARAMS_MAX + 4];
	unsigned n = 0;
	uint8_t before = cpu->cpl;

	if (gate->n_params) {
		enum cpu_result r = stack_peek(cpu, &old, 0, gate->width, gate->n_params, params);
		if (r != CPU_OK)
			return r;
	}
	frame[n++] = cpu->segs[X86_SS].selector;
	frame[n++] = cpu->regs[X86_RSP];
	for (unsigned i = gate->n_params; i > 0; i--)
		frame[n++] = params[i - 1];
	frame[n++] = cpu->segs[X86_CS].selector;
	frame[n++] = sys_next(cpu, insn);
	sys_set_cpl(cpu, cpl);
	enum cpu_result r = stack_push(cpu, stack, frame, n, gate->width);
	if (r != CPU_OK)
		sys_set_cpl(cpu, before);
	return r;
}

static enum cpu_result gate_call(struct hosted_cpu *cpu, const struct x86_insn *insn,
				 const struct call_gate *gate, struct seg_desc *code)
{
	bool inner = !seg_is_conforming(&code->seg) && code->seg.dpl < cpu->cpl;
	uint8_t cpl = inner ? code->seg.dpl : cpu->cpl;
	struct stack stack = stack_now(cpu);
	enum cpu_result r;

	stack.is_64 = sys_is_long(cpu);
	if (inner) {
		r = stack_inner(cpu, cpl, 0, 0, &stack);
		if (r == CPU_OK)
			r = gate_push(cpu, insn, gate, &stack, cpl);
	} else {
		r = push_return(cpu, insn, &stack, gate->width);
	}
	if (r != CPU_OK)
		return r;
	if (inner)
		cpu->segs[X86_SS] = stack.ss;
	stack_set_sp(cpu, &stack, stack.sp);
	far_set_code(cpu, code, gate->offset, cpl);
	return CPU_OK;
}

/* The rights to a gate or a TSS: both the caller's and the selector's. */
static enum cpu_result far_rights(struct hosted_cpu *cpu, const struct seg_desc *desc)
{
	uint16_t selector = desc->seg.selector;

	if (desc->seg.dpl < cpu->cpl || desc->seg.dpl < (selector & 3))
		return sys_gp(cpu, seg_error(selector, 0));
	if (!desc->seg.present)
		return sys_fault(cpu, SYS_NP, seg_error(selector, 0));
	return CPU_OK;
}

static enum cpu_result far_gate(struct hosted_cpu *cpu, const struct x86_insn *insn,
				const struct seg_desc *desc, bool is_call)
{
	const struct call_gate gate = gate_parse(cpu, desc);
	struct seg_desc code;
	enum cpu_result r = far_rights(cpu, desc);

	/* The second half of a gate in long mode has a type of its own, which is 0. */
	if (r == CPU_OK && (desc->high >> 40 & 0x1f))
		r = sys_gp(cpu, seg_error(gate.selector, 0));
	if (r == CPU_OK)
		r = gate_code(cpu, &gate, is_call, &code);
	if (r != CPU_OK)
		return r;
	if (is_call)
		return gate_call(cpu, insn, &gate, &code);
	far_set_code(cpu, &code, gate.offset, cpu->cpl);
	return CPU_OK;
}

static enum cpu_result far_task(struct hosted_cpu *cpu, const struct x86_insn *insn,
				struct seg_desc *desc, bool is_call)
{
	enum cpu_result r = far_rights(cpu, desc);
	struct seg_desc tss = *desc;

	if (r == CPU_OK && desc->seg.type == SYS_TYPE_TASK)
		r = task_tss(cpu, (uint16_t)(desc->raw >> 16), false, SYS_GP, 0, &tss);
	else if (r == CPU_OK && (desc->seg.selector & 4))
		r = sys_gp(cpu, seg_error(desc->seg.selector, 0));
	if (r != CPU_OK)
		return r;
	return task_switch(cpu, &tss, is_call ? TASK_CALL : TASK_JMP, sys_next(cpu, insn), 0, NULL);
}

static enum cpu_result far_system(struct hosted_cpu *cpu, const struct x86_insn *insn,
				  struct seg_desc *desc, bool is_call)
{
	bool legacy = !sys_is_long(cpu);

	switch (desc->seg.type) {
	case SYS_TYPE_CALL:
		return far_gate(cpu, insn, desc, is_call);
	case SYS_TYPE_CALL16:
		if (legacy)
			return far_gate(cpu, insn, desc, is_call);
		break;
	case SYS_TYPE_TASK:
	case SYS_TYPE_TSS16:
	case SYS_TYPE_TSS:
		if (legacy)
			return far_task(cpu, insn, desc, is_call);
		break;
	default:
		break;
	}
	return sys_gp(cpu, seg_error(desc->seg.selector, 0));
}

static enum cpu_result far_branch(struct hosted_cpu *cpu, const struct x86_insn *insn, bool is_call)
{
	struct far_pointer to;
	struct seg_desc desc;
	enum cpu_result r = far_operand(cpu, insn, &to);

	if (r != CPU_OK)
		return r;
	if (sys_is_8086(cpu))
		return far_8086(cpu, insn, &to, is_call);
	if (sys_is_null(to.selector))
		return sys_gp(cpu, 0);
	r = seg_desc(cpu, to.selector, SYS_GP, 0, &desc);
	if (r != CPU_OK)
		return r;
	if (desc.seg.s)
		return far_direct(cpu, insn, &to, &desc, is_call);
	return far_system(cpu, insn, &desc, is_call);
}

enum cpu_result far_jmp(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	return far_branch(cpu, insn, false);
}

enum cpu_result far_call(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	return far_branch(cpu, insn, true);
}
