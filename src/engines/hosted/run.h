/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The slots of hosted_cpu_ops, documented in machine/cpu_ops.h, and what their files share. */
#include "engines/hosted/cpu.h"

/* arch_prctl(2): Linux arch/x86/include/uapi/asm/prctl.h */
#define ARCH_SET_GS 0x1001

/* Kernels of guests with more were never tried here. */
#define HOSTED_VCPUS_MAX 64U
/* Bytes of XSAVE's legacy region and header (SDM 1, XSAVE Area). */
#define XSAVE_LEGACY_BYTES 576U
#define XSAVE_MXCSR_AT	   24U
#define XSAVE_BV_AT	   512U
/* Components that translated code can keep for a guest: x87, SSE, AVX, AVX-512's three. */
#define XSAVE_KEPT UINT64_C(0xe7)

int hosted_caps(struct cpu_caps *ret, struct err *err);
int hosted_cpuid_supported(struct cpuid_leaf *ret, unsigned *n, struct err *err);
int hosted_vm_create(const struct vm_config *config, struct vm **ret, struct err *err);
void hosted_vm_destroy(struct vm *vm);
int hosted_slot_set(struct vm *vm, const struct mem_slot *slot, struct err *err);
int hosted_vcpu_create(struct vm *vm, unsigned index, struct vcpu **ret, struct err *err);
void hosted_vcpu_destroy(struct vcpu *vcpu);
int hosted_cpuid_set(struct vcpu *vcpu, const struct cpuid_leaf *leaves, unsigned n,
		     struct err *err);
enum vcpu_exit hosted_run(struct vcpu *vcpu, struct vcpu_io *io);
void hosted_kick(struct vcpu *vcpu);
int hosted_state_get(struct vcpu *vcpu, struct x86_state *ret);
int hosted_state_set(struct vcpu *vcpu, const struct x86_state *state);
int hosted_msr_get(struct vcpu *vcpu, uint32_t index, uint64_t *ret);
int hosted_msr_set(struct vcpu *vcpu, uint32_t index, uint64_t value);
int hosted_translate(struct vcpu *vcpu, gva_t gva, gpa_t *ret);
bool hosted_irq_ready(struct vcpu *vcpu);
int hosted_inject(struct vcpu *vcpu, uint8_t vector);
int hosted_inject_nmi(struct vcpu *vcpu);
void hosted_irq_window(struct vcpu *vcpu, bool wanted);
uint8_t hosted_cr8_get(struct vcpu *vcpu);
void hosted_cr8_set(struct vcpu *vcpu, uint8_t cr8);
uint64_t hosted_apic_base_get(struct vcpu *vcpu);
uint64_t hosted_tsc_hz(struct vcpu *vcpu);
int hosted_debug_set(struct vcpu *vcpu, bool single_step, bool sw_breakpoints,
		     const struct debug_point points[DEBUG_POINTS]);
int hosted_inject_breakpoint(struct vcpu *vcpu);
int hosted_xsave_get(struct vcpu *vcpu, uint64_t *ret_xcr0, void *ret, size_t *n);
int hosted_xsave_set(struct vcpu *vcpu, uint64_t xcr0, const void *image, size_t n);

/* xsave.c: hosted_xsave_layout() - of this host: which components, and how long their standard format is. -ENOTSUP without XSAVE. */
int hosted_xsave_layout(uint64_t *ret_mask, uint32_t *ret_bytes, struct err *err);
/* hosted_xsave_init() - an image of a CPU after reset. */
void hosted_xsave_init(struct hosted_cpu *cpu);

/* hosted_clock_start() - the guest's clock begins now. */
void hosted_clock_start(struct hosted_clock *clock);
/* hosted_host_find() - what the host has. */
void hosted_host_find(struct hosted_host *host);
