/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes translations go.
 * Sources: Intel SDM 3A, Invalidation of TLBs and Paging-Structure Caches; Process-Context Identifiers (PCIDs); SDM 2A, INVPCID.
 */
#include "engines/hosted/jit.h"
#include "engines/hosted/mmu.h"

#define PCID_MASK    UINT64_C(0xfff)
#define CR3_NO_FLUSH (UINT64_C(1) << 63)
#define INVPCID_MAX  3U

static void changed(struct hosted_cpu *cpu)
{
	cpu_zero(cpu->mmu->displaced, sizeof(cpu->mmu->displaced));
	cpu->mmu->displaced_local = false;
	jit_mapping_changed(cpu);
}

static void supervisor_changed(struct hosted_cpu *cpu)
{
	cpu_zero(cpu->mmu->displaced[0], sizeof(cpu->mmu->displaced[0]));
	cpu->mmu->displaced_local = false;
	jit_space_changed(cpu, CPU_TLB_SPACES);
}

static void kernel_flush_local(struct hosted_cpu *cpu)
{
	struct mmu_vcpu *mmu = cpu->mmu;
	bool had_exec = mmu->displaced_local;

	had_exec |= mmu_tlb_flush_local(&mmu->kernel[0]);
	had_exec |= mmu_tlb_flush_local(&mmu->kernel[1]);
	if (had_exec)
		supervisor_changed(cpu);
}

static void user_flush_local(struct hosted_cpu *cpu, unsigned space)
{
	(void)mmu_tlb_flush_local(&cpu->mmu->user[space]); /* and what made room, too */
	jit_space_changed(cpu, space);
}

static bool was_displaced(const struct mmu_vcpu *mmu, bool is_user, uint64_t gva)
{
	uint64_t bit = mmu_displaced(gva);

	return mmu->displaced[is_user][bit / 64] >> bit % 64 & 1;
}

void mmu_flush_page(struct hosted_cpu *cpu, uint64_t gva)
{
	struct mmu_vcpu *mmu = cpu->mmu;
	bool had_exec = was_displaced(mmu, false, gva);
	bool had_user = was_displaced(mmu, true, gva);

	mmu_tables_forget(cpu);
	had_exec |= mmu_tlb_flush_page(&mmu->kernel[0], gva, false);
	had_exec |= mmu_tlb_flush_page(&mmu->kernel[1], gva, false);
	if (had_exec)
		supervisor_changed(cpu);
	for (unsigned i = 0; i < CPU_TLB_SPACES; i++) {
		if (mmu_tlb_flush_page(&mmu->user[i], gva, i != cpu->space) || had_user)
			jit_space_changed(cpu, i);
	}
	if (had_user)
		cpu_zero(mmu->displaced[1], sizeof(mmu->displaced[1]));
}

static unsigned pcid_of(const struct hosted_cpu *cpu)
{
	return cpu->cr4 & MMU_CR4_PCIDE ? (unsigned)(cpu->cr3 & PCID_MASK) : 0;
}

/* The space that holds a PCID's user translations; CPU_TLB_SPACES: none does. */
static unsigned space_find(const struct mmu_vcpu *mmu, unsigned pcid)
{
	unsigned i = 0;

	while (i < CPU_TLB_SPACES && !(mmu->spaces[i].used && mmu->spaces[i].pcid == pcid))
		i++;
	return i;
}

/* The one that was not in use for longest makes room. */
static unsigned space_take(struct hosted_cpu *cpu, unsigned pcid)
{
	struct mmu_vcpu *mmu = cpu->mmu;
	unsigned oldest = 0;

	for (unsigned i = 0; i < CPU_TLB_SPACES; i++) {
		if (!mmu->spaces[i].used) {
			oldest = i;
			break;
		}
		if (mmu->spaces[i].stamp < mmu->spaces[oldest].stamp)
			oldest = i;
	}
	mmu_tlb_ready(&mmu->user[oldest]);
	mmu_tlb_flush_all(&mmu->user[oldest]);
	jit_space_changed(cpu, oldest);
	mmu->spaces[oldest] = (struct mmu_space){ .used = true, .pcid = (uint16_t)pcid };
	return oldest;
}

void mmu_flush_all(struct hosted_cpu *cpu)
{
	struct mmu_vcpu *mmu = cpu->mmu;

	mmu_tables_forget(cpu);
	mmu_tlb_flush_all(&mmu->kernel[0]);
	mmu_tlb_flush_all(&mmu->kernel[1]);
	for (unsigned i = 0; i < CPU_TLB_SPACES; i++) {
		mmu_tlb_flush_all(&mmu->user[i]);
		mmu->spaces[i].used = false;
	}
	cpu->space = space_take(cpu, pcid_of(cpu)); /* CR4.PCIDE may have changed */
	mmu_class_update(cpu);
	changed(cpu);
}

static void space_switch(struct hosted_cpu *cpu, bool keep)
{
	struct mmu_vcpu *mmu = cpu->mmu;
	unsigned pcid = pcid_of(cpu);
	unsigned space = space_find(mmu, pcid);

	if (space == CPU_TLB_SPACES)
		space = space_take(cpu, pcid);
	else if (!keep)
		user_flush_local(cpu, space);
	mmu->spaces[space].stamp = ++mmu->stamp;
	if (!keep || space != cpu->space)
		kernel_flush_local(cpu);
	cpu->space = space;
	mmu_class_update(cpu);
}

void mmu_cr3_write(struct hosted_cpu *cpu, uint64_t cr3)
{
	bool keep = (cpu->cr4 & MMU_CR4_PCIDE) && (cr3 & CR3_NO_FLUSH);

	cpu->cr3 = cr3 & ~CR3_NO_FLUSH;
	mmu_tables_forget(cpu);
	space_switch(cpu, keep);
}

/* What the supervisor's TLBs hold apart from global pages is of the current space. */
static void flush_pcid(struct hosted_cpu *cpu, unsigned pcid)
{
	unsigned space = space_find(cpu->mmu, pcid);

	if (space < CPU_TLB_SPACES)
		user_flush_local(cpu, space);
	if (pcid == pcid_of(cpu))
		kernel_flush_local(cpu);
}

static void flush_pcid_page(struct hosted_cpu *cpu, unsigned pcid, uint64_t gva)
{
	unsigned space = space_find(cpu->mmu, pcid);

	if (space < CPU_TLB_SPACES)
		(void)mmu_tlb_flush_page(&cpu->mmu->user[space], gva, false); /* told below */
	if (pcid == pcid_of(cpu)) {
		(void)mmu_tlb_flush_page(&cpu->mmu->kernel[0], gva, false);
		(void)mmu_tlb_flush_page(&cpu->mmu->kernel[1], gva, false);
	}
}

static void flush_spaces(struct hosted_cpu *cpu)
{
	for (unsigned i = 0; i < CPU_TLB_SPACES; i++)
		user_flush_local(cpu, i);
	kernel_flush_local(cpu);
}

enum cpu_result mmu_invpcid(struct hosted_cpu *cpu, uint64_t type, uint64_t pcid, uint64_t gva)
{
	bool by_pcid = type < 2;

	if (type > INVPCID_MAX || pcid > PCID_MASK ||
	    (by_pcid && pcid && !(cpu->cr4 & MMU_CR4_PCIDE)) ||
	    (type == 0 && !sys_is_canonical(gva)))
		return fault_error(cpu, SYS_GP, 0);
	mmu_tables_forget(cpu);
	switch (type) {
	case 0:
		flush_pcid_page(cpu, (unsigned)pcid, gva);
		changed(cpu);
		break;
	case 1:
		flush_pcid(cpu, (unsigned)pcid);
		break;
	case 2:
		mmu_flush_all(cpu);
		return CPU_OK;
	default:
		flush_spaces(cpu);
		break;
	}
	return CPU_OK;
}
