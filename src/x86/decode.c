/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder: prefixes, opcode, the walk through the tables to a form, ModRM with its memory operand, immediate.
 * decode_operands.c then says what the form means for these bytes.
 */
#include <errno.h>
#include <string.h>

#include "x86/decode.h"

/* The byte @at places on, or -EAGAIN, -E2BIG. */
static inline int peek(const struct decoder *d, unsigned at)
{
	if (at < d->end)
		return d->bytes[at];
	return d->end == X86_INSN_MAX ? -E2BIG : -EAGAIN;
}

static inline int next(struct decoder *d)
{
	int byte = peek(d, d->pos);

	if (byte >= 0)
		d->pos++;
	return byte;
}

/* Legacy prefixes and REX. REX counts only right before the opcode. Return: the first byte that is none, consumed. */
static int decode_prefixes(struct decoder *d)
{
	struct x86_insn *insn = d->insn;

	for (;;) {
		int byte = next(d);

		switch (byte) {
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			if (insn->code != X86_CODE_64)
				d->seg = (uint8_t)(byte >> 3 & 3);
			break;
		case 0x64:
		case 0x65:
			d->seg = byte & 1 ? X86_GS : X86_FS;
			break;
		case 0x66:
			insn->has_opsize = true;
			break;
		case 0x67:
			insn->has_addrsize = true;
			break;
		case 0xf0:
			insn->has_lock = true;
			break;
		case 0xf2:
		case 0xf3:
			insn->has_rep = byte == 0xf3;
			insn->has_repne = byte == 0xf2;
			break;
		default:
			if ((byte & ~0xf) != 0x40 || insn->code != X86_CODE_64)
				return byte;
			insn->rex = (uint8_t)byte;
			continue;
		}
		insn->rex = 0;
	}
}

static int decode_legacy(struct decoder *d, int byte)
{
	struct x86_insn *insn = d->insn;

	d->root = 0;
	if (byte == 0x0f) {
		byte = next(d);
		d->root = 1;
		if (byte == 0x38 || byte == 0x3a) {
			d->root = byte == 0x38 ? 2 : 3;
			byte = next(d);
		}
	}
	if (byte < 0)
		return byte;
	insn->map = d->root;
	insn->opcode_at = (uint8_t)(d->pos - 1);
	insn->opcode = (uint8_t)byte;
	d->w = insn->rex >> 3 & 1;
	d->r = (uint8_t)(insn->rex << 1 & 8);
	d->x = (uint8_t)(insn->rex << 2 & 8);
	d->b = (uint8_t)(insn->rex << 3 & 8);
	d->prefix = insn->has_rep ? 2 : insn->has_repne ? 3 : insn->has_opsize ? 1 : 0;
	return 0;
}

/* A prefix that VEX and EVEX hold themselves must not stand before them. */
static bool vex_forbidden(const struct x86_insn *insn)
{
	return insn->has_lock || insn->has_opsize || insn->has_rep || insn->has_repne || insn->rex;
}

/* The last byte of VEX, pp and vvvv and L, W apart. */
static void vex_last(struct decoder *d, int byte)
{
	d->prefix = d->insn->pp = byte & 3;
	d->insn->vex_l = byte >> 2 & 1;
	d->vvvv = (uint8_t)(~byte >> 3 & 0xf);
}

static int decode_opcode(struct decoder *d)
{
	int byte = next(d);

	if (byte < 0)
		return byte;
	d->insn->opcode_at = (uint8_t)(d->pos - 1);
	d->insn->opcode = (uint8_t)byte;
	return 0;
}

/* C5: R vvvv L pp. */
static int decode_vex2(struct decoder *d)
{
	int byte = next(d);

	if (byte < 0)
		return byte;
	d->insn->encoding = X86_ENC_VEX;
	d->insn->map = X86_MAP_0F;
	d->root = 4;
	d->r = (uint8_t)(~byte >> 4 & 8);
	vex_last(d, byte);
	return vex_forbidden(d->insn) ? -EINVAL : decode_opcode(d);
}

/* C4: R X B mmmmm, W vvvv L pp. */
static int decode_vex3(struct decoder *d)
{
	int first = next(d), byte = next(d);

	if (byte < 0)
		return byte;
	d->insn->encoding = X86_ENC_VEX;
	d->insn->map = first & 0x1f;
	d->root = (uint8_t)(3 + d->insn->map);
	d->r = (uint8_t)(~first >> 4 & 8);
	d->x = (uint8_t)(~first >> 3 & 8);
	d->b = (uint8_t)(~first >> 2 & 8);
	if (d->insn->code != X86_CODE_64)
		d->b = 0;
	d->w = d->insn->vex_w = byte >> 7 & 1;
	vex_last(d, byte);
	if (vex_forbidden(d->insn) || d->insn->map < X86_MAP_0F || d->insn->map > X86_MAP_0F3A)
		return -EINVAL;
	return decode_opcode(d);
}

/* 62: R X B R' 0 mmm, W vvvv 1 pp, z L'L b V' aaa. */
static int decode_evex(struct decoder *d)
{
	int first = next(d), second = next(d), third = next(d);
	struct x86_insn *insn = d->insn;

	if (third < 0)
		return third;
	insn->encoding = X86_ENC_EVEX;
	insn->map = first & 7;
	d->root = (uint8_t)(insn->map >= X86_MAP_5 ? 5 + insn->map : 6 + insn->map);
	d->r = (uint8_t)((~first >> 4 & 8) | (~first & 0x10));
	d->x = (uint8_t)(~first >> 3 & 8);
	d->b = (uint8_t)(~first >> 2 & 8);
	d->w = insn->vex_w = second >> 7 & 1;
	vex_last(d, second);
	insn->vex_l = third >> 5 & 3;
	d->v2 = (uint8_t)((~third & 8) << 1);
	insn->evex_z = third >> 7 & 1;
	insn->evex_b = third >> 4 & 1;
	insn->evex_aaa = third & 7;
	bool is_v2_forbidden =
		insn->code != X86_CODE_64 && d->v2; /* Zen 5, Zydis; Zen 4 ignores it */
	if (insn->code != X86_CODE_64)
		d->r = d->b = d->v2 = 0;
	if (vex_forbidden(insn) || is_v2_forbidden || first & 8 || !(second & 4) ||
	    insn->map == 0 || insn->map == 4 || insn->map == 7)
		return -EINVAL;
	return decode_opcode(d);
}

/* 62, C4, C5 are BOUND, LES, LDS outside of 64-bit code, unless what would be their ModRM names a register. */
static int decode_map(struct decoder *d, int byte)
{
	if (byte == 0x62 || byte == 0xc4 || byte == 0xc5) {
		int modrm = peek(d, d->pos);

		if (modrm < 0)
			return modrm;
		if (d->insn->code == X86_CODE_64 || modrm >> 6 == 3)
			return byte == 0xc5   ? decode_vex2(d)
			       : byte == 0xc4 ? decode_vex3(d)
					      : decode_evex(d);
	}
	return decode_legacy(d, byte);
}

/* What the bytes answer to @dim; below 0: they do not go that far. */
static int dimension(struct decoder *d, unsigned dim)
{
	const struct x86_insn *insn = d->insn;
	int modrm;

	switch (dim) {
	case X86_DIM_PREFIX:
		return d->prefix;
	case X86_DIM_CODE:
		return insn->code == X86_CODE_64;
	case X86_DIM_W:
		return d->w;
	case X86_DIM_B:
		return d->b != 0;
	case X86_DIM_L:
		if (!insn->evex_b)
			return insn->vex_l;
		break;
	default:
		break;
	}
	modrm = peek(d, d->pos);
	if (modrm < 0)
		return modrm;
	switch (dim) {
	case X86_DIM_L:
		return modrm >= 0xc0 ? 2 : insn->vex_l;
	case X86_DIM_MOD:
		return modrm >= 0xc0;
	case X86_DIM_REG:
		return modrm >> 3 & 7;
	default:
		return modrm & 7;
	}
}

static int find_form(struct decoder *d)
{
	unsigned node = x86_roots[d->root][d->insn->opcode];

	while (node & X86_NODE_TREE) {
		const uint16_t *branch = &x86_tree[node & ~X86_NODE_TREE];
		int answer = dimension(d, branch[0]);

		if (answer < 0)
			return answer;
		node = branch[1 + answer];
	}
	if (!node)
		return -EINVAL;
	d->form = &x86_forms[node];
	return 0;
}

/* @bytes of them, little-endian and signed. */
static int decode_signed(struct decoder *d, unsigned bytes, int64_t *ret)
{
	uint64_t value = 0;

	if (d->pos + bytes > d->end)
		return d->end == X86_INSN_MAX ? -E2BIG : -EAGAIN;
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)d->bytes[d->pos + i] << (8 * i);
	if (bytes && bytes < 8 && value >> (8 * bytes - 1))
		value |= UINT64_MAX << (8 * bytes);
	*ret = (int64_t)value;
	d->pos += bytes;
	return 0;
}

static int decode_disp(struct decoder *d, unsigned bytes)
{
	d->insn->disp_at = (uint8_t)(bytes ? d->pos : 0);
	d->insn->disp_len = (uint8_t)bytes;
	return bytes ? decode_signed(d, bytes, &d->insn->mem.disp) : 0;
}

/* [BX+SI] ... [BX]. SDM 2, table 2-1. */
static int decode_mem16(struct decoder *d, unsigned mod, unsigned rm)
{
	static const uint8_t bases[8] = { X86_RBX, X86_RBX, X86_RBP, X86_RBP,
					  X86_RSI, X86_RDI, X86_RBP, X86_RBX };
	struct x86_mem *mem = &d->insn->mem;

	if (d->form->attrs & X86_FORM_VSIB)
		return -EINVAL;
	if (mod == 0 && rm == 6)
		return decode_disp(d, 2);
	mem->base = bases[rm];
	if (rm < 4)
		mem->index = rm & 1 ? X86_RDI : X86_RSI;
	return decode_disp(d, mod);
}

static int decode_sib(struct decoder *d, unsigned mod)
{
	struct x86_insn *insn = d->insn;
	int sib = next(d);
	unsigned index;

	if (sib < 0)
		return sib;
	insn->has_sib = true;
	insn->sib = (uint8_t)sib;
	insn->mem.scale = (uint8_t)(1 << (sib >> 6));
	index = (unsigned)(sib >> 3 & 7) | d->x;
	if (d->form->attrs & X86_FORM_VSIB) {
		insn->mem.is_vsib = true;
		insn->mem.index = (uint8_t)(index | d->v2);
	} else if (index != X86_RSP) {
		insn->mem.index = (uint8_t)index;
	}
	if ((sib & 7) == 5 && mod == 0)
		return decode_disp(d, 4);
	insn->mem.base = (uint8_t)((sib & 7) | d->b);
	return decode_disp(d, mod == 2 ? 4 : mod);
}

/* SDM 2, tables 2-2 and 2-3. */
static int decode_mem32(struct decoder *d, unsigned mod, unsigned rm)
{
	struct x86_mem *mem = &d->insn->mem;

	if (rm == 4)
		return decode_sib(d, mod);
	if (d->form->attrs & X86_FORM_VSIB)
		return -EINVAL;
	if (mod == 0 && rm == 5) {
		mem->is_rip = d->insn->code == X86_CODE_64;
		return decode_disp(d, 4);
	}
	mem->base = (uint8_t)(rm | d->b);
	return decode_disp(d, mod == 2 ? 4 : mod);
}

static int decode_modrm(struct decoder *d)
{
	struct x86_insn *insn = d->insn;
	int modrm = next(d);

	if (modrm < 0)
		return modrm;
	insn->has_modrm = true;
	insn->modrm = (uint8_t)modrm;
	insn->modrm_at = (uint8_t)(d->pos - 1);
	insn->reg = (uint8_t)(modrm >> 3 & 7);
	insn->rm = (uint8_t)(modrm & 7);
	if (modrm >= 0xc0 || d->form->attrs & X86_FORM_REG_ONLY)
		return 0;
	insn->has_mem = true;
	return insn->addr_bytes == 2 ? decode_mem16(d, (unsigned)modrm >> 6, insn->rm)
				     : decode_mem32(d, (unsigned)modrm >> 6, insn->rm);
}

static int decode_imm2(struct decoder *d, unsigned bytes)
{
	int64_t value;
	int r = decode_signed(d, bytes, &value);

	if (r < 0)
		return r;
	d->insn->imm2 = (uint16_t)(bytes == 1 ? value & 0xff : value);
	return 0;
}

/* The first immediate's bytes, then the second's. */
static void imm_bytes(const struct decoder *d, unsigned *ret_first, unsigned *ret_second)
{
	unsigned op_bytes = d->insn->op_bytes, z = op_bytes == 2 ? 2 : 4;

	*ret_second = 0;
	switch (d->form->imm) {
	case X86_IMM_NONE:
		*ret_first = 0;
		break;
	case X86_IMM_BB:
		*ret_second = 1;
		*ret_first = 1;
		break;
	case X86_IMM_WB:
		*ret_second = 1;
		*ret_first = 2;
		break;
	case X86_IMM_W:
		*ret_first = 2;
		break;
	case X86_IMM_Z:
		*ret_first = z;
		break;
	case X86_IMM_V:
		*ret_first = op_bytes;
		break;
	case X86_IMM_AP:
		*ret_second = 2;
		*ret_first = z;
		break;
	default:
		*ret_first = 1;
		break;
	}
}

static int decode_imm(struct decoder *d)
{
	struct x86_insn *insn = d->insn;
	unsigned first, second;
	int r;

	imm_bytes(d, &first, &second);
	insn->imm_at = (uint8_t)d->pos;
	insn->imm_len = (uint8_t)(first + second);
	r = decode_signed(d, first, &insn->imm);
	if (r < 0 || (second && (r = decode_imm2(d, second)) < 0))
		return r;
	switch (d->form->imm) {
	case X86_IMM_B:
	case X86_IMM_BB:
		insn->imm &= 0xff;
		break;
	case X86_IMM_W:
	case X86_IMM_WB:
		insn->imm &= 0xffff;
		break;
	case X86_IMM_AP:
		insn->imm &= first == 2 ? 0xffff : UINT32_MAX;
		break;
	default:
		break;
	}
	return 0;
}

static int decode_rest(struct decoder *d)
{
	int r = find_form(d);

	if (r < 0)
		return r;
	decode_sizes(d);
	if (d->form->attrs & X86_FORM_MODRM && (r = decode_modrm(d)) < 0)
		return r;
	if (d->form->mem == X86_MEM_MOFFS && (r = decode_disp(d, d->insn->addr_bytes)) < 0)
		return r;
	if (d->form->imm != X86_IMM_NONE && (r = decode_imm(d)) < 0)
		return r;
	return decode_operands(d);
}

/* In pieces small enough for a few vector stores, where the whole would become a slow REP STOS. */
static void insn_init(struct x86_insn *insn, enum x86_code code)
{
	memset(insn, 0, offsetof(struct x86_insn, mem));
	insn->mem = (struct x86_mem){
		.base = X86_REG_NONE,
		.index = X86_REG_NONE,
		.scale = 1,
	};
	memset((uint8_t *)insn + offsetof(struct x86_insn, has_mem), 0,
	       sizeof(*insn) - offsetof(struct x86_insn, has_mem));
	insn->is4 = X86_REG_NONE;
	insn->code = (uint8_t)code;
}

int x86_decode(const uint8_t *bytes, size_t n, enum x86_code code, struct x86_insn *ret)
{
	struct x86_insn insn;
	struct decoder d = {
		.bytes = bytes,
		.end = n < X86_INSN_MAX ? (unsigned)n : X86_INSN_MAX,
		.insn = &insn,
		.seg = X86_REG_NONE,
	};
	int r;

	insn_init(&insn, code);
	r = decode_prefixes(&d);
	if (r < 0)
		return r;
	r = decode_map(&d, r);
	if (r < 0)
		return r;
	r = decode_rest(&d);
	if (r < 0)
		return r;
	insn.len = (uint8_t)d.pos;
	memcpy(insn.bytes, bytes, d.pos);
	*ret = insn;
	return (int)d.pos;
}
