/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hosted/emit.h"

#define REX	    0x40U
#define REX_W	    0x48U
#define REX_R	    4U
#define REX_X	    2U
#define REX_B	    1U
#define PREFIX_GS   0x65U
#define RM_RIP	    5U
#define SIB_NO_BASE 0x25U /* no base, no index: a displacement alone */

void emit_bytes(struct emit *e, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		emit_byte(e, bytes[i]);
}

void emit_u32(struct emit *e, uint32_t value)
{
	for (unsigned i = 0; i < 32; i += 8)
		emit_byte(e, value >> i & 0xff);
}

void emit_u64(struct emit *e, uint64_t value)
{
	emit_u32(e, (uint32_t)value);
	emit_u32(e, (uint32_t)(value >> 32));
}

static unsigned scale_bits(unsigned scale)
{
	return scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0;
}

unsigned emit_rex_of(const struct emit_mem *mem)
{
	unsigned rex = 0;

	if (mem->base != X86_REG_NONE && mem->base >= 8)
		rex |= REX_B;
	if (mem->index != X86_REG_NONE && mem->index >= 8)
		rex |= REX_X;
	return rex;
}

void emit_modrm(struct emit *e, unsigned reg, const struct emit_mem *mem, bool long_disp)
{
	unsigned r = (reg & 7) << 3;
	bool has_index = mem->index != X86_REG_NONE;
	unsigned index = has_index ? mem->index & 7U : 4;
	unsigned sib = scale_bits(mem->scale) << 6 | index << 3;

	if (mem->base == X86_REG_NONE) { /* SIB with base 5 and mod 0: a displacement of 4 bytes */
		emit_byte(e, r | 4);
		emit_byte(e, sib | 5);
		emit_u32(e, (uint32_t)mem->disp);
		return;
	}
	unsigned base = mem->base & 7U;
	bool is_byte = !long_disp && mem->disp >= -128 && mem->disp <= 127;
	unsigned mod = mem->disp == 0 && base != 5 ? 0 : is_byte ? 0x40 : 0x80;
	if (has_index || base == 4) {
		emit_byte(e, mod | r | 4);
		emit_byte(e, sib | base);
	} else {
		emit_byte(e, mod | r | base);
	}
	if (mod == 0x40)
		emit_byte(e, (uint8_t)mem->disp);
	else if (mod == 0x80)
		emit_u32(e, (uint32_t)mem->disp);
}

static void note_op(struct emit *e, enum emit_op op, unsigned reg)
{
	if (op != EMIT_STORE && op != EMIT_CMP)
		e->written |= UINT32_C(1) << reg;
}

static void rex(struct emit *e, bool is64, unsigned bits)
{
	if (is64 || bits)
		emit_byte(e, (is64 ? REX_W : REX) | bits);
}

void emit_rr(struct emit *e, bool is64, enum emit_op op, unsigned reg, unsigned rm)
{
	note_op(e, op, reg);
	if (op == EMIT_STORE)
		e->written |= UINT32_C(1) << rm;
	rex(e, is64, (reg >= 8 ? REX_R : 0) | (rm >= 8 ? REX_B : 0));
	emit_byte(e, op);
	emit_byte(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

void emit_rm(struct emit *e, bool is64, enum emit_op op, unsigned reg, const struct emit_mem *mem)
{
	note_op(e, op, reg);
	rex(e, is64, (reg >= 8 ? REX_R : 0) | emit_rex_of(mem));
	emit_byte(e, op);
	emit_modrm(e, reg, mem, false);
}

/* trailing: bytes of an immediate behind it. */
static void gs_modrm(struct emit *e, unsigned reg, size_t offset, unsigned trailing)
{
	if (e->state) {
		emit_byte(e, (reg & 7) << 3 | RM_RIP);
		uintptr_t next = (uintptr_t)e->at + 4 + trailing;
		emit_u32(e, (uint32_t)(e->state + offset - next));
		return;
	}
	emit_byte(e, (reg & 7) << 3 | 4);
	emit_byte(e, SIB_NO_BASE);
	emit_u32(e, (uint32_t)offset);
}

static void gs_prefix(struct emit *e)
{
	if (!e->state)
		emit_byte(e, PREFIX_GS);
}

void emit_gs(struct emit *e, bool is64, enum emit_op op, unsigned reg, size_t offset)
{
	note_op(e, op, reg);
	gs_prefix(e);
	rex(e, is64, reg >= 8 ? REX_R : 0);
	emit_byte(e, op);
	gs_modrm(e, reg, offset, 0);
}

void emit_gs_imm32(struct emit *e, enum emit_imm op, size_t offset, uint32_t value)
{
	gs_prefix(e);
	emit_byte(e, 0x81);
	gs_modrm(e, op, offset, sizeof(value));
	emit_u32(e, value);
}

void emit_gs_test32(struct emit *e, size_t offset, uint32_t value)
{
	gs_prefix(e);
	emit_byte(e, 0xf7);
	gs_modrm(e, 0, offset, sizeof(value));
	emit_u32(e, value);
}

void emit_gs_movzx16(struct emit *e, unsigned reg, size_t offset)
{
	e->written |= UINT32_C(1) << reg;
	gs_prefix(e);
	rex(e, false, reg >= 8 ? REX_R : 0);
	emit_byte(e, 0x0f);
	emit_byte(e, 0xb7);
	gs_modrm(e, reg, offset, 0);
}

void emit_gs_cmp32(struct emit *e, size_t offset, uint32_t value)
{
	emit_gs_imm32(e, EMIT_IMM_CMP, offset, value);
}

void emit_gs_cmp32_zero(struct emit *e, size_t offset)
{
	gs_prefix(e);
	emit_byte(e, 0x83);
	gs_modrm(e, EMIT_IMM_CMP, offset, 1);
	emit_byte(e, 0);
}

void emit_imm(struct emit *e, bool is64, enum emit_imm op, unsigned rm, int32_t value)
{
	bool is_byte = value >= -128 && value <= 127;

	e->written |= UINT32_C(1) << rm;
	rex(e, is64, rm >= 8 ? REX_B : 0);
	emit_byte(e, is_byte ? 0x83 : 0x81);
	emit_byte(e, 0xc0 | (unsigned)op << 3 | (rm & 7));
	if (is_byte)
		emit_byte(e, (uint8_t)value);
	else
		emit_u32(e, (uint32_t)value);
}

void emit_shift(struct emit *e, bool is64, enum emit_shift op, unsigned rm, unsigned count)
{
	e->written |= UINT32_C(1) << rm;
	rex(e, is64, rm >= 8 ? REX_B : 0);
	emit_byte(e, 0xc1);
	emit_byte(e, 0xc0 | (unsigned)op << 3 | (rm & 7));
	emit_byte(e, count);
}

void emit_rorx(struct emit *e, unsigned reg, unsigned rm, unsigned count)
{
	e->written |= UINT32_C(1) << reg;
	emit_byte(e, 0xc4);
	emit_byte(e, (reg & 8 ? 0 : 0x80U) | 0x40 | (rm & 8 ? 0 : 0x20U) | X86_MAP_0F3A);
	emit_byte(e, 0xfb); /* W, no vvvv, F2 */
	emit_byte(e, 0xf0);
	emit_byte(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
	emit_byte(e, count);
}

void emit_mov_imm(struct emit *e, unsigned reg, uint64_t value)
{
	unsigned b = reg >= 8 ? REX_B : 0;

	e->written |= UINT32_C(1) << reg;
	if (value <= UINT32_MAX) {
		rex(e, false, b);
		emit_byte(e, 0xb8 | (reg & 7));
		emit_u32(e, (uint32_t)value);
	} else if ((uint64_t)(int64_t)(int32_t)value == value) {
		rex(e, true, b);
		emit_byte(e, 0xc7);
		emit_byte(e, 0xc0 | (reg & 7));
		emit_u32(e, (uint32_t)value);
	} else {
		rex(e, true, b);
		emit_byte(e, 0xb8 | (reg & 7));
		emit_u64(e, value);
	}
}

void emit_cmp_imm(struct emit *e, const struct emit_mem *mem, int32_t value)
{
	rex(e, true, emit_rex_of(mem));
	emit_byte(e, 0x81);
	emit_modrm(e, EMIT_IMM_CMP, mem, false);
	emit_u32(e, (uint32_t)value);
}

void emit_store_imm(struct emit *e, bool is64, const struct emit_mem *mem, int32_t value)
{
	rex(e, is64, emit_rex_of(mem));
	emit_byte(e, 0xc7);
	emit_modrm(e, 0, mem, false);
	emit_u32(e, (uint32_t)value);
}

/* A displacement counts from the byte after it. */
void emit_patch(struct emit *e, uint8_t *at, const uint8_t *to)
{
	if (!e->full)
		le32_store(at, (uint32_t)(to - (at + 4)));
}

static uint8_t *displacement(struct emit *e, const uint8_t *to)
{
	uint8_t *at = e->at;

	emit_u32(e, 0);
	if (to)
		emit_patch(e, at, to);
	return at;
}

uint8_t *emit_jmp(struct emit *e, const uint8_t *to)
{
	emit_byte(e, 0xe9);
	return displacement(e, to);
}

uint8_t *emit_jcc(struct emit *e, unsigned cc, const uint8_t *to)
{
	emit_byte(e, 0x0f);
	emit_byte(e, 0x80 | cc);
	return displacement(e, to);
}

uint8_t *emit_short(struct emit *e, unsigned opcode)
{
	emit_byte(e, opcode);
	emit_byte(e, 0);
	return e->at - 1;
}

void emit_patch_short(struct emit *e, uint8_t *at)
{
	if (!e->full)
		*at = (uint8_t)(e->at - (at + 1));
}

void emit_jmp_gs(struct emit *e, size_t offset)
{
	gs_prefix(e);
	emit_byte(e, 0xff);
	gs_modrm(e, 4, offset, 0);
}

void emit_jmp_mem(struct emit *e, const struct emit_mem *mem)
{
	rex(e, false, emit_rex_of(mem));
	emit_byte(e, 0xff);
	emit_modrm(e, 4, mem, false);
}
