/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a CPU's VMX can, by its capability MSRs, and what we ask of it. Pure: the MSRs are read elsewhere.
 * Source: Intel SDM 3D, appendix A, VMX Capability Reporting Facility.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"

#define MSR_FEATURE_CONTROL UINT32_C(0x3a)
#define MSR_VMX_BASIC	    UINT32_C(0x480)
#define MSR_VMX_MISC	    UINT32_C(0x485)
#define MSR_VMX_CR0_FIXED0  UINT32_C(0x486)
#define MSR_VMX_CR4_FIXED0  UINT32_C(0x488)
#define MSR_VMX_PROC2	    UINT32_C(0x48b)
#define MSR_VMX_EPT_VPID    UINT32_C(0x48c)
#define MSR_VMX_TRUE_PIN    UINT32_C(0x48d)
#define MSR_VMX_TRUE_PROC   UINT32_C(0x48e)
#define MSR_VMX_TRUE_EXIT   UINT32_C(0x48f)
#define MSR_VMX_TRUE_ENTRY  UINT32_C(0x490)

#define FEATURE_LOCKED UINT64_C(0x1)
#define FEATURE_VMX    UINT64_C(0x4) /* outside of SMX */

#define VMX_BASIC_REVISION UINT64_C(0x7fffffff)
#define VMX_BASIC_TRUE	   (UINT64_C(1) << 55)

/* Capability MSRs, as read. Those of controls: low half: bits that must be 1; high half: that may be. */
struct vmx_caps {
	uint64_t basic, misc, proc2, ept_vpid;
	uint64_t pin, proc, exit, entry; /* the true ones */
};

/* What is written to a VMCS. */
struct vmx_controls {
	uint32_t pin, proc, proc2, exit, entry;
	bool has_1g;	      /* leaves of 1 GiB */
	uint8_t timer_shift;  /* the preemption timer counts TSC ticks >> this */
	bool has_tsc_scaling; /* not in proc2: only a guest that wants it has it */
	bool invept_single;   /* INVEPT can forget one EPT pointer's translations alone */
};

/*
 * vmx_feature_check() - what the firmware decided
 * @value: IA32_FEATURE_CONTROL   Return: 0, or -EPERM with the words: locked, and VMX is not on.
 */
int vmx_feature_check(uint64_t value, struct err *err);

/*
 * vmx_controls_choose() - the controls that we need, and those that are only good to have where they may be set
 * Return: 0, or -ENOTSUP with the words: what is missing.
 */
int vmx_controls_choose(const struct vmx_caps *caps, struct vmx_controls *ret, struct err *err);
