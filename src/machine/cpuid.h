/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The CPU model: which CPUID leaves each vcpu of the machine shows.
 *
 * Theory of operation. The engine says what it can keep (cpu_ops.cpuid_supported: the host's CPU as far as the
 * engine can give it). What the machine has no hardware for is taken out: monitor/mwait, performance counters, power and
 * thermal control, processor trace, SGX, resource control, memory encryption. Then the leaves that differ from vcpu to
 * vcpu, or that tell of the whole machine, are made new: APIC id, topology, caches' sharing, address widths, the
 * hypervisor's own leaves. A leaf that nobody here knows is not shown.
 *
 * The machine is one package of `vcpus` cores with one thread each; a vcpu's APIC id is its index.
 * Sources: Intel SDM 2A, CPUID; Intel SDM 3A, Detecting Hardware Multi-Threading Support and Topology; Intel SDM 1,
 * Managing State Using the XSAVE Feature Set; AMD APM 3, appendix E; Linux Documentation/virt/kvm/x86/cpuid.rst.
 */
#include <stdbool.h>

#include "base/core/err.h"
#include "x86/cpuid.h"

#define CPUID_VCPUS_MAX 255U /* APIC ids of 8 bits; 255 is the broadcast */

struct cpuid_config {
	unsigned vcpus;	    /* 1..CPUID_VCPUS_MAX */
	unsigned phys_bits; /* cpu_caps.phys_bits; 0: as the engine's leaf says */
	bool kvm;	    /* cpu_caps.kvm_clock: KVM's leaves */
	bool own_irqchip; /* the engine's interrupt controllers are in use: KVM's features that need them */
	bool x2apic;	   /* the LAPIC in use has it; the engine's leaf must say so too */
	bool tsc_deadline; /* the same */
	bool nested;	   /* SVM or VMX is shown, if the engine has it */
};

/*
 * cpuid_model() - the leaves of one vcpu
 * @supported: the engine's, @n of them   @index: the vcpu's   @ret: room for CPUID_LEAVES_MAX
 * Return: 0, -EINVAL (vcpus, index), -E2BIG (too many leaves), -ENOTSUP (the engine lacks what every 64-bit guest needs; the text names it).
 */
int cpuid_model(const struct cpuid_config *config, const struct cpuid_leaf *supported, unsigned n,
		unsigned index, struct cpuid_leaf ret[CPUID_LEAVES_MAX], unsigned *ret_n,
		struct err *err);
