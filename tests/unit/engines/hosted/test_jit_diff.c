/* SPDX-License-Identifier: Apache-2.0 */
/* The translator against the host's CPU. DIFF_CASES: of each form; DIFF_SEED: another walk. */
#include "diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engines/hosted/jit.h"

#define CACHE_BYTES (UINT64_C(4) << 20)
#define CODE_GPA    (UINT64_C(5) * DIFF_PAGE) /* diff_machine.c */

static struct hosted_vm vm;
static struct hosted_cpu cpu;

static uint64_t setting(const char *name, uint64_t usual)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : usual;
}

/* The case's bytes were written without our being told. Behind them is HLT, which faults, and which the state is that before. */
static enum cpu_result translated(struct hosted_cpu *c)
{
	uint64_t start = c->rip;

	jit_wrote(c->vm, CODE_GPA, 2 * X86_INSN_MAX);
	enum cpu_result r = jit_run(c);
	if (c->rip != start)
		return CPU_OK;
	return r == CPU_AGAIN ? interp_step(c) : r;
}

static enum cpu_result wrong_register(struct hosted_cpu *c)
{
	enum cpu_result r = translated(c);

	if ((c->regs[X86_RBX] & 0xff) == 0x80)
		c->regs[X86_R10] ^= 1;
	return r;
}

static void set_up(void)
{
	struct err err;

	assert_int_equal(diff_machine_create(&vm, &cpu), 0);
	assert_int_equal(diff_native_init(), 0);
	assert_int_equal(jit_vm_create(&vm, 1, CACHE_BYTES, &err), 0);
	assert_int_equal(jit_vcpu_create(&cpu, &err), 0);
}

static void tear_down(void)
{
	jit_vcpu_destroy(&cpu);
	jit_vm_destroy(&vm);
	diff_machine_destroy(&cpu);
}

static void every_form_does_what_the_host_does(void **state)
{
	static const struct diff_engine engine = { .name = "translator", .run = translated };

	(void)state;
	set_up();
	struct diff_result r =
		diff_walk(&cpu, &engine, X86_CODE_64, (unsigned)setting("DIFF_CASES", 3),
			  setting("DIFF_SEED", 1), 20, 0);
	print_message("%u forms, %u cases, %u of them faults\n", r.forms, r.cases, r.faults);
	assert_int_equal(r.differences, 0);
	struct jit_stats stats;
	jit_stats(&cpu, &stats);
	assert_true(stats.blocks > r.cases / 2);
	tear_down();
}

static void a_planted_bug_is_found(void **state)
{
	static const struct diff_engine engine = { .name = "bug", .run = wrong_register };

	(void)state;
	set_up();
	assert_true(diff_walk(&cpu, &engine, X86_CODE_64, 1, 99, 0, 1).differences > 0);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_does_what_the_host_does),
		cmocka_unit_test(a_planted_bug_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
