/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page tables and accesses as a guest may have them: what a vcpu with TLBs answers is what one without answers, as long as the tables
 * are those of the last flush; and never is there an access outside of guest memory (the sanitizer's part).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engines/hosted/mmu_rig.h"

#define TABLES_BYTES 0x4000U
#define OP_BYTES     8U

struct answer {
	enum cpu_result r;
	struct cpu_fault fault;
	uint8_t bytes[16];
	uint64_t gpa;
};

static uint64_t gva_of(const uint8_t op[OP_BYTES], enum rig_paging paging)
{
	uint64_t gva = (uint64_t)op[3] << 40 | (uint64_t)op[4] << 30 | (uint64_t)(op[5] & 3) << 21 |
		       (uint64_t)(op[6] & 7) << 12 | (uint64_t)op[7] << 4 | (op[5] >> 4);

	gva &= paging == RIG_LONG ? UINT64_C(0x7fffffffffff) : UINT32_MAX;
	return gva;
}

static struct answer access_one(struct hosted_cpu *cpu, const uint8_t op[OP_BYTES], uint64_t gva)
{
	struct answer a = { 0 };
	struct vcpu_io io;
	unsigned len = 1 + op[1] % 16, n = 0;
	const uint8_t *code;
	uint8_t *hva = NULL;

	cpu->io_out = &io;
	memset(a.bytes, op[2], sizeof(a.bytes));
	switch (op[0] % 6) {
	case 0:
		a.r = cpu_load(cpu, gva, a.bytes, len);
		break;
	case 1:
		a.r = cpu_store(cpu, gva, a.bytes, len);
		break;
	case 2:
		a.r = cpu_load_system(cpu, gva, a.bytes, len);
		break;
	case 3:
		a.r = cpu_fetch(cpu, gva, a.bytes, &n);
		a.gpa = n;
		break;
	case 4:
		a.r = cpu_pin(cpu, gva, len, op[2] & 1, &hva);
		a.gpa = (uintptr_t)hva;
		break;
	default:
		a.r = cpu_fetch_page(cpu, gva, &a.gpa, &code);
		break;
	}
	if (a.r == CPU_FAULT)
		a.fault = cpu->fault;
	if (a.r != CPU_OK)
		memset(a.bytes, 0, sizeof(a.bytes)); /* a load may have begun */
	if (a.r == CPU_EXIT)
		a.gpa = 0;
	memset(&cpu->io, 0, sizeof(cpu->io));
	return a;
}

static bool same(const struct answer *a, const struct answer *b)
{
	return a->r == b->r && a->gpa == b->gpa && memcmp(a->bytes, b->bytes, 16) == 0 &&
	       a->fault.vector == b->fault.vector && a->fault.error == b->fault.error &&
	       a->fault.cr2 == b->fault.cr2;
}

/* Both vcpus in the same state. */
static void mode_set(struct rig *rig, uint8_t bits)
{
	for (unsigned i = 0; i < 2; i++) {
		struct hosted_cpu *cpu = &rig->cpus[i];
		cpu->cpl = bits & 1 ? 3 : 0;
		cpu->rflags = 2 | (bits & 2 ? FLAG_AC : 0);
		cpu_mode_update(cpu);
	}
}

static void paging_set(struct rig *rig, uint8_t bits)
{
	rig_paging(rig, bits % 4);
	for (unsigned i = 0; i < 2; i++) {
		struct hosted_cpu *cpu = &rig->cpus[i];
		cpu->cr0 |= bits & 4 ? X86_CR0_WP : 0;
		cpu->cr4 |= (bits & 8 ? X86_CR4_SMEP : 0) | (bits & 0x10 ? X86_CR4_SMAP : 0) |
			    (bits & 0x20 ? X86_CR4_PGE : 0);
		cpu->efer |= bits & 0x40 ? X86_EFER_NX : 0;
		cpu->cr4 |= bits & 0x80 && rig->paging == RIG_LONG ? X86_CR4_PCIDE : 0;
		mmu_flush_all(cpu);
		cpu_mode_update(cpu);
	}
}

/* An entry that leads somewhere near, as most random ones would not. */
static void table_write(struct rig *rig, const uint8_t op[OP_BYTES])
{
	uint64_t entry = (uint64_t)(op[4] % 16) << 12 | (uint64_t)(op[5] & 3) << 21 | op[6] |
			 (op[7] & 1 ? PTE_G : 0) | (op[7] & 2 ? PTE_NX : 0) |
			 (op[7] & 4 ? 1ULL << (op[5] >> 2) : 0) | (op[7] & 8 ? RIG_ROM : 0);
	unsigned at = (op[2] % 4) * 0x1000U + (op[3] & 7U) * 8;

	rig_entry_set(rig, RIG_TABLES + at, entry);
}

static void flush_some(struct hosted_cpu *cpu, const uint8_t op[OP_BYTES], uint64_t gva)
{
	switch (op[1] % 4) {
	case 0:
		mmu_flush_page(cpu, gva);
		break;
	case 1:
		mmu_cr3_write(cpu, (RIG_TABLES & ~0xfffULL) |
					   (cpu->cr4 & X86_CR4_PCIDE ? op[2] % 16 : 0) |
					   (uint64_t)(op[3] & 1) << 63);
		break;
	case 2:
		(void)mmu_invpcid(cpu, op[2] % 5, op[3] % 16, gva);
		break;
	default:
		mmu_flush_all(cpu);
		break;
	}
}

static void step(struct rig *rig, const uint8_t op[OP_BYTES], bool *stale)
{
	uint64_t gva = gva_of(op, rig->paging);

	switch (op[0] >> 5) {
	case 0:
	case 1:
		table_write(rig, op);
		*stale = true;
		return;
	case 2:
		mode_set(rig, op[1]);
		return;
	case 3:
		flush_some(&rig->cpus[0], op, gva);
		*stale &= op[1] % 4 != 3;
		rig->cpus[1].cr3 = rig->cpus[0].cr3;
		return;
	case 4:
		rig->code[op[1] % 8] = op[2] & 1;
		if (op[2] & 1)
			mmu_protect(&rig->vm, &rig->cpus[0], (uint64_t)(op[1] % 8) << 12);
		return;
	default:
		break;
	}
	uint8_t before[TABLES_BYTES];
	memcpy(before, rig->ram + RIG_TABLES, sizeof(before));
	struct answer with = access_one(&rig->cpus[0], op, gva);
	/* A store may have changed what the other is to walk. */
	memcpy(rig->ram + RIG_TABLES, before, sizeof(before));
	mmu_flush_all(&rig->cpus[1]);
	struct answer without = access_one(&rig->cpus[1], op, gva);
	if (!*stale && !same(&with, &without))
		abort();
	/* Accessed and dirty bits do not count, but who can tell them from a store. */
	if (op[0] % 6 == 1 && memcmp(before, rig->ram + RIG_TABLES, sizeof(before)) != 0)
		*stale = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *state = NULL;
	bool stale = false;

	if (size < 2 || size > 4096)
		return 0;
	(void)rig_create(&state);
	struct rig *rig = state;
	paging_set(rig, data[0]);
	for (size_t at = 1; at + OP_BYTES <= size; at += OP_BYTES)
		step(rig, data + at, &stale);
	return rig_destroy(&state);
}
