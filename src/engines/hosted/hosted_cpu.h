/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * cpu_ops in software: x86-64 guests on x86-64 hosts, by an ordinary process.
 *
 * Order of calls: vm_create, slot_set for every slot, vcpu_create for every vcpu, cpuid_set, state_set, run; then the process may be
 * sealed. What a vcpu's thread asks of the kernel afterwards: futex, sched_yield, clock_gettime, rt_sigreturn (a guest's
 * floating-point exceptions are signals), and hosted_vcpu_calls.
 *
 * run() is handed the same struct vcpu_io each time, since it holds the answer to an MSR exit. The stack that signals take is the
 * thread's own business (sigaltstack(2)): one is needed, since a guest's stack pointer may be in the host's.
 */
#include "engines/vmm/seal.h"
#include "machine/cpu_ops.h"

extern const struct cpu_ops hosted_cpu_ops;

/* arch_prctl(2), to set GS where the CPU or the kernel has no FSGSBASE (AT_HWCAP2). */
#define HOSTED_VCPU_CALLS 1
extern const struct seal_call hosted_vcpu_calls[HOSTED_VCPU_CALLS];
