/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files mmu*.c share, and what msr.c and run.c ask beyond cpu.h.
 *
 * Theory of operation.
 *
 * TLBs. Translated code looks into cpu->tlb, one of: tlb_kernel[0] (supervisor, user pages out of reach), tlb_kernel[1] (within
 * reach), tlb_user[n] (CPL 3, one for each of the address spaces last used, by PCID). The supervisor's two hold what is global and
 * what is the current space's, which goes when the space does. An entry is one 4 KiB page, whatever the size of the mapping.
 *
 * Flushes. Each TLB logs which of its entries are in use, those of global pages apart: a flush walks a log, not all entries. Which
 * regions have entries that came of large pages is known by a few hashed bits, so that INVLPG rarely has to look further than at
 * one entry of each TLB.
 *
 * Tags. read, write, exec are set only for what the class in force allows without a look at the page tables: write only with
 * the dirty bit set, into RAM, and no translated code in the page.
 *
 * Other vcpus' translated code. `writable` has a bit for each page that this vcpu may have a write tag for. Filling: set the bit,
 * then ask jit_page_has_code(). Protecting: the page has code already, then look at the bits. So one sees the other. Where the bit is
 * set, the page is put on that vcpu's list (sync_gpas), CPU_POLL_SYNC is set, and the wait is for its answer, or until it is not
 * running: mmu_enter() does what is on the list before the TLB is used again. Whoever waits answers others meanwhile.
 *
 * PDPTEs of PAE paging are read from memory at each walk, as AMD's CPUs do under nested paging (APM 2, Legacy PAE Mode): what becomes
 * wrong in one after it was checked (mmu_pdptes_good()) is a page fault at the access.
 */
#include "engines/hosted/cpu.h"

#define MMU_PAGE_MASK  UINT64_C(0xfff)
#define MMU_LARGE_BITS 256U
#define MMU_SYNC_GPAS  8U
#define MMU_DISPLACED  16384U /* half of them for each half of the address space */
#define MMU_PHYS_BITS  40U    /* until CPUID says */
#define MMU_CR4_PGE    UINT64_C(0x80)
#define MMU_CR4_PSE    UINT64_C(0x10)
#define MMU_CR4_PCIDE  UINT64_C(0x20000)
#define MMU_CR4_SMEP   UINT64_C(0x100000)
#define MMU_CR4_SMAP   UINT64_C(0x200000)
#define MMU_RFLAGS_AC  UINT64_C(0x40000)

/* Flags of a TLB entry. */
#define MMU_GLOBAL	  0x1U
#define MMU_LOGGED_LOCAL  0x2U
#define MMU_LOGGED_GLOBAL 0x4U

struct mmu_tlb {
	struct cpu_tlb *tlb;
	bool ready; /* a user space that was never used is not even zeroed */
	uint8_t flags[CPU_TLB_SIZE];
	uint8_t shift[CPU_TLB_SIZE]; /* log2 of the mapping's size: 12, 21, 22, 30 */
	uint16_t log_local[CPU_TLB_SIZE], log_global[CPU_TLB_SIZE];
	unsigned n_local, n_global;
	uint64_t large[MMU_LARGE_BITS / 64]; /* 2 MiB regions with entries of large pages, hashed */
	uint64_t huge;			     /* 1 GiB regions, the same */
};

/*
 * A page table that a walk has come to, and what the entries above it allow: a paging-structure cache (SDM 3A, Caches for Paging
 * Structures). Of 4-level paging; it goes with any flush, and what it makes a fault is walked again.
 */
#define MMU_TABLES 128U
struct mmu_table {
	uint64_t region; /* linear address, in pieces of 2 MiB */
	uint64_t gpa;
	uint8_t *hva;
	uint32_t era; /* good while it is mmu_vcpu's */
	bool writable, executable, user_page, read_only;
};

struct mmu_space {
	bool used;
	uint16_t pcid;
	uint64_t stamp; /* of its last use */
};

struct mmu_vcpu {
	struct mmu_tlb kernel[2], user[CPU_TLB_SPACES];
	struct mmu_space spaces[CPU_TLB_SPACES];
	uint64_t stamp;
	uint8_t phys_bits;
	uint64_t displaced
		[2][MMU_DISPLACED /
		    64]; /* pages whose exec tag made room, hashed: of supervisor, of user mode */
	bool displaced_local; /* such a one of supervisor mode was not global */
	struct mmu_table tables[MMU_TABLES];
	uint32_t era; /* of tables; from 1 */
	void *memory; /* of the TLBs */

	/* Other threads: atomic, or under sync_lock. */
	uint64_t *writable; /* a bit for each page; owned */
	uint64_t
		writable_bits; /* a power of two; in a machine with more pages than that a bit is of several */
	uint32_t running; /* between mmu_enter() and mmu_leave() */
	uint32_t sync_lock;
	unsigned sync_n;
	bool sync_all; /* more than the list holds */
	uint64_t sync_gpas[MMU_SYNC_GPAS];
	uint64_t sync_asked, sync_done; /* tickets */
};

/* Whose access it is. */
struct mmu_class {
	struct mmu_tlb *tlb;
	bool is_user;	 /* CPL 3, and not the CPU's own doing */
	bool user_pages; /* a supervisor's access to data may reach user pages */
};

/* Where a linear address leads. */
struct mmu_page {
	uint64_t gpa;	/* of the byte */
	uint8_t *hva;	/* NULL: no memory */
	bool read_only; /* ROM */
	bool has_code;	/* a write: translations are to be told */
};

/* A walk of the page tables: mmu_walk.c. */
struct mmu_walk {
	uint64_t gva;
	enum cpu_access access;
	bool is_user, user_pages;
	bool direct; /* from the page table at once, if that is known; on return: it was */
	/* results */
	uint64_t gpa; /* of the byte */
	uint8_t shift;
	bool writable, executable, user_page, global, dirty;
	uint32_t error; /* of the page fault */
};

/* mmu_walk() - CPU_OK, or CPU_FAULT with walk->error; accessed and dirty bits are set on success. */
enum cpu_result mmu_walk(struct hosted_cpu *cpu, struct mmu_walk *walk);
/* mmu_tables_forget() - what walks have come to may have changed. */
static inline void mmu_tables_forget(struct hosted_cpu *cpu)
{
	struct mmu_vcpu *mmu = cpu->mmu;

	if (++mmu->era == 0) { /* once in 2^32 */
		cpu_zero(mmu->tables, sizeof(mmu->tables));
		mmu->era = 1;
	}
}
/* mmu_slot() - the slot that a guest physical address lies in, or NULL. */
const struct mem_slot *mmu_slot(const struct hosted_vm *vm, uint64_t gpa);

struct mmu_class mmu_class_now(struct hosted_cpu *cpu);
struct mmu_class mmu_class_system(struct hosted_cpu *cpu);
/* mmu_resolve() - fill the class's TLB for one access. CPU_OK: *ret is where, memory or not; CPU_FAULT. */
enum cpu_result mmu_resolve(struct hosted_cpu *cpu, const struct mmu_class *class, uint64_t gva,
			    enum cpu_access access, struct mmu_page *ret);
/* mmu_has_code() - whether a store there is to be told. */
bool mmu_has_code(const struct hosted_vm *vm, uint64_t gpa);

/* mmu_tlb.c: one TLB. */
void mmu_tlb_ready(struct mmu_tlb *tlb);
void mmu_tlb_log(struct mmu_tlb *tlb, unsigned at, bool is_global, uint8_t shift, uint64_t gva);
/* mmu_tlb_flush_local() - Return: whether there was an exec tag. */
bool mmu_tlb_flush_local(struct mmu_tlb *tlb);
/* mmu_displaced() - the bit of a page's in mmu_vcpu.displaced. */
static inline uint64_t mmu_displaced(uint64_t gva)
{
	return (gva >> 12) % (MMU_DISPLACED / 2) + (gva >> 63) * (MMU_DISPLACED / 2);
}
void mmu_tlb_flush_all(struct mmu_tlb *tlb);
/* mmu_tlb_flush_page() - what a page's mapping gave, of any size; Return: whether there was an exec tag. */
bool mmu_tlb_flush_page(struct mmu_tlb *tlb, uint64_t gva, bool only_global);
/* mmu_tlb_unwritable() - no write tag to that host page any more; NULL: to none. */
void mmu_tlb_unwritable(struct mmu_tlb *tlb, const uint8_t *hva);

/* mmu_sync.c: before a write tag is given. */
void mmu_writable_note(struct hosted_cpu *cpu, uint64_t gpa);
