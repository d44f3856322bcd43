/* SPDX-License-Identifier: Apache-2.0 */
/* What the bytes of an instruction mean: registers, access, flags, and whether its prefixes may stand there. */
#include <errno.h>

#include "base/core/macros.h"
#include "x86/decode.h"

/* Flags that a condition (opcode[3:0] / 2) looks at. SDM 1, appendix B. */
static const uint16_t cc_flags[8] = {
	X86_OF, X86_CF, X86_ZF,		 X86_CF | X86_ZF,
	X86_SF, X86_PF, X86_SF | X86_OF, X86_ZF | X86_SF | X86_OF,
};

static unsigned size_of(const struct x86_insn *insn, unsigned size, unsigned op_bytes)
{
	static const uint16_t fixed[] = { 0, 1, 2, 4, 8, 10, 16, 32, 64, 512, 576 };
	bool is_64 = insn->code == X86_CODE_64;
	unsigned vector = 16U << insn->vex_l;

	if (size < ARRAY_SIZE(fixed))
		return fixed[size];
	switch (size) {
	case X86_SIZE_V:
		return op_bytes;
	case X86_SIZE_Z:
		return op_bytes == 2 ? 2 : 4;
	case X86_SIZE_Y:
		return is_64 && (insn->rex & 8 || insn->vex_w) ? 8 : 4;
	case X86_SIZE_M:
		return is_64 ? 8 : 4;
	case X86_SIZE_P:
		return op_bytes == 2 ? 4 : 6;
	case X86_SIZE_2V:
		return 2 * op_bytes;
	case X86_SIZE_G:
		return is_64 ? 10 : 6;
	case X86_SIZE_ENV:
		return op_bytes == 2 ? 14 : 28;
	case X86_SIZE_SAVE:
		return op_bytes == 2 ? 94 : 108;
	case X86_SIZE_X:
		return vector;
	case X86_SIZE_H:
		return vector / 2;
	case X86_SIZE_F:
		return vector / 4;
	case X86_SIZE_E:
		return vector / 8;
	default: /* X86_SIZE_DDUP */
		return vector == 16 ? 8 : vector;
	}
}

/* 66 counts even where it is a part of the opcode: no such form has an operand whose size it would change. */
static unsigned operand_size(const struct decoder *d)
{
	const struct x86_insn *insn = d->insn;
	bool opsize = insn->has_opsize;

	if (insn->code == X86_CODE_64) {
		if (insn->rex & 8 || (insn->encoding != X86_ENC_LEGACY && d->w))
			return 8;
		if (d->form->attrs & X86_FORM_D64)
			return opsize ? 2 : 8;
		return opsize ? 2 : 4;
	}
	return (insn->code == X86_CODE_16) != opsize ? 2 : 4;
}

void decode_sizes(struct decoder *d)
{
	struct x86_insn *insn = d->insn;
	unsigned v = operand_size(d);

	if (insn->code == X86_CODE_64)
		insn->addr_bytes = insn->has_addrsize ? 4 : 8;
	else
		insn->addr_bytes = (insn->code == X86_CODE_16) != insn->has_addrsize ? 2 : 4;
	insn->op_bytes = (uint8_t)size_of(insn, d->form->op_size, v);
	if (insn->op_bytes == 0)
		insn->op_bytes = (uint8_t)v;
	insn->gpr_bytes = (uint8_t)size_of(insn, d->form->rm_size, v);
	if (insn->gpr_bytes == 0)
		insn->gpr_bytes = insn->op_bytes;
	d->v = (uint8_t)v;
}

static enum x86_class class_of(unsigned op)
{
	return op < X86_OP_JMP	      ? X86_CLASS_DATA
	       : op < X86_OP_PUSH     ? X86_CLASS_BRANCH
	       : op < X86_OP_MOVS     ? X86_CLASS_STACK
	       : op < X86_OP_PUSH_SEG ? X86_CLASS_STRING
				      : X86_CLASS_SYSTEM;
}

/* A general register of @bytes that a field names, accessed as @access says. Return: its number. */
static uint8_t use_gpr(struct x86_insn *insn, unsigned number, unsigned bytes, unsigned access,
		       uint8_t *field)
{
	unsigned mask = 1U << number;

	if (bytes == 1) {
		*field = X86_FIELD_GPR8;
		if (!insn->rex && number >= 4 && number < 8) {
			mask = 1U << (number - 4);
			number += X86_REG_AH - 4;
		}
	}
	if (access & X86_FORM_READ)
		insn->gpr_read |= mask;
	if (access & X86_FORM_WRITE) {
		insn->gpr_written |= mask;
		if (bytes < 4)
			insn->gpr_read |= mask;
	}
	return (uint8_t)number;
}

/* A field's number in its file of registers, of which @high are the extension bits. */
static int field_number(struct decoder *d, uint8_t *field, uint8_t *number, unsigned high,
			unsigned bytes, unsigned access)
{
	unsigned full = *number | high;

	switch (*field) {
	case X86_FIELD_NONE:
		return 0;
	case X86_FIELD_GPR:
		if (full > 15)
			return -EINVAL;
		*number = use_gpr(d->insn, full, bytes, access, field);
		return 0;
	case X86_FIELD_VEC:
		*number = (uint8_t)full;
		return 0;
	case X86_FIELD_CR:
		*number = (uint8_t)full;
		return full == 0 || (full >= 2 && full <= 4) || full == 8 ? 0 : -EINVAL;
	case X86_FIELD_DR:
		*number = (uint8_t)full;
		return full < 8 ? 0 : -EINVAL;
	case X86_FIELD_SEG:
		return *number < X86_SEGS && !(access & X86_FORM_WRITE && *number == X86_CS)
			       ? 0
			       : -EINVAL;
	default: /* MMX, x87: no more than 8 of them, extensions are ignored */
		return 0;
	}
}

/* reg: an operand, or a part of the opcode. */
static int operand_reg(struct decoder *d)
{
	struct x86_insn *insn = d->insn;
	unsigned form = d->form->reg;

	insn->reg_field = form & X86_FORM_KIND;
	if (d->form->attrs & X86_FORM_SEGOP) {
		insn->reg = insn->opcode >> 3 & 7;
		return 0;
	}
	if (insn->reg_field == X86_FIELD_MASK) /* there are 8: Zen 5, Zydis; Zen 4 ignores VEX.R */
		return d->r ? -EINVAL : 0;
	return field_number(d, &insn->reg_field, &insn->reg, d->r, insn->op_bytes, form);
}

static int operand_rm(struct decoder *d)
{
	struct x86_insn *insn = d->insn;
	unsigned form = d->form->rm, high = d->b;

	if (insn->rm_field == X86_FIELD_MEM)
		return 0;
	insn->rm_field = form & X86_FORM_KIND;
	if (d->form->attrs & X86_FORM_OPREG)
		insn->rm = insn->opcode & 7;
	if (insn->rm_field == X86_FIELD_VEC && insn->encoding == X86_ENC_EVEX)
		high |= (unsigned)d->x << 1;
	return field_number(d, &insn->rm_field, &insn->rm, high, insn->gpr_bytes, form);
}

/*
 * An unused vvvv is 1111, in 32-bit code too, where a used one's upper bit is ignored (Zen 4, Zen 5; SDM 2, 2.3.5.6 and 2.7.4,
 * says less). There are 8 masks: in 64-bit code Zen 5 refuses others, as Zydis does; Zen 4 ignores the upper bit.
 */
static int operand_vvvv(struct decoder *d)
{
	struct x86_insn *insn = d->insn;
	unsigned form = d->form->vvvv, kind = form & X86_FORM_KIND;

	insn->vvvv_field = (uint8_t)kind;
	insn->vvvv = d->vvvv;
	if (kind == X86_FIELD_NONE)
		return d->vvvv || (d->v2 && !(d->form->attrs & X86_FORM_VSIB)) ? -EINVAL : 0;
	if (kind == X86_FIELD_VEC)
		insn->vvvv |= d->v2;
	if (insn->code != X86_CODE_64)
		insn->vvvv &= 7;
	if (kind == X86_FIELD_MASK && insn->vvvv > 7)
		return -EINVAL;
	if (kind == X86_FIELD_GPR)
		insn->vvvv = use_gpr(insn, insn->vvvv, insn->op_bytes, form, &insn->vvvv_field);
	return 0;
}

/* Base and segment of memory that the opcode alone names. */
static void implicit_mem(struct decoder *d)
{
	struct x86_insn *insn = d->insn;
	struct x86_mem *mem = &insn->mem;

	insn->has_mem = true;
	switch (d->form->mem) {
	case X86_MEM_MOFFS:
		mem->is_moffs = true;
		if (insn->addr_bytes < 8)
			mem->disp &= insn->addr_bytes == 2 ? 0xffff : UINT32_MAX;
		break;
	case X86_MEM_XLAT:
		mem->base = X86_RBX;
		break;
	case X86_MEM_SI:
		mem->base = X86_RSI;
		break;
	case X86_MEM_DI:
		mem->base = X86_RDI;
		d->seg = X86_ES;
		break;
	default:
		mem->base = X86_RDI;
		break;
	}
}

static bool is_sp_or_bp(unsigned reg)
{
	return reg == X86_RSP || reg == X86_RBP;
}

static int operand_mem(struct decoder *d)
{
	const struct x86_form *form = d->form;
	struct x86_insn *insn = d->insn;
	struct x86_mem *mem = &insn->mem;
	bool broadcast = insn->evex_b;

	if (form->mem != X86_MEM_NONE)
		implicit_mem(d);
	if (!insn->has_mem)
		return 0;
	if (!form->mem)
		insn->rm_field = X86_FIELD_MEM;
	if (broadcast && !form->broadcast)
		return -EINVAL;
	mem->bytes = (uint16_t)(broadcast ? form->broadcast : size_of(insn, form->mem_size, d->v));
	if (insn->encoding == X86_ENC_EVEX && insn->disp_len == 1)
		mem->disp *=
			broadcast ? form->broadcast : (int)size_of(insn, form->disp_size, d->v);
	mem->is_read = form->rm & X86_FORM_READ && mem->bytes && form->mem != X86_MEM_MASK;
	mem->is_written = (form->rm & X86_FORM_WRITE && mem->bytes) || form->mem == X86_MEM_MASK;
	mem->align = form->align == 255 ? (uint8_t)mem->bytes : form->align;
	mem->bit_offset = form->attrs & X86_FORM_BITS;
	mem->seg = d->seg != X86_REG_NONE ? d->seg : is_sp_or_bp(mem->base) ? X86_SS : X86_DS;
	if (mem->base != X86_REG_NONE)
		insn->gpr_read |= 1U << mem->base;
	if (mem->index != X86_REG_NONE && !mem->is_vsib)
		insn->gpr_read |= 1U << mem->index;
	return 0;
}

static void implicit_registers(struct decoder *d)
{
	const struct x86_implicit *implicit = &x86_implicits[d->form->implicit];
	struct x86_insn *insn = d->insn;

	insn->gpr_read |= implicit->read;
	insn->gpr_written |= implicit->written;
	if (insn->op_bytes < 4)
		insn->gpr_read |= implicit->partial;
	if (d->form->attrs & X86_FORM_REP && (insn->has_rep || insn->has_repne)) {
		insn->gpr_read |= 1U << X86_RCX | implicit->written;
		insn->gpr_written |= 1U << X86_RCX;
	}
	insn->port_dx = d->form->attrs & X86_FORM_DX;
}

/* A shift's count decides which flags it changes: 0 none, 1 OF as well. SDM 2, SAL/SAR/SHL/SHR. */
static void flags_of_count(struct x86_insn *insn)
{
	unsigned count = (unsigned)insn->imm & (insn->op_bytes == 8 ? 63 : 31);

	if (count == 0) {
		insn->flags_read = insn->flags_written = insn->flags_undefined = 0;
	} else if (count == 1) {
		insn->flags_undefined &= ~X86_OF;
	}
}

static void use_flags(struct decoder *d)
{
	const struct x86_flag_set *set = &x86_flag_sets[d->form->flags];
	struct x86_insn *insn = d->insn;
	uint32_t attrs = d->form->attrs;

	insn->flags_read = set->read;
	insn->flags_written = set->written;
	insn->flags_undefined = set->undefined;
	if (attrs & X86_FORM_COUNT)
		flags_of_count(insn);
	if (attrs & X86_FORM_CL || (attrs & X86_FORM_REP && (insn->has_rep || insn->has_repne)))
		insn->flags_read |= insn->flags_written;
	if (attrs & X86_FORM_CC) {
		insn->cc = insn->opcode & 0xf;
		insn->flags_read = cc_flags[insn->cc >> 1];
	}
}

/* LOCK wants a read-modify-write of memory. SDM 2, LOCK. */
static bool lock_fits(const struct decoder *d)
{
	return !d->insn->has_lock || (d->form->attrs & X86_FORM_LOCK && d->insn->has_mem);
}

/* EVEX: mask, zeroing, broadcast and rounding where the form has them. SDM 2, Exceptions Type E. */
static bool evex_fits(struct decoder *d)
{
	struct x86_insn *insn = d->insn;
	uint32_t attrs = d->form->attrs;

	if (insn->vex_l == 3)
		return false;
	if (insn->evex_b && !insn->has_mem && !(attrs & (X86_FORM_ROUND | X86_FORM_SAE)))
		return false;
	if (insn->evex_aaa ? !(attrs & X86_FORM_MASK) : attrs & X86_FORM_MASKED)
		return false;
	if (insn->evex_z)
		return insn->evex_aaa && attrs & X86_FORM_ZERO && !insn->mem.is_written;
	return true;
}

/* A gather's destination, index and (VEX) mask are three registers. SDM 2, VGATHERDPS. */
static bool vsib_fits(const struct decoder *d)
{
	const struct x86_insn *insn = d->insn;

	if (!(d->form->attrs & X86_FORM_GATHER))
		return true;
	if (insn->reg == insn->mem.index)
		return false;
	return insn->encoding == X86_ENC_EVEX ||
	       (insn->vvvv != insn->reg && insn->vvvv != insn->mem.index);
}

/* The complex half-precision products overwrite their sources too early. SDM 2, VFMULCPH. */
static bool sources_fit(const struct decoder *d)
{
	const struct x86_insn *insn = d->insn;

	if (!(d->form->attrs & X86_FORM_DISTINCT))
		return true;
	return insn->reg != insn->vvvv && (insn->has_mem || insn->reg != insn->rm);
}

/* The byte after a 3DNow! instruction's operands says which it is. AMD APM 3, table A-13. */
static bool is_3dnow(int64_t suffix)
{
	static const uint8_t suffixes[] = {
		0x0c, 0x0d, 0x1c, 0x1d, 0x8a, 0x8e, 0x90, 0x94, 0x96, 0x97, 0x9a, 0x9e,
		0xa0, 0xa4, 0xa6, 0xa7, 0xaa, 0xae, 0xb0, 0xb4, 0xb6, 0xb7, 0xbb, 0xbf,
	};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (suffixes[i] == suffix)
			return true;
	}
	return false;
}

int decode_operands(struct decoder *d)
{
	const struct x86_form *form = d->form;
	struct x86_insn *insn = d->insn;

	if (insn->encoding == X86_ENC_EVEX && insn->evex_b && !insn->has_mem)
		insn->vex_l = 2;
	if (operand_mem(d) < 0 || operand_reg(d) < 0 || operand_rm(d) < 0 || operand_vvvv(d) < 0)
		return -EINVAL;
	if (form->attrs & X86_FORM_IS4)
		insn->is4 = (uint8_t)(insn->imm >> 4 & (insn->code == X86_CODE_64 ? 15 : 7));
	if (!lock_fits(d) || (insn->encoding == X86_ENC_EVEX && !evex_fits(d)) || !vsib_fits(d) ||
	    !sources_fit(d))
		return -EINVAL;
	if (form->attrs & X86_FORM_3DNOW && !is_3dnow(insn->imm))
		return -EINVAL;
	if (form->attrs & X86_FORM_MANDATORY)
		insn->pp = d->prefix;
	implicit_registers(d);
	insn->op = form->op;
	insn->class = (uint8_t)class_of(form->op);
	insn->uses = form->uses;
	use_flags(d);
	return 0;
}
