/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/kvm.h"

#include "engines/hybrid/private.h"

const struct cpu_ops kvm_cpu_ops = {
	.name = "kvm",
	.caps = kvm_caps,
	.cpuid_supported = kvm_cpuid_supported,
	.vm_create = kvm_vm_create,
	.vm_destroy = kvm_vm_destroy,
	.slot_set = kvm_slot_set,
	.vcpu_create = kvm_vcpu_create,
	.vcpu_destroy = kvm_vcpu_destroy,
	.cpuid_set = kvm_cpuid_set,
	.run = kvm_run_vcpu,
	.kick = kvm_kick,
	.state_get = kvm_state_get,
	.state_set = kvm_state_set,
	.msr_get = kvm_msr_get,
	.msr_set = kvm_msr_set,
	.translate = kvm_translate_gva,
	.irq_ready = kvm_irq_ready,
	.inject = kvm_inject,
	.inject_nmi = kvm_inject_nmi,
	.irq_window = kvm_irq_window,
	.cr8_get = kvm_cr8_get,
	.cr8_set = kvm_cr8_set,
	.apic_base_get = kvm_apic_base_get,
	.tsc_hz = kvm_tsc_hz,
	.exits_read = kvm_exits_read,
	.irq_set = kvm_irq_set,
	.msi = kvm_msi_send,
	.doorbell_set = kvm_doorbell_set,
	.debug_set = kvm_debug_set,
	.inject_breakpoint = kvm_inject_breakpoint,
	.xsave_get = kvm_xsave_get,
	.xsave_set = kvm_xsave_set,
};

static const uint32_t vcpu_requests[] = {
	(uint32_t)KVM_RUN,	     (uint32_t)KVM_GET_REGS,
	(uint32_t)KVM_SET_REGS,	     (uint32_t)KVM_GET_SREGS,
	(uint32_t)KVM_SET_SREGS,     (uint32_t)KVM_GET_DEBUGREGS,
	(uint32_t)KVM_SET_DEBUGREGS, (uint32_t)KVM_GET_MP_STATE,
	(uint32_t)KVM_SET_MP_STATE,  (uint32_t)KVM_GET_MSRS,
	(uint32_t)KVM_SET_MSRS,	     (uint32_t)KVM_GET_XCRS,
	(uint32_t)KVM_SET_XCRS,	     (uint32_t)KVM_GET_XSAVE2,
	(uint32_t)KVM_GET_XSAVE,				    /* before Linux 5.17 */
	(uint32_t)KVM_SET_XSAVE,     (uint32_t)KVM_CHECK_EXTENSION, /* the size of an XSAVE image */
	(uint32_t)KVM_INTERRUPT,     (uint32_t)KVM_NMI,
	(uint32_t)KVM_TRANSLATE,     (uint32_t)KVM_SET_GUEST_DEBUG,
};
static const uint32_t io_requests[] = {
	(uint32_t)KVM_IRQ_LINE, (uint32_t)KVM_SIGNAL_MSI,
	(uint32_t)KVM_IOEVENTFD, /* a BAR moves, a doorbell is rung for the first time */
};
static const struct kvm_requests sealed[KVM_THREADS] = {
	[KVM_THREAD_VCPU] = { vcpu_requests, ARRAY_SIZE(vcpu_requests) },
	[KVM_THREAD_IO] = { io_requests, ARRAY_SIZE(io_requests) },
};

struct kvm_requests kvm_sealed_requests(enum kvm_thread thread)
{
	return sealed[thread];
}
