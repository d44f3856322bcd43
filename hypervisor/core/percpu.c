/* SPDX-License-Identifier: Apache-2.0 */
#include "core/percpu.h"

#include <stddef.h>

#include "core/io.h"
#include "core/page.h"
#include "core/trap.h"
#include "x86/msr.h"

#define IST_ORDER 2U /* three stacks of 4 KiB */
#define CPU_ORDER 0U

_Static_assert(sizeof(struct cpu) <= PAGE_BYTES << CPU_ORDER, "fits");

/* One server: its CPUs in the order of their start; [0] is the boot CPU. n is atomic. */
static struct {
	struct cpu *at[CPU_MAX];
	unsigned n;
} cpus;

unsigned cpu_count(void)
{
	return __atomic_load_n(&cpus.n, __ATOMIC_ACQUIRE);
}

struct cpu *cpu_at(unsigned index)
{
	return cpus.at[index];
}

static void cpu_gdt_fill(struct cpu *cpu)
{
	uint64_t base = (uintptr_t)&cpu->tss;

	cpu->gdt[1] = UINT64_C(0x00af9b000000ffff); /* 64-bit code */
	cpu->gdt[2] = UINT64_C(0x00cf93000000ffff); /* data */
	cpu->gdt[3] = (sizeof(cpu->tss) - 1) | (base & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
		      (base >> 24 & 0xff) << 56; /* SDM 3A, TSS Descriptor in 64-bit mode */
	cpu->gdt[4] = base >> 32;
	cpu->tss.io_map = sizeof(cpu->tss);
}

struct cpu *cpu_create(uint32_t apic_id)
{
	struct cpu *cpu = page_alloc(CPU_ORDER);
	uint8_t *stack = page_alloc(CPU_STACK_ORDER);
	uint8_t *ist = page_alloc(IST_ORDER);

	if (!cpu || !stack || !ist || cpus.n == CPU_MAX) {
		page_free(cpu, CPU_ORDER);
		page_free(stack, CPU_STACK_ORDER);
		page_free(ist, IST_ORDER);
		return NULL;
	}
	cpu->self = cpu;
	cpu->index = cpus.n;
	cpu->apic_id = apic_id;
	cpu->stack_top = (uintptr_t)stack + (PAGE_BYTES << CPU_STACK_ORDER);
	for (unsigned i = CPU_IST_DOUBLE_FAULT; i < CPU_IST_MAX; i++)
		cpu->tss.ist[i - 1] = (uintptr_t)ist + i * PAGE_BYTES;
	cpu_gdt_fill(cpu);
	cpus.at[cpus.n] = cpu;
	__atomic_store_n(&cpus.n, cpus.n + 1, __ATOMIC_RELEASE);
	return cpu;
}

void cpu_discard(struct cpu *cpu)
{
	__atomic_store_n(&cpus.n, cpus.n - 1, __ATOMIC_RELEASE);
	page_free((void *)(uintptr_t)(cpu->tss.ist[0] - PAGE_BYTES), IST_ORDER);
	page_free((void *)(uintptr_t)(cpu->stack_top - (PAGE_BYTES << CPU_STACK_ORDER)),
		  CPU_STACK_ORDER);
	page_free(cpu, CPU_ORDER);
}

void cpu_load(struct cpu *cpu)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr = { sizeof(cpu->gdt) - 1, (uintptr_t)cpu->gdt };

	__asm__ volatile("lgdt %0\n\t"
			 "push %1\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "push %%rax\n\t"
			 "lretq\n"
			 "1:\tmov %2, %%ds\n\t"
			 "mov %2, %%es\n\t"
			 "mov %2, %%ss\n\t"
			 "mov %3, %%fs\n\t"
			 "mov %3, %%gs\n\t"
			 "ltr %w4"
			 :
			 : "m"(gdtr), "i"(CPU_CODE_SELECTOR), "r"(CPU_DATA_SELECTOR), "r"(0),
			   "r"(CPU_TSS_SELECTOR)
			 : "rax", "memory");
	msr_write(MSR_GS_BASE, (uintptr_t)cpu);
	trap_load();
}
