/* SPDX-License-Identifier: Apache-2.0 */
/* Into the guest and back, and the exits that come often. Source: Intel SDM 3D, appendix C, VMX Basic Exit Reasons. */
#include "core/trap.h"
#include "vmx/vmx_format.h"
#include "vmx/vmx_private.h"

static inline void registers_out(struct vmx_vcpu *v)
{
	vmcs_write(VMCS_GUEST_RIP, v->hw.rip);
	if (v->rsp != v->hw.regs[X86_RSP])
		vmcs_write(VMCS_GUEST_RSP, v->hw.regs[X86_RSP]);
	if (v->rflags != v->hw.rflags)
		vmcs_write(VMCS_GUEST_RFLAGS, v->hw.rflags);
}

static inline void registers_in(struct vmx_vcpu *v)
{
	v->hw.regs[X86_RSP] = v->rsp = vmcs_read(VMCS_GUEST_RSP);
	v->hw.rip = vmcs_read(VMCS_GUEST_RIP);
	v->hw.rflags = v->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	v->hw.cr3 = vmcs_read(VMCS_GUEST_CR3);
}

/* An NMI that did not arrive has its blocking on already: it would block itself. */
static __attribute__((noinline)) void interrupted_note(struct vmx_vcpu *v, uint32_t info)
{
	uint32_t error = (uint32_t)vmcs_read(VMCS_IDT_ERROR);

	if (vmx_event_of(info, error, &v->hw.interrupted) && v->hw.interrupted.type == HW_EVENT_NMI)
		vmcs_write(VMCS_GUEST_SHADOW, vmcs_read(VMCS_GUEST_SHADOW) & ~VMX_SHADOW_NMI);
}

static enum hw_exit_kind decode_npf(struct hw_exit *ret)
{
	struct cpu_last_exit *last = vmx_cpu_of()->last_exit;
	uint64_t qualification = vmcs_read(VMCS_QUALIFICATION);

	last->info1 = qualification;
	last->info2 = ret->npf.gpa = vmcs_read(VMCS_GUEST_PHYSICAL);
	vmx_ept_of(qualification, ret);
	if (qualification & VMX_EPT_IRET)
		vmx_iret_undo();
	return HW_EXIT_NPF;
}

static enum hw_exit_kind decode_msr(bool is_write, struct hw_exit *ret)
{
	ret->msr.is_write = is_write;
	ret->insn_len = vmx_insn_len();
	return HW_EXIT_MSR;
}

/* Those that come often; the others: vmx_exit.c. Return: false: ours alone, enter again. */
static inline bool decode(struct vmx_vcpu *v, uint32_t reason, struct hw_exit *ret)
{
	ret->insn_len = 0;
	switch (reason) {
	case VMX_REASON_INTERRUPT:
		trap_open();
		ret->kind = HW_EXIT_HOST;
		return true;
	case VMX_REASON_CPUID:
		ret->insn_len = vmx_insn_len();
		ret->kind = HW_EXIT_CPUID;
		return true;
	case VMX_REASON_IO:
		vmx_io_of(vmcs_read(VMCS_QUALIFICATION), ret);
		ret->insn_len = vmx_insn_len();
		ret->kind = HW_EXIT_PIO;
		return true;
	case VMX_REASON_EPT_VIOLATION:
		ret->kind = decode_npf(ret);
		return true;
	case VMX_REASON_RDMSR:
	case VMX_REASON_WRMSR:
		ret->kind = decode_msr(reason == VMX_REASON_WRMSR, ret);
		return true;
	case VMX_REASON_HLT:
		ret->insn_len = vmx_insn_len();
		ret->kind = HW_EXIT_HLT;
		return true;
	default:
		return vmx_decode(v, reason, ret);
	}
}

/* Interrupts are off: a kick after the look at the word is an interrupt, which ends the guest's turn at its first instruction. */
void vmx_enter(struct hw_vcpu *hw, struct hw_exit *ret)
{
	struct vmx_vcpu *v = vmx_vcpu_of(hw);
	struct vmx_cpu *cpu = vmx_cpu_of();
	uint32_t reason;

	hw->interrupted.type = HW_EVENT_NONE;
	do {
		if (v->vpid_turn != cpu->turn)
			vmx_vpid_give(v);
		if (__atomic_load_n(&hw->kicked, __ATOMIC_ACQUIRE)) {
			__atomic_store_n(&hw->kicked, 0, __ATOMIC_RELAXED);
			trap_open();
			/* Not entered: what was to be injected still is. */
			ret->kind = HW_EXIT_HOST;
			return;
		}
		registers_out(v);
		unsigned refused = vmx_switch(hw->regs, &v->launch);
		if (refused) {
			vmx_decode_refused(refused, ret);
			return;
		}
		reason = (uint32_t)vmcs_read(VMCS_REASON);
		v->launch.launched = 1;
		v->injected = false;
		registers_in(v);
		uint32_t info = (uint32_t)vmcs_read(VMCS_IDT_EVENT);
		if (info & VMX_EVENT_VALID)
			interrupted_note(v, info);
		cpu->last_exit->reason = reason;
		cpu->last_exit->rip = hw->rip;
	} while (!decode(v, reason, ret));
}
