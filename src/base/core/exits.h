/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Why a vcpu left its guest's code, and how often: what engines and the VMM count, and what is reported of it. A reason that an engine
 * cannot tell apart is not counted, which is not the same as none.
 */
#include <stdint.h>

enum exit_reason {
	EXIT_ALL, /* the guest's code was left, whoever took over: its parts below, and those that have no name */
	EXIT_VMM,	 /* of these, what strata-vmm was asked to do */
	EXIT_IO,	 /* a port, of strata-vmm */
	EXIT_MMIO,	 /* a device's memory, of strata-vmm */
	EXIT_MSR,	 /* RDMSR and WRMSR */
	EXIT_CPUID,	 /* CPUID */
	EXIT_HALT,	 /* HLT */
	EXIT_HYPERCALL,	 /* VMCALL and VMMCALL */
	EXIT_INTERRUPT,	 /* KVM: the host's interrupts; the software CPU: those that it delivered */
	EXIT_IRQ_WINDOW, /* the guest can take an interrupt that waited */
	EXIT_MEMORY,	 /* KVM: page faults that it took; the software CPU: misses of its TLB */
	EXIT_INSTRUCTION, /* instructions that were interpreted */
	EXIT_CODE, /* the software CPU: code that was not translated yet, or not known where it was branched to */
	EXIT_EXCEPTION, /* the software CPU: exceptions that it delivered to the guest */
	EXIT_KICK,	/* somebody had something for the vcpu */
	EXIT_OTHER,	/* shutdown, reset, debugger, failure */
	EXIT_REASONS,
};

#define EXIT_BIT(reason) (UINT64_C(1) << (reason))

/* What one vcpu counted. Its own thread adds; anybody may read. Two cache lines, shared with no other vcpu. */
struct exit_counts {
	uint64_t n[EXIT_REASONS];
} __attribute__((aligned(64)));

/* exit_count() - one more; owner thread. Whoever reads sees a whole number, and no lock prefix is needed for that. */
static inline void exit_count(struct exit_counts *counts, enum exit_reason reason)
{
	if (counts)
		__atomic_store_n(&counts->n[reason],
				 __atomic_load_n(&counts->n[reason], __ATOMIC_RELAXED) + 1,
				 __ATOMIC_RELAXED);
}

/* exit_reason_name() - "io": as reports and JSON have it. @reason: below EXIT_REASONS */
const char *exit_reason_name(enum exit_reason reason);
/* exit_reason_of_kvm() - which of them a statistic of KVM's counts, by its name there ("halt_exits"); EXIT_REASONS: none. */
enum exit_reason exit_reason_of_kvm(const char *name);
