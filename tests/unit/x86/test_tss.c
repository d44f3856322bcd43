/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "x86/tss.h"

static const struct x86_tss task = {
	.ip = 0x11112222,
	.flags = 0x33334202,
	.regs = { 0x10000001, 0x10000002, 0x10000003, 0x10000004, 0x10000005, 0x10000006,
		  0x10000007, 0x10000008 },
	.segs = { [X86_ES] = 0x10,
		  [X86_CS] = 0x08,
		  [X86_SS] = 0x18,
		  [X86_DS] = 0x20,
		  [X86_FS] = 0x28,
		  [X86_GS] = 0x30 },
};

static uint32_t word(const uint8_t *bytes, unsigned at, unsigned width)
{
	uint32_t value = 0;

	memcpy(&value, bytes + at, width);
	return value;
}

static void the_larger_kind_is_where_the_manual_has_it(void **state)
{
	uint8_t bytes[X86_TSS_BYTES] = { 0 };
	unsigned at;
	unsigned len = x86_tss_pack(&task, true, bytes, &at);

	(void)state;
	assert_int_equal(at, 32);
	assert_int_equal(len, 64);
	memmove(bytes + at, bytes, len);
	assert_int_equal(word(bytes, 32, 4), 0x11112222);
	assert_int_equal(word(bytes, 40, 4), 0x10000001); /* EAX */
	assert_int_equal(word(bytes, 56, 4), 0x10000005); /* ESP */
	assert_int_equal(word(bytes, 72, 4), 0x10);	  /* ES */
	assert_int_equal(word(bytes, 92, 4), 0x30);	  /* GS */
	assert_int_equal(x86_tss_bytes(true), 104);
}

static void what_was_saved_is_taken_again(void **state)
{
	uint8_t bytes[X86_TSS_BYTES] = { 0 }, saved[X86_TSS_SAVED_BYTES];
	struct x86_tss back;
	unsigned at;
	unsigned len = x86_tss_pack(&task, true, saved, &at);

	(void)state;
	memcpy(bytes + at, saved, len);
	bytes[28] = 0x40; /* CR3 */
	bytes[96] = 0x48; /* LDT */
	bytes[100] = 1;	  /* T */
	x86_tss_parse(bytes, true, &back);
	assert_int_equal(back.ip, task.ip);
	assert_int_equal(back.flags, task.flags);
	assert_memory_equal(back.regs, task.regs, sizeof(task.regs));
	assert_memory_equal(back.segs, task.segs, sizeof(task.segs));
	assert_int_equal(back.cr3, 0x40);
	assert_int_equal(back.ldt, 0x48);
	assert_true(back.trap);
}

static void the_smaller_kind_has_halves_and_four_segments(void **state)
{
	uint8_t bytes[X86_TSS_BYTES] = { 0 }, saved[X86_TSS_SAVED_BYTES];
	struct x86_tss back;
	unsigned at;
	unsigned len = x86_tss_pack(&task, false, saved, &at);

	(void)state;
	assert_int_equal(at, 14);
	assert_int_equal(len, 28);
	assert_int_equal(x86_tss_bytes(false), 44);
	memcpy(bytes + at, saved, len);
	bytes[42] = 0x48;
	bytes[100] = 1; /* beyond it */
	x86_tss_parse(bytes, false, &back);
	assert_int_equal(back.ip, 0x2222);
	assert_int_equal(back.flags, 0x4202);
	assert_int_equal(back.regs[X86_RSP], 0xffff0005);
	assert_int_equal(back.segs[X86_DS], 0x20);
	assert_int_equal(back.segs[X86_FS] | back.segs[X86_GS], 0);
	assert_int_equal(back.ldt, 0x48);
	assert_false(back.trap || back.cr3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_larger_kind_is_where_the_manual_has_it),
		cmocka_unit_test(what_was_saved_is_taken_again),
		cmocka_unit_test(the_smaller_kind_has_halves_and_four_segments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
