/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/mmio.h"

#include "vm/mmio_alu.h"
#include "vm/mmio_string.h"

enum phase { PHASE_READ, PHASE_WRITE, PHASE_STRING };

static uint64_t operand_mask(unsigned len)
{
	return len >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * len)) - 1;
}

/* A register as the instruction names it: numbers from X86_REG_AH up are second bytes. */
static uint64_t reg_get(const struct mmio_cpu *cpu, uint8_t reg, unsigned len)
{
	if (reg >= X86_REG_AH)
		return cpu->regs[(reg - X86_REG_AH) % 4] >> 8 & 0xff;
	return cpu->regs[reg] & operand_mask(len);
}

static void reg_set(const struct mmio_cpu *cpu, uint8_t reg, unsigned len, uint64_t value)
{
	uint64_t *r = &cpu->regs[reg >= X86_REG_AH ? (reg - X86_REG_AH) % 4 : reg];

	if (reg >= X86_REG_AH)
		*r = (*r & ~UINT64_C(0xff00)) | (value & 0xff) << 8;
	else if (len == 4) /* 32-bit results clear the upper half */
		*r = value & UINT32_MAX;
	else
		*r = (*r & ~operand_mask(len)) | (value & operand_mask(len));
}

/* The register beside the memory operand: ModRM's, or the accumulator that moffs forms and immediates imply. */
static uint8_t reg_of(const struct x86_insn *insn)
{
	bool named = insn->reg_field == X86_FIELD_GPR || insn->reg_field == X86_FIELD_GPR8;

	return named ? insn->reg : X86_RAX;
}

static bool has_reg(const struct x86_insn *insn)
{
	return insn->reg_field == X86_FIELD_GPR || insn->reg_field == X86_FIELD_GPR8 ||
	       insn->mem.is_moffs;
}

/* The operand that is not in memory. */
static uint64_t other_get(const struct mmio *m, const struct mmio_cpu *cpu)
{
	if (has_reg(&m->insn))
		return reg_get(cpu, reg_of(&m->insn), m->len);
	return (uint64_t)m->insn.imm & operand_mask(m->len);
}

static void arith_flags(struct mmio_cpu *cpu, const struct alu_result *result)
{
	*cpu->rflags = (*cpu->rflags & ~(uint64_t)result->changed) | result->flags;
}

static bool is_supported(const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_MOV:
	case X86_OP_MOVZX:
	case X86_OP_MOVSX:
	case X86_OP_XCHG:
	case X86_OP_XADD:
	case X86_OP_CMPXCHG:
		return true;
	case X86_OP_BT:
	case X86_OP_BTS:
	case X86_OP_BTR:
	case X86_OP_BTC:
		return !insn->mem.bit_offset; /* with a register the address would move */
	default:
		return alu_knows(insn->op);
	}
}

static enum mmio_step write_asked(struct mmio *m, uint64_t value)
{
	m->phase = PHASE_WRITE;
	m->value = value & operand_mask(m->len);
	return MMIO_WRITE;
}

/* What is written follows from the registers and, for most, from what was read. */
static uint64_t value_to_write(const struct mmio *m, struct mmio_cpu *cpu,
			       struct alu_result *ret_flags)
{
	uint64_t other = other_get(m, cpu);

	*ret_flags = (struct alu_result){ .value = other };
	switch (m->insn.op) {
	case X86_OP_MOV:
	case X86_OP_XCHG:
		return other;
	case X86_OP_XADD:
		*ret_flags = alu(X86_OP_ADD, m->loaded, other, m->len, *cpu->rflags);
		return ret_flags->value;
	case X86_OP_CMPXCHG:
		*ret_flags = alu(X86_OP_CMP, reg_get(cpu, X86_RAX, m->len), m->loaded, m->len,
				 *cpu->rflags);
		return ret_flags->flags & X86_ZF ? other : m->loaded;
	default:
		*ret_flags = alu(m->insn.op, m->loaded, other, m->len, *cpu->rflags);
		return ret_flags->value;
	}
}

/* The write is done: registers and flags follow. They are as they were, so the flags are computed once more. */
static enum mmio_step after_write(struct mmio *m, struct mmio_cpu *cpu)
{
	struct alu_result result;

	(void)value_to_write(m, cpu, &result);
	if (m->insn.op == X86_OP_XCHG || m->insn.op == X86_OP_XADD)
		reg_set(cpu, m->insn.reg, m->len, m->loaded);
	if (m->insn.op == X86_OP_CMPXCHG && !(result.flags & X86_ZF))
		reg_set(cpu, X86_RAX, m->len, m->loaded);
	arith_flags(cpu, &result);
	return MMIO_DONE;
}

static uint64_t sign_extended(uint64_t value, unsigned len)
{
	unsigned shift = 64 - 8 * len;

	return (uint64_t)((int64_t)(value << shift) >> shift);
}

/* A read that nothing is written after. */
static enum mmio_step after_read(struct mmio *m, struct mmio_cpu *cpu)
{
	const struct x86_insn *insn = &m->insn;
	uint8_t reg = reg_of(insn);

	if (insn->op == X86_OP_MOV || insn->op == X86_OP_MOVZX) {
		reg_set(cpu, reg, insn->op_bytes, m->value);
		return MMIO_DONE;
	}
	if (insn->op == X86_OP_MOVSX) {
		reg_set(cpu, reg, insn->op_bytes, sign_extended(m->value, m->len));
		return MMIO_DONE;
	}
	/* Opcodes 00 to 3F, bit 1: the register is the first operand. */
	bool reg_first = insn->map == X86_MAP_ONE && insn->opcode < 0x40 && insn->opcode & 2;
	uint64_t other = other_get(m, cpu);
	struct alu_result result = alu(insn->op, reg_first ? other : m->value,
				       reg_first ? m->value : other, m->len, *cpu->rflags);
	bool kept = insn->op != X86_OP_CMP && insn->op != X86_OP_TEST && insn->op != X86_OP_BT;
	if (kept)
		reg_set(cpu, reg, m->len, result.value);
	arith_flags(cpu, &result);
	return MMIO_DONE;
}

enum mmio_step mmio_begin(struct mmio *m, struct mmio_cpu *cpu, gpa_t gpa, bool is_write)
{
	const struct x86_insn *insn = &m->insn;

	m->gpa = gpa;
	if (insn->class == X86_CLASS_STRING) {
		m->phase = PHASE_STRING;
		return string_begin(m, cpu, is_write);
	}
	if (insn->class != X86_CLASS_DATA || !insn->has_mem || insn->mem.bytes > 8 ||
	    !insn->mem.bytes || insn->mem.is_vsib || insn->encoding != X86_ENC_LEGACY ||
	    !is_supported(insn))
		return MMIO_UNKNOWN;
	m->len = (uint8_t)insn->mem.bytes;
	if (insn->mem.is_read) {
		m->phase = PHASE_READ;
		return MMIO_READ;
	}
	struct alu_result ignored;
	return write_asked(m, value_to_write(m, cpu, &ignored));
}

enum mmio_step mmio_next(struct mmio *m, struct mmio_cpu *cpu)
{
	struct alu_result ignored;

	switch (m->phase) {
	case PHASE_STRING:
		return string_next(m, cpu);
	case PHASE_READ:
		m->value &= operand_mask(m->len);
		if (!m->insn.mem.is_written)
			return after_read(m, cpu);
		m->loaded = m->value;
		return write_asked(m, value_to_write(m, cpu, &ignored));
	default:
		return after_write(m, cpu);
	}
}
