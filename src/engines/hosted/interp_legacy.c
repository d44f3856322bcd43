/* SPDX-License-Identifier: Apache-2.0 */
/* DATA in C: what 64-bit code has no encoding for, what reads its own flags in ways that are quicker so, and what must be checked. */
#include "engines/hosted/interp.h"

static void legacy_flags(struct hosted_cpu *cpu, uint64_t mask, uint64_t set)
{
	cpu->rflags = (cpu->rflags & ~mask) | (set & mask);
}

/* SF, ZF, PF of a byte. */
static uint64_t legacy_result_flags(uint8_t value)
{
	uint64_t flags = value & X86_SF;

	if (value == 0)
		flags |= X86_ZF;
	if (!__builtin_parity(value))
		flags |= X86_PF;
	return flags;
}

/* Intel SDM 2, DAA and DAS. */
static void legacy_decimal(struct hosted_cpu *cpu, bool subtract)
{
	uint8_t old = (uint8_t)cpu->regs[X86_RAX], al = old;
	bool old_cf = cpu->rflags & X86_CF;
	uint64_t flags = 0;

	if ((old & 0xf) > 9 || (cpu->rflags & X86_AF)) {
		bool carry = subtract ? old < 6 : old > 0xf9;
		al = (uint8_t)(subtract ? al - 6 : al + 6);
		flags |= X86_AF;
		if (old_cf || carry)
			flags |= X86_CF;
	}
	if (old > 0x99 || old_cf) {
		al = (uint8_t)(subtract ? al - 0x60 : al + 0x60);
		flags |= X86_CF;
	}
	interp_set_reg(cpu, X86_RAX, 1, al);
	legacy_flags(cpu, X86_FLAGS_ARITH, flags | legacy_result_flags(al));
}

/* Intel SDM 2, AAA and AAS: AX is adjusted as a whole, then AL's upper half cleared. */
static void legacy_ascii(struct hosted_cpu *cpu, bool subtract)
{
	uint16_t ax = (uint16_t)cpu->regs[X86_RAX];
	uint64_t flags = 0;

	if ((ax & 0xf) > 9 || (cpu->rflags & X86_AF)) {
		ax = (uint16_t)(subtract ? ax - 0x106 : ax + 0x106);
		flags = X86_AF | X86_CF;
	}
	ax &= 0xff0f;
	interp_set_reg(cpu, X86_RAX, 2, ax);
	legacy_flags(cpu, X86_FLAGS_ARITH, flags | legacy_result_flags((uint8_t)ax));
}

static enum cpu_result legacy_aam(struct hosted_cpu *cpu, uint8_t base)
{
	uint8_t al = (uint8_t)cpu->regs[X86_RAX];

	if (base == 0)
		return fault_raise(cpu, SYS_DE);
	interp_set_reg(cpu, X86_RAX, 2, (uint64_t)(al / base) << 8 | al % base);
	legacy_flags(cpu, X86_FLAGS_ARITH, legacy_result_flags(al % base));
	return CPU_OK;
}

static void legacy_aad(struct hosted_cpu *cpu, uint8_t base)
{
	uint16_t ax = (uint16_t)cpu->regs[X86_RAX];
	uint8_t al = (uint8_t)(ax + (ax >> 8) * base);

	interp_set_reg(cpu, X86_RAX, 2, al);
	legacy_flags(cpu, X86_FLAGS_ARITH, legacy_result_flags(al));
}

/* Intel SDM 2, BOUND: signed; two bounds lie one after the other. */
static enum cpu_result legacy_bound(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	unsigned bytes = insn->op_bytes;
	uint64_t both, ea = interp_ea(cpu, insn), low, high;
	enum cpu_result result = interp_load(cpu, insn->mem.seg, ea, 2 * bytes, &both);

	if (result != CPU_OK)
		return result;
	low = both & interp_mask(bytes);
	high = both >> (8 * bytes);
	unsigned shift = 64 - 8 * bytes;
	int64_t value = (int64_t)(interp_reg(cpu, insn->reg, bytes) << shift);
	if (value < (int64_t)(low << shift) || value > (int64_t)(high << shift))
		return fault_raise(cpu, SYS_BR);
	return CPU_OK;
}

static enum cpu_result legacy_xlat(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value;
	enum cpu_result result = interp_load(cpu, insn->mem.seg, interp_ea(cpu, insn), 1, &value);

	if (result == CPU_OK)
		interp_set_reg(cpu, X86_RAX, 1, value);
	return result;
}

static enum cpu_result legacy_ldmxcsr(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value;
	enum cpu_result result = interp_load(cpu, insn->mem.seg, interp_ea(cpu, insn), 4, &value);

	if (result != CPU_OK)
		return result;
	if (value & ~(uint64_t)cpu->interp->mxcsr_mask)
		return fault_error(cpu, SYS_GP, 0);
	uint32_t mxcsr = (uint32_t)value;
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	return CPU_OK;
}

bool interp_is_legacy(const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_XLAT:
	case X86_OP_BOUND:
	case X86_OP_AAM:
	case X86_OP_AAD:
	case X86_OP_AAA:
	case X86_OP_AAS:
	case X86_OP_DAA:
	case X86_OP_DAS:
	case X86_OP_SALC:
	case X86_OP_CLC:
	case X86_OP_STC:
	case X86_OP_CMC:
	case X86_OP_CLD:
	case X86_OP_STD:
	case X86_OP_LDMXCSR:
		return true;
	default:
		return false;
	}
}

enum cpu_result interp_legacy(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_XLAT:
		return legacy_xlat(cpu, insn);
	case X86_OP_BOUND:
		return legacy_bound(cpu, insn);
	case X86_OP_LDMXCSR:
		return legacy_ldmxcsr(cpu, insn);
	case X86_OP_AAM:
		return legacy_aam(cpu, (uint8_t)insn->imm);
	case X86_OP_AAD:
		legacy_aad(cpu, (uint8_t)insn->imm);
		break;
	case X86_OP_AAA:
	case X86_OP_AAS:
		legacy_ascii(cpu, insn->op == X86_OP_AAS);
		break;
	case X86_OP_DAA:
	case X86_OP_DAS:
		legacy_decimal(cpu, insn->op == X86_OP_DAS);
		break;
	case X86_OP_SALC:
		interp_set_reg(cpu, X86_RAX, 1, cpu->rflags & X86_CF ? 0xff : 0);
		break;
	case X86_OP_CLC:
		cpu->rflags &= ~(uint64_t)X86_CF;
		break;
	case X86_OP_STC:
		cpu->rflags |= X86_CF;
		break;
	case X86_OP_CMC:
		cpu->rflags ^= X86_CF;
		break;
	case X86_OP_CLD:
		cpu->rflags &= ~(uint64_t)X86_DF;
		break;
	default:
		cpu->rflags |= X86_DF;
		break;
	}
	return CPU_OK;
}

static __uint128_t legacy_magnitude(__uint128_t value, unsigned bits)
{
	bool negative = value >> (bits - 1) & 1;
	__uint128_t mask = bits == 128 ? ~(__uint128_t)0 : ((__uint128_t)1 << bits) - 1;

	return (negative ? -value : value) & mask;
}

/*
 * The dividend is twice as wide as the divisor: AX, or rDX:rAX. The quotient must fit: unsigned, when the upper half is below
 * the divisor; signed, when |dividend| < limit * |divisor|, limit being 2^(n-1), or one more for a negative quotient.
 */
bool interp_divides(const struct hosted_cpu *cpu, const struct x86_insn *insn, uint64_t divisor)
{
	unsigned bytes = insn->op_bytes, bits = 8 * bytes;
	uint64_t low = cpu->regs[X86_RAX] & interp_mask(bytes);
	uint64_t high = bytes == 1 ? cpu->regs[X86_RAX] >> 8 & 0xff
				   : cpu->regs[X86_RDX] & interp_mask(bytes);
	__uint128_t dividend = (__uint128_t)high << bits | low;

	divisor &= interp_mask(bytes);
	if (divisor == 0)
		return false;
	if (insn->op == X86_OP_DIV)
		return high < divisor;
	bool negative = (high >> (bits - 1) & 1) != (divisor >> (bits - 1) & 1);
	__uint128_t limit = ((__uint128_t)1 << (bits - 1)) + negative;
	/* |divisor| <= 2^(n-1), limit <= 2^(n-1) + 1: the product fits in 128 bits */
	return legacy_magnitude(dividend, 2 * bits) < limit * legacy_magnitude(divisor, bits);
}
