/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stubs: the guest's instruction as 64-bit code of the host's, between loads and stores of what it names.
 *
 *   mov STATE, rdi; mov PTR, rsi		where they are not those already
 *   mov eax, [STATE + rflags]; xchg al, ah; and al, 8; add al, 0x78; sahf	arithmetic flags, if it needs them
 *   mov REG, [STATE + REG] ...
 *   the instruction, its memory operand [PTR], guest RSP as an operand in SUB
 *   mov [STATE + REG], REG ...
 *   lahf; seto al; ... mov [STATE + rflags], rcx	if it writes any
 *   xor eax, eax; ret
 *
 * Encodings: Intel SDM 2, Instruction Format; Intel AVX-512: The EVEX Prefix.
 */
#include "engines/hosted/interp.h"

#define OFFSET_REG(n)                                                                              \
	((int)offsetof(struct hosted_cpu, regs) + 8 * (int)(n) -                                   \
	 ((int)offsetof(struct hosted_cpu, regs) + INTERP_STATE_BIAS))
#define OFFSET_RFLAGS                                                                              \
	((int)offsetof(struct hosted_cpu, rflags) -                                                \
	 ((int)offsetof(struct hosted_cpu, regs) + INTERP_STATE_BIAS))
#define NONE 0xffU

struct stub {
	uint8_t *out;
	unsigned n;
	const struct x86_insn *insn;
	uint32_t named; /* guest registers that the instruction itself names, RSP apart */
	uint8_t state, ptr, sub;
};

static void stub_byte(struct stub *s, unsigned byte)
{
	s->out[s->n++] = (uint8_t)byte;
}

static void stub_bytes(struct stub *s, const uint8_t *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		stub_byte(s, bytes[i]);
}

/* OP reg, [STATE + disp8] */
static void stub_state(struct stub *s, unsigned opcode, bool wide, unsigned reg, int disp)
{
	unsigned rex = 0x40U | (wide ? 8U : 0) | (reg >> 3 << 2) | (s->state >> 3);

	if (rex != 0x40)
		stub_byte(s, rex);
	stub_byte(s, opcode);
	stub_byte(s, 0x40 | (reg & 7) << 3 | (s->state & 7));
	if ((s->state & 7) == X86_RSP)
		stub_byte(s, 0x24);
	stub_byte(s, (unsigned)disp & 0xff);
}

static void stub_move(struct stub *s, unsigned to, unsigned from)
{
	if (to == from)
		return;
	stub_byte(s, 0x48 | from >> 3 << 2 | to >> 3);
	stub_byte(s, 0x89);
	stub_byte(s, 0xc0 | (from & 7) << 3 | (to & 7));
}

/* Whether ModRM is what names the memory operand. */
static bool stub_has_mem(const struct x86_insn *insn)
{
	return insn->has_modrm && insn->modrm < 0xc0;
}

static bool stub_is_gpr(unsigned field, unsigned number)
{
	return field == X86_FIELD_GPR || (field == X86_FIELD_GPR8 && number < X86_REG_AH);
}

static bool stub_names_rsp(const struct x86_insn *insn)
{
	return (stub_is_gpr(insn->reg_field, insn->reg) && insn->reg == X86_RSP) ||
	       (!stub_has_mem(insn) && stub_is_gpr(insn->rm_field, insn->rm) &&
		insn->rm == X86_RSP) ||
	       (insn->vvvv_field == X86_FIELD_GPR && insn->vvvv == X86_RSP);
}

static uint8_t stub_pick(const uint8_t *from, unsigned n, uint32_t taken)
{
	for (unsigned i = 0; i < n; i++) {
		if (!(taken >> from[i] & 1))
			return from[i];
	}
	return NONE;
}

/*
 * PTR and SUB: below 8 if there is one, so that no REX is needed that was not there; with AH there can be none, but then few
 * registers are named. PTR not RBP, R12 or R13, whose [R] has another form. RAX is needed for the flags.
 */
static bool stub_registers(struct stub *s)
{
	static const uint8_t low[] = { X86_RSI, X86_RDI, X86_RDX, X86_RCX, X86_RBX, X86_RBP };
	static const uint8_t ptrs[] = {
		X86_RSI, X86_RDI, X86_RDX, X86_RCX, X86_RBX, X86_R8, X86_R9
	};
	static const uint8_t states[] = { X86_RDI, X86_R8,  X86_R9,  X86_R10, X86_R11,
					  X86_R12, X86_R13, X86_R14, X86_R15 };
	const struct x86_insn *insn = s->insn;
	uint32_t taken;

	s->named = (insn->gpr_read | insn->gpr_written) & ~(1U << X86_RSP) & 0xffff;
	if (insn->op == X86_OP_MASKMOV) {
		s->named &= ~(1U << X86_RDI);
		s->ptr = X86_RDI;
	} else {
		s->ptr = stub_pick(ptrs, 7, s->named);
	}
	if (s->ptr == NONE)
		return false;
	taken = s->named | 1U << s->ptr;
	s->sub = NONE;
	if (stub_names_rsp(insn)) {
		s->sub = stub_pick(low, 6, taken);
		if (s->sub == NONE)
			return false;
		taken |= 1U << s->sub;
	}
	s->state = stub_pick(states, 9, taken);
	return s->state != NONE;
}

static void stub_load(struct stub *s)
{
	const struct x86_insn *insn = s->insn;
	uint32_t set = insn->flags_written & ~cpu_flags_kept(insn) & X86_FLAGS_ARITH;
	bool partial = insn->flags_written && set != X86_FLAGS_ARITH;
	static const uint8_t flags[] = { 0x86, 0xe0, 0x24, 0x08, 0x04, 0x78, 0x9e };

	stub_move(s, s->state, X86_RDI);
	if (insn->has_mem)
		stub_move(s, s->ptr, X86_RSI);
	if ((insn->flags_read & X86_FLAGS_ARITH) || partial) {
		stub_state(s, 0x8b, false, X86_RAX, OFFSET_RFLAGS);
		stub_bytes(s, flags, sizeof(flags));
	}
	for (unsigned i = 0; i < X86_REGS; i++) {
		if (s->named >> i & 1)
			stub_state(s, 0x8b, true, i, OFFSET_REG(i));
	}
	if (s->sub != NONE)
		stub_state(s, 0x8b, true, s->sub, OFFSET_REG(X86_RSP));
}

static void stub_store(struct stub *s)
{
	const struct x86_insn *insn = s->insn;
	static const uint8_t save[] = { 0x9f, 0x0f, 0x90, 0xc0 }; /* lahf; seto al */
	static const uint8_t merge[] = {
		0x81, 0xe1, 0x2a, 0xf7, 0xff, 0xff, /* and ecx, ~(flags) */
		0x0f, 0xb6, 0xd4,		    /* movzx edx, ah */
		0x09, 0xd1,			    /* or ecx, edx */
		0x0f, 0xb6, 0xc0,		    /* movzx eax, al */
		0xc1, 0xe0, 0x0b,		    /* shl eax, 11 */
		0x09, 0xc1,			    /* or ecx, eax */
	};
	static const uint8_t end[] = { 0x31, 0xc0, 0xc3 };

	for (unsigned i = 0; i < X86_REGS; i++) {
		if (s->named & insn->gpr_written & 1U << i)
			stub_state(s, 0x89, true, i, OFFSET_REG(i));
	}
	if (s->sub != NONE && (insn->gpr_written >> X86_RSP & 1))
		stub_state(s, 0x89, true, s->sub, OFFSET_REG(X86_RSP));
	if (insn->flags_written & X86_FLAGS_ARITH) {
		stub_bytes(s, save, sizeof(save));
		stub_state(s, 0x8b, false, X86_RCX, OFFSET_RFLAGS);
		stub_bytes(s, merge, sizeof(merge));
		stub_state(s, 0x89, true, X86_RCX, OFFSET_RFLAGS);
	}
	stub_bytes(s, end, sizeof(end));
}

/* ---- the instruction ---- */

static bool stub_is_prefix(unsigned byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return false;
	}
}

/*
 * Whether 66 has to stand before it. In 16-bit code it means the opposite to instructions of general registers, if it is not a part
 * of the opcode. 0F AE, MOVNTI, CMPXCHG8B, and all of map 0F38 but MOVBE and CRC32 have one size of operands, or no such prefix.
 */
static bool stub_needs_opsize(const struct x86_insn *insn)
{
	unsigned opcode = insn->opcode;

	if (insn->code != X86_CODE_16 || insn->pp == 1 || insn->uses || insn->op_bytes == 1)
		return insn->has_opsize;
	if (insn->map == X86_MAP_0F &&
	    (opcode == 0xae || opcode == 0xc3 || insn->op == X86_OP_CMPXCHG8B))
		return false;
	if (insn->map > X86_MAP_0F && !(insn->map == X86_MAP_0F38 && (opcode & 0xfe) == 0xf0))
		return false;
	return !insn->has_opsize;
}

/* F2 and F3 that are not a part of the opcode are hints at most (XACQUIRE), which must not begin a transaction of the host's. */
static void stub_prefixes(struct stub *s)
{
	const struct x86_insn *insn = s->insn;
	bool wants_rep = insn->map != X86_MAP_ONE && !insn->has_lock;

	if (stub_needs_opsize(insn))
		stub_byte(s, 0x66);
	if (insn->has_lock)
		stub_byte(s, 0xf0);
	for (unsigned i = 0; i < insn->opcode_at; i++) {
		unsigned byte = insn->bytes[i];
		if (!stub_is_prefix(byte) && !(insn->code == X86_CODE_64 && (byte & 0xf0) == 0x40))
			break;
		if (wants_rep && (byte == 0xf2 || byte == 0xf3))
			stub_byte(s, byte);
	}
}

static unsigned stub_number(const struct stub *s, unsigned field, unsigned number)
{
	if (stub_is_gpr(field, number) && number == X86_RSP)
		return s->sub;
	return number;
}

/* ModRM: mod 0 and PTR, or two registers. Extensions of the opcode stay. */
static void stub_modrm(struct stub *s)
{
	const struct x86_insn *insn = s->insn;
	unsigned reg = insn->modrm >> 3 & 7;

	if (stub_is_gpr(insn->reg_field, insn->reg))
		reg = stub_number(s, insn->reg_field, insn->reg) & 7;
	if (stub_has_mem(insn))
		stub_byte(s, reg << 3 | (s->ptr & 7));
	else if (stub_is_gpr(insn->rm_field, insn->rm))
		stub_byte(s, 0xc0 | reg << 3 | (stub_number(s, insn->rm_field, insn->rm) & 7));
	else
		stub_byte(s, 0xc0 | reg << 3 | (insn->modrm & 7));
}

static void stub_immediate(struct stub *s)
{
	const struct x86_insn *insn = s->insn;

	stub_bytes(s, insn->bytes + insn->imm_at, insn->imm_len);
	if (insn->is4 != X86_REG_NONE && insn->code != X86_CODE_64)
		s->out[s->n - 1] &= 0x7f;
}

/* One-byte opcodes that are something else in 64-bit code, or hold an address. Return: whether that was it. */
static bool stub_rewritten(struct stub *s)
{
	const struct x86_insn *insn = s->insn;
	unsigned opcode = insn->opcode;

	if (insn->map != X86_MAP_ONE)
		return false;
	if (opcode >= 0x40 && opcode <= 0x4f) { /* INC, DEC: FF /0, FF /1 */
		stub_byte(s, 0xff);
		stub_byte(s, 0xc0 | (opcode & 8) | (stub_number(s, X86_FIELD_GPR, insn->rm) & 7));
		return true;
	}
	if (opcode >= 0xa0 && opcode <= 0xa3) { /* MOV with an address: 8A, 8B, 88, 89 with [PTR] */
		static const uint8_t same[4] = { 0x8a, 0x8b, 0x88, 0x89 };
		stub_byte(s, same[opcode & 3]);
		stub_byte(s, s->ptr);
		return true;
	}
	return false;
}

/* X is gone; B is PTR's, or stays where it is of a register; R where it means one, which with MOV's address it does not. */
static unsigned stub_rex(const struct stub *s)
{
	const struct x86_insn *insn = s->insn;
	unsigned rex = insn->rex;

	if (!insn->has_modrm && insn->has_mem)
		rex &= 0x48;
	else if (stub_has_mem(insn))
		rex &= 0x4c;
	else
		rex &= 0x4d;
	return stub_has_mem(insn) && s->ptr >= 8 ? rex | 0x41 : rex;
}

static void stub_legacy(struct stub *s)
{
	const struct x86_insn *insn = s->insn;
	unsigned opcode = insn->opcode;

	stub_prefixes(s);
	unsigned rex = stub_rex(s);
	if (rex)
		stub_byte(s, rex);
	if (stub_rewritten(s))
		return;
	if (insn->map != X86_MAP_ONE)
		stub_byte(s, 0x0f);
	if (insn->map == X86_MAP_0F38 || insn->map == X86_MAP_0F3A)
		stub_byte(s, insn->map == X86_MAP_0F38 ? 0x38 : 0x3a);
	if (insn->map == X86_MAP_ONE && opcode == 0x82)
		opcode = 0x80;
	if (!insn->has_modrm && stub_is_gpr(insn->rm_field, insn->rm) && insn->rm == X86_RSP)
		opcode = (opcode & ~7U) | s->sub;
	stub_byte(s, opcode);
	if (insn->has_modrm)
		stub_modrm(s);
	stub_immediate(s);
}

/* vvvv as the prefix holds it: inverted; 1111 where it names nothing. */
static unsigned stub_vvvv(const struct stub *s)
{
	const struct x86_insn *insn = s->insn;

	if (insn->vvvv_field == X86_FIELD_NONE)
		return 0xf;
	return ~stub_number(s, insn->vvvv_field, insn->vvvv) & 0xf;
}

/*
 * W that selects 64-bit general registers, or 8 bytes of memory in their place, is ignored by other code than 64-bit; so it is by
 * VPCMPESTRI and VPCMPESTRM, whose lengths are in registers. With mask registers it is the mask's width.
 */
static bool stub_w(const struct x86_insn *insn)
{
	bool gpr = insn->reg_field == X86_FIELD_GPR || insn->vvvv_field == X86_FIELD_GPR ||
		   insn->rm_field == X86_FIELD_GPR;
	bool small = insn->has_mem && insn->mem.bytes == 4 && !(insn->uses & X86_USES_MASKS);
	bool lengths = insn->map == X86_MAP_0F3A && (insn->opcode & 0xfe) == 0x60;

	return insn->vex_w && (insn->code == X86_CODE_64 || !(gpr || small || lengths));
}

/* The inverted bits R, X, B: from the numbers, so that what other code than 64-bit ignores is as it takes it. */
static unsigned stub_rxb(const struct stub *s)
{
	const struct x86_insn *insn = s->insn;
	unsigned reg = stub_number(s, insn->reg_field, insn->reg);
	unsigned rm = stub_number(s, insn->rm_field, insn->rm), bits = 0xe0;

	if (insn->reg_field != X86_FIELD_NONE && (reg & 8))
		bits &= ~0x80U;
	if (!stub_has_mem(insn) && insn->rm_field != X86_FIELD_NONE) {
		if (rm & 16)
			bits &= ~0x40U;
		if (rm & 8)
			bits &= ~0x20U;
	}
	if (stub_has_mem(insn) && s->ptr >= 8)
		bits &= ~0x20U;
	return bits;
}

static void stub_vex(struct stub *s)
{
	const struct x86_insn *insn = s->insn;

	stub_byte(s, 0xc4);
	stub_byte(s, stub_rxb(s) | insn->map);
	stub_byte(s, (stub_w(insn) ? 0x80U : 0) | stub_vvvv(s) << 3 | (insn->vex_l ? 4U : 0) |
			     insn->pp);
	stub_byte(s, insn->opcode);
	if (insn->has_modrm)
		stub_modrm(s);
	stub_immediate(s);
}

static void stub_evex(struct stub *s)
{
	const struct x86_insn *insn = s->insn;
	bool high_reg = insn->reg_field == X86_FIELD_VEC && (insn->reg & 16);
	bool high_vvvv = insn->vvvv_field == X86_FIELD_VEC && (insn->vvvv & 16);

	stub_byte(s, 0x62);
	stub_byte(s, stub_rxb(s) | (high_reg ? 0U : 0x10U) | insn->map);
	stub_byte(s, (stub_w(insn) ? 0x80U : 0) | stub_vvvv(s) << 3 | 4U | insn->pp);
	/* z, L'L or rounding, b, aaa as they stand; V' is an inverted bit of vvvv */
	stub_byte(s, (insn->bytes[insn->opcode_at - 1] & 0xf7U) | (high_vvvv ? 0U : 8U));
	stub_byte(s, insn->opcode);
	stub_modrm(s);
	stub_immediate(s);
}

unsigned interp_stub_build(const struct x86_insn *insn, uint8_t ret[INTERP_STUB_BYTES])
{
	struct stub s = { .out = ret, .insn = insn };

	if (!stub_registers(&s))
		return 0;
	stub_load(&s);
	if (insn->encoding == X86_ENC_LEGACY)
		stub_legacy(&s);
	else if (insn->encoding == X86_ENC_VEX)
		stub_vex(&s);
	else
		stub_evex(&s);
	stub_store(&s);
	return s.n;
}
