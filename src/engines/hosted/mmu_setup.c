/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engines/hosted/mmu.h"

/* 64 GiB of pages: 2 MiB of bits, of which what is used is touched. */
#define WRITABLE_BITS_MAX (UINT64_C(1) << 24)
#define WRITABLE_BITS_MIN UINT64_C(512)
#define TLBS		  (2U + CPU_TLB_SPACES)

static uint64_t writable_bits(const struct guest_mem *mem)
{
	uint64_t bits = WRITABLE_BITS_MIN, end = 0;

	for (unsigned i = 0; mem && i < mem->n; i++) {
		if (!mem->slots[i].read_only)
			end = mem->slots[i].gpa + mem->slots[i].size_bytes;
	}
	while (bits < end / CPU_PAGE_BYTES && bits < WRITABLE_BITS_MAX)
		bits *= 2;
	return bits;
}

/* Zeroed, and no page of it there before it is used. */
static void *lazy(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void parts(struct hosted_cpu *cpu)
{
	struct mmu_vcpu *mmu = cpu->mmu;
	struct cpu_tlb *tlb = mmu->memory;

	for (unsigned i = 0; i < 2; i++) {
		mmu->kernel[i].tlb = cpu->tlb_kernel[i] = tlb++;
		mmu_tlb_ready(&mmu->kernel[i]);
	}
	for (unsigned i = 0; i < CPU_TLB_SPACES; i++)
		mmu->user[i].tlb = cpu->tlb_user[i] = tlb++;
	mmu->phys_bits = MMU_PHYS_BITS;
	mmu_tlb_ready(&mmu->user[0]);
	mmu->spaces[0].used = true;
	cpu->space = 0;
	cpu->tlb = cpu->tlb_kernel[0];
}

int mmu_vcpu_create(struct hosted_cpu *cpu, struct err *err)
{
	struct mmu_vcpu *mmu = lazy(sizeof(*mmu));

	cpu->mmu = mmu;
	if (mmu) {
		mmu->era = 1;
		mmu->writable_bits = writable_bits(cpu->vm->mem);
		mmu->writable = lazy(mmu->writable_bits / 8);
		mmu->memory = lazy(TLBS * sizeof(struct cpu_tlb));
	}
	if (!mmu || !mmu->writable || !mmu->memory) {
		mmu_vcpu_destroy(cpu);
		return err_set(err, ENOMEM, "memory management of vcpu %u", cpu->vcpu.index);
	}
	parts(cpu);
	return 0;
}

void mmu_vcpu_destroy(struct hosted_cpu *cpu)
{
	struct mmu_vcpu *mmu = cpu->mmu;

	if (!mmu)
		return;
	if (mmu->writable)
		(void)munmap(mmu->writable, mmu->writable_bits / 8); /* ours, whole */
	if (mmu->memory)
		(void)munmap(mmu->memory, TLBS * sizeof(struct cpu_tlb));
	(void)munmap(mmu, sizeof(*mmu));
	cpu->mmu = NULL;
}
