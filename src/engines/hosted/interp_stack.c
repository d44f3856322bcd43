/* SPDX-License-Identifier: Apache-2.0 */
/* PUSH, POP, PUSHA, POPA, ENTER, LEAVE. The stack pointer moves after the last thing that can fault. */
#include "engines/hosted/interp.h"

unsigned interp_sp_bytes(const struct hosted_cpu *cpu)
{
	if ((cpu->mode & CPU_MODE_CODE) == X86_CODE_64)
		return 8;
	return cpu->mode & CPU_MODE_STACK32 ? 4 : 2;
}

enum cpu_result interp_push(struct hosted_cpu *cpu, const struct x86_insn *insn, uint64_t value)
{
	unsigned width = interp_sp_bytes(cpu);
	uint64_t sp = (cpu->regs[X86_RSP] - insn->op_bytes) & interp_mask(width);
	enum cpu_result result = interp_store(cpu, X86_SS, sp, insn->op_bytes, value);

	if (result == CPU_OK)
		interp_set_reg(cpu, X86_RSP, width, sp);
	return result;
}

enum cpu_result interp_pop(struct hosted_cpu *cpu, const struct x86_insn *insn, uint64_t *ret,
			   uint64_t *ret_sp)
{
	unsigned width = interp_sp_bytes(cpu);
	uint64_t sp = cpu->regs[X86_RSP] & interp_mask(width);
	enum cpu_result result = interp_load(cpu, X86_SS, sp, insn->op_bytes, ret);

	if (result == CPU_OK)
		*ret_sp = sp + insn->op_bytes;
	return result;
}

static enum cpu_result stack_push(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = (uint64_t)insn->imm;

	if (insn->has_mem || insn->rm_field == X86_FIELD_GPR) {
		enum cpu_result result = interp_rm(cpu, insn, insn->op_bytes, &value);
		if (result != CPU_OK)
			return result;
	} else if (insn->reg_field == X86_FIELD_GPR) {
		value = interp_reg(cpu, insn->reg, insn->op_bytes);
	}
	return interp_push(cpu, insn, value);
}

/* A memory operand's address is computed with the stack pointer as it is after the pop. Intel SDM 2, POP. */
static enum cpu_result stack_pop(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	unsigned width = interp_sp_bytes(cpu);
	uint64_t value, sp, old = cpu->regs[X86_RSP];
	enum cpu_result result = interp_pop(cpu, insn, &value, &sp);

	if (result != CPU_OK)
		return result;
	interp_set_reg(cpu, X86_RSP, width, sp);
	if (!insn->has_mem) {
		interp_set_reg(cpu, insn->rm, insn->op_bytes, value);
		return CPU_OK;
	}
	result = interp_store(cpu, insn->mem.seg, interp_ea(cpu, insn), insn->op_bytes, value);
	if (result != CPU_OK)
		cpu->regs[X86_RSP] = old;
	return result;
}

/* Whether n elements downwards (or upwards) from the stack pointer may be accessed, one by one: each wraps as the pointer does. */
static enum cpu_result stack_probe(struct hosted_cpu *cpu, uint64_t sp, int step, unsigned n,
				   unsigned bytes, enum cpu_access access)
{
	uint64_t gva, mask = interp_mask(interp_sp_bytes(cpu));

	for (unsigned i = 0; i < n; i++) {
		enum cpu_result result =
			interp_linear(cpu, X86_SS, (sp + (uint64_t)((int64_t)i * step)) & mask,
				      bytes, access == CPU_WRITE, &gva);
		if (result == CPU_OK)
			result = cpu_probe(cpu, gva, bytes, access);
		if (result != CPU_OK)
			return result;
	}
	return CPU_OK;
}

static enum cpu_result stack_pusha(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	unsigned bytes = insn->op_bytes;
	uint64_t sp = cpu->regs[X86_RSP], mask = interp_mask(interp_sp_bytes(cpu));
	enum cpu_result result = stack_probe(cpu, sp - bytes, -(int)bytes, 8, bytes, CPU_WRITE);

	for (unsigned i = 0; i < 8 && result == CPU_OK; i++) {
		sp -= bytes;
		result = interp_store(cpu, X86_SS, sp & mask, bytes, cpu->regs[i]);
	}
	if (result == CPU_OK)
		interp_set_reg(cpu, X86_RSP, interp_sp_bytes(cpu), sp);
	return result;
}

static enum cpu_result stack_popa(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t values[8], sp = cpu->regs[X86_RSP], mask = interp_mask(interp_sp_bytes(cpu));

	for (unsigned i = 0; i < 8; i++) {
		enum cpu_result result = interp_load(cpu, X86_SS, (sp + i * insn->op_bytes) & mask,
						     insn->op_bytes, &values[7 - i]);
		if (result != CPU_OK)
			return result;
	}
	for (unsigned i = 0; i < 8; i++) {
		if (i != X86_RSP)
			interp_set_reg(cpu, i, insn->op_bytes, values[i]);
	}
	interp_set_reg(cpu, X86_RSP, interp_sp_bytes(cpu), sp + 8U * insn->op_bytes);
	return CPU_OK;
}

/*
 * Intel SDM 2, ENTER. All stores are probed first; the last probe is the one of the byte that the new frame's stack pointer is at,
 * which the CPU touches too.
 */
static enum cpu_result stack_enter(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	unsigned bytes = insn->op_bytes, width = interp_sp_bytes(cpu), level = insn->imm2 & 31;
	uint64_t mask = interp_mask(width), sp = cpu->regs[X86_RSP], bp = cpu->regs[X86_RBP];
	enum cpu_result result =
		stack_probe(cpu, sp - bytes, -(int)bytes, level + 1, bytes, CPU_WRITE);

	if (result != CPU_OK)
		return result;
	sp -= bytes;
	uint64_t frame = (cpu->regs[X86_RSP] & ~mask) | (sp & mask); /* as PUSH leaves it */
	result = interp_store(cpu, X86_SS, sp & mask, bytes, bp);
	for (unsigned i = 1; i < level && result == CPU_OK; i++) {
		uint64_t value;
		bp -= bytes;
		sp -= bytes;
		result = interp_load(cpu, X86_SS, bp & mask, bytes, &value);
		if (result == CPU_OK)
			result = interp_store(cpu, X86_SS, sp & mask, bytes, value);
	}
	if (level > 0 && result == CPU_OK) {
		sp -= bytes;
		result = interp_store(cpu, X86_SS, sp & mask, bytes, frame);
	}
	sp -= (uint16_t)insn->imm;
	if (result == CPU_OK)
		result = stack_probe(cpu, sp, 0, 1, bytes, CPU_WRITE);
	if (result != CPU_OK)
		return result;
	interp_set_reg(cpu, X86_RBP, bytes, frame);
	interp_set_reg(cpu, X86_RSP, width, sp);
	return CPU_OK;
}

static enum cpu_result stack_leave(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	unsigned width = interp_sp_bytes(cpu);
	uint64_t value, sp = cpu->regs[X86_RBP] & interp_mask(width);
	enum cpu_result result = interp_load(cpu, X86_SS, sp, insn->op_bytes, &value);

	if (result != CPU_OK)
		return result;
	interp_set_reg(cpu, X86_RSP, width, sp + insn->op_bytes);
	interp_set_reg(cpu, X86_RBP, insn->op_bytes, value);
	return CPU_OK;
}

enum cpu_result interp_stack(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	enum cpu_result result;

	switch (insn->op) {
	case X86_OP_PUSH:
		result = stack_push(cpu, insn);
		break;
	case X86_OP_POP:
		result = stack_pop(cpu, insn);
		break;
	case X86_OP_PUSHA:
		result = stack_pusha(cpu, insn);
		break;
	case X86_OP_POPA:
		result = stack_popa(cpu, insn);
		break;
	case X86_OP_ENTER:
		result = stack_enter(cpu, insn);
		break;
	case X86_OP_LEAVE:
		result = stack_leave(cpu, insn);
		break;
	default: /* flags and segments */
		return system_execute(cpu, insn);
	}
	if (result == CPU_OK)
		cpu->rip = interp_next(cpu, insn);
	return result;
}
