/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the interpreter's files share.
 *
 * Theory of operation.
 *
 *   interp.c         one step: fetch, the cache of decoded instructions, faults by mode, debug traps, which file executes it
 *   interp_operand.c effective addresses; registers and memory operands of instructions executed in C
 *   interp_branch.c, interp_stack.c, interp_string.c, interp_legacy.c: in C
 *   interp_data.c    class DATA: by a stub
 *   interp_stub.c    builds the stub: the guest's instruction again, with its memory operand replaced
 *   interp_native.c  the stubs' memory, the way in and out, faults of the host's CPU inside of them
 *   interp_window.c  operands that are partly there: masked vectors, and which of two faults is first
 *   interp_gather.c  gathers and scatters, element by element
 *
 * A stub is a function of the host's: it loads the general registers and arithmetic flags that the instruction names, executes it,
 * and stores them back. Guest RSP and the address of a memory operand are in host registers that the instruction does not name, so
 * that the host's stack stays where it is. Vector, mask, x87 registers are the guest's all the time (cpu.h, rule 2).
 *
 * What the host's CPU finds wrong with the instruction inside of a stub (an opcode that it lacks, an unmasked floating-point
 * exception) arrives as a signal; its handler makes the stub return what the CPU said, and the guest gets the same exception. A
 * stub stores nothing before its instruction has retired, so that the state is the one before the instruction, as it must be.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engines/hosted/cpu.h"

#define INTERP_STUB_BYTES   160U
#define INTERP_WINDOW_BYTES (5 * (size_t)CPU_PAGE_BYTES)

/* How a DATA instruction is executed; fixed when it is decoded. */
enum interp_how {
	INTERP_OTHER,	/* not DATA */
	INTERP_C,	/* interp_legacy.c */
	INTERP_NOTHING, /* a hint */
	INTERP_LEA,
	INTERP_REGS, /* a stub without memory */
	INTERP_MEM,  /* a stub with a pointer */
	INTERP_GATHER,
	INTERP_VZERO, /* VZEROUPPER, VZEROALL outside of 64-bit code */
	INTERP_NEVER, /* nothing that this interpreter may give to the host's CPU: #UD */
};

/* A decoded instruction and its stub; in slot i of the table the stub is at i * INTERP_STUB_BYTES. */
struct interp_entry {
	const uint8_t *hva; /* where the bytes were fetched from; NULL: known by its bytes */
	uint64_t bytes[2], mask[2]; /* compared before each use: no invalidation is needed */
	uint32_t deny;		    /* cpu->mode bits that make it fault, or need a look */
	uint8_t how;		    /* enum interp_how */
	bool has_stub;
	bool has_run; /* the host's CPU has executed it: it is one */
	struct x86_insn insn;
};

struct interp_vcpu {
	struct hosted_cpu *cpu;
	uint64_t native_sp; /* host's stack pointer in interp_enter() */
	uint8_t *stubs_rw;  /* one memory, mapped twice */
	const uint8_t *stubs_rx;
	struct interp_entry *entries;
	unsigned n_entries, hash_shift; /* 64 - log2(n_entries) */
	uint8_t *xsave; /* an image for interp_gather.c; 64-byte aligned, cpu->xsave_bytes */
	size_t xsave_room;
	uint32_t mxcsr_mask;
	bool has_avx2, has_avx512;
	uint32_t xsave_at
		[8]; /* offsets of components 2..7 in an XSAVE image; 0: this CPU has none */
	/*
	 * Five pages, of which two are there: none, two, none, none. An operand that is laid over their ends meets on the host's
	 * CPU what it meets in the guest. native_cr2: where in them a stub has faulted.
	 */
	uint8_t *window;
	uint64_t native_cr2;
	uint8_t fxsave[512] __attribute__((aligned(64)));
	uint8_t bounce[128] __attribute__((aligned(64)));
};

/* interp_next() - the address after it, wrapped as the code segment does. */
static inline uint64_t interp_next(const struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t next = cpu->rip + insn->len;

	return insn->code == X86_CODE_64 ? next : next & UINT32_MAX;
}

/* ---- interp_operand.c ---- */
uint64_t interp_ea(const struct hosted_cpu *cpu, const struct x86_insn *insn);
/* interp_linear() - [ea, ea + len) of mem.seg or another: segment, alignment check and data breakpoints. */
enum cpu_result interp_linear(struct hosted_cpu *cpu, enum x86_seg seg, uint64_t ea, unsigned len,
			      bool write, uint64_t *ret);
/* interp_direct() - the memory itself, from gva to the end of its page, where that may be read or written straight; else NULL. */
uint8_t *interp_direct(struct hosted_cpu *cpu, uint64_t gva, unsigned len, bool write);
enum cpu_result interp_load(struct hosted_cpu *cpu, enum x86_seg seg, uint64_t ea, unsigned len,
			    uint64_t *ret);
enum cpu_result interp_store(struct hosted_cpu *cpu, enum x86_seg seg, uint64_t ea, unsigned len,
			     uint64_t value);
uint64_t interp_reg(const struct hosted_cpu *cpu, unsigned number, unsigned bytes);
void interp_set_reg(struct hosted_cpu *cpu, unsigned number, unsigned bytes, uint64_t value);
/* interp_rm() - the rm operand's value: a register, or bytes of memory. */
enum cpu_result interp_rm(struct hosted_cpu *cpu, const struct x86_insn *insn, unsigned bytes,
			  uint64_t *ret);
static inline uint64_t interp_mask(unsigned bytes)
{
	return bytes >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * bytes)) - 1;
}

/* ---- interp_stack.c ---- */
enum cpu_result interp_push(struct hosted_cpu *cpu, const struct x86_insn *insn, uint64_t value);
/* interp_pop() - loads; the stack pointer that is to be set is in *ret_sp. */
enum cpu_result interp_pop(struct hosted_cpu *cpu, const struct x86_insn *insn, uint64_t *ret,
			   uint64_t *ret_sp);
/* interp_sp_bytes() - the stack pointer's width: 2, 4 or 8. */
unsigned interp_sp_bytes(const struct hosted_cpu *cpu);
enum cpu_result interp_stack(struct hosted_cpu *cpu, const struct x86_insn *insn);

enum cpu_result interp_branch(struct hosted_cpu *cpu, const struct x86_insn *insn);
bool interp_condition(uint64_t rflags, unsigned cc);
enum cpu_result interp_string(struct hosted_cpu *cpu, const struct x86_insn *insn);
/* interp_legacy() - DATA that has to be, or had better be, done in C. */
enum cpu_result interp_legacy(struct hosted_cpu *cpu, const struct x86_insn *insn);
bool interp_is_legacy(const struct x86_insn *insn);
/* interp_divides() - whether a DIV or IDIV by this gives a quotient that fits; else #DE. */
bool interp_divides(const struct hosted_cpu *cpu, const struct x86_insn *insn, uint64_t divisor);

/* ---- interp_data.c ---- */
enum cpu_result interp_data(struct hosted_cpu *cpu, struct interp_entry *entry);
enum interp_how interp_how(const struct x86_insn *insn);
/* interp_run_stub() - CPU_FAULT where the host's CPU refused. @mem: NULL without a memory operand. */
enum cpu_result interp_run_stub(struct hosted_cpu *cpu, struct interp_entry *entry, void *mem);

/*
 * interp_window() - on a copy in the window, parts that cannot be accessed left out
 * @gva: of the operand; @bad: what a part that cannot be accessed is to fault with, kept in cpu->fault by the caller too; a linear
 * address that there is not: @is_linear false, and nothing is loaded or stored.
 */
enum cpu_result interp_window(struct hosted_cpu *cpu, struct interp_entry *entry, uint64_t gva,
			      bool is_linear);
bool interp_is_masked(const struct x86_insn *insn);
enum cpu_result interp_gather(struct hosted_cpu *cpu, const struct x86_insn *insn);
void interp_vzero(struct hosted_cpu *cpu, const struct x86_insn *insn);

/* ---- interp_stub.c ---- */
/* interp_stub_build() - code for insn. Return: its bytes, at most INTERP_STUB_BYTES. */
unsigned interp_stub_build(const struct x86_insn *insn, uint8_t ret[INTERP_STUB_BYTES]);

/* ---- interp_native.c ---- */
/* Where a stub finds registers: in the middle, so that every one is within a byte's displacement. */
#define INTERP_STATE_BIAS 128
/* interp_enter() - 0, or 1 + the number of the exception that the host's CPU raised. */
int interp_enter(void *state, void *mem, const uint8_t *stub, uint64_t *native_sp);
/* interp_stub_write() - into slot i, ready to be executed by this thread. */
void interp_stub_write(struct interp_vcpu *interp, unsigned slot, const uint8_t *code, unsigned n);
