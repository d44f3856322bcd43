/* SPDX-License-Identifier: Apache-2.0 */
/* Cases: bytes of a form, then registers and memory such that its address is one of ours. */
#include "diff.h"

#include <string.h>

#define ADDRSIZE 0x67
#define OPSIZE	 0x66

uint64_t diff_random(struct diff_rng *rng)
{
	uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static unsigned below(struct diff_rng *rng, unsigned n)
{
	return (unsigned)(diff_random(rng) >> 32) % n;
}

static bool one_in(struct diff_rng *rng, unsigned n)
{
	return below(rng, n) == 0;
}

/* ---- bytes ---- */

struct bytes {
	uint8_t b[32];
	unsigned n;
};

static void add(struct bytes *out, unsigned byte)
{
	out->b[out->n++] = (uint8_t)byte;
}

/* ModRM and what follows; random fields, but for those of the form. */
static void add_modrm(struct diff_rng *rng, struct bytes *out, const struct diff_form *form)
{
	unsigned reg = (unsigned)form->reg << 3, mod = form->has_mem ? below(rng, 3) : 3;
	unsigned rm = below(rng, 8);

	if (form->has_mem && one_in(rng, 3))
		rm = 4; /* a SIB byte */
	add(out, mod << 6 | reg | rm);
}

/* Prefixes that change nothing: segments of base 0, and a REX that is not the last of all. */
static void add_idle(struct diff_rng *rng, struct bytes *out, const struct diff_form *form)
{
	static const uint8_t segments[4] = { 0x26, 0x2e, 0x36, 0x3e };

	if (form->code == X86_CODE_64 && one_in(rng, 8))
		add(out, 0x40 | below(rng, 16));
	if (one_in(rng, 16))
		add(out, segments[below(rng, 4)]);
}

static void add_legacy(struct diff_rng *rng, struct bytes *out, const struct diff_form *form)
{
	static const uint8_t prefixes[4] = { 0, OPSIZE, 0xf3, 0xf2 };
	static const uint8_t escapes[4] = { 0, 0, 0x38, 0x3a };
	unsigned rex = (unsigned)form->w << 3;

	add_idle(rng, out, form);
	if (form->pp)
		add(out, prefixes[form->pp]);
	if (form->pp > 1 && one_in(rng, 4))
		add(out, OPSIZE);
	if (form->has_mem && one_in(rng, 6))
		add(out, 0xf0);
	if (one_in(rng, 2))
		rex |= below(rng, 8);
	if (form->code == X86_CODE_64 && (rex || one_in(rng, 3)))
		add(out, 0x40 | rex);
	if (form->map)
		add(out, 0x0f);
	if (form->map > 1)
		add(out, escapes[form->map]);
	add(out, form->opcode);
}

static void add_vex(struct diff_rng *rng, struct bytes *out, const struct diff_form *form)
{
	unsigned vvvv = one_in(rng, 2) ? 15 : below(rng, 16);
	/* R and X, or R and vvvv's high bit: outside of 64-bit code ModRM of another instruction, which names memory without them */
	unsigned high = form->code == X86_CODE_64 ? 0 : 0xc0;

	if (form->map == 1 && !form->w && one_in(rng, 3)) {
		add(out, 0xc5);
		add(out, high | below(rng, 2) << 7 | vvvv << 3 | (unsigned)form->l << 2 | form->pp);
	} else {
		add(out, 0xc4);
		add(out, high | below(rng, 8) << 5 | form->map);
		add(out, (unsigned)form->w << 7 | vvvv << 3 | (unsigned)form->l << 2 | form->pp);
	}
	add(out, form->opcode);
}

static void add_evex(struct diff_rng *rng, struct bytes *out, const struct diff_form *form)
{
	unsigned vvvv = one_in(rng, 2) ? 15 : below(rng, 16);
	unsigned aaa = one_in(rng, 3) ? 0 : below(rng, 8);
	unsigned z = aaa && one_in(rng, 3);
	unsigned v2 = vvvv == 15 ? !one_in(rng, 8) : below(rng, 2);

	add(out, 0x62);
	add(out, (form->code == X86_CODE_64 ? 0 : 0xc0) | below(rng, 16) << 4 | form->map);
	add(out, (unsigned)form->w << 7 | vvvv << 3 | 4U | form->pp);
	add(out, z << 7 | (unsigned)form->l << 5 | (form->evex_b ? 0x10U : 0) | v2 << 3 | aaa);
	add(out, form->opcode);
}

static bool make_bytes(struct diff_rng *rng, const struct diff_form *form, struct x86_insn *ret)
{
	struct bytes out = { .n = 0 };

	if (form->has_mem && (form->code == X86_CODE_16 ? !one_in(rng, 16) : one_in(rng, 8)))
		add(&out, ADDRSIZE); /* the one that gives 32-bit addresses, mostly */
	if (form->encoding == X86_ENC_LEGACY)
		add_legacy(rng, &out, form);
	else if (form->encoding == X86_ENC_VEX)
		add_vex(rng, &out, form);
	else
		add_evex(rng, &out, form);
	add_modrm(rng, &out, form);
	while (out.n < X86_INSN_MAX + 8)
		add(&out, (unsigned)diff_random(rng) & 0xff);
	return x86_decode(out.b, X86_INSN_MAX, (enum x86_code)form->code, ret) > 0;
}

/* ---- whether it is one for comparing ---- */

static bool is_form(const struct diff_form *form, const struct x86_insn *insn)
{
	if (insn->class != X86_CLASS_DATA || insn->opcode != form->opcode ||
	    insn->encoding != form->encoding || insn->map != form->map)
		return false;
	/* what is no part of the form is tried once */
	if (insn->has_modrm && insn->reg_field != X86_FIELD_NONE && form->reg != 0)
		return false;
	if (!insn->has_modrm && (form->reg != 0 || form->has_mem))
		return false;
	if (insn->has_modrm && (insn->modrm < 0xc0) != form->has_mem)
		return false;
	/* VPEXTRQ, VPINSRQ outside of 64-bit code: as VPEXTRD, VPINSRD with Intel (SDM 2, PEXTRD, note 1), none with AMD */
	if (insn->code != X86_CODE_64 && insn->map == X86_MAP_0F3A && insn->vex_w &&
	    (insn->opcode == 0x16 || insn->opcode == 0x22))
		return false;
	switch (insn->op) {
	case X86_OP_RDRAND: /* never the same twice */
	case X86_OP_RDSEED:
		return false;
	default:
		break;
	}
	/* FS and GS are the test's own */
	return !insn->has_mem || insn->mem.seg < X86_FS;
}

/* ---- registers ---- */

static uint64_t random_integer(struct diff_rng *rng)
{
	static const uint64_t edges[] = { 0,
					  1,
					  0x7f,
					  0x80,
					  0xff,
					  0x7fff,
					  0x8000,
					  0xffff,
					  0x7fffffff,
					  0x80000000,
					  0xffffffff,
					  INT64_MAX,
					  UINT64_C(1) << 63,
					  UINT64_MAX };
	uint64_t value = diff_random(rng);

	switch (below(rng, 4)) {
	case 0:
		return edges[below(rng, sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return value >> below(rng, 64);
	default:
		return value;
	}
}

static uint64_t random_double(struct diff_rng *rng)
{
	static const uint64_t edges[] = {
		0,
		UINT64_C(0x8000000000000000),
		UINT64_C(0x3ff0000000000000),
		UINT64_C(0xbff0000000000000),
		UINT64_C(0x7ff0000000000000), /* infinity */
		UINT64_C(0xfff0000000000000),
		UINT64_C(0x7ff8000000000001), /* quiet, signalling */
		UINT64_C(0x7ff0000000000001),
		UINT64_C(0x0000000000000001), /* denormal */
		UINT64_C(0x000fffffffffffff),
		UINT64_C(0x7fefffffffffffff),
		UINT64_C(0x4059000000000000),
		UINT64_C(0x3f8000003f800000), /* 1.0f twice */
		UINT64_C(0x7f8000017fc00000), /* signalling and quiet */
		UINT64_C(0xff80000000000001), /* infinity and a denormal */
	};
	uint64_t value = diff_random(rng);

	switch (below(rng, 4)) {
	case 0:
		return edges[below(rng, sizeof(edges) / sizeof(edges[0]))];
	case 1: /* of moderate size */
		return (value & UINT64_C(0x800fffffffffffff)) | UINT64_C(0x3f00000000000000) |
		       (uint64_t)below(rng, 0x1ff) << 52;
	default:
		return value;
	}
}

/* 80 bits, normalised or one of the special ones. */
static void random_st(struct diff_rng *rng, uint8_t st[10])
{
	uint64_t mantissa = diff_random(rng) | UINT64_C(1) << 63;
	uint16_t exponent = (uint16_t)(0x3fff - 64 + below(rng, 128));

	switch (below(rng, 8)) {
	case 0:
		mantissa = 0;
		exponent = 0;
		break;
	case 1:
		exponent = 0x7fff;
		break;
	case 2:
		exponent = (uint16_t)diff_random(rng) & 0x7fff;
		break;
	case 3: /* what no instruction makes */
		mantissa = diff_random(rng);
		break;
	case 4:
		mantissa = UINT64_C(1) << 63;
		break;
	default:
		break;
	}
	exponent |= (uint16_t)(below(rng, 2) << 15);
	memcpy(st, &mantissa, 8);
	memcpy(st + 8, &exponent, 2);
}

static void random_vectors(struct diff_rng *rng, struct diff_vectors *v)
{
	bool floats = one_in(rng, 2);

	for (unsigned i = 0; i < 32; i++) {
		for (unsigned j = 0; j < 8; j++) {
			uint64_t lane = floats ? random_double(rng) : random_integer(rng);
			memcpy(v->zmm[i] + 8 * j, &lane, 8);
		}
	}
	for (unsigned i = 0; i < 8; i++) {
		v->k[i] = random_integer(rng);
		random_st(rng, v->st[i]);
	}
	v->mxcsr = 0x1f80;
	if (one_in(rng, 4))
		v->mxcsr = below(rng,
				 0x10000); /* rounding, exceptions unmasked, flags there already */
	v->fcw = 0x37f;
	if (one_in(rng, 4))
		v->fcw = (uint16_t)(0x40 | (diff_random(rng) & 0xf3f));
	v->ftw = one_in(rng, 3) ? 0xff : (uint8_t)diff_random(rng);
	/* condition codes, TOP, sticky flags that are masked; an exception that waits is a matter of its own */
	v->fsw = (uint16_t)(diff_random(rng) & 0x7f00) |
		 (uint16_t)(diff_random(rng) & v->fcw & 0x3f);
	if (one_in(rng, 16)) {
		v->fsw |= 0x3f & (uint16_t)diff_random(rng);
		if (v->fsw & ~v->fcw & 0x3f)
			v->fsw |= 0x8080;
	}
	for (unsigned component = 2; component < 8; component++) {
		if (diff_native_has(component))
			continue;
		for (unsigned i = 0; i < 32; i++) {
			if (component == 2)
				memset(v->zmm[i] + 16, 0, 48);
			if (component == 6)
				memset(v->zmm[i] + 32, 0, 32);
			if (component == 7 && i >= 16)
				memset(v->zmm[i], 0, 64);
		}
		if (component == 5)
			memset(v->k, 0, sizeof(v->k));
	}
}

static void random_state(struct diff_rng *rng, struct diff_state *state, bool has_vectors)
{
	for (unsigned i = 0; i < X86_REGS; i++)
		state->regs[i] = random_integer(rng);
	state->rflags = (diff_random(rng) & (X86_FLAGS_ARITH | X86_DF)) | X86_RFLAGS_FIXED;
	if (has_vectors || one_in(rng, 8)) /* else the last case's will do */
		random_vectors(rng, &state->vectors);
}

/* ---- its address ---- */

static uint64_t random_target(struct diff_rng *rng, unsigned bytes, unsigned align)
{
	const uint64_t end = DIFF_DATA + 2 * DIFF_PAGE;
	unsigned room = bytes ? bytes : 1;
	uint64_t at;

	switch (below(rng, 12)) {
	case 0:
	case 1: /* over the end, or up to it */
		at = end - below(rng, room + 1);
		break;
	case 2:
	case 3: /* from one page into the next */
		at = DIFF_DATA + DIFF_PAGE - below(rng, room + 1);
		break;
	case 4: /* from nothing into a page */
		at = DIFF_DATA - below(rng, room + 1);
		break;
	case 5:
		at = DIFF_READONLY + below(rng, DIFF_PAGE - 64);
		break;
	default:
		at = DIFF_DATA + below(rng, 2 * DIFF_PAGE - 64);
		break;
	}
	if (align > 1 && !one_in(rng, 8))
		at &= ~(uint64_t)(align - 1);
	return at;
}

static bool patch(struct x86_insn *insn, uint64_t disp)
{
	uint8_t bytes[X86_INSN_MAX + 1] = { 0 };

	if (insn->disp_len < 4 ||
	    (insn->disp_len == 4 && insn->addr_bytes == 8 && (int64_t)disp != (int32_t)disp))
		return false;
	memcpy(bytes, insn->bytes, insn->len);
	memcpy(bytes + insn->disp_at, &disp, insn->disp_len);
	return x86_decode(bytes, insn->len, (enum x86_code)insn->code, insn) > 0;
}

static bool place_general(struct diff_rng *rng, struct diff_case *test, uint64_t target)
{
	struct x86_insn *insn = &test->insn;
	const struct x86_mem *mem = &insn->mem;
	uint64_t *regs = test->before.regs;
	uint64_t disp = (uint64_t)mem->disp;
	bool has_index = mem->index < X86_REGS && !mem->is_vsib;

	if (insn->addr_bytes == 2)
		return true; /* nothing of ours is there */
	if (mem->is_rip)
		return patch(insn, target - DIFF_CODE - insn->len);
	if (mem->base >= X86_REGS && !has_index)
		return mem->is_vsib || patch(insn, target);
	if (mem->base >= X86_REGS || mem->base == mem->index) {
		unsigned scale = mem->scale + (mem->base < X86_REGS ? 1U : 0U);
		regs[mem->index] = below(rng, 65536);
		if (insn->disp_len == 4)
			return patch(insn, target - regs[mem->index] * scale);
		regs[mem->index] = (target - disp) / scale;
		return true;
	}
	regs[mem->base] = target - disp - (has_index ? regs[mem->index] * mem->scale : 0);
	if (insn->addr_bytes == 4 && insn->code == X86_CODE_64)
		regs[mem->base] = (regs[mem->base] & UINT32_MAX) | (random_integer(rng) << 32);
	return true;
}

/* A bit's number stays within some pages. */
static bool place_bit(struct diff_case *test)
{
	const struct x86_insn *insn = &test->insn;

	if (insn->reg == insn->mem.base || insn->reg == insn->mem.index)
		return false;
	uint64_t *reg = &test->before.regs[insn->reg];
	*reg = (uint64_t)((int64_t)(int16_t)*reg);
	return true;
}

/* Indices are small; some point into what is not there. */
static void place_indices(struct diff_rng *rng, struct diff_case *test)
{
	const struct x86_insn *insn = &test->insn;
	uint8_t *index = test->before.vectors.zmm[insn->mem.index & 31];
	unsigned range = one_in(rng, 4) ? 2048 : 256;

	for (unsigned i = 0; i < 16; i++) {
		int64_t value = (int64_t)below(rng, range) - (int64_t)range / 2;
		if (insn->opcode & 1)
			memcpy(index + 8 * (i & 7), &value, 8);
		else
			memcpy(index + 4 * i, &value, 4);
	}
}

static bool place(struct diff_rng *rng, struct diff_case *test)
{
	struct x86_insn *insn = &test->insn;
	uint64_t target = random_target(rng, insn->mem.bytes, insn->mem.align);

	if (insn->mem.is_moffs)
		return patch(insn, target);
	if (insn->op == X86_OP_XLAT) {
		test->before.regs[X86_RBX] = target - (test->before.regs[X86_RAX] & 0xff);
		return true;
	}
	if (insn->mem.is_vsib && insn->mem.base >= X86_REGS)
		return false;
	if (insn->mem.is_vsib)
		place_indices(rng, test);
	if (insn->mem.bit_offset && !place_bit(test))
		return false;
	return place_general(rng, test, target);
}

bool diff_make_case(struct diff_rng *rng, const struct diff_form *form, struct diff_case *ret)
{
	if (!make_bytes(rng, form, &ret->insn) || !is_form(form, &ret->insn))
		return false;
	random_state(rng, &ret->before, ret->insn.uses || ret->insn.op == X86_OP_FWAIT);
	if (ret->insn.has_mem && !place(rng, ret))
		return false;
	for (unsigned i = 0; i < X86_REGS && form->code != X86_CODE_64; i++)
		ret->before.regs[i] &= UINT32_MAX;
	return true;
}
