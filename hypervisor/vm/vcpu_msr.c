/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSRs of a guest: those of x86/msr.h, EFER and the clock's. Every other one is the LAPIC's, or #GP.
 * Sources: Intel SDM 4, Architectural MSRs; Extended Control Registers (XCR0).
 */
#include <errno.h>

#include "hw/hw_fpu.h"
#include "vm/vcpu.h"
#include "x86/msr.h"

/* The hardware switches it: hw_ops.msr_get. */
static bool is_in_hw(const struct x86_msr *msr)
{
	switch (msr->index) {
	case MSR_SYSENTER_CS:
	case MSR_SYSENTER_ESP:
	case MSR_SYSENTER_EIP:
	case MSR_DEBUGCTL:
	case MSR_PAT:
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_SFMASK:
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_TSC_AUX:
		return true;
	default:
		return false;
	}
}

static int kept_read(const struct hv_vcpu *v, const struct x86_msr *msr, uint64_t *ret)
{
	if (is_in_hw(msr))
		return v->vm->hw_ops->msr_get(v->hw, msr->index, ret);
	*ret = v->msrs[msr - x86_msrs];
	return 0;
}

static int kept_write(struct hv_vcpu *v, const struct x86_msr *msr, uint64_t value)
{
	uint64_t *kept = &v->msrs[msr - x86_msrs];

	v->vm->hw_ops->paging(v->hw, &v->paging);
	const struct x86_msr_cpu limits = { .phys_bits = v->vm->phys_bits,
					    .linear_bits = v->paging.cr4 & X86_CR4_LA57 ? 57 : 48 };

	if (!x86_msr_written(msr, &limits, *kept, value, kept))
		return -EINVAL;
	return is_in_hw(msr) ? v->vm->hw_ops->msr_set(v->hw, msr->index, *kept) : 0;
}

static int efer_write(struct hv_vcpu *v, uint64_t value)
{
	const struct hw_ops *ops = v->vm->hw_ops;
	uint64_t old = 0;

	ops->paging(v->hw, &v->paging);
	(void)ops->msr_get(v->hw, MSR_EFER, &old); /* every back end has it */
	if (!x86_efer_written(old, v->paging.cr0, value, &value))
		return -EINVAL;
	return ops->msr_set(v->hw, MSR_EFER, value);
}

/* Apart from what asks for them: the LAPIC's registers, by far the most frequent, then save nothing. */
static __attribute__((noinline)) int own_read(struct hv_vcpu *v, uint32_t index, uint64_t *ret)
{
	if (hv_clock_msr_read(v, index, ret) == 0)
		return 0;
	if (index == MSR_EFER)
		return v->vm->hw_ops->msr_get(v->hw, index, ret);
	const struct x86_msr *msr = x86_msr_find(index);
	return msr ? kept_read(v, msr, ret) : -EINVAL;
}

static __attribute__((noinline)) int own_write(struct hv_vcpu *v, uint32_t index, uint64_t value)
{
	if (index == MSR_EFER)
		return efer_write(v, value);
	if (hv_clock_msr_write(v, index, value) == 0)
		return 0;
	const struct x86_msr *msr = x86_msr_find(index);
	return msr ? kept_write(v, msr, value) : -EINVAL;
}

static bool is_lapic(uint32_t index)
{
	return index == MSR_APIC_BASE || index == MSR_TSC_DEADLINE ||
	       (index >= MSR_X2APIC && index < MSR_X2APIC_END);
}

int hv_msr_read(struct hv_vcpu *v, uint32_t index, uint64_t *ret)
{
	return is_lapic(index) ? -ENOENT : own_read(v, index, ret);
}

int hv_msr_write(struct hv_vcpu *v, uint32_t index, uint64_t value)
{
	return is_lapic(index) ? -ENOENT : own_write(v, index, value);
}

void hv_msr_reset(struct hv_vcpu *v)
{
	for (unsigned i = 0; i < X86_MSRS; i++) {
		v->msrs[i] = x86_msrs[i].initial;
		if (is_in_hw(&x86_msrs[i]))
			(void)v->vm->hw_ops->msr_set(v->hw, x86_msrs[i].index, x86_msrs[i].initial);
	}
}

bool hv_xsetbv(struct hv_vcpu *v)
{
	const uint64_t *r = v->hw->regs;
	uint64_t value = (r[X86_RDX] << 32) | (r[X86_RAX] & UINT32_MAX);

	v->vm->hw_ops->paging(v->hw, &v->paging);
	if ((uint32_t)r[X86_RCX] || v->paging.cpl || !x86_xcr0_is_valid(value, v->xcr0_allowed))
		return false;
	hw_xcr0_set(value);
	return true;
}
