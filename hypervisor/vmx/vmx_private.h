/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of vmx/ share.
 *
 * Theory of operation. A VMCS is read and written while it is current on a CPU, and only one is. That of a loaded vcpu is
 * current from load() to unload(), which clears it, so that any CPU may load it next. Whoever wants something of a
 * vcpu that is not loaded opens it: its VMCS is current for that time, and then the former one again.
 */
#include <stddef.h>

#include "base/core/macros.h"
#include "core/percpu.h"
#include "hw/hw_fpu.h"
#include "hw/hw_ops.h"
#include "vmx/vmcs.h"
#include "vmx/vmx_caps.h"

/* MSRs that no VMCS has: the guest's own while its vcpu is loaded, as the hypervisor uses none of them. */
enum vmx_msr {
	VMX_MSR_STAR,
	VMX_MSR_LSTAR,
	VMX_MSR_CSTAR,
	VMX_MSR_SFMASK,
	VMX_MSR_KERNEL_GS_BASE,
	VMX_MSRS,
};

/* What vmx_switch() keeps. */
struct vmx_launch {
	uint64_t host_rsp; /* in the VMCS */
	uint64_t launched; /* since its last VMCLEAR */
};

struct vmx_vcpu {
	struct hw_vcpu hw;
	const struct hw_vm *vm;
	void *vmcs;
	uint8_t *vapic; /* virtual-APIC page, for the TPR */
	struct vmx_launch launch;
	uint64_t rsp, rflags; /* in the VMCS */
	uint32_t proc;	      /* primary controls in the VMCS */
	bool is_loaded;
	bool injected;		    /* the next entry delivers an event */
	uint64_t vpid_turn;	    /* of the CPU that gave it its VPID; 0: it has none */
	const struct vmx_cpu *host; /* whose host state is in the VMCS */
	struct hw_fpu fpu;
	uint64_t msrs[VMX_MSRS]; /* these three: while it is not loaded */
	uint64_t dr[4], dr6;
	uint64_t cr2;
};

/* What each CPU has for itself. */
struct vmx_cpu {
	void *vmxon;
	uint8_t *msr_bitmap;		 /* read by every vcpu that was created here */
	struct cpu_last_exit *last_exit; /* of cpu_this() */
	struct vmx_vcpu *current;	 /* whose VMCS is current; NULL: none */
	uint64_t turn;			 /* how often all VPIDs were used up, from 1 */
	uint32_t next_vpid;
	uint32_t revision; /* of a VMCS */
	struct vmx_controls controls;
	uint64_t cr0, cr3, cr4, efer, pat; /* the host's */
	uint64_t cr0_fixed, cr4_fixed; /* bits that must be 1, in a guest too; without PE and PG */
};

static inline struct vmx_vcpu *vmx_vcpu_of(struct hw_vcpu *hw)
{
	return container_of(hw, struct vmx_vcpu, hw);
}
static inline const struct vmx_vcpu *vmx_vcpu_of_const(const struct hw_vcpu *hw)
{
	return container_of(hw, const struct vmx_vcpu, hw);
}
static inline struct vmx_cpu *vmx_cpu_of(void)
{
	return cpu_this()->hw;
}

/* Of the current VMCS. Our fields are there on every CPU that vmx_controls_choose() took: no failure is looked for. */
static inline uint64_t vmcs_read(enum vmcs_field field)
{
	uint64_t value;

	__asm__ volatile("vmread %1, %0" : "=rm"(value) : "r"((uint64_t)field) : "cc");
	return value;
}
static inline void vmcs_write(enum vmcs_field field, uint64_t value)
{
	__asm__ volatile("vmwrite %0, %1" : : "rm"(value), "r"((uint64_t)field) : "cc", "memory");
}

/* DR6 of this CPU: the loaded vcpu's. */
static inline uint64_t dr6_read(void)
{
	uint64_t value;

	__asm__ volatile("mov %%db6, %0" : "=r"(value));
	return value;
}
static inline void dr6_write(uint64_t value)
{
	__asm__ volatile("mov %0, %%db6" : : "r"(value));
}

/* CR0: what would reach the CPU itself, past an exit, or that VMX wants. CR4: what is not a guest's. */
#define VMX_CR0_CACHE (X86_CR0_CD | X86_CR0_NW)
#define VMX_CR4_VMXE  UINT64_C(0x2000)

/* vmx_enter.S: into the guest and back. Return: 0: an exit; 1: no VMCS is current; 2: VMCS_INSN_ERROR says why. */
unsigned vmx_switch(uint64_t regs[X86_REGS], struct vmx_launch *launch);
extern const uint8_t vmx_exit_point[];

/* vmx_cpu.c */
int vmx_probe(struct hw_caps *ret, struct err *err);
int vmx_cpu_init(struct err *err);
void vmx_vmcs_clear(struct vmx_vcpu *v);
void vmx_vmcs_load(struct vmx_vcpu *v);
/* Return: whose VMCS was current, for vmx_close(). */
struct vmx_vcpu *vmx_open(const struct vmx_vcpu *v);
void vmx_close(const struct vmx_vcpu *v, struct vmx_vcpu *former);
/* Loaded: a new VPID of this CPU's, and what it knows of the guest's memory is forgotten. */
void vmx_vpid_give(struct vmx_vcpu *v);
/* A CPU's own part of the current VMCS. */
void vmx_host_write(struct vmx_vcpu *v);

static inline uint8_t vmx_insn_len(void)
{
	return (uint8_t)vmcs_read(VMCS_INSN_LEN);
}

/* vmx.c: the debugger's registers that no VMCS has, into the CPU and out of it. */
void vmx_dr_load(const struct vmx_vcpu *v);
void vmx_dr_unload(struct vmx_vcpu *v);
void vmx_cr2_set(struct hw_vcpu *hw, uint64_t value);
/* vmx_run.c */
void vmx_enter(struct hw_vcpu *hw, struct hw_exit *ret);

/* vmx_exit.c: what an exit was that does not come often. Return: false: ours alone, enter again. */
bool vmx_decode(struct vmx_vcpu *v, uint32_t reason, struct hw_exit *ret);
void vmx_decode_refused(unsigned how, struct hw_exit *ret);
/* An exit met IRET after it had ended the blocking of NMIs. */
void vmx_iret_undo(void);

/* vmx_state.c; all but the first two for any vcpu, loaded or not */
void vmx_guest_init(struct vmx_vcpu *v);
/* Loaded: the preemption timer begins anew. */
void vmx_timer_write(void);
void vmx_state_get(struct hw_vcpu *hw, struct x86_state *ret);
void vmx_state_set(struct hw_vcpu *hw, const struct x86_state *state);
void vmx_paging(const struct hw_vcpu *hw, struct hw_paging *ret);
uint64_t vmx_seg_base(const struct hw_vcpu *hw, enum x86_seg seg);
void vmx_segment_get(unsigned seg, struct x86_segment *ret);
#define VMX_SEG_LDTR 6U
#define VMX_SEG_TR   7U

/* vmx_msr.c */
int vmx_msr_get(const struct hw_vcpu *hw, uint32_t index, uint64_t *ret);
int vmx_msr_set(struct hw_vcpu *hw, uint32_t index, uint64_t value);
void vmx_msrs_load(const struct vmx_vcpu *v);
void vmx_msrs_unload(struct vmx_vcpu *v);
