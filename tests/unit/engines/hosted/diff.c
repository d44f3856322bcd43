/* SPDX-License-Identifier: Apache-2.0 */
#include "diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/hosted/interp.h"

#define VECTOR_UD 6
#define VECTOR_PF 14
#define TRIES	  24U /* random bytes of a form, before there is said to be none */

struct walk {
	struct hosted_cpu *cpu;
	const struct diff_engine *engine;
	struct diff_rng rng;
	enum x86_code code;
	unsigned cases, print_max, enough;
	struct diff_result result;
	struct diff_case test;
	struct diff_state native, ours;
};

/* ---- comparing ---- */

static bool say(bool print, const char *what, uint64_t native, uint64_t ours)
{
	if (native == ours)
		return false;
	if (print)
		printf("    %s: %llx, ours %llx\n", what, (unsigned long long)native,
		       (unsigned long long)ours);
	return true;
}

static bool say_bytes(bool print, const char *what, unsigned i, const uint8_t *native,
		      const uint8_t *ours, size_t n)
{
	char name[32];

	if (memcmp(native, ours, n) == 0)
		return false;
	for (size_t at = 0; at < n; at++) {
		if (native[at] == ours[at])
			continue;
		(void)snprintf(name, sizeof(name), "%s%u[%zu]", what, i, at);
		return say(print, name, native[at], ours[at]);
	}
	return false;
}

static bool differs_vectors(const struct diff_vectors *a, const struct diff_vectors *b, bool print)
{
	bool bad = false;

	for (unsigned i = 0; i < 32; i++)
		bad |= say_bytes(print, "zmm", i, a->zmm[i], b->zmm[i], 64);
	for (unsigned i = 0; i < 8; i++) {
		bad |= say_bytes(print, "k", i, (const uint8_t *)&a->k[i],
				 (const uint8_t *)&b->k[i], 8);
		bad |= say_bytes(print, "st", i, a->st[i], b->st[i], 10);
	}
	bad |= say(print, "fcw", a->fcw, b->fcw);
	bad |= say(print, "fsw", a->fsw, b->fsw);
	bad |= say(print, "ftw", a->ftw, b->ftw);
	bad |= say(print, "mxcsr", a->mxcsr, b->mxcsr);
	return bad;
}

/* Of the undefined ones those that the CPU keeps are compared; not where C executes it, which sets them as it likes. */
static uint64_t flags_defined(const struct x86_insn *insn)
{
	uint32_t undefined = insn->flags_undefined;

	return ~(uint64_t)(interp_is_legacy(insn) ? undefined : undefined & ~cpu_flags_kept(insn));
}

static bool differs(const struct walk *w, bool print)
{
	static const char *const names[X86_REGS] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp",
						     "rsi", "rdi", "r8",  "r9",	 "r10", "r11",
						     "r12", "r13", "r14", "r15" };
	const struct diff_state *a = &w->native, *b = &w->ours;
	uint64_t flags = flags_defined(&w->test.insn);
	bool is_64 = w->test.insn.code == X86_CODE_64;
	uint64_t seen = is_64 ? UINT64_MAX : UINT32_MAX;
	/* with 16-bit addresses, elements of a masked store are taken modulo 64 KiB, or not: no program does that */
	uint64_t wraps = w->test.insn.addr_bytes == 2 ? UINT16_MAX : UINT64_MAX;
	bool bad = say(print, "fault", a->is_fault, b->is_fault);

	if (a->is_fault && !bad) {
		bad |= say(print, "vector", a->vector, b->vector);
		if (a->vector == VECTOR_PF) {
			bad |= say(print, "error", a->error, b->error);
			bad |= say(print, "cr2", a->cr2 & wraps, b->cr2 & wraps);
		}
		flags = UINT64_MAX;
		if (a->vector == 0) /* DIV leaves them undefined, fault or not */
			flags = ~(uint64_t)X86_FLAGS_ARITH;
	}
	/* outside of 64-bit code nobody can see more of a register, or more than eight of them */
	for (unsigned i = 0; i < (is_64 ? 16 : 8); i++)
		bad |= say(print, names[i], a->regs[i] & seen, b->regs[i] & seen);
	bad |= say(print, "rflags", a->rflags & flags, b->rflags & flags);
	bad |= differs_vectors(&a->vectors, &b->vectors, print);
	for (unsigned i = 0; i < DIFF_PAGES; i++)
		bad |= say_bytes(print, "memory", i, a->memory[i], b->memory[i], DIFF_PAGE);
	return bad;
}

static void print_case(const struct walk *w)
{
	const struct x86_insn *insn = &w->test.insn;

	printf("  %s:", w->engine->name);
	for (unsigned i = 0; i < insn->len; i++)
		printf(" %02x", insn->bytes[i]);
	printf(" (mem %u bytes, %s%s)\n", insn->has_mem ? insn->mem.bytes : 0,
	       insn->has_mem && insn->mem.is_written ? "written" : "",
	       w->native.is_fault ? " faults" : "");
	(void)differs(w, true);
}

/* ---- walking ---- */

static void fill_memory(struct walk *w)
{
	for (unsigned i = 0; i < DIFF_PAGES; i++) {
		for (unsigned at = 0; at < DIFF_PAGE; at += 8) {
			uint64_t value = diff_random(&w->rng);
			if (at % 64 == 8)
				value = 0x3ff0000000000000;
			if (at % 64 == 16)
				value >>= (unsigned)value & 63;
			memcpy(w->test.before.memory[i] + at, &value, 8);
		}
	}
}

/* A gather's vector mask after a fault: elements not yet done are as they were with AMD, their signs in all bits with Intel. */
static void settle_mask(const struct x86_insn *insn, struct diff_state *state)
{
	unsigned elem = insn->vex_w ? 8 : 4;

	for (unsigned at = elem - 1; at < 32; at += elem) {
		uint8_t *last = &state->vectors.zmm[insn->vvvv][at];
		memset(last + 1 - elem, *last & 0x80 ? 0xff : 0, elem);
	}
}

static void settle(struct walk *w)
{
	const struct x86_insn *insn = &w->test.insn;

	if (!insn->has_mem || !insn->mem.is_vsib || insn->encoding != X86_ENC_VEX)
		return;
	if (w->native.is_fault && w->ours.is_fault) {
		settle_mask(insn, &w->native);
		settle_mask(insn, &w->ours);
	}
}

static bool run_one(struct walk *w, const struct diff_form *form, bool *ret_differs)
{
	if (!diff_make_case(&w->rng, form, &w->test))
		return false;
	diff_native_run(&w->test, &w->native);
	diff_machine_run(w->cpu, w->engine, &w->test, &w->ours);
	w->result.cases++;
	w->result.faults += w->native.is_fault;
	settle(w);
	*ret_differs = differs(w, false);
	return true;
}

static void walk_form(struct walk *w, const struct diff_form *form)
{
	unsigned done = 0, misses = 0;
	bool printed = false;

	/* a rare field may make most tries something else; a form that is none fails all of the first ones */
	while (done < w->cases && misses < (done ? 100 * w->cases : TRIES)) {
		bool bad = false;
		if (!run_one(w, form, &bad)) {
			misses++;
			continue;
		}
		w->result.forms += done++ == 0;
		if (!bad)
			continue;
		w->result.differences++;
		if (!printed && w->print_max > 0) {
			w->print_max--;
			print_case(w);
		}
		printed = true;
	}
}

/* The fields of @form that are still open: which kind of operand, ModRM.reg, EVEX.b. */
static void walk_operands(struct walk *w, struct diff_form form)
{
	for (unsigned i = 0; i < 32; i++) {
		form.reg = i & 7;
		form.has_mem = i >> 3 & 1;
		form.evex_b = i >> 4;
		if (form.evex_b && form.encoding != X86_ENC_EVEX)
			break;
		walk_form(w, &form);
	}
}

static bool is_enough(const struct walk *w)
{
	return w->enough && w->result.differences >= w->enough;
}

static void walk_map(struct walk *w, unsigned encoding, unsigned map)
{
	unsigned lengths = encoding == X86_ENC_LEGACY ? 1 : encoding == X86_ENC_VEX ? 2 : 3;

	for (unsigned i = 0; i < 256U * 4 * 2 * lengths && !is_enough(w); i++) {
		struct diff_form form = {
			.code = (uint8_t)w->code,
			.encoding = (uint8_t)encoding,
			.map = (uint8_t)map,
			.opcode = (uint8_t)(i & 0xff),
			.pp = i >> 8 & 3,
			.w = i >> 10 & 1,
			.l = (uint8_t)(i >> 11),
		};
		if ((form.opcode & 0x1f) == 0)
			fill_memory(w);
		walk_operands(w, form);
	}
}

struct diff_result diff_walk(struct hosted_cpu *cpu, const struct diff_engine *engine,
			     enum x86_code code, unsigned cases, uint64_t seed, unsigned print_max,
			     unsigned enough)
{
	static struct walk w;

	w = (struct walk){ .cpu = cpu,
			   .engine = engine,
			   .rng = { seed },
			   .code = code,
			   .cases = cases,
			   .print_max = print_max,
			   .enough = enough };
	for (unsigned map = 0; map < 4; map++)
		walk_map(&w, X86_ENC_LEGACY, map);
	for (unsigned map = 1; map < 4; map++)
		walk_map(&w, X86_ENC_VEX, map);
	for (unsigned map = 1; map < 7; map++)
		walk_map(&w, X86_ENC_EVEX, map);
	return w.result;
}
