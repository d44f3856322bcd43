/* SPDX-License-Identifier: Apache-2.0 */
/* Data breakpoints on the stack, by what pushes and pops more than one value. */
#include <string.h>

#include "base/core/macros.h"
#include "sys_rig.h"

/* Breakpoint 1: 8 bytes (4 in 32-bit modes) at a linear address. @kind: R/W of DR7, 1 for writes, 3 for both. */
static void watch(struct hosted_cpu *cpu, uint64_t at, unsigned kind)
{
	cpu->dr[1] = at;
	cpu->dr[7] = 0x400 | 8 | (uint64_t)(kind | (sys_is_long(cpu) ? 8U : 12U)) << 20;
	cpu->debug_hits = 0;
	cpu_mode_update(cpu);
}

static const enum sys_mode modes[] = { SYS_REAL, SYS_P32, SYS_COMPAT, SYS_LONG };

static void a_frame_of_an_event(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		sys_mode(rig, modes[i], 0);
		cpu->regs[X86_RSP] &= ~UINT64_C(15);
		uint64_t sp = cpu->regs[X86_RSP];
		watch(cpu, sp - 8, 1);
		assert_int_equal(except_interrupt(cpu, 0x40), CPU_OK);
		assert_int_equal(cpu->debug_hits, 2);
		sys_mode(rig, modes[i], 0);
		watch(cpu, sp, 1);
		assert_int_equal(except_interrupt(cpu, 0x40), CPU_OK);
		assert_int_equal(cpu->debug_hits, 0);
	}
	sys_mode(rig, SYS_LONG, 3); /* the inner stack */
	watch(cpu, SYS_STACK0 - 40, 3);
	(void)fault_error(cpu, SYS_GP, 0);
	assert_int_equal(except_deliver(cpu), CPU_OK);
	assert_int_equal(cpu->debug_hits, 2);
	assert_int_equal(cpu->rip, SYS_HANDLERS + SYS_GP * 16);
}

static void a_frame_that_could_not_be_pushed(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	sys_set_gate(rig, SYS_PF, SEL_CODE64, 0x8e, 1); /* on IST 1 */
	cpu->regs[X86_RSP] = SYS_ABSENT + 16;		/* half of it is not there */
	watch(cpu, SYS_ABSENT - 8, 3);
	(void)fault_raise(cpu, SYS_UD);
	assert_int_equal(except_deliver(cpu), CPU_OK);
	assert_int_equal(cpu->rip, SYS_HANDLERS + SYS_PF * 16);
	assert_int_equal(cpu->debug_hits, 0);
}

static void iret_reads(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	for (unsigned kind = 1; kind <= 3; kind += 2) {
		sys_mode(rig, SYS_LONG, 0);
		const uint64_t frame[] = { SYS_CODE + 64, SEL_CODE64, X86_RFLAGS_FIXED, SYS_STACK0,
					   0 };
		memcpy(rig->ram + SYS_STACK0 - 40, frame, sizeof(frame));
		cpu->regs[X86_RSP] = SYS_STACK0 - 40;
		watch(cpu, SYS_STACK0 - 16, kind);
		assert_int_equal(sys_exec(rig, "48cf"), CPU_OK);
		assert_int_equal(cpu->rip, SYS_CODE + 64);
		assert_int_equal(cpu->debug_hits, kind == 3 ? 2 : 0);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sys_rig_create, sys_rig_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_frame_of_an_event),
		CASE(a_frame_that_could_not_be_pushed),
		CASE(iret_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
