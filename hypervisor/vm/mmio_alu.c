/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/mmio_alu.h"

#include "x86/insn.h"

bool alu_knows(uint8_t op)
{
	switch (op) {
	case X86_OP_ADD:
	case X86_OP_OR:
	case X86_OP_ADC:
	case X86_OP_SBB:
	case X86_OP_AND:
	case X86_OP_SUB:
	case X86_OP_XOR:
	case X86_OP_CMP:
	case X86_OP_TEST:
	case X86_OP_INC:
	case X86_OP_DEC:
	case X86_OP_NEG:
	case X86_OP_NOT:
	case X86_OP_BT:
	case X86_OP_BTS:
	case X86_OP_BTR:
	case X86_OP_BTC:
		return true;
	default:
		return false;
	}
}

static uint64_t mask_of(unsigned len)
{
	return len >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * len)) - 1;
}

static uint64_t top_bit(unsigned len)
{
	return UINT64_C(1) << (8 * len - 1);
}

/* Zero, sign and parity: what every result has. */
static uint32_t flags_of(uint64_t value, unsigned len)
{
	uint32_t flags = __builtin_parity((unsigned)(value & 0xff)) ? 0 : X86_PF;

	if (!value)
		flags |= X86_ZF;
	if (value & top_bit(len))
		flags |= X86_SF;
	return flags;
}

static struct alu_result alu_add(uint64_t a, uint64_t b, uint64_t carry, unsigned len)
{
	uint64_t value = (a + b + carry) & mask_of(len);
	uint32_t flags = flags_of(value, len);

	if (value < a || (carry && value == a))
		flags |= X86_CF;
	if ((a ^ b ^ value) & 0x10)
		flags |= X86_AF;
	if (~(a ^ b) & (a ^ value) & top_bit(len))
		flags |= X86_OF;
	return (struct alu_result){ value, flags, X86_FLAGS_ARITH };
}

static struct alu_result alu_sub(uint64_t a, uint64_t b, uint64_t borrow, unsigned len)
{
	uint64_t value = (a - b - borrow) & mask_of(len);
	uint32_t flags = flags_of(value, len);

	if (a < b || (borrow && a == b))
		flags |= X86_CF;
	if ((a ^ b ^ value) & 0x10)
		flags |= X86_AF;
	if ((a ^ b) & (a ^ value) & top_bit(len))
		flags |= X86_OF;
	return (struct alu_result){ value, flags, X86_FLAGS_ARITH };
}

/* Carry and overflow are cleared, AF is undefined. */
static struct alu_result alu_logic(uint64_t value, unsigned len)
{
	return (struct alu_result){ value, flags_of(value, len), X86_FLAGS_ARITH & ~X86_AF };
}

static struct alu_result alu_bit(uint8_t op, uint64_t a, uint64_t b, unsigned len)
{
	uint64_t bit = UINT64_C(1) << (b % (8 * len));
	uint64_t value = a;

	if (op == X86_OP_BTS)
		value |= bit;
	else if (op == X86_OP_BTR)
		value &= ~bit;
	else if (op == X86_OP_BTC)
		value ^= bit;
	return (struct alu_result){ value, a & bit ? X86_CF : 0, X86_CF };
}

/* All but the carry. */
static struct alu_result without_carry(struct alu_result result)
{
	result.flags &= ~X86_CF;
	result.changed &= ~X86_CF;
	return result;
}

struct alu_result alu(uint8_t op, uint64_t a, uint64_t b, unsigned len, uint64_t rflags)
{
	uint64_t carry = rflags & X86_CF;

	switch (op) {
	case X86_OP_ADD:
		return alu_add(a, b, 0, len);
	case X86_OP_ADC:
		return alu_add(a, b, carry, len);
	case X86_OP_SUB:
	case X86_OP_CMP:
		return alu_sub(a, b, 0, len);
	case X86_OP_SBB:
		return alu_sub(a, b, carry, len);
	case X86_OP_OR:
		return alu_logic(a | b, len);
	case X86_OP_AND:
	case X86_OP_TEST:
		return alu_logic(a & b, len);
	case X86_OP_XOR:
		return alu_logic(a ^ b, len);
	case X86_OP_INC:
		return without_carry(alu_add(a, 1, 0, len));
	case X86_OP_DEC:
		return without_carry(alu_sub(a, 1, 0, len));
	case X86_OP_NEG:
		return alu_sub(0, a, 0, len);
	case X86_OP_NOT:
		return (struct alu_result){ ~a & mask_of(len), 0, 0 };
	case X86_OP_BT:
	case X86_OP_BTS:
	case X86_OP_BTR:
	case X86_OP_BTC:
		return alu_bit(op, a, b, len);
	default:
		return (struct alu_result){ .value = a };
	}
}
