/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's instruction again: what the decoder says of both. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "engines/hosted/emit.h"

static void again(const uint8_t *bytes, struct x86_insn *before, struct x86_insn *after)
{
	const struct emit_mem mem = { X86_R10, X86_REG_NONE, 1, 0 };
	uint8_t out[32];
	struct emit e = { .at = out, .end = out + sizeof(out) };

	assert_true(x86_decode(bytes, X86_INSN_MAX, X86_CODE_64, before) > 0);
	emit_insn(&e, before, &mem, emit_insn_reg(before));
	assert_false(e.full);
	size_t n = (size_t)(e.at - out);
	assert_int_equal(x86_decode(out, n, X86_CODE_64, after), n);
}

/* It wrote two bytes more than were looked up: beside the page, and maybe outside of the guest's memory. */
static void a_prefix_behind_rex_was_dropped(void **state)
{
	static const uint8_t rows[][X86_INSN_MAX] = {
		{ 0x41, 0x66, 0x87, 0xbe, 0xbe, 0x4e, 0x05, 0x00 }, /* xchg [rsi + n], di */
		{ 0x4a, 0x66, 0x8b, 0xb9, 0x20, 0x00, 0x00, 0x00 }, /* mov di, [rcx + 32] */
		{ 0x40, 0x66, 0x44, 0x0f, 0xef, 0x3e },		    /* pxor xmm15, [rsi] */
		{ 0x48, 0xf0, 0x01, 0x07 },			    /* lock add [rdi], eax */
		{ 0x4f, 0xf3, 0x0f, 0x10, 0x07 },		    /* movss xmm0, [rdi] */
		{ 0x48, 0xf2, 0x41, 0x0f, 0x10, 0x07 },		    /* movsd xmm0, [r15] */
		{ 0x66, 0x48, 0x64, 0x89, 0x07 },		    /* mov fs:[rdi], ax */
		{ 0x66, 0x48, 0x89, 0x07 },			    /* mov [rdi], rax: it counts */
	};
	struct x86_insn before, after;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		again(rows[i], &before, &after);
		assert_int_equal(after.op, before.op);
		assert_int_equal(after.op_bytes, before.op_bytes);
		assert_int_equal(after.mem.bytes, before.mem.bytes);
		assert_int_equal(after.uses, before.uses);
		assert_int_equal(after.has_lock, before.has_lock);
		assert_int_equal(after.pp, before.pp);
		assert_int_equal(after.reg, before.reg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_prefix_behind_rex_was_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
