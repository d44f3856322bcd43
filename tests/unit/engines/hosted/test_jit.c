/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "diff.h"
#include "engines/hosted/jit.h"

static enum cpu_result translate_one(struct hosted_cpu *cpu)
{
	uint64_t start = cpu->rip;

	jit_wrote(cpu->vm, 5 * DIFF_PAGE, 32);
	enum cpu_result r = jit_run(cpu);
	if (r != CPU_AGAIN)
		return r;
	return cpu->rip == start ? interp_step(cpu) : CPU_OK;
}

static void every_form_computes_as_the_host_does(void **state)
{
	static const struct diff_engine engine = { "translator", translate_one };
	static struct hosted_vm vm;
	static struct hosted_cpu cpu;
	struct err err;
	const char *cases = getenv("CASES");

	(void)state;
	assert_int_equal(diff_machine_create(&vm, &cpu), 0);
	assert_int_equal(diff_native_init(), 0);
	assert_int_equal(jit_vm_create(&vm, 1, 4U << 20, &err), 0);
	assert_int_equal(jit_vcpu_create(&cpu, &err), 0);
	struct diff_result r =
		diff_walk(&cpu, &engine, cases ? (unsigned)atoi(cases) : 4, 1, 20);
	struct jit_stats stats;
	jit_stats(&cpu, &stats);
	printf("%u forms, %u cases, %u faults, %u differences; %llu blocks\n", r.forms, r.cases,
	       r.faults, r.differences, (unsigned long long)stats.blocks);
	assert_int_equal(r.differences, 0);
	jit_vcpu_destroy(&cpu);
	jit_vm_destroy(&vm);
	diff_machine_destroy(&cpu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_computes_as_the_host_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
