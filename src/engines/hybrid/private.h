/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Theory of operation is in kvm.h; this is what the files kvm_*.c share. */
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/lock.h"
#include "base/core/macros.h"
#include "machine/cpu_ops.h"

#define KVM_DEV_PATH  "/dev/kvm"
#define KVM_DOORBELLS 256U

/* KVM takes a doorbell back only by the same description, fd included. */
struct kvm_doorbell {
	struct kvm_ioeventfd desc; /* fd -1: free */
};

struct kvm_vm {
	struct vm base;
	int dev_fd, fd; /* /dev/kvm, the VM */
	bool own_irqchip;
	bool irqchip_made; /* by the first kvm_vcpu_create() */
	unsigned vcpus;	   /* at most */
	size_t run_bytes;  /* of each vcpu's mapping */
	struct lock lock;  /* of doorbells */
	struct kvm_doorbell doorbells[KVM_DOORBELLS];
};

/*
 * Owner thread: everything, but running and run->immediate_exit, which kick() reads and writes: atomics,
 * sequentially consistent, for kick() stores the one and then loads the other, as run() does the other way round.
 */
struct kvm_vcpu {
	struct vcpu base;
	struct kvm_vm *vm;
	int fd;
	struct kvm_run *run;
	pid_t pid, tid;			 /* tid: 0 until its first run() */
	pid_t running;			 /* tid while inside KVM_RUN, else 0 */
	bool msr_asked;			 /* the answer is in the vcpu_io of the next run() */
	bool dr_reset;			 /* debug registers are still those of a reset */
	bool halted, wait_sipi;		 /* as set, where KVM has no LAPIC to know it */
	struct kvm_guest_debug debug;	 /* as it is */
	int stats;			 /* KVM_GET_STATS_FD; -EBADF: it has none */
	uint32_t stats_at[EXIT_REASONS]; /* where in it; 0: not there */
};

static inline struct kvm_vm *kvm_vm_of(struct vm *vm)
{
	return container_of(vm, struct kvm_vm, base);
}
static inline struct kvm_vcpu *kvm_vcpu_of(struct vcpu *vcpu)
{
	return container_of(vcpu, struct kvm_vcpu, base);
}

/* ioctl(2) as negative errno; again on EINTR, which nothing but KVM_RUN means as an answer. */
int kvm_ioctl(int fd, unsigned long request, void *arg);
int kvm_ioctl_nr(int fd, unsigned long request, unsigned long arg);
/* kvm_dev_open() - /dev/kvm, API version checked; err says what to do about a refusal. */
int kvm_dev_open(int *ret_fd, struct err *err);
/* kvm_cap() - KVM_CHECK_EXTENSION; what cannot be asked is not there: 0. */
unsigned kvm_cap(int fd, unsigned cap);

/* kvm_vm.c, kvm_vcpu.c, ...: the slots of kvm_cpu_ops, documented in machine/cpu_ops.h. */
int kvm_caps(struct cpu_caps *ret, struct err *err);
int kvm_cpuid_supported(struct cpuid_leaf *ret, unsigned *n, struct err *err);
int kvm_cpuid_set(struct vcpu *vcpu, const struct cpuid_leaf *leaves, unsigned n, struct err *err);
int kvm_vm_create(const struct vm_config *config, struct vm **ret, struct err *err);
void kvm_vm_destroy(struct vm *vm);
int kvm_slot_set(struct vm *vm, const struct mem_slot *slot, struct err *err);
int kvm_irqchip_make(struct kvm_vm *vm, struct err *err);
int kvm_vcpu_create(struct vm *vm, unsigned index, struct vcpu **ret, struct err *err);
void kvm_vcpu_destroy(struct vcpu *vcpu);
enum vcpu_exit kvm_run_vcpu(struct vcpu *vcpu, struct vcpu_io *io);
void kvm_kick(struct vcpu *vcpu);
int kvm_kick_handler(struct err *err);
int kvm_state_get(struct vcpu *vcpu, struct x86_state *ret);
int kvm_state_set(struct vcpu *vcpu, const struct x86_state *state);
int kvm_msr_get(struct vcpu *vcpu, uint32_t index, uint64_t *ret);
int kvm_msr_set(struct vcpu *vcpu, uint32_t index, uint64_t value);
int kvm_xsave_get(struct vcpu *vcpu, uint64_t *ret_xcr0, void *ret, size_t *n);
int kvm_xsave_set(struct vcpu *vcpu, uint64_t xcr0, const void *image, size_t n);
int kvm_translate_gva(struct vcpu *vcpu, gva_t gva, gpa_t *ret);
bool kvm_irq_ready(struct vcpu *vcpu);
int kvm_inject(struct vcpu *vcpu, uint8_t vector);
int kvm_inject_nmi(struct vcpu *vcpu);
void kvm_irq_window(struct vcpu *vcpu, bool wanted);
uint8_t kvm_cr8_get(struct vcpu *vcpu);
void kvm_cr8_set(struct vcpu *vcpu, uint8_t cr8);
uint64_t kvm_apic_base_get(struct vcpu *vcpu);
uint64_t kvm_tsc_hz(struct vcpu *vcpu);
void kvm_irq_set(struct vm *vm, uint32_t gsi, bool level);
void kvm_msi_send(struct vm *vm, uint64_t addr, uint32_t data);
int kvm_doorbell_set(struct vm *vm, uint64_t addr, unsigned len, bool is_port, bool match,
		     uint64_t value, int fd);
int kvm_debug_set(struct vcpu *vcpu, bool single_step, bool sw_breakpoints,
		  const struct debug_point points[DEBUG_POINTS]);
/* kvm_stats.c. kvm_stats_open() - find what KVM counts; one that counts nothing is no error. */
void kvm_stats_open(struct kvm_vcpu *vcpu);
uint64_t kvm_exits_read(struct vcpu *vcpu, struct exit_counts *ret);
/* kvm_debug_dr7() - the register for these points, NULL: for none. */
uint64_t kvm_debug_dr7(const struct debug_point points[DEBUG_POINTS]);
int kvm_inject_breakpoint(struct vcpu *base);
