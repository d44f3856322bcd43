/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The software CPU against the host's: the same instruction with the same registers and memory, executed here as it stands, and by an
 * engine (interpreter, translator) in a small guest; then everything that a program could see is compared.
 *
 *   diff_make.c     forms of instructions, and cases of each: bytes, registers, memory, an address that is mostly good
 *   diff_native.c   executes one on the host's CPU: signal frames load and keep all of its state
 *   diff_machine.c  executes one in a guest: CPL 3 in long mode, the same linear addresses
 *   diff.c          walks and compares
 *
 * Memory, in both: pages of a 2 MiB region, which is otherwise not there. An instruction's address lies in one of the pages, often at
 * its end.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engines/hosted/cpu.h"

#define DIFF_REGION   UINT64_C(0x10000000)
#define DIFF_BYTES    UINT64_C(0x200000)
#define DIFF_PAGE     4096U
#define DIFF_DATA     (DIFF_REGION + 0x21 * DIFF_PAGE) /* two pages that may be written */
#define DIFF_READONLY (DIFF_REGION + 0x31 * DIFF_PAGE)
#define DIFF_CODE     (DIFF_REGION + 0x100 * DIFF_PAGE)
#define DIFF_PAGES    3U /* of data: the two, and the one that can only be read */
#define DIFF_XSAVE    4096U

/* Vector state, in a form that can be compared and printed. */
struct diff_vectors {
	uint8_t zmm[32][64];
	uint64_t k[8];
	uint8_t st[8][10]; /* ST(0) first */
	uint16_t fcw, fsw;
	uint8_t ftw; /* as FXSAVE has it: a bit for each register that is not empty, by its physical number */
	uint32_t mxcsr;
};

struct diff_state {
	uint64_t regs[X86_REGS], rflags;
	struct diff_vectors vectors;
	uint8_t memory[DIFF_PAGES][DIFF_PAGE];
	/* after it */
	bool is_fault;
	uint8_t vector;
	uint32_t error;
	uint64_t cr2;
};

struct diff_case {
	struct x86_insn insn;
	struct diff_state before;
};

/* Executes one instruction at cpu->rip; behind it is HLT, which CPL 3 must not. No vector registers in here: cpu.h, rule 2. */
struct diff_engine {
	const char *name;
	enum cpu_result (*run)(struct hosted_cpu *cpu);
};

/* A form: what the bytes of its cases have in common. */
struct diff_form {
	uint8_t code; /* enum x86_code */
	uint8_t encoding, map, opcode, pp, w, l, reg;
	bool has_mem, evex_b;
};

struct diff_rng {
	uint64_t state;
};
uint64_t diff_random(struct diff_rng *rng);

/* diff_make_case() - false: there is no such instruction, or this is not one for comparing. */
bool diff_make_case(struct diff_rng *rng, const struct diff_form *form, struct diff_case *ret);

/*
 * diff_native_init() - after diff_machine_create(), whose handlers of signals it keeps for what is not ours; in the test itself, for
 * cmocka sets its own before each. 0 or -errno.
 */
int diff_native_init(void);
/* diff_native_can() - whether this kernel lets a process have such code: 16-bit takes modify_ldt(2). */
bool diff_native_can(enum x86_code code);
void diff_native_run(const struct diff_case *test, struct diff_state *ret);
bool diff_native_has(unsigned component); /* XCR0 */

/* diff_machine_create() - the guest; 0 or -errno. */
int diff_machine_create(struct hosted_vm *vm, struct hosted_cpu *cpu);
void diff_machine_destroy(struct hosted_cpu *cpu);
void diff_machine_run(struct hosted_cpu *cpu, const struct diff_engine *engine,
		      const struct diff_case *test, struct diff_state *ret);

/* diff_pack(), diff_unpack() - to and from an XSAVE image in the standard format. */
void diff_pack(const struct diff_vectors *vectors, uint8_t image[DIFF_XSAVE]);
void diff_unpack(const uint8_t image[DIFF_XSAVE], struct diff_vectors *ret);

struct diff_result {
	unsigned forms, cases, faults, differences;
};
/*
 * diff_walk() - every form, @cases each; prints the first of a form's differences, of @print_max forms
 * @enough: ends after so many differences; 0: does not
 */
struct diff_result diff_walk(struct hosted_cpu *cpu, const struct diff_engine *engine,
			     enum x86_code code, unsigned cases, uint64_t seed, unsigned print_max,
			     unsigned enough);
