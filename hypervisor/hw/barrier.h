/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a CPU is told to forget between guests, so that none learns by speculation what another, or the hypervisor, had there.
 *
 * Theory of operation. Each CPU knows whose branches its predictors have seen, and whose data went through its caches and buffers
 * last. A guest about to be entered that is another than that one waits until the CPU has forgotten:
 *
 *	branches	IBPB, and the return stack overwritten: when the guest is another than the last one here
 *	L1D, buffers	IA32_FLUSH_CMD, VERW: then, and when anything else has run here since (the channel, the keeper, another vcpu), or
 *			an interrupt moved other guests' data (the server's disks)
 *
 * That is when the scheduler takes a vcpu onto a CPU, and after a host's interrupt or a guest's service; an exit that is answered by the
 * hypervisor has none of it. Which of these a CPU needs, it says itself by CPUID and IA32_ARCH_CAPABILITIES; one that offers no way
 * is used as it is. The hypervisor's own branches are kept from guests by what is set once, where the CPU has it: IBRS for good on
 * Intel, automatic IBRS on AMD, and STIBP against a sibling thread's guest. Guests are shown none of these MSRs (vm/vcpu_cpuid.c), so
 * that what is in SPEC_CTRL is ours at all times.
 *
 * Not covered: two guests on the threads of one core at the same time, which share its caches and buffers; a CPU's own firmware.
 * Sources: Intel, "Speculative Execution Side Channel Mitigations" (336996), "L1 Terminal Fault", "Microarchitectural Data Sampling",
 * "Register File Data Sampling"; Intel SDM 4, IA32_ARCH_CAPABILITIES; AMD, "Software Techniques for Managing Speculation on AMD
 * Processors", "Technical Guidance for Mitigating Transient Scheduler Attacks"; AMD APM 3, CPUID Fn8000_0008_EBX, Fn8000_0021.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum barrier {
	BARRIER_BRANCHES = 1,
	BARRIER_L1D = 2,
	BARRIER_BUFFERS = 4,
};

/* As read; 0: the CPU has no such leaf or MSR. */
struct barrier_facts {
	bool is_vmx;
	uint32_t leaf7_ebx, leaf7_edx, ext8_ebx, ext21_eax, ext21_ecx;
	uint64_t arch_capabilities;
};

struct barriers {
	unsigned wanted;    /* enum barrier */
	uint64_t spec_ctrl; /* bits of IA32_SPEC_CTRL that are set for good */
	bool auto_ibrs;	    /* EFER.AIBRSE is */
};

/* barriers_choose() - what this CPU has and needs; pure */
void barriers_choose(const struct barrier_facts *facts, struct barriers *ret);

/* Of a CPU; 0: nobody's, or anybody's. */
struct barrier_past {
	uint64_t branches_of, data_of; /* a guest's number */
};

/* barrier_due() - enum barrier: what is to be done before guest `next` is entered, and is taken for done; pure */
unsigned barrier_due(struct barrier_past *past, unsigned wanted, uint64_t next);

#define BARRIERS_TEXT 128U
/* barriers_text() - in words, for the start's line; pure. Return: whether there are any. */
bool barriers_text(const struct barriers *b, char *ret, size_t room);

/* ---- barrier_cpu.c: on the CPU that calls ---- */

/* barrier_init() - once, before it has a guest. @is_vmx: its back end. What it refuses (#GP) is not used. */
void barrier_init(bool is_vmx, struct barriers *ret);
/* barrier_enter() - guest `next`, a number > 0, is entered next. Return: whether there was something to forget. */
bool barrier_enter(uint64_t next);
/* barrier_foreign() - data that is not the present guest's went through this CPU */
void barrier_foreign(void);
