/* SPDX-License-Identifier: Apache-2.0 */
/* What one vcpu's TLB may hold is another's concern: pages that are to become read-only, since code in them was translated. */
#include <sys/syscall.h>

#include "engines/hosted/mmu.h"

#define SPINS_MAX 200U /* then the CPU is somebody else's: perhaps the one's we wait for */

static void yield(void)
{
	long result = SYS_sched_yield;

	__asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
}

static void spin(unsigned *spins)
{
	if (++*spins < SPINS_MAX) {
		__builtin_ia32_pause();
		return;
	}
	yield();
	*spins = 0;
}

static void list_lock(struct mmu_vcpu *mmu)
{
	unsigned spins = 0;

	while (__atomic_exchange_n(&mmu->sync_lock, 1, __ATOMIC_ACQUIRE))
		spin(&spins);
}

static void list_unlock(struct mmu_vcpu *mmu)
{
	__atomic_store_n(&mmu->sync_lock, 0, __ATOMIC_RELEASE);
}

static uint64_t *bit_of(struct mmu_vcpu *mmu, uint64_t gpa, uint64_t *ret_mask)
{
	uint64_t bit = (gpa >> 12) & (mmu->writable_bits - 1);

	*ret_mask = UINT64_C(1) << bit % 64;
	return &mmu->writable[bit / 64];
}

void mmu_writable_note(struct hosted_cpu *cpu, uint64_t gpa)
{
	uint64_t mask;
	uint64_t *word = bit_of(cpu->mmu, gpa, &mask);

	if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & mask))
		(void)__atomic_fetch_or(word, mask, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool may_write(struct hosted_cpu *cpu, uint64_t gpa)
{
	uint64_t mask;
	const uint64_t *word = bit_of(cpu->mmu, gpa, &mask);

	return __atomic_load_n(word, __ATOMIC_SEQ_CST) & mask;
}

static void unwritable(struct mmu_vcpu *mmu, const uint8_t *hva)
{
	mmu_tlb_unwritable(&mmu->kernel[0], hva);
	mmu_tlb_unwritable(&mmu->kernel[1], hva);
	for (unsigned i = 0; i < CPU_TLB_SPACES; i++)
		mmu_tlb_unwritable(&mmu->user[i], hva);
}

/* Whether the page's bit is of no other page. */
static bool bit_is_exact(const struct hosted_cpu *cpu)
{
	const struct guest_mem *mem = cpu->vm->mem;
	uint64_t end = 0;

	for (unsigned i = 0; i < mem->n; i++) {
		if (!mem->slots[i].read_only)
			end = mem->slots[i].gpa + mem->slots[i].size_bytes;
	}
	return end <= cpu->mmu->writable_bits * CPU_PAGE_BYTES;
}

static void drop(struct hosted_cpu *cpu, uint64_t gpa)
{
	const struct mem_slot *slot = mmu_slot(cpu->vm, gpa);
	uint64_t mask;
	uint64_t *word = bit_of(cpu->mmu, gpa, &mask);

	if (slot)
		unwritable(cpu->mmu, slot->hva + (gpa - slot->gpa));
	if (bit_is_exact(cpu))
		(void)__atomic_fetch_and(word, ~mask, __ATOMIC_RELAXED);
}

void mmu_sync(struct hosted_cpu *cpu)
{
	struct mmu_vcpu *mmu = cpu->mmu;
	uint64_t gpas[MMU_SYNC_GPAS];

	list_lock(mmu);
	(void)__atomic_fetch_and(&cpu->poll, ~CPU_POLL_SYNC, __ATOMIC_SEQ_CST);
	unsigned n = mmu->sync_n;
	bool all = mmu->sync_all;
	uint64_t asked = mmu->sync_asked;
	cpu_copy(gpas, mmu->sync_gpas, sizeof(gpas));
	mmu->sync_n = 0;
	mmu->sync_all = false;
	list_unlock(mmu);

	for (unsigned i = 0; i < n && !all; i++)
		drop(cpu, gpas[i]);
	if (all)
		unwritable(mmu, NULL); /* the bits stay: they may say too much */
	__atomic_store_n(&mmu->sync_done, asked, __ATOMIC_RELEASE);
}

void mmu_enter(struct hosted_cpu *cpu)
{
	__atomic_store_n(&cpu->mmu->running, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&cpu->poll, __ATOMIC_SEQ_CST) & CPU_POLL_SYNC)
		mmu_sync(cpu);
}

void mmu_leave(struct hosted_cpu *cpu)
{
	__atomic_store_n(&cpu->mmu->running, 0, __ATOMIC_SEQ_CST);
}

/* Return: the ticket to wait for. */
static uint64_t ask(struct hosted_cpu *cpu, uint64_t gpa)
{
	struct mmu_vcpu *mmu = cpu->mmu;

	list_lock(mmu);
	if (mmu->sync_n < MMU_SYNC_GPAS)
		mmu->sync_gpas[mmu->sync_n++] = gpa;
	else
		mmu->sync_all = true;
	uint64_t ticket = ++mmu->sync_asked;
	(void)__atomic_fetch_or(&cpu->poll, CPU_POLL_SYNC, __ATOMIC_SEQ_CST);
	list_unlock(mmu);
	return ticket;
}

static void await(struct hosted_cpu *self, struct hosted_cpu *cpu, uint64_t ticket)
{
	struct mmu_vcpu *mmu = cpu->mmu;
	unsigned spins = 0;

	while (__atomic_load_n(&mmu->running, __ATOMIC_SEQ_CST) &&
	       __atomic_load_n(&mmu->sync_done, __ATOMIC_ACQUIRE) < ticket) {
		if (self && (__atomic_load_n(&self->poll, __ATOMIC_RELAXED) & CPU_POLL_SYNC))
			mmu_sync(self);
		spin(&spins);
	}
}

void mmu_protect(struct hosted_vm *vm, struct hosted_cpu *self, uint64_t gpa)
{
	uint64_t tickets[sizeof(vm->cpus) / sizeof(vm->cpus[0])];

	gpa &= ~MMU_PAGE_MASK;
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* between the page's having code and the bits */
	for (unsigned i = 0; i < vm->n_cpus; i++) {
		struct hosted_cpu *cpu = vm->cpus[i];
		tickets[i] = 0;
		if (!cpu || !may_write(cpu, gpa))
			continue;
		if (cpu == self)
			drop(cpu, gpa);
		else
			tickets[i] = ask(cpu, gpa);
	}
	for (unsigned i = 0; i < vm->n_cpus; i++) {
		if (tickets[i])
			await(self, vm->cpus[i], tickets[i]);
	}
}
