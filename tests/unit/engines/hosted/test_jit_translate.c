/* SPDX-License-Identifier: Apache-2.0 */
/* Which flags matter: those too that an instruction leaves as they were, undefined though they are. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "jit_rig.h"

#define HLT   0xf4
#define NOP   0x90
#define RET   0xc3
#define CACHE (UINT64_C(4) << 20)

static int setup(void **state)
{
	static struct jit_rig rig;

	*state = &rig;
	return jit_rig_create(&rig, CACHE);
}

static int teardown(void **state)
{
	jit_rig_destroy(*state);
	return 0;
}

/* The flags behind add al, 0x7f; mov rdx, [rdi]; what is tested; as the host's CPU has them. */
static uint64_t native(const uint8_t *code, uint64_t rax)
{
	uint64_t flags, rcx = 3, rdx;

	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "call *%4\n\t"
			 "pushfq\n\t"
			 "pop %2\n\t"
			 "lea 128(%%rsp), %%rsp"
			 : "+a"(rax), "+c"(rcx), "=&r"(flags), "=&d"(rdx)
			 : "r"(code), "D"(JIT_RIG_DATA)
			 : "cc", "memory");
	return flags & X86_FLAGS_ARITH;
}

static void what_a_multiplication_keeps_of_the_flags_was_anything(void **state)
{
	static const uint8_t start[] = { 0x04, 0x7f, 0x48, 0x8b, 0x17 };
	static const struct {
		uint8_t code[4], n;
	} rows[] = {
		{ { 0x6b, 0xc1, 0x05 }, 3 },	   /* imul eax, ecx, 5 */
		{ { 0x0f, 0xaf, 0x07 }, 3 },	   /* imul eax, [rdi] */
		{ { 0xf7, 0xe1 }, 2 },		   /* mul ecx */
		{ { 0xf6, 0xf1 }, 2 },		   /* div cl */
		{ { 0x0f, 0xa3, 0xc8 }, 3 },	   /* bt eax, ecx */
		{ { 0x0f, 0xbb, 0xc8 }, 3 },	   /* btc eax, ecx */
		{ { 0xf3, 0x0f, 0xbd, 0xc1 }, 4 }, /* lzcnt eax, ecx */
		{ { 0xf3, 0x0f, 0xbc, 0xc1 }, 4 }, /* tzcnt eax, ecx */
		{ { 0xc0, 0xd0, 0x09 }, 3 },	   /* rcl al, 9 */
	};
	struct jit_rig *rig = *state;
	uint8_t code[16];
	const size_t n = sizeof(code) - 1;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(code, NOP, sizeof(code));
		memcpy(code, start, sizeof(start));
		memcpy(code + sizeof(start), rows[i].code, rows[i].n);
		for (unsigned rax = 0; rax < 256; rax++) {
			code[n] = RET;
			jit_rig_load(rig, JIT_RIG_CODE, code, sizeof(code));
			uint64_t flags = native(rig->ram, rax);
			code[n] = HLT;
			jit_rig_load(rig, JIT_RIG_CODE, code, sizeof(code));
			rig->cpu.regs[X86_RAX] = rax;
			rig->cpu.regs[X86_RCX] = 3;
			rig->cpu.regs[X86_RDI] = JIT_RIG_DATA;
			rig->cpu.rip = JIT_RIG_CODE;
			assert_int_equal(jit_rig_run(rig), CPU_FAULT);
			assert_int_equal(rig->cpu.rip, JIT_RIG_CODE + n);
			assert_int_equal(rig->cpu.rflags & X86_FLAGS_ARITH, flags);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_a_multiplication_keeps_of_the_flags_was_anything, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
