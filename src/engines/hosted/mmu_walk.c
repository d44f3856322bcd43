/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk of the guest's page tables.
 * Sources: Intel SDM 3A, 32-bit Paging; PAE Paging; 4-Level Paging and 5-Level Paging; Access Rights; Page-Fault Exceptions; Accessed
 * and Dirty Flags.
 */
#include <errno.h>

#include "engines/hosted/jit.h"
#include "engines/hosted/mmu.h"
#include "x86/descriptor.h"

#define PTE_USER     UINT64_C(0x4)
#define PTE_ACCESSED UINT64_C(0x20)
#define PTE_DIRTY    UINT64_C(0x40)
#define PTE_GLOBAL   UINT64_C(0x100)
#define PTE_XD	     (UINT64_C(1) << 63)
#define PTE_NONE     UINT64_C(~0) /* what is read where no memory is */

#define PDPTE_RESERVED UINT64_C(0x1e6) /* PAE: PDPTE Format */
#define PAE_CR3	       UINT64_C(0xffffffe0)
#define PAE_PDPTES     4U
#define PSE_RESERVED   UINT64_C(0x200000) /* 32-bit paging: bit 21 of an entry for 4 MiB */
#define PSE_HIGH_BITS  8U		  /* of the address, in bits 20:13 */

#define FAULT_PRESENT  0x01U
#define FAULT_WRITE    0x02U
#define FAULT_USER     0x04U
#define FAULT_RESERVED 0x08U
#define FAULT_FETCH    0x10U

#define LEVELS_MAX 4U

#define REGION_SHIFT 21U /* of a page table */
#define ENTRY_MASK   0x1ffU
#define TABLE_MIX    9U
/* Another vcpu changes an entry under each of so many walks only if it tries to: the bits are left alone then. */
#define TRIES_MAX 1000U

/* The kind of paging, and what follows from it. */
struct format {
	unsigned levels;
	unsigned index_bits;
	unsigned entry_bytes;
	bool pae;	     /* three levels */
	uint64_t table;	     /* the root */
	uint64_t frame_mask; /* of an entry: the bits of the address */
	uint64_t reserved;   /* in every entry */
};

/* An entry on the way, to have its accessed bit set. */
struct step {
	uint64_t gpa, entry;
	uint8_t *hva; /* NULL: no memory that can be written */
};

const struct mem_slot *mmu_slot(const struct hosted_vm *vm, uint64_t gpa)
{
	const struct guest_mem *mem = vm->mem;

	for (unsigned i = 0; i < mem->n; i++) {
		if (gpa - mem->slots[i].gpa < mem->slots[i].size_bytes)
			return &mem->slots[i];
	}
	return NULL;
}

static void format_of(const struct hosted_cpu *cpu, struct format *ret)
{
	uint64_t phys = (UINT64_C(1) << cpu->mmu->phys_bits) - 1;
	uint64_t no_xd = cpu->efer & X86_EFER_NX ? 0 : PTE_XD;

	*ret = (struct format){
		.levels = 2,
		.index_bits = 10,
		.entry_bytes = 4,
		.table = cpu->cr3 & UINT64_C(0xfffff000),
		.frame_mask = UINT64_C(0xfffff000),
	};
	if (!(cpu->cr4 & X86_CR4_PAE))
		return;
	ret->index_bits = 9;
	ret->entry_bytes = 8;
	ret->frame_mask = phys & ~MMU_PAGE_MASK;
	if (cpu->efer & X86_EFER_LMA) {
		ret->levels = 4;
		ret->table = cpu->cr3 & ret->frame_mask;
		ret->reserved = (UINT64_C(0x000fffffffffffff) & ~phys) | no_xd;
	} else {
		ret->levels = 3;
		ret->pae = true;
		ret->table = cpu->cr3 & PAE_CR3;
		ret->reserved = (~PTE_XD & ~phys) | no_xd;
	}
}

static void step_load(const struct hosted_cpu *cpu, const struct format *f, uint64_t gpa,
		      struct step *ret)
{
	const struct mem_slot *slot = mmu_slot(cpu->vm, gpa);

	*ret = (struct step){ .gpa = gpa, .entry = PTE_NONE };
	if (!slot) {
		if (f->entry_bytes == 4)
			ret->entry = UINT32_MAX;
		return;
	}
	uint8_t *hva = slot->hva + (gpa - slot->gpa); /* an entry is aligned: it is in one slot */
	if (f->entry_bytes == 4)
		ret->entry = __atomic_load_n((uint32_t *)(void *)hva, __ATOMIC_RELAXED);
	else
		ret->entry = __atomic_load_n((uint64_t *)(void *)hva, __ATOMIC_RELAXED);
	ret->hva = slot->read_only ? NULL : hva;
}

static struct mmu_table *table_slot(struct mmu_vcpu *mmu, uint64_t region)
{
	return &mmu->tables[(region ^ region >> TABLE_MIX) % MMU_TABLES];
}

/* The entry of the page table, if that is known. */
static bool direct(const struct hosted_cpu *cpu, struct mmu_walk *walk, struct step *ret)
{
	uint64_t region = walk->gva >> REGION_SHIFT;
	const struct mmu_table *t = table_slot(cpu->mmu, region);
	uint64_t at = (walk->gva >> 12 & ENTRY_MASK) * sizeof(uint64_t);

	if (t->era != cpu->mmu->era || t->region != region)
		return false;
	*ret = (struct step){
		.gpa = t->gpa + at,
		.entry = __atomic_load_n((uint64_t *)(void *)(t->hva + at), __ATOMIC_RELAXED),
		.hva = t->read_only ? NULL : t->hva + at,
	};
	walk->writable = t->writable;
	walk->executable = t->executable;
	walk->user_page = t->user_page;
	return true;
}

/* After a walk that set the bits on its way: steps[n - 1] is of a page table. */
static void remember(struct hosted_cpu *cpu, const struct mmu_walk *walk, const struct step *steps,
		     unsigned n)
{
	uint64_t region = walk->gva >> REGION_SHIFT;
	uint64_t gpa = steps[n - 1].gpa & ~MMU_PAGE_MASK;
	const struct mem_slot *slot = mmu_slot(cpu->vm, gpa);
	struct mmu_table t = { region, gpa, NULL, cpu->mmu->era, true, true, true, false };

	if (!slot)
		return;
	t.hva = slot->hva + (gpa - slot->gpa);
	t.read_only = slot->read_only;
	for (unsigned i = 0; i + 1 < n; i++) {
		t.writable &= (steps[i].entry & X86_PTE_WRITE) != 0;
		t.user_page &= (steps[i].entry & PTE_USER) != 0;
		t.executable &= !(steps[i].entry & PTE_XD);
	}
	*table_slot(cpu->mmu, region) = t;
}

bool mmu_pdptes_good(struct hosted_cpu *cpu, uint64_t cr3)
{
	const uint64_t phys = (UINT64_C(1) << cpu->mmu->phys_bits) - 1;
	const struct format f = { .entry_bytes = 8 };

	for (unsigned i = 0; i < PAE_PDPTES; i++) {
		struct step step;
		step_load(cpu, &f, (cr3 & PAE_CR3) + i * f.entry_bytes, &step);
		if ((step.entry & X86_PTE_PRESENT) && (step.entry & (PDPTE_RESERVED | ~phys)))
			return false;
	}
	return true;
}

/* One of them leads to a page and not to a table. */
static bool is_leaf(const struct hosted_cpu *cpu, const struct format *f, unsigned level,
		    uint64_t entry)
{
	if (level == 1)
		return true;
	if (!(entry & X86_PTE_LARGE))
		return false;
	if (level == 2)
		return f->levels > 2 || (cpu->cr4 & MMU_CR4_PSE);
	return level == 3 && !f->pae;
}

static uint64_t reserved_of(const struct hosted_cpu *cpu, const struct format *f, unsigned level,
			    unsigned shift, bool leaf)
{
	uint64_t reserved = f->reserved;

	if (f->pae && level == 3)
		return reserved | PDPTE_RESERVED | PTE_XD;
	if (level == 4)
		return reserved | X86_PTE_LARGE;
	if (!leaf || level == 1)
		return reserved;
	if (f->entry_bytes == 4) {
		unsigned bits = cpu->mmu->phys_bits > 40 ? 40 : cpu->mmu->phys_bits;
		uint64_t high = (UINT64_C(1) << PSE_HIGH_BITS) - (UINT64_C(1) << (bits - 32));
		return PSE_RESERVED | high << 13;
	}
	return reserved | (((UINT64_C(1) << shift) - 1) & ~UINT64_C(0x1fff)); /* bit 12 is PAT */
}

static uint64_t leaf_gpa(const struct format *f, const struct mmu_walk *walk, uint64_t entry)
{
	uint64_t within = (UINT64_C(1) << walk->shift) - 1;
	uint64_t frame = entry & f->frame_mask & ~within;

	if (f->entry_bytes == 4 && walk->shift > 12)
		frame |= (entry >> 13 & ((1U << PSE_HIGH_BITS) - 1)) << 32;
	return frame | (walk->gva & within);
}

/* From the root to a page. Return: entries in steps, or 0 with walk->error's bits for a fault. */
static unsigned descend(const struct hosted_cpu *cpu, const struct format *f, struct mmu_walk *walk,
			struct step steps[LEVELS_MAX])
{
	uint64_t table = f->table;
	unsigned n = 0, top = f->levels;

	walk->error = 0;
	walk->writable = walk->executable = walk->user_page = true;
	walk->direct = walk->direct && direct(cpu, walk, &steps[0]);
	if (walk->direct)
		top = 1;
	for (unsigned level = top;; level--) {
		unsigned shift = 12 + f->index_bits * (level - 1);
		uint64_t index = walk->gva >> shift & ((1U << f->index_bits) - 1);
		if (f->pae && level == 3)
			index &= 3;
		struct step *step = &steps[n++];
		if (!walk->direct)
			step_load(cpu, f, table + index * f->entry_bytes, step);
		if (!(step->entry & X86_PTE_PRESENT))
			return 0;
		bool leaf = is_leaf(cpu, f, level, step->entry);
		if (step->entry & reserved_of(cpu, f, level, shift, leaf)) {
			walk->error = FAULT_PRESENT | FAULT_RESERVED;
			return 0;
		}
		if (f->pae && level == 3) {
			step->hva = NULL; /* has no accessed bit, and no rights */
		} else {
			walk->writable &= (step->entry & X86_PTE_WRITE) != 0;
			walk->user_page &= (step->entry & PTE_USER) != 0;
			walk->executable &= !(step->entry & PTE_XD);
		}
		if (leaf) {
			walk->shift = (uint8_t)shift;
			walk->gpa = leaf_gpa(f, walk, step->entry);
			return n;
		}
		table = step->entry & f->frame_mask;
	}
}

static bool is_denied(const struct hosted_cpu *cpu, const struct mmu_walk *walk)
{
	bool is_exec = walk->access == CPU_EXEC;

	if (walk->is_user && !walk->user_page)
		return true;
	if (!walk->is_user && walk->user_page &&
	    (is_exec ? (cpu->cr4 & MMU_CR4_SMEP) != 0 : !walk->user_pages))
		return true;
	if (is_exec)
		return !walk->executable;
	return walk->access == CPU_WRITE && !walk->writable &&
	       (walk->is_user || (cpu->cr0 & X86_CR0_WP));
}

static enum cpu_result fault(const struct hosted_cpu *cpu, struct mmu_walk *walk)
{
	bool tells_fetch = (cpu->cr4 & MMU_CR4_SMEP) ||
			   ((cpu->cr4 & X86_CR4_PAE) && (cpu->efer & X86_EFER_NX));

	if (walk->access == CPU_WRITE)
		walk->error |= FAULT_WRITE;
	if (walk->is_user)
		walk->error |= FAULT_USER;
	if (walk->access == CPU_EXEC && tells_fetch)
		walk->error |= FAULT_FETCH;
	return CPU_FAULT;
}

/* Bits that the CPU sets in an entry; false: somebody changed it meanwhile. */
static bool step_mark(struct hosted_cpu *cpu, const struct format *f, struct step *step,
		      uint64_t bits)
{
	bool done;

	if (!step->hva || (step->entry & bits) == bits)
		return true;
	if (f->entry_bytes == 4) {
		uint32_t old = (uint32_t)step->entry;
		done = __atomic_compare_exchange_n((uint32_t *)(void *)step->hva, &old,
						   old | (uint32_t)bits, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_RELAXED);
	} else {
		uint64_t old = step->entry;
		done = __atomic_compare_exchange_n((uint64_t *)(void *)step->hva, &old, old | bits,
						   false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
	if (done && mmu_has_code(cpu->vm, step->gpa))
		jit_wrote(cpu->vm, step->gpa, f->entry_bytes);
	return done;
}

static bool mark(struct hosted_cpu *cpu, const struct format *f, struct mmu_walk *walk,
		 struct step *steps, unsigned n)
{
	struct step *leaf = &steps[n - 1];

	for (unsigned i = 0; i + 1 < n; i++) {
		if (!step_mark(cpu, f, &steps[i], PTE_ACCESSED))
			return false;
	}
	if (!step_mark(cpu, f, leaf, PTE_ACCESSED | (walk->access == CPU_WRITE ? PTE_DIRTY : 0)))
		return false;
	walk->dirty = walk->access == CPU_WRITE || (leaf->entry & PTE_DIRTY);
	walk->global = (leaf->entry & PTE_GLOBAL) && (cpu->cr4 & MMU_CR4_PGE);
	return true;
}

static enum cpu_result walk_flat(struct mmu_walk *walk)
{
	walk->gpa = walk->gva;
	walk->shift = 12;
	walk->writable = walk->executable = walk->dirty = walk->global = true;
	walk->user_page = walk->is_user; /* no rights: whoever asks may */
	return CPU_OK;
}

enum cpu_result mmu_walk(struct hosted_cpu *cpu, struct mmu_walk *walk)
{
	struct step steps[LEVELS_MAX];
	struct format f;

	if (!(cpu->cr0 & X86_CR0_PG))
		return walk_flat(walk);
	format_of(cpu, &f);
	walk->direct = f.levels == LEVELS_MAX;
	for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
		unsigned n = descend(cpu, &f, walk, steps);
		bool denied = n && is_denied(cpu, walk);
		if (walk->direct && (!n || denied)) {
			walk->direct =
				false; /* from the root: the entries above may be others now */
			continue;
		}
		if (denied)
			walk->error = FAULT_PRESENT;
		if (!n || denied)
			return fault(cpu, walk);
		if (mark(cpu, &f, walk, steps, n)) {
			if (n == LEVELS_MAX)
				remember(cpu, walk, steps, n);
			return CPU_OK;
		}
	}
	walk->dirty = walk->global = false;
	return CPU_OK;
}

int mmu_translate(struct hosted_cpu *cpu, uint64_t gva, uint64_t *ret_gpa)
{
	struct mmu_walk walk = { .gva = gva };
	struct step steps[LEVELS_MAX];
	struct format f;

	if (!(cpu->cr0 & X86_CR0_PG)) {
		*ret_gpa = gva;
		return 0;
	}
	format_of(cpu, &f);
	if (descend(cpu, &f, &walk, steps) == 0)
		return -EFAULT;
	*ret_gpa = walk.gpa;
	return 0;
}
