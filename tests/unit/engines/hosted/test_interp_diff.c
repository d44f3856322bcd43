/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter against the host's CPU. DIFF_CASES: of each form; DIFF_SEED: another walk. */
#include "diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scratch.h"

static struct hosted_vm vm;
static struct hosted_cpu cpu;

static uint64_t setting(const char *name, uint64_t usual)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : usual;
}

static const struct diff_engine interp = { .name = "interp", .run = interp_step };

static void set_up(void)
{
	assert_int_equal(diff_machine_create(&vm, &cpu), 0);
	assert_int_equal(diff_native_init(), 0);
}

static void walk(enum x86_code code, unsigned forms)
{
	set_up();
	if (!diff_native_can(code))
		SKIP("no code segment of this kind: modify_ldt() is not for us");
	struct diff_result r = diff_walk(&cpu, &interp, code, (unsigned)setting("DIFF_CASES", 2),
					 setting("DIFF_SEED", 1), 20, 0);

	print_message("%u forms, %u cases, %u of them faults\n", r.forms, r.cases, r.faults);
	assert_int_equal(r.differences, 0);
	/* nothing was left out by mistake: SSE and older ones alone are more than this */
	assert_true(r.forms > forms);
	assert_true(r.faults > r.cases / 50);
	diff_machine_destroy(&cpu);
}

static void every_form_does_what_the_host_does(void **state)
{
	(void)state;
	walk(X86_CODE_64, 3000);
}

static void every_form_of_32_bit_code_does(void **state)
{
	(void)state;
	walk(X86_CODE_32, 2000);
}

static void every_form_of_16_bit_code_does(void **state)
{
	(void)state;
	walk(X86_CODE_16, 2000);
}

/* Bugs, one for each kind of state. Each is small: a bit, after some instructions only. */
static enum cpu_result wrong_register(struct hosted_cpu *c)
{
	enum cpu_result result = interp_step(c);

	if ((c->regs[X86_RBX] & 0xff) == 0x80)
		c->regs[X86_R9] ^= 1;
	return result;
}

static enum cpu_result wrong_flag(struct hosted_cpu *c)
{
	uint64_t before = c->rflags;
	enum cpu_result result = interp_step(c);

	if (((before ^ c->rflags) & X86_FLAGS_ARITH) == X86_CF)
		c->rflags ^= X86_CF;
	return result;
}

static enum cpu_result wrong_vector(struct hosted_cpu *c)
{
	enum cpu_result result = interp_step(c);

	if (c->regs[X86_RCX] & 1)
		__asm__ volatile("pinsrw $7, %0, %%xmm15" : : "r"(0x1234));
	return result;
}

static enum cpu_result wrong_x87(struct hosted_cpu *c)
{
	enum cpu_result result = interp_step(c);

	if ((c->regs[X86_RCX] & 7) == 1)
		__asm__ volatile("fnclex; fincstp");
	return result;
}

static enum cpu_result wrong_memory(struct hosted_cpu *c)
{
	uint8_t *byte = c->vm->mem->slots[0].hva + 8 * DIFF_PAGE + 77;
	enum cpu_result result = interp_step(c);

	if (c->regs[X86_RSI] & 1)
		*byte ^= 4;
	return result;
}

static enum cpu_result wrong_fault(struct hosted_cpu *c)
{
	enum cpu_result result = interp_step(c);

	c->fault.cr2 ^= c->fault.cr2 & 1;
	return result;
}

static enum cpu_result missed_fault(struct hosted_cpu *c)
{
	uint64_t next = c->rip + 2;
	enum cpu_result result = interp_step(c);

	if (result == CPU_FAULT && c->fault.vector == 13) {
		c->rip = next;
		return CPU_OK;
	}
	return result;
}

static void planted_bugs_are_found(void **state)
{
	static const struct diff_engine bugs[] = {
		{ "register", wrong_register }, { "flag", wrong_flag },
		{ "vector", wrong_vector },	{ "x87", wrong_x87 },
		{ "memory", wrong_memory },	{ "fault", wrong_fault },
		{ "missed", missed_fault },
	};

	(void)state;
	set_up();
	for (size_t i = 0; i < sizeof(bugs) / sizeof(bugs[0]); i++) {
		struct diff_result r = diff_walk(&cpu, &bugs[i], X86_CODE_64, 1, 99, 0, 1);
		if (r.differences == 0)
			print_error("the bug '%s' was not found\n", bugs[i].name);
		assert_true(r.differences > 0);
	}
	diff_machine_destroy(&cpu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_does_what_the_host_does),
		cmocka_unit_test(every_form_of_32_bit_code_does),
		cmocka_unit_test(every_form_of_16_bit_code_does),
		cmocka_unit_test(planted_bugs_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
