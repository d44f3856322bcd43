/* SPDX-License-Identifier: Apache-2.0 */
/* Source: Intel SDM 1, Managing State Using the XSAVE Feature Set; FXSAVE area: SDM 2, FXSAVE. */
#include "hw/hw_fpu.h"

#include <errno.h>
#include <stddef.h>

#include "core/io.h"
#include "core/page.h"
#include "x86/msr.h"
#include "x86/state.h"

#define FPU_ORDER 1U /* pages: an XSAVE area of 8 KiB holds all but AMX */

#define FCW_INITIAL   0x37fU
#define MXCSR_INITIAL 0x1f80U
#define MXCSR_AT      24U

static bool has_xsave(void)
{
	uint32_t regs[4];

	cpuid_read(1, 0, regs);
	return regs[2] >> 26 & 1;
}

/* The components that fit into an image; AMX's tiles do not, and are not shown to a guest. */
static uint64_t xcr0_all(void)
{
	uint32_t regs[4];

	cpuid_read(0xd, 0, regs);
	return ((uint64_t)regs[3] << 32 | regs[0]) & 0x2e7;
}

static void xcr0_write(uint64_t value)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static bool has_rdtscp(void)
{
	uint32_t regs[4];

	cpuid_read(0x80000001, 0, regs);
	return regs[3] >> 27 & 1;
}

void hw_tsc_aux_write(uint64_t value)
{
	if (has_rdtscp())
		msr_write(MSR_TSC_AUX, value);
}

void hw_fpu_enable(void)
{
	uint64_t cr0, cr4;

	__asm__ volatile("mov %%cr0, %0; mov %%cr4, %1" : "=r"(cr0), "=r"(cr4));
	cr0 = (cr0 & ~(X86_CR0_EM | X86_CR0_TS)) | X86_CR0_MP;
	cr4 |= X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | (has_xsave() ? X86_CR4_OSXSAVE : 0);
	__asm__ volatile("mov %0, %%cr0; mov %1, %%cr4" : : "r"(cr0), "r"(cr4) : "memory");
}

int hw_fpu_init(struct hw_fpu *fpu)
{
	fpu->area = page_alloc(FPU_ORDER);
	if (!fpu->area)
		return -ENOMEM;
	fpu->xcr0 = 1;
	fpu->area[0] = FCW_INITIAL & 0xff;
	fpu->area[1] = FCW_INITIAL >> 8;
	fpu->area[MXCSR_AT] = MXCSR_INITIAL & 0xff;
	fpu->area[MXCSR_AT + 1] = MXCSR_INITIAL >> 8;
	return 0;
}

void hw_fpu_fini(struct hw_fpu *fpu)
{
	page_free(fpu->area, FPU_ORDER);
	fpu->area = NULL;
}

/*
 * Where the last x87 instruction was, and its operand: AMD's CPUs restore and save these with a pending exception only, but for
 * those that say otherwise (AMD APM 5, FXRSTOR, XRSTOR; CPUID Fn8000_0008_EBX, RstrFpErrPtrs). On the others the next guest read the last one's.
 */
static inline void pointers_forget(void)
{
	__asm__ volatile("fninit" : : : "memory");
}

void hw_fpu_load(struct hw_fpu *fpu)
{
	hw_tsc_aux_write(fpu->tsc_aux);
	pointers_forget();
	if (!has_xsave()) {
		__asm__ volatile("fxrstor64 (%0)" : : "r"(fpu->area) : "memory");
		return;
	}
	uint64_t all = xcr0_all();
	xcr0_write(all);
	__asm__ volatile("xrstor64 (%0)"
			 :
			 : "r"(fpu->area), "a"((uint32_t)all), "d"((uint32_t)(all >> 32))
			 : "memory");
	xcr0_write(fpu->xcr0);
}

void hw_fpu_unload(struct hw_fpu *fpu)
{
	if (!has_xsave()) {
		__asm__ volatile("fxsave64 (%0)" : : "r"(fpu->area) : "memory");
		return;
	}
	fpu->xcr0 = hw_xcr0_get();
	uint64_t all = xcr0_all();
	xcr0_write(all);
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(fpu->area), "a"((uint32_t)all), "d"((uint32_t)(all >> 32))
			 : "memory");
}

static uint64_t xcr0_read(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

/* What the CPU has: QEMU 7.2 lets a guest's XSETBV through, intercepted or not. */
uint64_t hw_xcr0_get(void)
{
	uint64_t cr4;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	return cr4 & X86_CR4_OSXSAVE ? xcr0_read() : 1;
}

void hw_xcr0_set(uint64_t value)
{
	if (has_xsave())
		xcr0_write(value);
}
