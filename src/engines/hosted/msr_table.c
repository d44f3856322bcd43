/* SPDX-License-Identifier: Apache-2.0 */
/* MSRs that only keep what was written, or have one value: where each of x86_msrs[] is. */
#include "engines/hosted/msr.h"
#include "engines/hosted/mmu.h"
#include "x86/msr.h"

#define LINEAR_BITS 48U /* 4-level paging is the only one that is shown */

static uint64_t *kept_at(struct hosted_cpu *cpu, const struct x86_msr *msr)
{
	switch (msr->index) {
	case MSR_SYSENTER_CS:
		return &cpu->sysenter_cs;
	case MSR_SYSENTER_ESP:
		return &cpu->sysenter_esp;
	case MSR_SYSENTER_EIP:
		return &cpu->sysenter_eip;
	case MSR_STAR:
		return &cpu->star;
	case MSR_LSTAR:
		return &cpu->lstar;
	case MSR_CSTAR:
		return &cpu->cstar;
	case MSR_SFMASK:
		return &cpu->sfmask;
	case MSR_FS_BASE:
		return &cpu->segs[X86_FS].base;
	case MSR_GS_BASE:
		return &cpu->segs[X86_GS].base;
	case MSR_KERNEL_GS_BASE:
		return &cpu->kernel_gs_base;
	case MSR_TSC_AUX:
		return &cpu->tsc_aux;
	default:
		return &cpu->msrs[msr - x86_msrs];
	}
}

enum msr_result msr_table_get(const struct hosted_cpu *cpu, uint32_t index, uint64_t *ret)
{
	const struct x86_msr *msr = x86_msr_find(index);

	if (!msr)
		return MSR_NONE;
	*ret = *kept_at((struct hosted_cpu *)(uintptr_t)cpu, msr); /* to be read only */
	return MSR_OK;
}

enum msr_result msr_table_put(struct hosted_cpu *cpu, uint32_t index, uint64_t value)
{
	const struct x86_msr_cpu limits = { cpu->mmu->phys_bits, LINEAR_BITS };
	const struct x86_msr *msr = x86_msr_find(index);

	if (!msr)
		return MSR_NONE;
	uint64_t *kept = kept_at(cpu, msr);
	return x86_msr_written(msr, &limits, *kept, value, kept) ? MSR_OK : MSR_FAULT;
}

void msr_table_reset(struct hosted_cpu *cpu)
{
	for (unsigned i = 0; i < X86_MSRS; i++)
		*kept_at(cpu, &x86_msrs[i]) = x86_msrs[i].initial;
}
