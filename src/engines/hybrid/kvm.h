/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * cpu_ops over Linux's /dev/kvm.
 *
 * Order of calls. Each line needs those above it; the order is also the fast one:
 *   vm_create, slot_set for every slot, vcpu_create for every vcpu, doorbell_set, cpuid_set, state_set, run.
 * KVM's interrupt controllers are made by the first vcpu_create, not by vm_create: they sit on KVM's I/O buses, and
 * a slot that changes after a bus did waits out a grace period of the kernel's (4 to 7 ms measured, where a slot set
 * before costs 0.02 to 0.1 ms).
 *
 * Kick: kick() sets kvm_run's immediate_exit, then sends SIGSTKFLT to the vcpu's thread if that is inside KVM_RUN. The
 * signal has an empty handler, so KVM_RUN returns EINTR; a kick that comes just before KVM_RUN is seen in
 * immediate_exit. run() clears the flag when it returns VCPU_EXIT_KICKED. Why so: KVM_SET_SIGNAL_MASK would need
 * one more system call a kick to take the pending signal back, and a real-time signal is lost when the user's queue
 * (RLIMIT_SIGPENDING) is full, while a standard signal never is, and many kicks become one.
 * SIGSTKFLT is therefore this engine's in a process that uses it: vm_create installs the handler (SA_RESTART). Any other
 * signal may be the guest's: a VMM passes on to its workload what its own process is sent.
 *
 * Requests beyond the contract of cpu_ops: run() is handed the same struct vcpu_io each time, since it holds the
 * answer to an MSR exit. msr_set returns -ENOENT for a register that does not exist and for a value that KVM refuses.
 * Source: Linux Documentation/virt/kvm/api.rst.
 */
#include <stddef.h>
#include <stdint.h>

#include "machine/cpu_ops.h"

extern const struct cpu_ops kvm_cpu_ops;

/*
 * What a thread still asks of the kernel once the first vcpu runs, for a seccomp filter: requests of ioctl(2) on the
 * vm's and the vcpus' fds. Apart from these: tgkill, rt_sigreturn (kick), and, once in each vcpu's thread,
 * gettid and rt_sigprocmask.
 */
enum kvm_thread {
	KVM_THREAD_VCPU, /* run, state, MSRs, injection */
	KVM_THREAD_IO,	 /* irq_set, msi */
	KVM_THREADS,
};
struct kvm_requests {
	const uint32_t *requests;
	size_t n;
};
/* kvm_sealed_requests() - the table of one kind of thread; static. A vcpu's thread needs that of I/O too. */
struct kvm_requests kvm_sealed_requests(enum kvm_thread thread);
