/* SPDX-License-Identifier: Apache-2.0 */
#include "decode_zydis.h"

#include <string.h>

void zydis_init(struct zydis *zydis)
{
	static const struct {
		ZydisMachineMode mode;
		ZydisStackWidth stack;
	} modes[] = {
		{ ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
		{ ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
		{ ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
	};

	for (unsigned i = 0; i < 3; i++) {
		ZydisDecoder *decoder = &zydis->decoders[i];

		ZydisDecoderInit(decoder, modes[i].mode, modes[i].stack);
		ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYAN_TRUE);
		ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
		ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	}
}

static struct difference differ(const char *what, uint64_t ours, uint64_t theirs)
{
	return (struct difference){ ours != theirs ? what : NULL, ours, theirs };
}

/* The number of a general register, whatever its width, or -1. AH is 16 + 0. */
static int gpr_number(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
		if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
			return 16 + (int)(reg - ZYDIS_REGISTER_AH);
		return reg < ZYDIS_REGISTER_AH ? (int)(reg - ZYDIS_REGISTER_AL)
					       : (int)(reg - ZYDIS_REGISTER_SPL) + 4;
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return ZydisRegisterGetId(reg);
	default:
		return -1;
	}
}

static unsigned field_kind(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
		return X86_FIELD_GPR8;
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return X86_FIELD_GPR;
	case ZYDIS_REGCLASS_X87:
		return X86_FIELD_ST;
	case ZYDIS_REGCLASS_MMX:
		return X86_FIELD_MMX;
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
		return X86_FIELD_VEC;
	case ZYDIS_REGCLASS_SEGMENT:
		return X86_FIELD_SEG;
	case ZYDIS_REGCLASS_CONTROL:
		return X86_FIELD_CR;
	case ZYDIS_REGCLASS_DEBUG:
		return X86_FIELD_DR;
	case ZYDIS_REGCLASS_MASK:
		return X86_FIELD_MASK;
	case ZYDIS_REGCLASS_BOUND:
		return X86_FIELD_BND;
	default:
		return 99;
	}
}

static unsigned gpr_width(ZydisRegister reg)
{
	return ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg) / 8U;
}

static bool reads(const ZydisDecodedOperand *operand)
{
	return operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
}

static bool writes(const ZydisDecodedOperand *operand)
{
	return operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
}

static unsigned register_id(ZydisRegister reg)
{
	return (unsigned)ZydisRegisterGetId(reg);
}

static struct difference compare_field(const char *what, const ZydisDecodedOperand *operand,
				       unsigned kind, unsigned number, unsigned bytes)
{
	ZydisRegister reg = operand->reg.value;
	unsigned theirs = field_kind(reg);
	int gpr = gpr_number(reg);

	if (theirs != kind)
		return differ(what, kind | 0x1000, theirs | 0x1000);
	if (gpr >= 0 && bytes != gpr_width(reg))
		return differ(what, bytes | 0x2000, gpr_width(reg) | 0x2000);
	return differ(what, number, gpr >= 0 ? (unsigned)gpr : register_id(reg));
}

static struct difference compare_register(const struct x86_insn *insn,
					  const ZydisDecodedOperand *operand)
{
	switch (operand->encoding) {
	case ZYDIS_OPERAND_ENCODING_MODRM_REG:
		return compare_field("reg", operand, insn->reg_field, insn->reg, insn->op_bytes);
	case ZYDIS_OPERAND_ENCODING_MODRM_RM:
	case ZYDIS_OPERAND_ENCODING_OPCODE:
		return compare_field("rm", operand, insn->rm_field, insn->rm, insn->gpr_bytes);
	case ZYDIS_OPERAND_ENCODING_NDSNDD:
		return compare_field("vvvv", operand, insn->vvvv_field, insn->vvvv, insn->op_bytes);
	case ZYDIS_OPERAND_ENCODING_IS4:
		return compare_field("is4", operand, X86_FIELD_VEC, insn->is4, 0);
	case ZYDIS_OPERAND_ENCODING_MASK:
		return differ("mask", insn->evex_aaa, register_id(operand->reg.value));
	default:
		return differ(NULL, 0, 0);
	}
}

static unsigned register_or_none(ZydisRegister reg)
{
	return reg == ZYDIS_REGISTER_NONE ? X86_REG_NONE : register_id(reg);
}

static struct difference compare_mem(const struct x86_insn *insn,
				     const ZydisDecodedOperand *operand)
{
	const struct x86_mem *mem = &insn->mem;
	bool agen = operand->mem.type == ZYDIS_MEMOP_TYPE_AGEN ||
		    operand->mem.type == ZYDIS_MEMOP_TYPE_MIB;
	bool rip =
		operand->mem.base == ZYDIS_REGISTER_RIP || operand->mem.base == ZYDIS_REGISTER_EIP;
	unsigned seg = register_id(operand->mem.segment);
	uint64_t mask = mem->is_moffs && insn->addr_bytes < 8 ? (1ULL << 8 * insn->addr_bytes) - 1
							      : UINT64_MAX;
	struct difference d[] = {
		differ("has_mem", insn->has_mem, 1),
		differ("is_rip", mem->is_rip, rip),
		differ("base", mem->base, rip ? X86_REG_NONE : register_or_none(operand->mem.base)),
		differ("index", mem->index, register_or_none(operand->mem.index)),
		differ("scale", mem->index == X86_REG_NONE ? 0 : mem->scale, operand->mem.scale),
		differ("disp", (uint64_t)mem->disp & mask,
		       (uint64_t)operand->mem.disp.value & mask),
		differ("vsib", mem->is_vsib, operand->mem.type == ZYDIS_MEMOP_TYPE_VSIB),
		differ("seg", mem->seg, seg),
		differ("mem.bytes", mem->bytes, agen ? 0 : operand->size / 8U),
		differ("is_read", mem->is_read, !agen && reads(operand)),
		differ("is_written", mem->is_written, !agen && writes(operand)),
	};

	for (size_t i = 0; i < sizeof(d) / sizeof(*d); i++) {
		if (d[i].what &&
		    !(operand->mem.index == ZYDIS_REGISTER_NONE && !strcmp(d[i].what, "scale")))
			return d[i];
	}
	return differ(NULL, 0, 0);
}

struct masks {
	uint32_t read, written;
};

static void masks_add(struct masks *masks, const ZydisDecodedOperand *operand)
{
	int number =
		operand->type == ZYDIS_OPERAND_TYPE_REGISTER ? gpr_number(operand->reg.value) : -1;
	uint32_t bit = 1U << (number & 15);

	if (number >= 0) {
		if (number >= 16)
			bit = 1U << (number - 16);
		if (reads(operand) || operand->actions & ZYDIS_OPERAND_ACTION_CONDWRITE)
			masks->read |= bit;
		if (writes(operand))
			masks->written |= bit;
		if (writes(operand) && gpr_width(operand->reg.value) < 4)
			masks->read |= bit;
	} else if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		int base = gpr_number(operand->mem.base), index = gpr_number(operand->mem.index);

		if (base >= 0)
			masks->read |= 1U << base;
		if (index >= 0)
			masks->read |= 1U << index;
	}
}

/* Memory that ModRM, moffs or the opcode names; not the stack's. */
static bool is_named_memory(const struct zydis_view *view, const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
	       (operand->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN ||
		view->insn.mnemonic == ZYDIS_MNEMONIC_XLAT ||
		view->insn.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ ||
		view->insn.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
		view->insn.mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU);
}

static struct difference compare_operands(const struct x86_insn *insn,
					  const struct zydis_view *view)
{
	struct masks masks = { 0 };
	unsigned memories = 0;

	for (unsigned i = 0; i < view->insn.operand_count; i++) {
		const ZydisDecodedOperand *operand = &view->operands[i];
		struct difference d = { 0 };

		masks_add(&masks, operand);
		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER)
			d = compare_register(insn, operand);
		else if (is_named_memory(view, operand) && insn->class != X86_CLASS_STRING) {
			memories++;
			d = compare_mem(insn, operand);
		}
		if (d.what)
			return d;
	}
	if (insn->has_mem && !memories && insn->class != X86_CLASS_STRING)
		return differ("has_mem", 1, 0);
	if (insn->gpr_read != masks.read)
		return differ("gpr_read", insn->gpr_read, masks.read);
	return differ("gpr_written", insn->gpr_written, masks.written);
}

static struct difference compare_flags(const struct x86_insn *insn, const struct zydis_view *view)
{
	const uint32_t all = X86_FLAGS_ARITH | X86_DF;
	const ZydisAccessedFlags *flags = view->insn.cpu_flags;
	uint32_t undefined = flags->undefined & all, tested = flags->tested & all;
	uint32_t written = (flags->modified | flags->set_0 | flags->set_1 | undefined) & all;
	struct difference d = differ("flags_written", insn->flags_written & all, written);

	if (d.what)
		return d;
	d = differ("flags_undefined", insn->flags_undefined, undefined);
	if (d.what)
		return d;
	/* What is written perhaps counts as read here, and does not there. */
	return differ("flags_read", insn->flags_read & all & ~(written & ~tested), tested);
}

struct difference zydis_compare_decoded(const struct x86_insn *insn, const struct zydis_view *view)
{
	struct difference d = differ("length", insn->len, view->insn.length);

	if (!d.what)
		d = compare_operands(insn, view);
	return d.what ? d : compare_flags(insn, view);
}

struct difference zydis_compare(const struct zydis *zydis, const uint8_t *bytes, enum x86_code code,
				struct zydis_view *ret_view, struct x86_insn *ret_insn,
				int *ret_len)
{
	int len = x86_decode(bytes, X86_INSN_MAX, code, ret_insn);

	ret_view->valid = ZYAN_SUCCESS(ZydisDecoderDecodeFull(
		&zydis->decoders[code], bytes, X86_INSN_MAX, &ret_view->insn, ret_view->operands));
	*ret_len = len;
	if (ret_view->valid != (len > 0))
		return differ("valid", len > 0, ret_view->valid);
	if (len <= 0)
		return differ(NULL, 0, 0);
	return zydis_compare_decoded(ret_insn, ret_view);
}
