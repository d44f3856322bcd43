/* SPDX-License-Identifier: Apache-2.0 */
/* Indirect branches: what they hand over, and what they leave when they cannot be taken. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "jit_rig.h"

#define HLT	  0xf4
#define GP	  13
#define PF	  14
#define CACHE	  (UINT64_C(4) << 20)
#define SLOT	  (JIT_RIG_STACK - 8)
#define UNTOUCHED UINT64_C(0x1122334455667788)

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

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#define LOAD(rig, gva, ...)                                                                        \
	jit_rig_load(rig, gva, (const uint8_t[]){ __VA_ARGS__ },                                   \
		     sizeof((const uint8_t[]){ __VA_ARGS__ }))

static uint64_t get64(const struct jit_rig *rig, uint64_t gva)
{
	uint64_t value;

	memcpy(&value, rig->ram + (gva - JIT_RIG_VA), 8);
	return value;
}

static void run(struct jit_rig *rig, uint64_t from, unsigned vector, uint64_t rip)
{
	rig->cpu.rip = from;
	assert_int_equal(jit_rig_run(rig), CPU_FAULT);
	assert_int_equal(rig->cpu.fault.vector, vector);
	assert_int_equal(rig->cpu.rip, rip);
}

/* The first time C looks for the target, later it is in the jump table. */
static void flags_were_lost_where_a_jump_led_the_first_time(void **state)
{
	static const uint8_t branches[][2] = {
		{ 0xff, 0xe2 }, /* jmp rdx */
		{ 0xff, 0xd2 }, /* call rdx */
		{ 0x52, 0xc3 }, /* push rdx; ret */
	};
	struct jit_rig *rig = *state;
	const uint64_t target = JIT_RIG_CODE + 0x400;

	LOAD(rig, target, 0x83, 0xd8, 0x10, HLT); /* sbb eax, 16 */
	for (unsigned i = 0; i < 3; i++) {
		uint64_t at = JIT_RIG_CODE + 64 * i;
		jit_rig_load(rig, target, "\x83\xd8\x10", 3); /* anew */
		jit_rig_load(rig, at, branches[i], 2);
		for (unsigned turn = 0; turn < 3; turn++) {
			rig->cpu.regs[X86_RSP] = JIT_RIG_STACK;
			rig->cpu.regs[X86_RDX] = target;
			rig->cpu.regs[X86_RAX] = 100;
			rig->cpu.rflags |= X86_CF;
			run(rig, at, GP, target + 3);
			assert_int_equal(rig->cpu.regs[X86_RAX], 83);
		}
	}
}

/* Real CPUs leave memory alone. */
static void a_call_to_no_address_left_its_return_address(void **state)
{
	struct jit_rig *rig = *state;

	LOAD(rig, JIT_RIG_CODE, 0x48, 0x89, 0x44, 0x24, 0xf8, /* mov [rsp - 8], rax */
	     0xff, 0xd3, HLT);				      /* call rbx */
	for (unsigned turn = 0; turn < 2; turn++) {
		rig->cpu.regs[X86_RAX] = UNTOUCHED;
		rig->cpu.regs[X86_RBX] = UINT64_C(0x800000000000);
		run(rig, JIT_RIG_CODE, GP, JIT_RIG_CODE + 5);
		assert_int_equal(rig->cpu.regs[X86_RSP], JIT_RIG_STACK);
		assert_int_equal(get64(rig, SLOT), UNTOUCHED);
	}
}

/* By a register, from memory, by the scratch registers; the second time without C. */
static void a_call_finds_its_target_and_comes_back(void **state)
{
	static const struct {
		uint8_t code[5], n;
	} rows[] = {
		{ { 0xff, 0xd2 }, 2 },		   /* call rdx */
		{ { 0xff, 0x54, 0x24, 0x10 }, 4 }, /* call [rsp + 16] */
		{ { 0x41, 0xff, 0xd2 }, 3 },	   /* call r10 */
		{ { 0x41, 0xff, 0xd3 }, 3 },	   /* call r11 */
		{ { 0x41, 0xff, 0x17 }, 3 },	   /* call [r15] */
	};
	struct jit_rig *rig = *state;
	const uint64_t target = JIT_RIG_CODE + 0x400;
	uint64_t *regs = rig->cpu.regs;

	LOAD(rig, target, 0x48, 0x8b, 0x04, 0x24, 0xff, 0xc1, 0xc3); /* mov rax, [rsp]; inc ecx */
	memcpy(rig->ram + (JIT_RIG_STACK + 16 - JIT_RIG_VA), &target, 8);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t at = JIT_RIG_CODE + 64 * i;
		jit_rig_load(rig, at, rows[i].code, rows[i].n);
		LOAD(rig, at + rows[i].n, HLT);
		for (unsigned turn = 0; turn < 3; turn++) {
			uint64_t insns = rig->cpu.insns;
			regs[X86_RDX] = regs[X86_R10] = regs[X86_R11] = target;
			regs[X86_R15] = JIT_RIG_STACK + 16;
			regs[X86_RCX] = 7;
			run(rig, at, GP, at + rows[i].n);
			assert_int_equal(regs[X86_RAX], at + rows[i].n);
			assert_int_equal(regs[X86_RCX], 8);
			assert_int_equal(regs[X86_RSP], JIT_RIG_STACK);
			assert_true(turn == 0 || rig->cpu.insns - insns == 1); /* HLT */
		}
	}
}

static void a_call_whose_stack_is_not_there_has_done_nothing(void **state)
{
	struct jit_rig *rig = *state;
	const uint64_t target = JIT_RIG_CODE + 0x400;

	LOAD(rig, target, HLT);
	LOAD(rig, JIT_RIG_CODE, 0xff, 0xd2); /* call rdx */
	rig->cpu.regs[X86_RDX] = target;
	run(rig, JIT_RIG_CODE, GP, target); /* its target is known now */
	rig->cpu.regs[X86_RSP] = JIT_RIG_VA + JIT_RIG_BYTES + 64;
	run(rig, JIT_RIG_CODE, PF, JIT_RIG_CODE);
	assert_int_equal(rig->cpu.fault.cr2, JIT_RIG_VA + JIT_RIG_BYTES + 56);
	assert_int_equal(rig->cpu.regs[X86_RSP], JIT_RIG_VA + JIT_RIG_BYTES + 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(flags_were_lost_where_a_jump_led_the_first_time),
		T(a_call_to_no_address_left_its_return_address),
		T(a_call_finds_its_target_and_comes_back),
		T(a_call_whose_stack_is_not_there_has_done_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
