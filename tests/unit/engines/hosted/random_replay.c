/* SPDX-License-Identifier: Apache-2.0 */
#include "random_replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "x86/insn.h"
#include "x86/msr.h"

#define STEPS_MAX   100000U
#define PRINTED_MAX 64U

/* A byte of what is executed; code that is no memory reads as ones. */
static bool code_byte(struct random_rig *rig, uint64_t gva, uint8_t *ret)
{
	gpa_t gpa;

	if (hosted_cpu_ops.translate(rig->vcpus[0], gva, &gpa) < 0)
		return false;
	*ret = 0xff;
	if (gpa < RANDOM_RAM_BYTES)
		*ret = rig->ram[gpa];
	else if (gpa < RANDOM_RAM_BYTES + RANDOM_ROM_BYTES)
		*ret = rig->rom[gpa - RANDOM_RAM_BYTES];
	return true;
}

/* The instruction that comes next. Return: false: there is none. */
static bool decode(struct random_rig *rig, const struct x86_state *s, struct x86_insn *ret)
{
	const struct x86_segment *cs = &s->segs[X86_CS];
	const bool is_64 = (s->efer & X86_EFER_LMA) && cs->l;
	enum x86_code code = is_64 ? X86_CODE_64 : cs->db ? X86_CODE_32 : X86_CODE_16;
	uint8_t bytes[X86_INSN_MAX];
	size_t n = 0;

	for (; n < sizeof(bytes); n++) {
		uint64_t gva = is_64 ? s->rip + n : (cs->base + s->rip + n) & UINT32_MAX;
		if (!code_byte(rig, gva, &bytes[n]))
			break;
	}
	return x86_decode(bytes, n, code, ret) > 0;
}

static bool reads_chance(const struct x86_insn *insn, const struct x86_state *s)
{
	switch (insn->op) {
	case X86_OP_RDTSC:
	case X86_OP_RDTSCP:
	case X86_OP_RDRAND:
	case X86_OP_RDSEED:
		return true;
	case X86_OP_RDMSR:
		return (uint32_t)s->regs[X86_RCX] == MSR_TSC;
	default:
		return false;
	}
}

static void print_insn(const struct x86_insn *insn, uint64_t rip)
{
	char text[3 * X86_INSN_MAX + 1] = "";

	for (unsigned i = 0; i < insn->len; i++)
		(void)snprintf(text + strlen(text), 4, " %02x", insn->bytes[i]);
	print_message("  0x%llx:%s\n", (unsigned long long)rip, text);
}

static void look(struct random_rig *rig, bool print, struct random_replay *ret)
{
	struct x86_state state;
	struct x86_insn insn;

	(void)hosted_cpu_ops.state_get(rig->vcpus[0], &state);
	if (!decode(rig, &state, &insn))
		return;
	ret->by_chance |= reads_chance(&insn, &state);
	if (print && ret->steps < PRINTED_MAX)
		print_insn(&insn, state.rip);
}

void random_replay(struct random_rig *rig, const struct x86_state *start, bool print,
		   struct random_replay *ret)
{
	struct vcpu *vcpu = rig->vcpus[0];
	struct vcpu_io io = { 0 };
	enum vcpu_exit exit = VCPU_EXIT_DEBUG;
	unsigned accesses = 0;

	*ret = (struct random_replay){ 0 };
	assert_int_equal(hosted_cpu_ops.state_set(vcpu, start), 0);
	assert_int_equal(hosted_cpu_ops.debug_set(vcpu, true, false, NULL), 0);
	while (ret->steps < STEPS_MAX && accesses < RANDOM_ACCESSES) {
		if (exit == VCPU_EXIT_DEBUG)
			look(rig, print, ret);
		exit = hosted_cpu_ops.run(vcpu, &io);
		if (exit == VCPU_EXIT_DEBUG)
			ret->steps++;
		else if (exit != VCPU_EXIT_KICKED && !random_answer(exit, &io))
			break;
		else
			accesses++;
	}
	(void)hosted_cpu_ops.debug_set(vcpu, false, false, NULL);
}
