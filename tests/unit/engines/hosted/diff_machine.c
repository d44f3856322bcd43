/* SPDX-License-Identifier: Apache-2.0 */
/* The guest: one vcpu in 64-bit code at CPL 3, page tables that show it what the host's side has mapped. */
#include "diff.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine/mem.h"
#include "user_registers.h"

#define RAM_BYTES   UINT64_C(0x20000)
#define ARCH_SET_GS 0x1001
#define HLT	    0xf4

/* Physical pages. The two pages of data are no neighbours here. */
enum machine_page {
	PAGE_PML4 = 1,
	PAGE_PDPT,
	PAGE_PD,
	PAGE_PT,
	PAGE_CODE,
	PAGE_DATA0 = 8,
	PAGE_DATA1 = 10,
	PAGE_READONLY = 12,
};

#define PTE_P	 UINT64_C(1)
#define PTE_W	 UINT64_C(2)
#define PTE_U	 UINT64_C(4)
#define PTE_DONE UINT64_C(0x60) /* accessed, dirty */

static void entry_set(struct guest_mem *mem, unsigned table, uint64_t at, unsigned page,
		      uint64_t flags)
{
	uint64_t *entries = mem_hva(mem, (gpa_t)table * DIFF_PAGE, DIFF_PAGE);

	entries[at % 512] = (uint64_t)page * DIFF_PAGE | flags | PTE_P | PTE_U | PTE_DONE;
}

static void tables_make(struct guest_mem *mem)
{
	entry_set(mem, PAGE_PML4, DIFF_REGION >> 39, PAGE_PDPT, PTE_W);
	entry_set(mem, PAGE_PDPT, DIFF_REGION >> 30, PAGE_PD, PTE_W);
	entry_set(mem, PAGE_PD, DIFF_REGION >> 21, PAGE_PT, PTE_W);
	entry_set(mem, PAGE_PT, DIFF_CODE >> 12, PAGE_CODE, 0);
	entry_set(mem, PAGE_PT, DIFF_DATA >> 12, PAGE_DATA0, PTE_W);
	entry_set(mem, PAGE_PT, (DIFF_DATA >> 12) + 1, PAGE_DATA1, PTE_W);
	entry_set(mem, PAGE_PT, DIFF_READONLY >> 12, PAGE_READONLY, 0);
}

static void *page_of(struct hosted_cpu *cpu, enum machine_page page)
{
	return mem_hva(cpu->vm->mem, (gpa_t)page * DIFF_PAGE, DIFF_PAGE);
}

int diff_machine_create(struct hosted_vm *vm, struct hosted_cpu *cpu)
{
	static struct guest_mem mem;
	unsigned a, b, c, d;
	struct err err;
	void *ram =
		mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(vm, 0, sizeof(*vm));
	memset(cpu, 0, sizeof(*cpu));
	memset(&mem, 0, sizeof(mem));
	if (ram == MAP_FAILED || mem_add(&mem, 0, RAM_BYTES, ram, false) != 0)
		return -ENOMEM;
	tables_make(&mem);
	__cpuid_count(0xd, 0, a, b, c, d);
	cpu->xsave_mask = a & 0xe7;
	cpu->xsave_bytes = b;
	cpu->xsave = aligned_alloc(64, (b + 63U) & ~63U);
	vm->mem = &mem;
	vm->n_cpus = 1;
	vm->cpus[0] = cpu;
	cpu->vm = vm;
	if (!cpu->xsave || mmu_vcpu_create(cpu, &err) != 0 || interp_vcpu_create(cpu, &err) != 0)
		return -ENOMEM;
	user_registers_set(cpu, PAGE_PML4 * DIFF_PAGE);
	return 0;
}

void diff_machine_destroy(struct hosted_cpu *cpu)
{
	if (cpu->vm)
		(void)munmap(cpu->vm->mem->slots[0].hva, RAM_BYTES); /* ours */
	interp_vcpu_destroy(cpu);
	mmu_vcpu_destroy(cpu);
	free(cpu->xsave);
}

/* Between the two the vector registers are the guest's. */
__attribute__((noinline, target("general-regs-only"))) static enum cpu_result
engine_run(struct hosted_cpu *cpu, const struct diff_engine *engine, const uint8_t *before,
	   uint8_t *after)
{
	uint32_t mask = (uint32_t)cpu->xsave_mask, mxcsr, plain = 0x1f80;
	uint16_t fcw = 0x37f;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("xrstor64 (%0)" : : "r"(before), "a"(mask), "d"(0) : "memory");
	enum cpu_result result = engine->run(cpu);
	__asm__ volatile("xsave64 (%0)" : : "r"(after), "a"(mask), "d"(0) : "memory");
	__asm__ volatile("ldmxcsr %0; vzeroupper; fninit; fldcw %1" : : "m"(plain), "m"(fcw));
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	return result;
}

static void code_set(struct hosted_cpu *cpu, enum x86_code code)
{
	if ((cpu->mode & CPU_MODE_CODE) == code)
		return;
	cpu->segs[X86_CS].l = code == X86_CODE_64;
	cpu->segs[X86_CS].db = code == X86_CODE_32;
	cpu_mode_update(cpu);
}

static void case_set(struct hosted_cpu *cpu, const struct diff_case *test)
{
	uint8_t *code = page_of(cpu, PAGE_CODE);

	code_set(cpu, (enum x86_code)test->insn.code);
	memcpy(page_of(cpu, PAGE_DATA0), test->before.memory[0], DIFF_PAGE);
	memcpy(page_of(cpu, PAGE_DATA1), test->before.memory[1], DIFF_PAGE);
	memcpy(page_of(cpu, PAGE_READONLY), test->before.memory[2], DIFF_PAGE);
	memcpy(code, test->insn.bytes, test->insn.len);
	code[test->insn.len] = HLT;
	memcpy(cpu->regs, test->before.regs, sizeof(cpu->regs));
	cpu->rflags = test->before.rflags | X86_RFLAGS_FIXED | X86_RFLAGS_IF;
	cpu->rip = DIFF_CODE;
	cpu->fault = (struct cpu_fault){ 0 };
	cpu->io.at = cpu->io.n_done = 0;
}

void diff_machine_run(struct hosted_cpu *cpu, const struct diff_engine *engine,
		      const struct diff_case *test, struct diff_state *ret)
{
	static uint8_t before[DIFF_XSAVE] __attribute__((aligned(64)));
	static uint8_t after[DIFF_XSAVE] __attribute__((aligned(64)));

	case_set(cpu, test);
	diff_pack(&test->before.vectors, before);
	memset(after, 0, sizeof(after));
	(void)syscall(SYS_arch_prctl, ARCH_SET_GS, cpu); /* never fails with an address of ours */
	mmu_enter(cpu);
	enum cpu_result result = engine_run(cpu, engine, before, after);
	mmu_leave(cpu);
	diff_unpack(after, &ret->vectors);
	memcpy(ret->regs, cpu->regs, sizeof(ret->regs));
	ret->rflags = cpu->rflags & ~X86_RFLAGS_IF;
	memcpy(ret->memory[0], page_of(cpu, PAGE_DATA0), DIFF_PAGE);
	memcpy(ret->memory[1], page_of(cpu, PAGE_DATA1), DIFF_PAGE);
	memcpy(ret->memory[2], page_of(cpu, PAGE_READONLY), DIFF_PAGE);
	ret->is_fault = result != CPU_OK || cpu->rip != DIFF_CODE + test->insn.len;
	ret->vector = result == CPU_FAULT ? cpu->fault.vector : 0xff;
	ret->error = cpu->fault.error;
	ret->cr2 = cpu->fault.cr2;
}
