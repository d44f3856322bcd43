/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The translator: guest code to host code, block by block.
 *
 * A block is a straight run of guest instructions in one physical page and one mode (cpu->mode), up to its first change of control flow or
 * 64 instructions. Blocks are found by physical address, so that they outlive address spaces; who runs one has checked that
 * cs:rip leads to that page now (the exec tag of the TLB), and a link from another page is good only as long as that mapping is.
 */
#include "engines/hosted/cpu.h"

/* Of a vcpu's translator, since it was created. */
struct jit_stats {
	uint64_t blocks, guest_bytes, host_bytes; /* translated */
	uint64_t evictions;			  /* of regions */
	uint64_t killed;			  /* blocks, since their bytes were written */
	uint64_t misses, jump_misses, links;
};
void jit_stats(const struct hosted_cpu *cpu, struct jit_stats *ret);

/* jit_vm_create() - the code cache (bytes; double-mapped: written through one mapping, executed through the other), before the process is sealed; an equal share for each vcpu. 0 or -errno. */
int jit_vm_create(struct hosted_vm *vm, unsigned vcpus, uint64_t cache_bytes, struct err *err);
void jit_vm_destroy(struct hosted_vm *vm);
int jit_vcpu_create(struct hosted_cpu *cpu, struct err *err);
void jit_vcpu_destroy(struct hosted_cpu *cpu);
/*
 * jit_run() - execute from cs:rip until something is not for translated code
 * Return: CPU_OK: poll was set, or run() has something to look at; CPU_FAULT: a fault is in cpu->fault, state is that before the instruction; CPU_EXIT: as interp_step(); CPU_AGAIN: interpret
 * one instruction. Every instruction before rip has retired.
 */
enum cpu_result jit_run(struct hosted_cpu *cpu);
/* jit_wrote() - guest physical bytes changed: translations of them are gone before this returns. Any thread (devices too, by guest_mem.wrote). */
void jit_wrote(struct hosted_vm *vm, uint64_t gpa, uint64_t len);
/* jit_page_has_code() - whether stores to this page must come to C. Any thread. */
bool jit_page_has_code(const struct hosted_vm *vm, uint64_t gpa);
/* jit_mapping_changed() - exec tags of this vcpu's TLB have gone: links between pages, and its own look-ups, are to be checked anew. */
void jit_mapping_changed(struct hosted_cpu *cpu);
/* jit_space_changed() - the same, but of one address space's user mode alone; CPU_TLB_SPACES: of supervisor mode alone. */
void jit_space_changed(struct hosted_cpu *cpu, unsigned space);
/*
 * jit_trap() - the handler of SIGFPE, SIGILL, SIGSEGV, SIGTRAP: was it translated code of this vcpu?
 * @context: ucontext_t; changed so that jit_run() returns CPU_AGAIN, with the state before the instruction   Return: it was.
 */
bool jit_trap(struct hosted_cpu *cpu, void *context);
