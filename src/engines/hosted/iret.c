/* SPDX-License-Identifier: Apache-2.0 */
/* Far returns and returns from interrupts. Sources: SDM 2B, RET; SDM 2A, IRET/IRETD/IRETQ. */
#include "engines/hosted/system.h"

struct frame {
	uint64_t rip, cs, rflags, rsp, ss;
};

static enum cpu_result code_check(struct hosted_cpu *cpu, uint16_t selector, struct seg_desc *ret)
{
	unsigned rpl = selector & 3;

	if (sys_is_null(selector))
		return sys_gp(cpu, 0);
	enum cpu_result r = seg_desc(cpu, selector, SYS_GP, 0, ret);
	if (r != CPU_OK)
		return r;
	const struct x86_segment *s = &ret->seg;
	bool privilege = seg_is_conforming(s) ? s->dpl <= rpl : s->dpl == rpl;
	if (!seg_is_code(s) || rpl < cpu->cpl || !privilege || (sys_is_long(cpu) && s->l && s->db))
		return sys_gp(cpu, seg_error(selector, 0));
	if (!s->present)
		return sys_fault(cpu, SYS_NP, seg_error(selector, 0));
	return CPU_OK;
}

/* The stack returned to: 64-bit code does without a segment but at level 3. */
static enum cpu_result stack_check(struct hosted_cpu *cpu, const struct seg_desc *code,
				   const struct frame *frame, struct stack *ret)
{
	uint16_t selector = (uint16_t)frame->ss;
	uint8_t cpl = code->seg.selector & 3;
	bool is_64 = sys_is_long(cpu) && code->seg.l;
	struct seg_desc ss;

	if (sys_is_null(selector) && is_64 && cpl != 3 && (selector & 3) == cpl) {
		ss.seg = seg_null(selector, cpl);
	} else {
		enum cpu_result r = seg_stack(cpu, selector, cpl, SYS_GP, 0, &ss);
		if (r != CPU_OK)
			return r;
	}
	*ret = (struct stack){ .ss = ss.seg, .sp = frame->rsp, .is_64 = is_64 };
	return CPU_OK;
}

/* Checked, the rest cannot fault: to the same level (stack NULL), or with a stack of its own. */
static void frame_take(struct hosted_cpu *cpu, struct seg_desc *code, uint64_t rip,
		       const struct stack *stack)
{
	uint8_t cpl = code->seg.selector & 3;
	bool outer = cpl > cpu->cpl;

	if (stack) {
		cpu->segs[X86_SS] = stack->ss;
		stack_set_sp(cpu, stack, stack->sp);
	}
	far_set_code(cpu, code, rip, cpl);
	if (outer) {
		seg_outer(cpu);
		cpu_mode_update(cpu);
	}
}

/* ---- RET ---- */

static enum cpu_result ret_8086(struct hosted_cpu *cpu, const struct x86_insn *insn,
				const struct stack *stack)
{
	unsigned width = insn->op_bytes;
	uint64_t values[2];
	enum cpu_result r = stack_peek(cpu, stack, 0, width, 2, values);

	if (r != CPU_OK)
		return r;
	if (values[0] > cpu->segs[X86_CS].limit)
		return sys_gp(cpu, 0);
	stack_set_sp(cpu, stack, stack->sp + 2 * width + (uint16_t)insn->imm);
	seg_8086(cpu, X86_CS, (uint16_t)values[1]);
	cpu->rip = values[0];
	cpu_mode_update(cpu);
	return CPU_OK;
}

static enum cpu_result ret_outer(struct hosted_cpu *cpu, const struct x86_insn *insn,
				 const struct stack *stack, struct seg_desc *code, uint64_t rip)
{
	unsigned width = insn->op_bytes;
	uint16_t drop = (uint16_t)insn->imm;
	struct stack outer;
	uint64_t values[2];
	enum cpu_result r = stack_peek(cpu, stack, 2ULL * width + drop, width, 2, values);

	if (r != CPU_OK)
		return r;
	const struct frame frame = { .rsp = values[0], .ss = values[1] };
	r = stack_check(cpu, code, &frame, &outer);
	if (r == CPU_OK)
		r = far_target(cpu, &code->seg, rip, 0);
	if (r == CPU_OK)
		r = seg_accessed(cpu, code);
	if (r != CPU_OK)
		return r;
	outer.sp += drop;
	frame_take(cpu, code, rip, &outer);
	return CPU_OK;
}

enum cpu_result far_ret(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	const struct stack stack = stack_now(cpu);
	unsigned width = insn->op_bytes;
	struct seg_desc code;
	uint64_t values[2];

	if (sys_is_8086(cpu))
		return ret_8086(cpu, insn, &stack);
	enum cpu_result r = stack_peek(cpu, &stack, 0, width, 2, values);
	if (r == CPU_OK)
		r = code_check(cpu, (uint16_t)values[1], &code);
	if (r != CPU_OK)
		return r;
	if ((values[1] & 3) > cpu->cpl)
		return ret_outer(cpu, insn, &stack, &code, values[0]);
	r = far_target(cpu, &code.seg, values[0], 0);
	if (r == CPU_OK)
		r = seg_accessed(cpu, &code);
	if (r != CPU_OK)
		return r;
	stack_set_sp(cpu, &stack, stack.sp + 2 * width + (uint16_t)insn->imm);
	frame_take(cpu, &code, values[0], NULL);
	return CPU_OK;
}

/* ---- IRET ---- */

static uint64_t flags_wide(unsigned width)
{
	return width == 2 ? 0 : SYS_FL_RF | SYS_FL_AC | SYS_FL_ID;
}

static void flags_take(struct hosted_cpu *cpu, uint64_t value, uint64_t mask)
{
	cpu->rflags = (cpu->rflags & ~mask) | (value & mask) | X86_RFLAGS_FIXED;
	cpu->nmi_blocked = false;
	if (cpu->nmi_pending || (cpu->rflags & SYS_FL_IF))
		sys_events(cpu);
}

static const uint64_t flags_plain = SYS_FL_ARITH | SYS_FL_TF | SYS_FL_DF | SYS_FL_NT;

/* Virtual-8086 code with IOPL below 3 (VME): its IF is VIF. */
static enum cpu_result iret_vme(struct hosted_cpu *cpu, const struct x86_insn *insn,
				uint64_t *flags, uint64_t *mask)
{
	bool pending = (cpu->rflags & SYS_FL_VIP) && (*flags & SYS_FL_IF);

	if (!(cpu->cr4 & X86_CR4_VME) || insn->op_bytes != 2)
		return sys_gp(cpu, 0);
	if (pending || (*flags & SYS_FL_TF))
		return sys_gp(cpu, 0);
	*mask = flags_plain | SYS_FL_VIF;
	*flags &= ~SYS_FL_VIF;
	if (*flags & SYS_FL_IF)
		*flags |= SYS_FL_VIF;
	return CPU_OK;
}

static enum cpu_result iret_8086(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	const struct stack stack = stack_now(cpu);
	unsigned width = insn->op_bytes;
	uint64_t mask = flags_plain | SYS_FL_IF | flags_wide(width);
	uint64_t values[3];
	enum cpu_result r = stack_peek(cpu, &stack, 0, width, 3, values);

	if (r != CPU_OK)
		return r;
	if (!sys_is_vm86(cpu))
		mask |= SYS_FL_IOPL;
	else if (sys_iopl(cpu) != 3)
		r = iret_vme(cpu, insn, &values[2], &mask);
	if (r == CPU_OK && values[0] > cpu->segs[X86_CS].limit)
		r = sys_gp(cpu, 0);
	if (r != CPU_OK)
		return r;
	stack_set_sp(cpu, &stack, stack.sp + 3 * width);
	seg_8086(cpu, X86_CS, (uint16_t)values[1]);
	cpu->rip = values[0];
	flags_take(cpu, values[2], mask);
	cpu_mode_update(cpu);
	return CPU_OK;
}

static enum cpu_result iret_task(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	struct seg_desc tss;
	uint64_t link = 0;
	enum cpu_result r = cpu_load_system(cpu, cpu->tr.base & UINT32_MAX, &link, 2);

	if (r == CPU_OK)
		r = task_tss(cpu, (uint16_t)link, true, SYS_TS, 0, &tss);
	if (r != CPU_OK)
		return r;
	r = task_switch(cpu, &tss, TASK_IRET, sys_next(cpu, insn), 0, NULL);
	if (r == CPU_OK)
		cpu->nmi_blocked = false;
	return r;
}

static enum cpu_result iret_vm86(struct hosted_cpu *cpu, const struct stack *stack)
{
	static const uint8_t order[] = { X86_ES, X86_DS, X86_FS, X86_GS };
	uint64_t v[9]; /* EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS */
	enum cpu_result r = stack_peek(cpu, stack, 0, 4, 9, v);

	if (r != CPU_OK)
		return r;
	if (v[0] > UINT16_MAX)
		return sys_gp(cpu, 0);
	flags_take(cpu, v[2], SYS_FL_ALL);
	seg_8086(cpu, X86_CS, (uint16_t)v[1]);
	seg_8086(cpu, X86_SS, (uint16_t)v[4]);
	for (unsigned i = 0; i < sizeof(order); i++)
		seg_8086(cpu, order[i], (uint16_t)v[5 + i]);
	cpu->regs[X86_RSP] = v[3];
	cpu->rip = v[0];
	cpu->cpl = 3;
	cpu_mode_update(cpu);
	return CPU_OK;
}

static uint64_t iret_flags(const struct hosted_cpu *cpu, unsigned width)
{
	uint64_t mask = flags_plain | flags_wide(width);

	if (cpu->cpl <= sys_iopl(cpu))
		mask |= SYS_FL_IF;
	if (cpu->cpl == 0)
		mask |= SYS_FL_IOPL | (width == 2 ? 0 : SYS_FL_VIF | SYS_FL_VIP);
	return mask;
}

/* Return to another level, and always in 64-bit code: with a stack. */
static enum cpu_result iret_stack(struct hosted_cpu *cpu, const struct stack *stack, unsigned width,
				  const struct seg_desc *code, struct stack *ret)
{
	uint64_t values[2];
	enum cpu_result r = stack_peek(cpu, stack, 3ULL * width, width, 2, values);

	if (r != CPU_OK)
		return r;
	const struct frame frame = { .rsp = values[0], .ss = values[1] };
	return stack_check(cpu, code, &frame, ret);
}

static enum cpu_result iret_protected(struct hosted_cpu *cpu, const struct stack *stack,
				      unsigned width, const uint64_t values[3])
{
	struct seg_desc code;
	struct stack to = *stack;
	enum cpu_result r = code_check(cpu, (uint16_t)values[1], &code);

	if (r != CPU_OK)
		return r;
	bool with_stack = (values[1] & 3) > cpu->cpl || sys_is_64(cpu);
	if (with_stack)
		r = iret_stack(cpu, stack, width, &code, &to);
	if (r == CPU_OK)
		r = far_target(cpu, &code.seg, values[0], 0);
	if (r == CPU_OK)
		r = seg_accessed(cpu, &code);
	if (r != CPU_OK)
		return r;
	flags_take(cpu, values[2], iret_flags(cpu, width));
	if (!with_stack)
		to.sp += 3ULL * width;
	frame_take(cpu, &code, values[0], &to);
	return CPU_OK;
}

enum cpu_result far_iret(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	const struct stack stack = stack_now(cpu);
	unsigned width = insn->op_bytes;
	uint64_t values[3];

	if (sys_is_8086(cpu))
		return iret_8086(cpu, insn);
	if (cpu->rflags & SYS_FL_NT)
		return sys_is_long(cpu) ? sys_gp(cpu, 0) : iret_task(cpu, insn);
	enum cpu_result r = stack_peek(cpu, &stack, 0, width, 3, values);
	if (r != CPU_OK)
		return r;
	if (width == 4 && cpu->cpl == 0 && (values[2] & SYS_FL_VM) && !sys_is_long(cpu))
		return iret_vm86(cpu, &stack);
	return iret_protected(cpu, &stack, width, values);
}
