/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's instruction, encoded again with another memory operand.
 * Source: Intel SDM 2A, Instruction Format: Instruction Prefixes; REX Prefixes; VEX; EVEX.
 */
#include "engines/hosted/emit.h"

#define REX    0x40U
#define REX_R  4U
#define OPSIZE 0x66U
#define LOCK   0xf0U

static bool is_segment_or_size(uint8_t byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x67:
		return true;
	default:
		return false;
	}
}

/* A REX that another prefix follows counts for nothing (SDM 2A, REX Prefixes); those prefixes do. */
static bool is_rex(const struct x86_insn *insn, uint8_t byte)
{
	return insn->code == X86_CODE_64 && (byte & 0xf0) == REX;
}

/* Legacy prefixes stand before everything else; the first byte that is none ends them. */
static void prefixes(struct emit *e, const struct x86_insn *insn)
{
	for (unsigned i = 0; i < insn->opcode_at; i++) {
		uint8_t byte = insn->bytes[i];
		if (byte == OPSIZE || byte == LOCK || byte == 0xf2 || byte == 0xf3)
			emit_byte(e, byte);
		else if (!is_segment_or_size(byte) && !is_rex(insn, byte))
			break;
	}
}

/* Bytes of the VEX or EVEX prefix itself: after legacy prefixes, before the opcode. */
static const uint8_t *vex_bytes(const struct x86_insn *insn)
{
	unsigned n = 4;

	if (insn->encoding == X86_ENC_VEX)
		n = insn->bytes[insn->opcode_at - 2] == 0xc5 ? 2 : 3;
	return &insn->bytes[insn->opcode_at - n];
}

unsigned emit_insn_reg(const struct x86_insn *insn)
{
	if (!insn->has_modrm)
		return 0; /* A0..A3: the accumulator, whatever REX.R says */
	unsigned reg = insn->modrm >> 3 & 7U;
	bool extended = insn->encoding == X86_ENC_LEGACY ? (insn->rex & REX_R) != 0
							 : !(vex_bytes(insn)[1] & 0x80);

	return reg | (extended ? 8 : 0);
}

static void legacy(struct emit *e, const struct x86_insn *insn, const struct emit_mem *mem,
		   unsigned reg)
{
	unsigned bits = (insn->rex & 8U) | (reg & 8 ? REX_R : 0) | emit_rex_of(mem);
	unsigned opcode = insn->opcode;

	prefixes(e, insn);
	if (insn->rex || bits)
		emit_byte(e, REX | bits);
	if (insn->map != X86_MAP_ONE)
		emit_byte(e, 0x0f);
	if (insn->map == X86_MAP_0F38)
		emit_byte(e, 0x38);
	if (insn->map == X86_MAP_0F3A)
		emit_byte(e, 0x3a);
	/* A0..A3 name no register: the accumulator, to or from memory, by 8A, 8B, 88, 89 */
	if (insn->mem.is_moffs)
		opcode = 0x88 | (opcode & 1) | (opcode & 2 ? 0 : 2);
	emit_byte(e, opcode);
	emit_modrm(e, reg, mem, false);
}

/* R, X, B are inverted in both: bits 7, 6, 5 of the first payload byte. */
static unsigned inverted(const struct emit_mem *mem)
{
	unsigned rex = emit_rex_of(mem);

	return (rex & 2 ? 0 : 0x40U) | (rex & 1 ? 0 : 0x20U);
}

/* Always the long form, which has X and B. The last payload byte is the same in both, but for W. */
static void vex(struct emit *e, const struct x86_insn *insn, const struct emit_mem *mem,
		unsigned reg)
{
	const uint8_t *old = vex_bytes(insn);
	unsigned last = old[0] == 0xc5 ? old[1] & 0x7fU : old[2];

	emit_byte(e, 0xc4);
	emit_byte(e, (reg & 8 ? 0 : 0x80U) | inverted(mem) | insn->map);
	emit_byte(e, last);
	emit_byte(e, insn->opcode);
	emit_modrm(e, reg, mem, false);
}

/* reg stays as it is: it has two extension bits here. */
static void evex(struct emit *e, const struct x86_insn *insn, const struct emit_mem *mem)
{
	const uint8_t *old = vex_bytes(insn);

	emit_byte(e, 0x62);
	emit_byte(e, (old[1] & 0x9fU) | inverted(mem));
	emit_byte(e, old[2]);
	emit_byte(e, old[3]);
	emit_byte(e, insn->opcode);
	emit_modrm(e, insn->modrm >> 3 & 7U, mem, true);
}

/* 40..4F: INC and DEC of 32-bit code; REX elsewhere. */
static bool is_short_inc(const struct x86_insn *insn)
{
	return insn->encoding == X86_ENC_LEGACY && insn->map == X86_MAP_ONE &&
	       (insn->opcode & 0xf0) == 0x40;
}

void emit_insn(struct emit *e, const struct x86_insn *insn, const struct emit_mem *mem,
	       unsigned reg)
{
	if (!mem && is_short_inc(insn)) {
		prefixes(e, insn);
		emit_byte(e, 0xff);
		emit_byte(e, 0xc0 | (insn->opcode & 0xfU));
		return;
	}
	if (!mem) {
		emit_bytes(e, insn->bytes, insn->len);
		return;
	}
	if (insn->encoding == X86_ENC_VEX)
		vex(e, insn, mem, reg);
	else if (insn->encoding == X86_ENC_EVEX)
		evex(e, insn, mem);
	else
		legacy(e, insn, mem, reg);
	if (insn->imm_len)
		emit_bytes(e, &insn->bytes[insn->imm_at], insn->imm_len);
}
