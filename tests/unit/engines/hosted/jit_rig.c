/* SPDX-License-Identifier: Apache-2.0 */
#include "jit_rig.h"
#include "give_way.h"
#include "user_registers.h"

#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARCH_SET_GS 0x1001
#define PAGE	    4096U
#define PTE	    UINT64_C(0x67) /* present, writable, user, accessed, dirty */

static void entry_set(struct jit_rig *rig, uint64_t table, uint64_t index, uint64_t entry)
{
	memcpy(rig->ram + table + index % 512 * 8, &entry, 8);
}

/* Tables: PML4, PDPT, PD, then one of 4 KiB pages for each 2 MiB. */
static void tables_make(struct jit_rig *rig)
{
	uint64_t at = JIT_RIG_TABLES;

	entry_set(rig, at, JIT_RIG_VA >> 39, (at + PAGE) | PTE);
	entry_set(rig, at + PAGE, JIT_RIG_VA >> 30, (at + 2 * PAGE) | PTE);
	for (uint64_t i = 0; i < JIT_RIG_BYTES >> 21; i++) {
		uint64_t table = at + (3 + i) * PAGE;
		entry_set(rig, at + 2 * PAGE, (JIT_RIG_VA >> 21) + i, table | PTE);
		for (uint64_t k = 0; k < 512; k++)
			entry_set(rig, table, k, (i << 21 | k << 12) | PTE);
	}
}

int jit_rig_create(struct jit_rig *rig, uint64_t cache_bytes)
{
	unsigned a, b, c, d;
	struct err err;

	memset(rig, 0, sizeof(*rig));
	rig->ram = mmap((void *)JIT_RIG_VA, JIT_RIG_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (rig->ram == MAP_FAILED || mem_add(&rig->mem, 0, JIT_RIG_BYTES, rig->ram, false) != 0)
		return -ENOMEM;
	tables_make(rig);
	__cpuid_count(0xd, 0, a, b, c, d);
	struct hosted_cpu *cpu = &rig->cpu;
	cpu->xsave_mask = a & 0xe7;
	cpu->xsave_bytes = b;
	cpu->xsave = aligned_alloc(64, (b + 63U) & ~63U);
	rig->vm.mem = &rig->mem;
	rig->vm.n_cpus = 1;
	rig->vm.cpus[0] = cpu;
	cpu->vm = &rig->vm;
	if (!cpu->xsave || mmu_vcpu_create(cpu, &err) != 0 || interp_vcpu_create(cpu, &err) != 0 ||
	    jit_vm_create(&rig->vm, 1, cache_bytes, &err) != 0 || jit_vcpu_create(cpu, &err) != 0)
		return -ENOMEM;
	user_registers_set(cpu, JIT_RIG_TABLES);
	cpu->rip = JIT_RIG_CODE;
	cpu->regs[X86_RSP] = JIT_RIG_STACK;
	return 0;
}

void jit_rig_destroy(struct jit_rig *rig)
{
	jit_vcpu_destroy(&rig->cpu);
	jit_vm_destroy(&rig->vm);
	interp_vcpu_destroy(&rig->cpu);
	mmu_vcpu_destroy(&rig->cpu);
	free(rig->cpu.xsave);
	(void)munmap(rig->ram, JIT_RIG_BYTES);
}

void jit_rig_load(struct jit_rig *rig, uint64_t gva, const void *bytes, size_t n)
{
	memcpy(rig->ram + (gva - JIT_RIG_VA), bytes, n);
	jit_wrote(&rig->vm, gva - JIT_RIG_VA, n);
}

void jit_rig_map(struct jit_rig *rig, uint64_t gva, uint64_t gpa, uint64_t bits)
{
	uint64_t at = gva - JIT_RIG_VA;

	entry_set(rig, JIT_RIG_TABLES + (3 + (at >> 21)) * PAGE, at >> 12, gpa | bits);
	mmu_flush_page(&rig->cpu, gva);
}

/* The vector registers are the guest's and ours at once: programs of tests may use those that calls destroy. */
__attribute__((noinline, target("general-regs-only"))) static enum cpu_result
loop(struct jit_rig *rig)
{
	struct hosted_cpu *cpu = &rig->cpu;
	enum cpu_result r = CPU_AGAIN;

	while (r == CPU_AGAIN) {
		r = jit_run(cpu);
		if (r != CPU_AGAIN)
			break;
		r = interp_step(cpu);
		if (r == CPU_OK)
			r = CPU_AGAIN;
	}
	return r;
}

/* Another thread, which gives way so often before it kicks. */
static void *kicker(void *arg)
{
	struct jit_rig *rig = arg;

	const int64_t until = give_way_until(50);

	for (unsigned i = 0; i < rig->kick_after && give_way(until); i++)
		;
	(void)__atomic_fetch_or(&rig->cpu.poll, CPU_POLL_KICK, __ATOMIC_SEQ_CST);
	return NULL;
}

enum cpu_result jit_rig_run(struct jit_rig *rig)
{
	pthread_t thread;
	bool kicks = rig->kick_after && pthread_create(&thread, NULL, kicker, rig) == 0;

	(void)syscall(SYS_arch_prctl, ARCH_SET_GS,
		      &rig->cpu); /* never fails with an address of ours */
	mmu_enter(&rig->cpu);
	enum cpu_result r = loop(rig);
	mmu_leave(&rig->cpu);
	if (kicks)
		(void)pthread_join(thread, NULL);
	rig->kick_after = 0;
	return r;
}
