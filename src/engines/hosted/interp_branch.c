/* SPDX-License-Identifier: Apache-2.0 */
/* Near control flow. A target is checked before anything is pushed or set. */
#include "engines/hosted/interp.h"

/* Intel SDM 2, Jcc; the low bit of the condition code inverts. */
bool interp_condition(uint64_t rflags, unsigned cc)
{
	bool cf = rflags & X86_CF, zf = rflags & X86_ZF, of = rflags & X86_OF;
	bool sf = rflags & X86_SF, result = false;

	switch (cc >> 1 & 7) {
	case 0:
		result = of;
		break;
	case 1:
		result = cf;
		break;
	case 2:
		result = zf;
		break;
	case 3:
		result = cf || zf;
		break;
	case 4:
		result = sf;
		break;
	case 5:
		result = rflags & X86_PF;
		break;
	case 6:
		result = sf != of;
		break;
	default:
		result = zf || sf != of;
		break;
	}
	return result != (cc & 1);
}

/* Truncated to the operand size; canonical (48 or 57 bits: whatever sign extension CR4.LA57 gives), or within CS's limit. */
static enum cpu_result branch_check(struct hosted_cpu *cpu, const struct x86_insn *insn,
				    uint64_t *target)
{
	uint64_t to = *target & interp_mask(insn->op_bytes);

	if (insn->code == X86_CODE_64) {
		unsigned unused = cpu->cr4 & UINT64_C(0x1000) ? 64 - 57 : 64 - 48;
		if ((uint64_t)((int64_t)(to << unused) >> unused) != to)
			return fault_error(cpu, SYS_GP, 0);
	} else if (to > cpu->segs[X86_CS].limit) {
		return fault_error(cpu, SYS_GP, 0);
	}
	*target = to;
	return CPU_OK;
}

static enum cpu_result branch_jump(struct hosted_cpu *cpu, const struct x86_insn *insn,
				   uint64_t target)
{
	enum cpu_result result = branch_check(cpu, insn, &target);

	if (result == CPU_OK)
		cpu->rip = target;
	return result;
}

static enum cpu_result branch_call(struct hosted_cpu *cpu, const struct x86_insn *insn,
				   uint64_t target)
{
	enum cpu_result result = branch_check(cpu, insn, &target);

	if (result == CPU_OK)
		result = interp_push(cpu, insn, interp_next(cpu, insn));
	if (result == CPU_OK)
		cpu->rip = target;
	return result;
}

static enum cpu_result branch_ret(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t target, sp;
	enum cpu_result result = interp_pop(cpu, insn, &target, &sp);

	if (result == CPU_OK)
		result = branch_check(cpu, insn, &target);
	if (result != CPU_OK)
		return result;
	interp_set_reg(cpu, X86_RSP, interp_sp_bytes(cpu), sp + (uint16_t)insn->imm);
	cpu->rip = target;
	return CPU_OK;
}

/* LOOPcc: the count is taken down where the branch's target is good, or not taken. */
static enum cpu_result branch_loop(struct hosted_cpu *cpu, const struct x86_insn *insn,
				   uint64_t target)
{
	uint64_t count = (cpu->regs[X86_RCX] - 1) & interp_mask(insn->addr_bytes);
	bool taken = count != 0;
	enum cpu_result result = CPU_OK;

	if (insn->op == X86_OP_LOOPE)
		taken = taken && (cpu->rflags & X86_ZF);
	if (insn->op == X86_OP_LOOPNE)
		taken = taken && !(cpu->rflags & X86_ZF);
	if (taken)
		result = branch_check(cpu, insn, &target);
	if (result != CPU_OK)
		return result;
	interp_set_reg(cpu, X86_RCX, insn->addr_bytes, count);
	cpu->rip = taken ? target : interp_next(cpu, insn);
	return CPU_OK;
}

static enum cpu_result branch_if(struct hosted_cpu *cpu, const struct x86_insn *insn, bool taken,
				 uint64_t target)
{
	if (taken)
		return branch_jump(cpu, insn, target);
	cpu->rip = interp_next(cpu, insn);
	return CPU_OK;
}

static enum cpu_result branch_indirect(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t target;
	enum cpu_result result = interp_rm(cpu, insn, insn->op_bytes, &target);

	if (result != CPU_OK)
		return result;
	return insn->op == X86_OP_CALL_IND ? branch_call(cpu, insn, target)
					   : branch_jump(cpu, insn, target);
}

enum cpu_result interp_branch(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t target = interp_next(cpu, insn) + (uint64_t)insn->imm;

	switch (insn->op) {
	case X86_OP_JMP:
		return branch_jump(cpu, insn, target);
	case X86_OP_JCC:
		return branch_if(cpu, insn, interp_condition(cpu->rflags, insn->cc), target);
	case X86_OP_JCXZ:
		return branch_if(cpu, insn, interp_reg(cpu, X86_RCX, insn->addr_bytes) == 0,
				 target);
	case X86_OP_LOOP:
	case X86_OP_LOOPE:
	case X86_OP_LOOPNE:
		return branch_loop(cpu, insn, target);
	case X86_OP_CALL:
		return branch_call(cpu, insn, target);
	case X86_OP_JMP_IND:
	case X86_OP_CALL_IND:
		return branch_indirect(cpu, insn);
	case X86_OP_RET:
		return branch_ret(cpu, insn);
	default:
		return system_execute(cpu, insn);
	}
}
