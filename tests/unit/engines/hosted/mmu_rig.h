/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A machine of the software CPU's without the rooms' other parts: faults, translator, interpreter, exceptions are told here what to do,
 * and write down what they were asked.
 */
#include "engines/hosted/cpu.h"
#include "engines/hosted/mmu.h"

#define RIG_RAM_BYTES 0x800000U
#define RIG_ROM	      0x1000000U
#define RIG_ROM_BYTES 0x10000U
#define RIG_NOTHING   0x2000000U /* a device, or nothing */

/* Where rig_map() has its tables: one page each, the root last. */
#define RIG_TABLES 0x1000U

#define PTE_P	0x1ULL
#define PTE_W	0x2ULL
#define PTE_U	0x4ULL
#define PTE_A	0x20ULL
#define PTE_D	0x40ULL
#define PTE_PS	0x80ULL
#define PTE_G	0x100ULL
#define PTE_NX	(1ULL << 63)
#define FLAG_AC 0x40000ULL

enum rig_paging { RIG_FLAT, RIG_32, RIG_PAE, RIG_LONG };

struct rig {
	struct guest_mem mem;
	struct hosted_vm vm;
	struct hosted_cpu cpus[2];
	uint8_t *ram, *rom;
	enum rig_paging paging;
	/* the stubs */
	uint8_t code[(RIG_RAM_BYTES >> 12) + 1]; /* pages that have code; atomic */
	unsigned wrote;				 /* jit_wrote() calls */
	uint64_t wrote_gpa, wrote_len;
	unsigned changed; /* calls of jit_mapping_changed() and jit_space_changed() */
	enum cpu_result (*step)(struct hosted_cpu *cpu);
	enum cpu_result (*jit)(struct hosted_cpu *cpu);
	enum cpu_result (*interrupt)(struct hosted_cpu *cpu, uint8_t vector);
	enum cpu_result (*debug)(struct hosted_cpu *cpu);
	unsigned steps, delivered, interrupts, debugs;
	uint64_t dr6;	 /* of the last #DB */
	uint8_t vector;	 /* of the last interrupt */
	struct vm *made; /* rig_boot() */
	struct hosted_cpu *booted;
};

/* rig_create() - RAM at 0, ROM, two vcpus; paging off. cmocka's setup and teardown. */
int rig_create(void **state);
int rig_destroy(void **state);
/* rig_boot() - a vcpu of a machine with the same memory, made by hosted_cpu_ops: in reset, for hosted_run(). */
struct hosted_cpu *rig_boot(struct rig *rig);
/* rig_of() - of a vcpu's machine. */
struct rig *rig_of(const struct hosted_vm *vm);
/* rig_paging() - turn it on: CR0, CR4, EFER, CR3 as the kind has them; CPL 0. */
void rig_paging(struct rig *rig, enum rig_paging paging);
/*
 * rig_map() - gva to gpa in the tables that CR3 leads to
 * @level: of the leaf: 1, 2, 3   @upper, @leaf: bits of the entries   Return: where the leaf is.
 */
uint64_t rig_map(struct rig *rig, unsigned level, uint64_t gva, uint64_t gpa, uint64_t upper,
		 uint64_t leaf);
uint64_t rig_entry(const struct rig *rig, uint64_t at);
void rig_entry_set(struct rig *rig, uint64_t at, uint64_t entry);
/* rig_upper() - where the entry above the leaf of the last rig_map() is. */
uint64_t rig_upper(const struct rig *rig, unsigned level, uint64_t gva);
