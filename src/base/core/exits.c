/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/exits.h"

#include <stddef.h>
#include <string.h>

#include "base/core/macros.h"

const char *exit_reason_name(enum exit_reason reason)
{
	static const char *const names[EXIT_REASONS] = {
		[EXIT_ALL] = "all",
		[EXIT_VMM] = "vmm",
		[EXIT_IO] = "io",
		[EXIT_MMIO] = "mmio",
		[EXIT_MSR] = "msr",
		[EXIT_CPUID] = "cpuid",
		[EXIT_HALT] = "halt",
		[EXIT_HYPERCALL] = "hypercall",
		[EXIT_INTERRUPT] = "interrupt",
		[EXIT_IRQ_WINDOW] = "irq-window",
		[EXIT_MEMORY] = "memory",
		[EXIT_INSTRUCTION] = "instruction",
		[EXIT_CODE] = "code",
		[EXIT_EXCEPTION] = "exception",
		[EXIT_KICK] = "kick",
		[EXIT_OTHER] = "other",
	};

	return names[reason];
}

/*
 * Linux arch/x86/kvm/x86.c, kvm_vcpu_stats_desc. Those of ports and device memory are left to who is asked for them: KVM counts also
 * what it answers itself.
 */
enum exit_reason exit_reason_of_kvm(const char *name)
{
	static const struct {
		const char *name;
		enum exit_reason reason;
	} known[] = {
		{ "exits", EXIT_ALL },		 { "halt_exits", EXIT_HALT },
		{ "irq_exits", EXIT_INTERRUPT }, { "hypercalls", EXIT_HYPERCALL },
		{ "pf_taken", EXIT_MEMORY },	 { "insn_emulation", EXIT_INSTRUCTION },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!strcmp(known[i].name, name))
			return known[i].reason;
	}
	return EXIT_REASONS;
}
