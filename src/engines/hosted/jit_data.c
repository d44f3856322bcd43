/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions that only compute: the same again, with their memory operand and the registers that live in memory replaced. */
#include "engines/hosted/jit_parts.h"

bool jit_is_tame(const struct x86_insn *insn)
{
	if (insn->class != X86_CLASS_DATA)
		return true;
	return insn->encoding == X86_ENC_LEGACY && !insn->uses && insn->op >= X86_OP_MOV &&
	       insn->op <= X86_OP_CMOVCC && insn->op != X86_OP_DIV && insn->op != X86_OP_IDIV &&
	       insn->op != X86_OP_CMPXCHG16B;
}

static bool is_allowed(uint32_t mode, unsigned uses)
{
	if ((uses & (X86_USES_X87 | X86_USES_MMX)) && (mode & CPU_MODE_NO_FPU))
		return false;
	if ((uses & X86_USES_SSE) && (mode & CPU_MODE_NO_SSE))
		return false;
	if ((uses & X86_USES_AVX) && (mode & CPU_MODE_NO_AVX))
		return false;
	return !(uses & (X86_USES_AVX512 | X86_USES_MASKS)) || !(mode & CPU_MODE_NO_AVX512);
}

static bool can_data(const struct jit_work *w, const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_BOUND:
	case X86_OP_AAM:
	case X86_OP_AAD:
	case X86_OP_AAA:
	case X86_OP_AAS:
	case X86_OP_DAA:
	case X86_OP_DAS:
	case X86_OP_SALC:
	case X86_OP_CLD:
	case X86_OP_STD:
	case X86_OP_LDMXCSR: /* what traps may change */
	case X86_OP_MASKMOV:
		return false;
	default:
		break;
	}
	if (!is_allowed(w->mode, insn->uses))
		return false;
	if (!insn->has_mem || insn->op == X86_OP_NOP || insn->op == X86_OP_LEA)
		return true;
	const struct x86_mem *mem = &insn->mem;
	return !mem->is_vsib && !mem->bit_offset && mem->bytes >= 1 && mem->bytes <= 64 &&
	       insn->addr_bytes >= 4;
}

bool jit_can(const struct jit_work *w, const struct x86_insn *insn)
{
	if (jit_can_system(w, insn))
		return true;
	switch (insn->class) {
	case X86_CLASS_DATA:
		return can_data(w, insn);
	case X86_CLASS_BRANCH:
		if (insn->op_bytes != 8 && insn->op != X86_OP_JMP && insn->op != X86_OP_JCC)
			return false;
		return !insn->has_opsize && insn->op != X86_OP_LOOPE && insn->op != X86_OP_LOOPNE &&
		       (!insn->has_mem || insn->mem.bytes == 8);
	case X86_CLASS_STACK:
		if (insn->op_bytes != 8)
			return false;
		return insn->op == X86_OP_PUSH || insn->op == X86_OP_LEAVE ||
		       (insn->op == X86_OP_POP && !insn->has_mem);
	default:
		return false;
	}
}

static void load_operands(struct jit_work *w, uint32_t set)
{
	for (unsigned reg = 8; reg < X86_REGS; reg++) {
		if (set >> reg & 1)
			emit_gs(&w->e, true, EMIT_LOAD, reg, JIT_REG(reg));
	}
}

static void store_operands(struct jit_work *w, uint32_t set)
{
	for (unsigned reg = 8; reg < X86_REGS; reg++) {
		if (set >> reg & 1)
			emit_gs(&w->e, true, EMIT_STORE, reg, JIT_REG(reg));
	}
}

static void note_trap(struct jit_work *w, const struct x86_insn *insn)
{
	if (jit_is_tame(insn))
		return;
	w->traps[w->n_traps++] = (struct jit_trap){
		.host = (uint16_t)(w->e.at - w->start),
		.insn = w->at[w->i],
		.saved = w->flags == JIT_FLAGS_SAVED || !w->needed[w->i],
	};
}

static void lea(struct jit_work *w, const struct x86_insn *insn)
{
	const struct x86_mem *mem = &insn->mem;
	struct emit_mem ea = { mem->base, mem->index, mem->scale, (int32_t)mem->disp };
	uint32_t operands = jit_operands(insn);
	uint32_t named = operands;

	if (mem->is_rip && insn->op_bytes >= 4) {
		uint64_t value = (uint64_t)mem->disp + w->rip + w->at[w->i] + insn->len;
		if (insn->addr_bytes < 8 || insn->op_bytes < 8)
			value &= UINT32_MAX;
		emit_mov_imm(&w->e, insn->reg, value);
		store_operands(w, operands);
		return;
	}
	if (mem->base < X86_REGS)
		named |= UINT32_C(1) << mem->base;
	if (mem->index < X86_REGS)
		named |= UINT32_C(1) << mem->index;
	load_operands(w, named & JIT_SCRATCH);
	if (mem->is_rip || insn->addr_bytes < insn->op_bytes || insn->op_bytes == 2) {
		/* the address first, cut to its size, then as much of it as is wanted */
		unsigned a = jit_scratch(operands);
		jit_address(w, insn, a);
		if (insn->op_bytes == 2)
			emit_byte(&w->e, 0x66);
		emit_rr(&w->e, insn->op_bytes == 8, EMIT_LOAD, insn->reg, a);
	} else {
		emit_rm(&w->e, insn->op_bytes == 8, EMIT_LEA, insn->reg, &ea);
	}
	store_operands(w, operands);
}

/* With AH, CH, DH, BH there can be no REX, so no scratch register: RSI lends itself. */
static void high_byte(struct jit_work *w, const struct x86_insn *insn, unsigned a,
		      const struct emit_mem *host)
{
	struct emit_mem at = { X86_RSI, X86_REG_NONE, 1, 0 };
	unsigned b = a == JIT_B ? JIT_C : JIT_B;

	emit_rm(&w->e, true, EMIT_LEA, a, host);
	emit_rr(&w->e, true, EMIT_LOAD, b, X86_RSI);
	emit_rr(&w->e, true, EMIT_LOAD, X86_RSI, a);
	emit_insn(&w->e, insn, &at, emit_insn_reg(insn));
	emit_rr(&w->e, true, EMIT_LOAD, X86_RSI, b);
}

static void with_memory(struct jit_work *w, const struct x86_insn *insn)
{
	uint32_t needed = w->needed[w->i];
	uint32_t operands = jit_operands(insn);
	unsigned a = jit_scratch(operands);
	unsigned temp = a == JIT_A ? JIT_B : JIT_A; /* JIT_C may be a part of the address */
	struct emit_mem at = jit_operand(w, NULL, a, insn->mem.bytes,
					 insn->mem.is_written ? CPU_WRITE : CPU_READ, needed);

	if (needed && ((insn->flags_read | insn->flags_written) & X86_FLAGS_ARITH))
		jit_flags_back(w, temp);
	load_operands(w, operands);
	note_trap(w, insn);
	if (insn->op == X86_OP_XLAT) {
		emit_byte(&w->e, 0x41);
		emit_byte(&w->e, 0x8a); /* mov al, [a] */
		emit_modrm(&w->e, X86_RAX, &at, false);
	} else if (insn->reg_field == X86_FIELD_GPR8 && insn->reg >= X86_REG_AH) {
		high_byte(w, insn, a, &at);
	} else {
		emit_insn(&w->e, insn, &at, emit_insn_reg(insn));
	}
	store_operands(w, operands & insn->gpr_written);
}

void jit_data(struct jit_work *w, const struct x86_insn *insn)
{
	uint32_t operands = jit_operands(insn);

	if (insn->op == X86_OP_NOP)
		return;
	if (insn->op == X86_OP_LEA) {
		lea(w, insn);
	} else if (insn->has_mem) {
		with_memory(w, insn);
	} else {
		bool flags = (insn->flags_read | insn->flags_written) & X86_FLAGS_ARITH;
		if (flags && w->needed[w->i])
			jit_flags_back(w, JIT_A);
		load_operands(w, operands);
		note_trap(w, insn);
		emit_insn(&w->e, insn, NULL, 0);
		store_operands(w, operands & insn->gpr_written);
	}
	if (insn->flags_written & X86_FLAGS_ARITH)
		w->flags = JIT_FLAGS_HOST;
}
