/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's vector state, which stays in the registers while its vcpu is loaded: the hypervisor itself is compiled without
 * any. Also TSC_AUX, which RDTSCP reads without an exit.
 * Source: Intel SDM 1, Managing State Using the XSAVE Feature Set; FXSAVE area: SDM 2, FXSAVE.
 */
#include "core/io.h"
#include "core/page.h"
#include "svm/svm_private.h"

#define CR0_EM_TS   UINT64_C(0xc)
#define CR0_MP	    UINT64_C(0x2)
#define CR4_OSFXSR  UINT64_C(0x600)
#define CR4_OSXSAVE UINT64_C(0x40000)
#define MSR_TSC_AUX 0xc0000103U

#define FCW_INITIAL   0x37fU
#define MXCSR_INITIAL 0x1f80U
#define MXCSR_AT      24U

bool svm_fpu_has_xsave(void)
{
	uint32_t regs[4];

	cpuid_read(1, 0, regs);
	return regs[2] >> 26 & 1;
}

/* The components that fit into an image; AMX's tiles do not, and no CPU with SVM has them. */
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

void svm_tsc_aux_write(uint64_t value)
{
	if (has_rdtscp())
		msr_write(MSR_TSC_AUX, value);
}

void svm_fpu_enable(void)
{
	uint64_t cr0, cr4;

	__asm__ volatile("mov %%cr0, %0; mov %%cr4, %1" : "=r"(cr0), "=r"(cr4));
	cr0 = (cr0 & ~CR0_EM_TS) | CR0_MP;
	cr4 |= CR4_OSFXSR | (svm_fpu_has_xsave() ? CR4_OSXSAVE : 0);
	__asm__ volatile("mov %0, %%cr0; mov %1, %%cr4" : : "r"(cr0), "r"(cr4) : "memory");
}

void svm_fpu_init(struct svm_vcpu *v)
{
	v->xcr0 = 1;
	v->fpu[0] = FCW_INITIAL & 0xff;
	v->fpu[1] = FCW_INITIAL >> 8;
	v->fpu[MXCSR_AT] = MXCSR_INITIAL & 0xff;
	v->fpu[MXCSR_AT + 1] = MXCSR_INITIAL >> 8;
}

void svm_fpu_load(struct svm_vcpu *v)
{
	svm_tsc_aux_write(v->tsc_aux);
	if (!svm_fpu_has_xsave()) {
		__asm__ volatile("fxrstor64 (%0)" : : "r"(v->fpu) : "memory");
		return;
	}
	uint64_t all = xcr0_all();
	xcr0_write(all);
	__asm__ volatile("xrstor64 (%0)"
			 :
			 : "r"(v->fpu), "a"((uint32_t)all), "d"((uint32_t)(all >> 32))
			 : "memory");
	xcr0_write(v->xcr0);
}

void svm_fpu_unload(struct svm_vcpu *v)
{
	if (!svm_fpu_has_xsave()) {
		__asm__ volatile("fxsave64 (%0)" : : "r"(v->fpu) : "memory");
		return;
	}
	v->xcr0 = svm_xcr0_get(&v->hw);
	uint64_t all = xcr0_all();
	xcr0_write(all);
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(v->fpu), "a"((uint32_t)all), "d"((uint32_t)(all >> 32))
			 : "memory");
}

static uint64_t xcr0_read(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

/* What the CPU has: QEMU 7.2 lets a guest's XSETBV through, intercepted or not. */
uint64_t svm_xcr0_get(const struct hw_vcpu *hw)
{
	uint64_t cr4;

	(void)hw;
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	return cr4 & CR4_OSXSAVE ? xcr0_read() : 1;
}

void svm_xcr0_set(struct hw_vcpu *hw, uint64_t value)
{
	(void)hw;
	if (svm_fpu_has_xsave())
		xcr0_write(value);
}
