/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/vmm/gdb_regs.h"

/* The description names as many registers as the table has, with the table's sizes. */
static void the_description_and_the_table_agree(void **state)
{
	unsigned n = 0;

	(void)state;
	for (const char *at = gdb_target_xml; (at = strstr(at, "<reg ")); at++) {
		const char *bits = strstr(at, "bitsize=\"") + 9;
		unsigned long size = strtoul(bits, NULL, 10);
		assert_int_equal(size, 8 * gdb_reg_bytes(n));
		n++;
	}
	assert_int_equal(n, gdb_reg_count());
	assert_int_equal(gdb_reg_bytes(n), 0);
}

static void all_of_them_fit_into_a_packet(void **state)
{
	unsigned bytes = 0;

	(void)state;
	for (unsigned i = 0; i < gdb_reg_count(); i++) {
		assert_in_range(gdb_reg_bytes(i), 1, GDB_REG_BYTES_MAX);
		bytes += gdb_reg_bytes(i);
	}
	assert_in_range(2 * bytes, 1, GDB_PACKET_BYTES - 1);
}

/* The number of a register in the description. */
static unsigned number_of(const char *name)
{
	char want[32];
	unsigned n = 0;

	(void)snprintf(want, sizeof(want), "<reg name=\"%s\"", name);
	for (const char *at = gdb_target_xml; (at = strstr(at, "<reg ")); at++, n++) {
		if (!strncmp(at, want, strlen(want)))
			return n;
	}
	fail_msg("no register %s", name);
	return 0;
}

static void prints(const struct x86_state *state, const char *name, const char *want)
{
	struct gdb_text text = { 0 };

	gdb_reg_print(state, number_of(name), &text);
	assert_int_equal(text.len, strlen(want));
	assert_memory_equal(text.data, want, text.len);
}

static void each_is_what_it_is_called(void **state)
{
	struct x86_state s = {
		.regs = { [X86_RAX] = 1, [X86_RBX] = 2, [X86_RSP] = 3, [X86_R15] = 4 },
		.rip = UINT64_C(0xffffffff81000000),
		.rflags = 0x246,
		.cr3 = 0x1000,
		.efer = 0xd01,
	};

	(void)state;
	s.segs[X86_CS].selector = 0x10;
	s.segs[X86_GS].base = UINT64_C(0xffff888000000000);
	prints(&s, "rax", "0100000000000000");
	prints(&s, "rbx", "0200000000000000");
	prints(&s, "rsp", "0300000000000000");
	prints(&s, "r15", "0400000000000000");
	prints(&s, "rip", "00000081ffffffff");
	prints(&s, "eflags", "46020000");
	prints(&s, "cs", "10000000");
	prints(&s, "st0", "xxxxxxxxxxxxxxxxxxxx");
	prints(&s, "gs_base", "000000008088ffff");
	prints(&s, "cr3", "0010000000000000");
	prints(&s, "efer", "010d000000000000");
}

static bool parses(struct x86_state *s, const char *name, const char *value)
{
	struct gdb_cursor in = { (const uint8_t *)value, (const uint8_t *)value + strlen(value) };

	return gdb_reg_parse(s, number_of(name), &in);
}

static void values_are_taken(void **state)
{
	struct x86_state s = { 0 };

	(void)state;
	assert_true(parses(&s, "rdx", "efcdab8967452301"));
	assert_int_equal(s.regs[X86_RDX], UINT64_C(0x0123456789abcdef));
	s.rflags = UINT64_C(0x1234500000000);
	assert_true(parses(&s, "eflags", "02000000"));
	assert_int_equal(s.rflags, 2);
	assert_true(parses(&s, "fs_base", "0010000000000000"));
	assert_int_equal(s.segs[X86_FS].base, 0x1000);
	assert_true(parses(&s, "cr0", "3300008000000000"));
	assert_int_equal(s.cr0, 0x80000033);
}

static void what_cannot_be_set_is_passed_over(void **state)
{
	struct x86_state s = { 0 }, zero = { 0 };

	(void)state;
	s.segs[X86_CS].selector = zero.segs[X86_CS].selector = 8;
	assert_true(parses(&s, "cs", "33000000"));
	assert_true(parses(&s, "st3", "00112233445566778899"));
	assert_true(parses(&s, "xmm0", "00112233445566778899aabbccddeeff"));
	assert_true(parses(&s, "rax", "xxxxxxxxxxxxxxxx"));
	assert_memory_equal(&s, &zero, sizeof(s));
	assert_false(parses(&s, "rax", "00112233445566"));
	assert_false(parses(&s, "rax", "001122334455667g"));
	assert_false(parses(&s, "rax", "xx11223344556677"));
	assert_memory_equal(&s, &zero, sizeof(s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_description_and_the_table_agree),
		cmocka_unit_test(all_of_them_fit_into_a_packet),
		cmocka_unit_test(each_is_what_it_is_called),
		cmocka_unit_test(values_are_taken),
		cmocka_unit_test(what_cannot_be_set_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
