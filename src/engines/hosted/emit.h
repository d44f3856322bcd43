/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Host code, byte by byte. Source: Intel SDM 2A, Instruction Format.
 *
 * Positions are addresses in the mapping that is written; code is executed at another, but distances are the same. What no
 * longer fits sets `full`, and nothing more is written: the translator looks once, at the end.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/bytes.h"
#include "x86/insn.h"

struct emit {
	uint8_t *at, *end;
	bool full;
	uintptr_t
		state; /* guest state near enough to be addressed from RIP, as if seen from the mapping that is written; 0: it is not */
	uint32_t
		written; /* registers that these functions wrote (emit_insn() apart); cleared by who wants to know */
};

/* Operations of the form "reg, r/m": opcode bytes of the 32- and 64-bit forms. */
enum emit_op {
	EMIT_ADD = 0x03,
	EMIT_OR = 0x0b,
	EMIT_AND = 0x23,
	EMIT_SUB = 0x2b,
	EMIT_XOR = 0x33,
	EMIT_CMP = 0x3b,
	EMIT_STORE = 0x89, /* mov r/m, reg */
	EMIT_LOAD = 0x8b,
	EMIT_LEA = 0x8d,
};
/* The same with an immediate: the number in ModRM.reg of 80, 81, 83; and of C1, D1 (shifts). */
enum emit_imm { EMIT_IMM_ADD = 0, EMIT_IMM_OR = 1, EMIT_IMM_AND = 4, EMIT_IMM_CMP = 7 };
enum emit_shift { EMIT_SHL = 4, EMIT_SHR = 5, EMIT_SAR = 7 };

#define EMIT_CC_O  0x0U
#define EMIT_CC_B  0x2U
#define EMIT_CC_AE 0x3U
#define EMIT_CC_E  0x4U
#define EMIT_CC_NE 0x5U
#define EMIT_CC_A  0x7U

/* [base + index * scale + disp]; X86_REG_NONE: absent. */
struct emit_mem {
	uint8_t base, index, scale;
	int32_t disp;
};

static inline void emit_byte(struct emit *e, unsigned byte)
{
	if (e->at < e->end)
		*e->at++ = (uint8_t)byte;
	else
		e->full = true;
}
void emit_bytes(struct emit *e, const uint8_t *bytes, size_t n);
void emit_u32(struct emit *e, uint32_t value);
void emit_u64(struct emit *e, uint64_t value);

/* emit_modrm() - ModRM, SIB, displacement of a memory operand; long_disp: never one byte (EVEX counts those in vectors). */
void emit_modrm(struct emit *e, unsigned reg, const struct emit_mem *mem, bool long_disp);
/* emit_rex_of() - the X and B bits that a memory operand needs. */
unsigned emit_rex_of(const struct emit_mem *mem);

/* is64: operands of 8 bytes, else of 4 */
void emit_rr(struct emit *e, bool is64, enum emit_op op, unsigned reg, unsigned rm);
void emit_rm(struct emit *e, bool is64, enum emit_op op, unsigned reg, const struct emit_mem *mem);
/* With guest state at that offset: by RIP, or %gs:offset. */
void emit_gs(struct emit *e, bool is64, enum emit_op op, unsigned reg, size_t offset);
void emit_gs_imm32(struct emit *e, enum emit_imm op, size_t offset,
		   uint32_t value); /* 4 bytes in memory */
void emit_gs_test32(struct emit *e, size_t offset, uint32_t value);
void emit_gs_movzx16(struct emit *e, unsigned reg, size_t offset); /* to 8 bytes */
void emit_gs_cmp32(struct emit *e, size_t offset, uint32_t value); /* a 4-byte immediate */
void emit_gs_cmp32_zero(struct emit *e, size_t offset);		   /* a 1-byte one */
void emit_imm(struct emit *e, bool is64, enum emit_imm op, unsigned rm, int32_t value);
void emit_shift(struct emit *e, bool is64, enum emit_shift op, unsigned rm, unsigned count);
void emit_rorx(struct emit *e, unsigned reg, unsigned rm,
	       unsigned count); /* BMI2, 8 bytes; no flags */
void emit_cmp_imm(struct emit *e, const struct emit_mem *mem,
		  int32_t value); /* 8 bytes, sign-extended */
void emit_mov_imm(struct emit *e, unsigned reg, uint64_t value);
void emit_store_imm(struct emit *e, bool is64, const struct emit_mem *mem, int32_t value);

/* emit_jmp(), emit_jcc() - to a position; NULL: to be set by emit_patch(). Return: where the displacement is. */
uint8_t *emit_jmp(struct emit *e, const uint8_t *to);
uint8_t *emit_jcc(struct emit *e, unsigned cc, const uint8_t *to);
void emit_patch(struct emit *e, uint8_t *at, const uint8_t *to);
/* The same with a displacement of one byte. */
uint8_t *emit_short(struct emit *e, unsigned opcode);
void emit_patch_short(struct emit *e, uint8_t *at);
void emit_jmp_gs(struct emit *e, size_t offset);
void emit_jmp_mem(struct emit *e, const struct emit_mem *mem);

/* emit_insn_reg() - ModRM.reg with its extension bit, whatever it names. */
unsigned emit_insn_reg(const struct x86_insn *insn);
/*
 * emit_insn() - a guest's instruction again
 * @mem: its memory operand now; NULL: it has none   @reg: ModRM.reg now; not of EVEX's
 * Legacy prefixes keep their order; segments and address size go. 32-bit code's short INC and DEC become the long ones.
 */
void emit_insn(struct emit *e, const struct x86_insn *insn, const struct emit_mem *mem,
	       unsigned reg);
