/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoder says of chosen instructions; test_decode_zydis.c walks through all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "x86/insn.h"

#define R(reg) (1U << X86_##reg)

/* Bytes as they come, NOPs behind. */
struct code {
	uint8_t bytes[X86_INSN_MAX + 1];
	unsigned n;
};

#define CODE(...)                                                                                  \
	(&(const struct code){ { __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }) })

/* All of @code, and no less of it, is one instruction. */
static struct x86_insn decode_as(const struct code *code, enum x86_code mode)
{
	struct x86_insn insn;

	for (unsigned n = 0; n < code->n; n++)
		assert_int_equal(x86_decode(code->bytes, n, mode, &insn), -EAGAIN);
	assert_int_equal(x86_decode(code->bytes, code->n, mode, &insn), code->n);
	assert_int_equal(insn.len, code->n);
	assert_memory_equal(insn.bytes, code->bytes, code->n);
	return insn;
}

static struct x86_insn decode64(const struct code *code)
{
	return decode_as(code, X86_CODE_64);
}

static int refused(const struct code *code, enum x86_code mode)
{
	struct x86_insn insn;

	return x86_decode(code->bytes, code->n, mode, &insn);
}

static void parts_are_where_they_are_said_to_be(void **state)
{
	/* lock add qword fs:[rbx + rsi*4 + 0x12345678], -2 */
	struct x86_insn insn =
		decode64(CODE(0xf0, 0x64, 0x48, 0x83, 0x84, 0xb3, 0x78, 0x56, 0x34, 0x12, 0xfe));

	(void)state;
	assert_int_equal(insn.op, X86_OP_ADD);
	assert_int_equal(insn.class, X86_CLASS_DATA);
	assert_int_equal(insn.opcode_at, 3);
	assert_int_equal(insn.modrm_at, 4);
	assert_int_equal(insn.disp_at, 6);
	assert_int_equal(insn.disp_len, 4);
	assert_int_equal(insn.imm_at, 10);
	assert_int_equal(insn.imm_len, 1);
	assert_int_equal(insn.imm, -2);
	assert_true(insn.has_lock && insn.has_modrm && insn.has_sib && insn.has_mem);
	assert_int_equal(insn.rex, 0x48);
	assert_int_equal(insn.op_bytes, 8);
	assert_int_equal(insn.mem.seg, X86_FS);
	assert_int_equal(insn.mem.base, X86_RBX);
	assert_int_equal(insn.mem.index, X86_RSI);
	assert_int_equal(insn.mem.scale, 4);
	assert_int_equal(insn.mem.disp, 0x12345678);
	assert_int_equal(insn.mem.bytes, 8);
	assert_true(insn.mem.is_read && insn.mem.is_written);
	assert_int_equal(insn.gpr_read, R(RBX) | R(RSI));
	assert_int_equal(insn.gpr_written, 0);
	assert_int_equal(insn.flags_written, X86_FLAGS_ARITH);
	assert_int_equal(insn.flags_read, 0);
}

static void names_and_classes(void **state)
{
	static const struct {
		struct code code;
		enum x86_op op;
		enum x86_class class;
	} cases[] = {
		{ { { 0x89, 0xc8 }, 2 }, X86_OP_MOV, X86_CLASS_DATA },
		{ { { 0x90 }, 1 }, X86_OP_NOP, X86_CLASS_DATA },
		{ { { 0xf3, 0x90 }, 2 }, X86_OP_PAUSE, X86_CLASS_DATA },
		{ { { 0xf3, 0x0f, 0x1e, 0xfa }, 4 }, X86_OP_NOP, X86_CLASS_DATA },
		{ { { 0x0f, 0x58, 0xc1 }, 3 }, X86_OP_DATA, X86_CLASS_DATA },
		{ { { 0xd9, 0xe8 }, 2 }, X86_OP_DATA, X86_CLASS_DATA },
		{ { { 0x0f, 0xae, 0xe8 }, 3 }, X86_OP_FENCE, X86_CLASS_DATA },
		{ { { 0xeb, 0xfe }, 2 }, X86_OP_JMP, X86_CLASS_BRANCH },
		{ { { 0x7f, 0x02 }, 2 }, X86_OP_JCC, X86_CLASS_BRANCH },
		{ { { 0xff, 0xd0 }, 2 }, X86_OP_CALL_IND, X86_CLASS_BRANCH },
		{ { { 0xc2, 0x08, 0x00 }, 3 }, X86_OP_RET, X86_CLASS_BRANCH },
		{ { { 0x50 }, 1 }, X86_OP_PUSH, X86_CLASS_STACK },
		{ { { 0xc9 }, 1 }, X86_OP_LEAVE, X86_CLASS_STACK },
		{ { { 0xf3, 0x48, 0xa5 }, 3 }, X86_OP_MOVS, X86_CLASS_STRING },
		{ { { 0x6f }, 1 }, X86_OP_OUTS, X86_CLASS_STRING },
		{ { { 0x0f, 0xa0 }, 2 }, X86_OP_PUSH_SEG, X86_CLASS_SYSTEM },
		{ { { 0x8e, 0xd8 }, 2 }, X86_OP_MOV_TO_SEG, X86_CLASS_SYSTEM },
		{ { { 0x0f, 0x22, 0xd8 }, 3 }, X86_OP_MOV_TO_CR, X86_CLASS_SYSTEM },
		{ { { 0x0f, 0x01, 0xf8 }, 3 }, X86_OP_SWAPGS, X86_CLASS_SYSTEM },
		{ { { 0x0f, 0xc7, 0x21 }, 3 }, X86_OP_XSAVEC, X86_CLASS_SYSTEM },
		{ { { 0xdd, 0x31 }, 2 }, X86_OP_FSAVE, X86_CLASS_SYSTEM },
		{ { { 0x0f, 0x0b }, 2 }, X86_OP_UD, X86_CLASS_SYSTEM },
		{ { { 0x0f, 0x01, 0xd8 }, 3 }, X86_OP_VIRT, X86_CLASS_SYSTEM },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct x86_insn insn = decode64(&cases[i].code);

		assert_int_equal(insn.op, cases[i].op);
		assert_int_equal(insn.class, cases[i].class);
	}
}

static void fifteen_bytes_are_the_end(void **state)
{
	struct code code = { .n = 15 };
	struct x86_insn insn;

	(void)state;
	memset(code.bytes, 0x66, 15);
	assert_int_equal(x86_decode(code.bytes, 14, X86_CODE_64, &insn), -EAGAIN);
	assert_int_equal(x86_decode(code.bytes, 15, X86_CODE_64, &insn), -E2BIG);
	assert_int_equal(x86_decode(code.bytes, 16, X86_CODE_64, &insn), -E2BIG);
	code.bytes[14] = 0x90;
	assert_int_equal(x86_decode(code.bytes, 16, X86_CODE_64, &insn), 15);
	code.bytes[14] = 0x05; /* add ax, imm16 */
	assert_int_equal(x86_decode(code.bytes, 16, X86_CODE_64, &insn), -E2BIG);
}

static void rex_counts_right_before_the_opcode_only(void **state)
{
	(void)state;
	assert_int_equal(decode64(CODE(0x48, 0x89, 0xc8)).op_bytes, 8);
	assert_int_equal(decode64(CODE(0x48, 0x66, 0x89, 0xc8)).op_bytes, 2);
	assert_int_equal(decode64(CODE(0x48, 0x66, 0x89, 0xc8)).rex, 0);
	assert_int_equal(decode64(CODE(0x66, 0x48, 0x89, 0xc8)).op_bytes, 8);
	assert_int_equal(decode64(CODE(0x48, 0x41, 0x89, 0xc8)).rm, X86_R8);
	assert_int_equal(decode64(CODE(0x48, 0x41, 0x89, 0xc8)).op_bytes, 4);
	assert_int_equal(decode_as(CODE(0x48), X86_CODE_32).op, X86_OP_DEC);
}

static void high_bytes_need_that_there_is_no_rex(void **state)
{
	struct x86_insn insn = decode64(CODE(0x88, 0xe6)); /* mov dh, ah */

	(void)state;
	assert_int_equal(insn.reg_field, X86_FIELD_GPR8);
	assert_int_equal(insn.reg, X86_REG_AH);
	assert_int_equal(insn.rm, X86_REG_AH + 2);
	assert_int_equal(insn.gpr_read, R(RAX) | R(RDX));
	assert_int_equal(insn.gpr_written, R(RDX));
	insn = decode64(CODE(0x40, 0x88, 0xe6)); /* mov sil, spl */
	assert_int_equal(insn.reg, X86_RSP);
	assert_int_equal(insn.rm, X86_RSI);
	insn = decode64(CODE(0xb4, 0x01)); /* mov ah, 1 */
	assert_int_equal(insn.rm, X86_REG_AH);
	assert_int_equal(insn.gpr_written, R(RAX));
}

/* Zen 4; AMD APM 3, General-Purpose Instructions, JMP: the operand size of 66. Intel ignores it. */
static void near_branches_obey_66_as_on_amd(void **state)
{
	struct x86_insn insn = decode64(CODE(0x66, 0xe9, 0x00, 0x80));

	(void)state;
	assert_int_equal(insn.op_bytes, 2);
	assert_int_equal(insn.imm, -0x8000);
	assert_int_equal(decode64(CODE(0xe9, 0, 0, 0, 0x80)).op_bytes, 8);
	assert_int_equal(decode64(CODE(0x66, 0x48, 0xe9, 0, 0, 0, 0x80)).imm, -0x80000000LL);
	assert_int_equal(decode64(CODE(0x66, 0xff, 0x20)).mem.bytes, 2);
	assert_int_equal(decode64(CODE(0x66, 0xc3)).op_bytes, 2);
}

/* Zen 4: a far pointer in memory has no 64-bit offset. */
static void far_pointers_have_6_bytes_under_rex_w(void **state)
{
	struct x86_insn insn = decode64(CODE(0x48, 0x0f, 0xb5, 0x06)); /* lgs */

	(void)state;
	assert_int_equal(insn.mem.bytes, 6);
	assert_int_equal(insn.op_bytes, 4);
	assert_int_equal(decode64(CODE(0x48, 0xff, 0x2e)).mem.bytes, 6);
	assert_int_equal(decode64(CODE(0x66, 0xff, 0x2e)).mem.bytes, 4);
}

/* Zen 4: F3 41 90 exchanges r8 and eax. */
static void pause_with_rex_b_is_an_exchange(void **state)
{
	struct x86_insn insn = decode64(CODE(0xf3, 0x41, 0x90));

	(void)state;
	assert_int_equal(insn.op, X86_OP_XCHG);
	assert_int_equal(insn.rm, X86_R8);
	assert_int_equal(insn.gpr_written, R(RAX) | R(R8));
	assert_int_equal(decode64(CODE(0x41, 0x90)).op, X86_OP_XCHG);
	assert_int_equal(decode64(CODE(0x40, 0x90)).op, X86_OP_NOP);
	assert_int_equal(decode64(CODE(0x91)).rm, X86_RCX);
}

/* Zen 4: REX.B does not make r13 of a SIB byte's "no base". */
static void sib_without_base_has_none_under_rex_b(void **state)
{
	struct x86_insn insn = decode64(CODE(0x41, 0x8b, 0x04, 0x25, 0x00, 0x08, 0x00, 0x20));

	(void)state;
	assert_int_equal(insn.mem.base, X86_REG_NONE);
	assert_int_equal(insn.mem.index, X86_REG_NONE);
	assert_int_equal(insn.mem.disp, 0x20000800);
	assert_int_equal(insn.gpr_read, 0);
}

static void addresses(void **state)
{
	struct x86_insn insn = decode64(CODE(0x8b, 0x05, 0xf0, 0xff, 0xff, 0xff));

	(void)state;
	assert_true(insn.mem.is_rip);
	assert_int_equal(insn.mem.base, X86_REG_NONE);
	assert_int_equal(insn.mem.disp, -16);
	insn = decode_as(CODE(0x8b, 0x05, 0xf0, 0xff, 0xff, 0xff), X86_CODE_32);
	assert_false(insn.mem.is_rip);
	insn = decode_as(CODE(0x8b, 0x42, 0xfe), X86_CODE_16); /* mov ax, [bp + si - 2] */
	assert_int_equal(insn.mem.base, X86_RBP);
	assert_int_equal(insn.mem.index, X86_RSI);
	assert_int_equal(insn.mem.disp, -2);
	assert_int_equal(insn.mem.seg, X86_SS);
	assert_int_equal(insn.op_bytes, 2);
	insn = decode_as(CODE(0x67, 0x66, 0x8b, 0x04, 0x88), X86_CODE_16);
	assert_int_equal(insn.addr_bytes, 4);
	assert_int_equal(insn.op_bytes, 4);
	assert_int_equal(insn.mem.index, X86_RCX);
	insn = decode64(CODE(0x67, 0xa1, 0x00, 0x00, 0x00, 0x80)); /* moffs32, not signed */
	assert_true(insn.mem.is_moffs);
	assert_int_equal(insn.mem.disp, 0x80000000);
	insn = decode64(CODE(0x48, 0xa3, 1, 2, 3, 4, 5, 6, 7, 8));
	assert_int_equal(insn.mem.disp, 0x0807060504030201);
	assert_true(insn.mem.is_written && !insn.mem.is_read);
	assert_int_equal(insn.disp_len, 8);
}

static void segments(void **state)
{
	(void)state;
	assert_int_equal(decode64(CODE(0x8b, 0x45, 0x00)).mem.seg, X86_SS);
	assert_int_equal(decode64(CODE(0x8b, 0x04, 0x2b)).mem.seg, X86_DS);
	assert_int_equal(decode64(CODE(0x2e, 0x8b, 0x00)).mem.seg, X86_DS);
	/* Zen 4: in 64-bit code a prefix of ES, CS, SS, DS does not take GS away. */
	assert_int_equal(decode64(CODE(0x65, 0x3e, 0x8b, 0x00)).mem.seg, X86_GS);
	assert_int_equal(decode_as(CODE(0x65, 0x3e, 0x8b, 0x00), X86_CODE_32).mem.seg, X86_DS);
	assert_int_equal(decode_as(CODE(0x26, 0x8b, 0x45, 0x00), X86_CODE_32).mem.seg, X86_ES);
	assert_int_equal(decode64(CODE(0x64, 0xa4)).mem.seg, X86_FS);
	assert_int_equal(decode64(CODE(0x64, 0xaa)).mem.seg, X86_ES);
}

static void lock_stands_before_read_modify_writes_of_memory_only(void **state)
{
	(void)state;
	assert_true(decode64(CODE(0xf0, 0x01, 0x06)).has_lock);
	assert_true(decode64(CODE(0xf0, 0x48, 0x0f, 0xc7, 0x0e)).has_lock);
	assert_int_equal(refused(CODE(0xf0, 0x01, 0xc6), X86_CODE_64), -EINVAL);
	assert_int_equal(refused(CODE(0xf0, 0x89, 0x06), X86_CODE_64), -EINVAL);
	assert_int_equal(refused(CODE(0xf0, 0x3b, 0x06), X86_CODE_64), -EINVAL);
	assert_int_equal(refused(CODE(0xf0, 0x0f, 0xa3, 0x06), X86_CODE_64), -EINVAL);
	assert_int_equal(refused(CODE(0xf0, 0x90), X86_CODE_64), -EINVAL);
	assert_int_equal(refused(CODE(0xf0, 0xc5, 0xf8, 0x58, 0x00), X86_CODE_64), -EINVAL);
}

static void what_64_bit_code_lacks_is_refused_there(void **state)
{
	static const uint8_t opcodes[] = { 0x06, 0x0e, 0x1f, 0x27, 0x37, 0x60, 0x61,
					   0x82, 0x9a, 0xce, 0xd4, 0xd6, 0xea };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
		const struct code *code = CODE(opcodes[i], 0xc0, 0, 0, 0, 0, 0, 0);
		struct x86_insn insn;

		assert_int_equal(refused(code, X86_CODE_64), -EINVAL);
		assert_true(x86_decode(code->bytes, code->n, X86_CODE_32, &insn) > 0);
	}
	assert_int_equal(refused(CODE(0x0f, 0x01, 0xf8), X86_CODE_32), -EINVAL); /* SWAPGS */
}

static void les_lds_bound_and_the_vector_prefixes_are_told_apart(void **state)
{
	(void)state;
	assert_int_equal(decode_as(CODE(0xc4, 0x06), X86_CODE_32).op, X86_OP_LES);
	assert_int_equal(decode_as(CODE(0xc5, 0x46, 0x10), X86_CODE_32).op, X86_OP_LDS);
	assert_int_equal(decode_as(CODE(0x62, 0x06), X86_CODE_32).op, X86_OP_BOUND);
	assert_int_equal(decode_as(CODE(0x62, 0x06), X86_CODE_32).mem.bytes, 8);
	assert_int_equal(decode_as(CODE(0xc5, 0xf8, 0x58, 0xc1), X86_CODE_32).encoding,
			 X86_ENC_VEX);
	assert_int_equal(decode_as(CODE(0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc1), X86_CODE_32).encoding,
			 X86_ENC_EVEX);
	assert_int_equal(refused(CODE(0x66, 0xc5, 0xf8, 0x58, 0xc1), X86_CODE_64), -EINVAL);
	assert_int_equal(refused(CODE(0x40, 0xc5, 0xf8, 0x58, 0xc1), X86_CODE_64), -EINVAL);
}

/* Zen 4 ignores these bits, Zen 5 does not: what ran there was one thing for the interpreter and another for the CPU. */
static void a_mask_beyond_the_eight_and_v_prime_in_32_bit_code_are_refused(void **state)
{
	(void)state;
	assert_int_equal(decode_as(CODE(0xc4, 0xe1, 0x78, 0x90, 0xc2), X86_CODE_64).reg, 0);
	assert_int_equal(refused(CODE(0xc4, 0x61, 0x78, 0x90, 0xc2), X86_CODE_64),
			 -EINVAL); /* reg */
	assert_int_equal(refused(CODE(0xc5, 0x79, 0x44, 0xc6), X86_CODE_64), -EINVAL);
	assert_int_equal(decode_as(CODE(0xc4, 0xc1, 0x78, 0x90, 0xc2), X86_CODE_64).rm, 2);
	assert_int_equal(decode_as(CODE(0xc5, 0xf4, 0x45, 0xc4), X86_CODE_64).vvvv, 1);
	assert_int_equal(refused(CODE(0xc5, 0xb4, 0x45, 0xc4), X86_CODE_64), -EINVAL); /* vvvv */
	assert_int_equal(decode_as(CODE(0xc4, 0xe1, 0x34, 0x45, 0xc4), X86_CODE_32).vvvv, 1);
	assert_int_equal(decode_as(CODE(0x62, 0xf1, 0x04, 0x03, 0x54, 0xc6), X86_CODE_64).vvvv, 31);
	assert_int_equal(decode_as(CODE(0x62, 0xf1, 0x04, 0x0b, 0x54, 0xc6), X86_CODE_32).vvvv, 7);
	assert_int_equal(refused(CODE(0x62, 0xf1, 0x04, 0x03, 0x54, 0xc6), X86_CODE_32), -EINVAL);
	assert_int_equal(refused(CODE(0x62, 0xf1, 0x04, 0x03, 0x54, 0xc6), X86_CODE_16), -EINVAL);
}

static void shift_counts_decide_the_flags(void **state)
{
	struct x86_insn insn = decode64(CODE(0xc1, 0xe0, 0x20)); /* shl eax, 32: by 0 */

	(void)state;
	assert_int_equal(insn.flags_written, 0);
	assert_int_equal(insn.imm, 0x20);
	insn = decode64(CODE(0x48, 0xc1, 0xe0, 0x20));
	assert_int_equal(insn.flags_written, X86_FLAGS_ARITH);
	assert_int_equal(insn.flags_undefined, X86_OF | X86_AF);
	insn = decode64(CODE(0xc1, 0xe0, 0x01));
	assert_int_equal(insn.flags_undefined, X86_AF);
	insn = decode64(CODE(0xd3, 0xe0)); /* by cl */
	assert_int_equal(insn.flags_read, X86_FLAGS_ARITH);
	assert_int_equal(insn.gpr_read, R(RAX) | R(RCX));
	insn = decode64(CODE(0xc1, 0xd0, 0x03)); /* rcl */
	assert_int_equal(insn.flags_read, X86_CF);
	assert_int_equal(insn.flags_written, X86_CF | X86_OF);
}

static void strings_name_what_they_use(void **state)
{
	struct x86_insn insn = decode64(CODE(0xa4));

	(void)state;
	assert_int_equal(insn.gpr_read, R(RSI) | R(RDI));
	assert_int_equal(insn.gpr_written, R(RSI) | R(RDI));
	assert_int_equal(insn.flags_read, X86_DF);
	assert_int_equal(insn.mem.bytes, 1);
	assert_int_equal(insn.mem.base, X86_RSI);
	insn = decode64(CODE(0xf3, 0x48, 0xab));
	assert_int_equal(insn.gpr_read, R(RAX) | R(RDI) | R(RCX));
	assert_int_equal(insn.gpr_written, R(RDI) | R(RCX));
	assert_true(insn.has_rep && insn.mem.is_written);
	insn = decode64(CODE(0xf2, 0xae)); /* repne scas: no turn leaves the flags alone */
	assert_true(insn.has_repne);
	assert_int_equal(insn.flags_read, X86_FLAGS_ARITH | X86_DF);
	insn = decode64(CODE(0xf3, 0x48, 0xad)); /* rep lods: no turn leaves rax alone */
	assert_true(insn.gpr_read & R(RAX));
}

static void ports(void **state)
{
	struct x86_insn insn = decode64(CODE(0xe4, 0xff));

	(void)state;
	assert_int_equal(insn.op, X86_OP_IN);
	assert_int_equal(insn.imm, 0xff);
	assert_int_equal(insn.op_bytes, 1);
	assert_false(insn.port_dx);
	insn = decode64(CODE(0x48, 0xed));
	assert_int_equal(insn.op_bytes, 4);
	assert_true(insn.port_dx);
	assert_int_equal(insn.gpr_read, R(RDX));
	assert_int_equal(insn.gpr_written, R(RAX));
}

static void immediates(void **state)
{
	struct x86_insn insn =
		decode_as(CODE(0x9a, 0x78, 0x56, 0xff, 0xff, 0xcd, 0xab), X86_CODE_32);

	(void)state;
	assert_int_equal(insn.imm, 0xffff5678);
	assert_int_equal(insn.imm2, 0xabcd);
	insn = decode64(CODE(0xc8, 0xff, 0xff, 0x1f));
	assert_int_equal(insn.imm, 0xffff);
	assert_int_equal(insn.imm2, 0x1f);
	assert_int_equal(decode64(CODE(0xcd, 0x80)).imm, 0x80);
	assert_int_equal(decode64(CODE(0x6a, 0x80)).imm, -0x80);
	assert_int_equal(decode64(CODE(0x6a, 0x80)).op_bytes, 8);
	assert_int_equal(decode64(CODE(0x48, 0xc7, 0xc0, 0, 0, 0, 0x80)).imm, -0x80000000LL);
	insn = decode64(CODE(0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 0x88));
	assert_int_equal(insn.imm_len, 8);
	assert_int_equal(insn.imm, (int64_t)0x8807060504030201ULL);
	assert_int_equal(decode64(CODE(0x66, 0x0f, 0x78, 0xc0, 0x3f, 0x40)).imm2, 0x40);
}

static void widths_of_general_registers(void **state)
{
	struct x86_insn insn = decode64(CODE(0x48, 0x0f, 0xb6, 0xc4)); /* movzx rax, spl */

	(void)state;
	assert_int_equal(insn.op_bytes, 8);
	assert_int_equal(insn.gpr_bytes, 1);
	assert_int_equal(insn.rm_field, X86_FIELD_GPR8);
	assert_int_equal(insn.rm, X86_RSP);
	insn = decode64(CODE(0x0f, 0xb7, 0xc1)); /* movzx eax, cx */
	assert_int_equal(insn.op_bytes, 4);
	assert_int_equal(insn.gpr_bytes, 2);
	insn = decode64(CODE(0x66, 0x48, 0x0f, 0x6e, 0xc1)); /* movq xmm0, rcx */
	assert_int_equal(insn.reg_field, X86_FIELD_VEC);
	assert_int_equal(insn.rm_field, X86_FIELD_GPR);
	assert_int_equal(insn.gpr_bytes, 8);
	assert_int_equal(insn.pp, 1);
	assert_int_equal(insn.gpr_read, R(RCX));
	insn = decode64(CODE(0x0f, 0x22, 0xd8)); /* mov cr3, rax */
	assert_int_equal(insn.op_bytes, 8);
	assert_int_equal(insn.reg, 3);
	assert_int_equal(decode64(CODE(0x44, 0x0f, 0x20, 0x00)).reg, 8);
	assert_false(decode64(CODE(0x44, 0x0f, 0x20, 0x00)).has_mem);
	assert_int_equal(refused(CODE(0x0f, 0x20, 0xc8), X86_CODE_64), -EINVAL); /* CR1 */
	assert_int_equal(refused(CODE(0x8e, 0xc8), X86_CODE_64), -EINVAL);	 /* to CS */
}

static void legacy_sse_asks_for_alignment_and_vex_does_not(void **state)
{
	(void)state;
	assert_int_equal(decode64(CODE(0x0f, 0x58, 0x00)).mem.align, 16);
	assert_int_equal(decode64(CODE(0x0f, 0x10, 0x00)).mem.align, 0);
	assert_int_equal(decode64(CODE(0xf3, 0x0f, 0x58, 0x00)).mem.align, 0);
	assert_int_equal(decode64(CODE(0xc5, 0xf8, 0x58, 0x00)).mem.align, 0);
	assert_int_equal(decode64(CODE(0xc5, 0xfc, 0x28, 0x00)).mem.align, 32);
	assert_int_equal(decode64(CODE(0x62, 0xf1, 0x7d, 0x48, 0xe7, 0x00)).mem.align, 64);
	assert_int_equal(decode64(CODE(0x48, 0x0f, 0xc7, 0x08)).mem.align, 16);
	assert_int_equal(decode64(CODE(0x66, 0x0f, 0x3a, 0x63, 0x00, 0x0c)).mem.align, 0);
	assert_int_equal(decode64(CODE(0x0f, 0xae, 0x00)).mem.align, 16);
	assert_int_equal(decode64(CODE(0x0f, 0xae, 0x20)).mem.align, 64);
}

static void evex_displacements_count_in_what_is_accessed(void **state)
{
	/* vaddps zmm16{k1}{z}, zmm1, [rax + 64] */
	struct x86_insn insn = decode64(CODE(0x62, 0xe1, 0x74, 0xc9, 0x58, 0x40, 0x01));

	(void)state;
	assert_int_equal(insn.mem.disp, 64);
	assert_int_equal(insn.mem.bytes, 64);
	assert_int_equal(insn.reg, 16);
	assert_int_equal(insn.vvvv, 1);
	assert_int_equal(insn.evex_aaa, 1);
	assert_true(insn.evex_z);
	assert_int_equal(insn.uses, X86_USES_AVX512);
	/* the same with one float for all */
	insn = decode64(CODE(0x62, 0xe1, 0x74, 0xd9, 0x58, 0x40, 0x01));
	assert_int_equal(insn.mem.disp, 4);
	assert_int_equal(insn.mem.bytes, 4);
	/* vpcompressd [rax + 4]{k1}, zmm0 */
	insn = decode64(CODE(0x62, 0xf2, 0x7d, 0x49, 0x8b, 0x40, 0x01));
	assert_int_equal(insn.mem.disp, 4);
	assert_int_equal(insn.mem.bytes, 64);
	/* rounding: L'L is no length */
	insn = decode64(CODE(0x62, 0xf1, 0x74, 0x78, 0x58, 0xc2));
	assert_int_equal(insn.vex_l, 2);
	assert_int_equal(refused(CODE(0x62, 0xf1, 0x74, 0x68, 0x58, 0xc2), X86_CODE_64), -EINVAL);
	/* zeroing needs a mask, and no memory to write */
	assert_int_equal(refused(CODE(0x62, 0xf1, 0x74, 0xc8, 0x58, 0xc2), X86_CODE_64), -EINVAL);
	assert_int_equal(refused(CODE(0x62, 0xf1, 0x7c, 0xc9, 0x29, 0x00), X86_CODE_64), -EINVAL);
}

static void gathers_name_a_vector_as_index(void **state)
{
	/* vpgatherdd ymm1, [rax + ymm2*4], ymm3 */
	struct x86_insn insn = decode64(CODE(0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x90));

	(void)state;
	assert_true(insn.mem.is_vsib);
	assert_int_equal(insn.mem.index, 2);
	assert_int_equal(insn.mem.bytes, 4);
	assert_int_equal(insn.gpr_read, R(RAX));
	assert_int_equal(refused(CODE(0xc4, 0xe2, 0x6d, 0x90, 0x0c, 0x90), X86_CODE_64), -EINVAL);
	assert_int_equal(refused(CODE(0xc4, 0xe2, 0x65, 0x90, 0x08), X86_CODE_64), -EINVAL);
	/* vpscatterqq [rax + zmm31*8]{k2}, zmm1 */
	insn = decode64(CODE(0x62, 0xb2, 0xfd, 0x42, 0xa1, 0x0c, 0xf8));
	assert_int_equal(insn.mem.index, 31);
	assert_true(insn.mem.is_written && !insn.mem.is_read);
}

static void implicit_memory(void **state)
{
	struct x86_insn insn = decode64(CODE(0xd7));

	(void)state;
	assert_int_equal(insn.op, X86_OP_XLAT);
	assert_int_equal(insn.gpr_read, R(RAX) | R(RBX));
	assert_int_equal(insn.mem.base, X86_RBX);
	insn = decode64(CODE(0x66, 0x0f, 0xf7, 0xc1));
	assert_int_equal(insn.op, X86_OP_MASKMOV);
	assert_int_equal(insn.rm_field, X86_FIELD_VEC);
	assert_int_equal(insn.mem.base, X86_RDI);
	assert_true(insn.mem.is_written && !insn.mem.is_read);
	insn = decode64(CODE(0x48, 0x0f, 0xab, 0x08)); /* bts [rax], rcx */
	assert_true(insn.mem.bit_offset);
	assert_false(decode64(CODE(0x0f, 0xba, 0x28, 0x07)).mem.bit_offset);
}

static void optional_state_is_named(void **state)
{
	(void)state;
	assert_int_equal(decode64(CODE(0xd8, 0xc1)).uses, X86_USES_X87);
	assert_int_equal(decode64(CODE(0x0f, 0x77)).uses, X86_USES_MMX);
	assert_int_equal(decode64(CODE(0x0f, 0x2d, 0xc1)).uses, X86_USES_SSE | X86_USES_MMX);
	assert_int_equal(decode64(CODE(0xf2, 0x0f, 0x38, 0xf1, 0xc1)).uses, 0);
	assert_int_equal(decode64(CODE(0xc5, 0xfc, 0x77)).uses, X86_USES_AVX);
	assert_int_equal(decode64(CODE(0xc4, 0xe2, 0x70, 0xf2, 0xc1)).uses, 0); /* andn */
	assert_int_equal(decode64(CODE(0xc5, 0xf8, 0x92, 0xc8)).uses, X86_USES_MASKS);
}

/* Nothing of the result is written unless all of it is. */
static void a_failure_leaves_the_result_alone(void **state)
{
	struct x86_insn insn, before;

	(void)state;
	memset(&insn, 0x5a, sizeof(insn));
	before = insn;
	assert_int_equal(x86_decode((const uint8_t[]){ 0x0f, 0x04 }, 2, X86_CODE_64, &insn),
			 -EINVAL);
	assert_int_equal(x86_decode((const uint8_t[]){ 0x48 }, 1, X86_CODE_64, &insn), -EAGAIN);
	assert_memory_equal(&insn, &before, sizeof(insn));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_where_they_are_said_to_be),
		cmocka_unit_test(names_and_classes),
		cmocka_unit_test(fifteen_bytes_are_the_end),
		cmocka_unit_test(rex_counts_right_before_the_opcode_only),
		cmocka_unit_test(high_bytes_need_that_there_is_no_rex),
		cmocka_unit_test(near_branches_obey_66_as_on_amd),
		cmocka_unit_test(far_pointers_have_6_bytes_under_rex_w),
		cmocka_unit_test(pause_with_rex_b_is_an_exchange),
		cmocka_unit_test(sib_without_base_has_none_under_rex_b),
		cmocka_unit_test(addresses),
		cmocka_unit_test(segments),
		cmocka_unit_test(lock_stands_before_read_modify_writes_of_memory_only),
		cmocka_unit_test(what_64_bit_code_lacks_is_refused_there),
		cmocka_unit_test(les_lds_bound_and_the_vector_prefixes_are_told_apart),
		cmocka_unit_test(a_mask_beyond_the_eight_and_v_prime_in_32_bit_code_are_refused),
		cmocka_unit_test(shift_counts_decide_the_flags),
		cmocka_unit_test(strings_name_what_they_use),
		cmocka_unit_test(ports),
		cmocka_unit_test(immediates),
		cmocka_unit_test(widths_of_general_registers),
		cmocka_unit_test(legacy_sse_asks_for_alignment_and_vex_does_not),
		cmocka_unit_test(evex_displacements_count_in_what_is_accessed),
		cmocka_unit_test(gathers_name_a_vector_as_index),
		cmocka_unit_test(implicit_memory),
		cmocka_unit_test(optional_state_is_named),
		cmocka_unit_test(a_failure_leaves_the_result_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
