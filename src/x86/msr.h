/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Model-specific registers: their numbers, and which of them the machine has that only keep a value.
 *
 * Theory of operation. Whoever executes vcpus has one uint64_t for each row of x86_msrs[], or another place that it looks after itself
 * (a register of the hardware's, a field that its own code reads). What a guest may write there is asked here, so that a guest finds the
 * same registers, and #GP for the same values, whatever runs it. Registers that do something are not in the table: time (pvclock.h),
 * EFER, the LAPIC's.
 *
 * Sources: Intel SDM 4, Architectural MSRs; AMD APM 2, appendix A, MSR Cross-Reference; SDM 3A, Memory Cache Control (MTRRs, PAT).
 */
#include <stdbool.h>
#include <stdint.h>

#define MSR_TSC		      0x10U
#define MSR_APIC_BASE	      0x1bU
#define MSR_TSC_ADJUST	      0x3bU
#define MSR_ARCH_CAPABILITIES 0x10aU
#define MSR_SYSENTER_CS	      0x174U
#define MSR_SYSENTER_ESP      0x175U
#define MSR_SYSENTER_EIP      0x176U
#define MSR_DEBUGCTL	      0x1d9U
#define MSR_PAT		      0x277U
#define MSR_TSC_DEADLINE      0x6e0U
#define MSR_X2APIC	      0x800U /* to 0x83f; the rest up to 0x8ff is reserved */
#define MSR_X2APIC_END	      0x900U
#define MSR_EFER	      0xc0000080U
#define MSR_STAR	      0xc0000081U
#define MSR_LSTAR	      0xc0000082U
#define MSR_CSTAR	      0xc0000083U
#define MSR_SFMASK	      0xc0000084U
#define MSR_FS_BASE	      0xc0000100U
#define MSR_GS_BASE	      0xc0000101U
#define MSR_KERNEL_GS_BASE    0xc0000102U
#define MSR_TSC_AUX	      0xc0000103U
#define MSR_VM_CR	      0xc0010114U

/* As after power-up: write-back, write-through, UC-, UC, twice. */
#define X86_PAT_INITIAL UINT64_C(0x0007040600070406)

struct x86_msr {
	uint32_t index;
	uint8_t rule; /* msr.c's */
	uint64_t arg;
	uint64_t initial; /* after power-up */
};

#define X86_MSRS 72U

/* By index, ascending. */
extern const struct x86_msr x86_msrs[X86_MSRS];

/* What a CPU's registers are checked against. */
struct x86_msr_cpu {
	unsigned phys_bits;   /* of a guest physical address */
	unsigned linear_bits; /* 48; 57 with CR4.LA57 */
};

/* x86_msr_find() - the row of a register, or NULL: it is none of these. Its place is the difference to x86_msrs. */
const struct x86_msr *x86_msr_find(uint32_t index);
/*
 * x86_msr_written() - what a register holds after WRMSR
 * @old: what it holds now   Return: false: #GP, *ret is as it was
 */
bool x86_msr_written(const struct x86_msr *msr, const struct x86_msr_cpu *cpu, uint64_t old,
		     uint64_t value, uint64_t *ret);
/*
 * x86_efer_written() - the same for EFER with SCE, LME and NX; LMA is the CPU's to change, LME stands while paging is on
 * Source: AMD APM 2, Extended Feature Enable Register.
 */
bool x86_efer_written(uint64_t old, uint64_t cr0, uint64_t value, uint64_t *ret);
