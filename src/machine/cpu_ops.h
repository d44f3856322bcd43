/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * cpu_ops: whatever executes vcpus. The machine and the VMM talk to KVM, to the software CPU and to the hypervisor's
 * SVM or VMX back end through this table alone.
 *
 * Thread rule: a vcpu belongs to the thread that runs it; only kick() comes from others. vm_* and slot_set are called
 * before the first run(), or with every vcpu stopped; irq_set, msi, doorbell_set by any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"
#include "base/core/exits.h"
#include "machine/mem.h"
#include "x86/cpuid.h"
#include "x86/state.h"

enum vcpu_exit {
	VCPU_EXIT_PIO,	/* io.pio: the run loop fills or takes data, the next run() completes it */
	VCPU_EXIT_MMIO, /* io.mmio: the same */
	VCPU_EXIT_HLT,	/* only where the engine has no interrupt controller of its own */
	VCPU_EXIT_IRQ_WINDOW, /* asked by irq_window: an interrupt can be injected now */
	VCPU_EXIT_MSR_READ,   /* io.msr: one that the engine has no answer to */
	VCPU_EXIT_MSR_WRITE,
	VCPU_EXIT_SHUTDOWN, /* triple fault */
	VCPU_EXIT_RESET,    /* the engine saw the machine be reset (KVM_EXIT_SYSTEM_EVENT) */
	VCPU_EXIT_DEBUG,    /* breakpoint or single step, io.debug */
	VCPU_EXIT_KICKED,   /* kick(), or a signal */
	VCPU_EXIT_FAIL,	    /* the engine cannot go on: io.fail says why */
	VCPU_EXIT_MAX,
};

struct vcpu_io {
	union {
		struct {
			uint16_t port;
			uint8_t len; /* 1, 2, 4 */
			bool is_write;
			uint32_t count; /* of len bytes each, at data */
			uint8_t *data;
		} pio;
		struct {
			gpa_t gpa;
			uint8_t len; /* 1..8 */
			bool is_write;
			uint8_t *data;
		} mmio;
		struct {
			uint32_t index;
			uint64_t value;
			bool fault; /* set by the run loop: the guest gets #GP */
		} msr;
		struct {
			uint64_t rip, dr6; /* dr6: bit n is points[n], whether used or not */
			uint32_t exception;
		} debug;
		struct {
			const char *what; /* static text */
			uint64_t code;
			uint8_t insn_len, insn[15]; /* what could not be executed; 0: not known */
		} fail;
	};
};

/* What an engine can do; the VMM adapts. */
struct cpu_caps {
	bool irqchip;	    /* LAPICs, IOAPIC, PIC and PIT of its own, on request */
	bool doorbells;	    /* doorbell_set */
	bool kvm_clock;	    /* paravirtual clock and KVM's CPUID leaves */
	unsigned vcpus;	    /* at most */
	unsigned phys_bits; /* guest physical address width */
};

/* What a vcpu stops at by its debug registers, beside int3s: SDM 3B, Debug Registers. */
#define DEBUG_POINTS 4U
enum debug_access { DEBUG_EXECUTE, DEBUG_WRITE, DEBUG_READ_WRITE };
struct debug_point {
	gva_t gva;   /* a multiple of len */
	uint8_t len; /* 1 for DEBUG_EXECUTE, else 1, 2, 4 or 8; 0: this one is not used */
	enum debug_access access; /* one of data is told after the instruction */
};

struct vm;   /* embedded by the engine */
struct vcpu; /* the same */

struct vm_config {
	struct guest_mem *mem; /* borrowed; slots are announced by slot_set() */
	bool own_irqchip;      /* the engine's interrupt controllers are wanted: caps.irqchip */
	unsigned vcpus;
	/* Engines that translate: the code cache's size, 0: the engine's choice; and whether to do without. */
	uint64_t code_cache_bytes;
	bool interpret_only;
};

struct cpu_ops {
	const char *name; /* "kvm" */
	uint64_t
		exits_counted; /* EXIT_BIT()s of what run() itself counts in vcpu.counts: what its return does not tell */

	/* ---- mandatory ---- */
	int (*caps)(struct cpu_caps *ret, struct err *err);
	/* The CPUID leaves that this engine can keep; *n in: room, out: used. -E2BIG with *n needed. */
	int (*cpuid_supported)(struct cpuid_leaf *ret, unsigned *n, struct err *err);
	int (*vm_create)(const struct vm_config *config, struct vm **ret, struct err *err);
	void (*vm_destroy)(struct vm *vm); /* NULL is a no-op; every vcpu is gone */
	int (*slot_set)(struct vm *vm, const struct mem_slot *slot, struct err *err);
	int (*vcpu_create)(struct vm *vm, unsigned index, struct vcpu **ret, struct err *err);
	void (*vcpu_destroy)(struct vcpu *vcpu); /* NULL is a no-op */
	int (*cpuid_set)(struct vcpu *vcpu, const struct cpuid_leaf *leaves, unsigned n,
			 struct err *err);
	/* Owner thread only; no allocation, no logging. */
	enum vcpu_exit (*run)(struct vcpu *vcpu, struct vcpu_io *io);
	void (*kick)(
		struct
		vcpu *vcpu); /* any thread, async-signal-safe; a run() under way or the next one returns KICKED */
	int (*state_get)(struct vcpu *vcpu, struct x86_state *ret);
	int (*state_set)(struct vcpu *vcpu, const struct x86_state *state);
	int (*msr_get)(struct vcpu *vcpu, uint32_t index, uint64_t *ret); /* -ENOENT: has none */
	int (*msr_set)(struct vcpu *vcpu, uint32_t index, uint64_t value);
	/* Guest virtual to guest physical, for the debugger: -EFAULT where it is not mapped. */
	int (*translate)(struct vcpu *vcpu, gva_t gva, gpa_t *ret);

	/* ---- without own_irqchip: the machine's LAPIC (machine/lapic.h) drives it ---- */
	/* Owner thread. Whether an external interrupt would be taken at the next run(). */
	bool (*irq_ready)(struct vcpu *vcpu);
	/* Owner thread, when ready: the vector is delivered at the next run(). */
	int (*inject)(struct vcpu *vcpu, uint8_t vector);
	int (*inject_nmi)(struct vcpu *vcpu);
	/* Owner thread: come back with VCPU_EXIT_IRQ_WINDOW as soon as irq_ready(). */
	void (*irq_window)(struct vcpu *vcpu, bool wanted);
	/* Owner thread: CR8 as the guest has it, and what it is to become, for the LAPIC's task priority. */
	uint8_t (*cr8_get)(struct vcpu *vcpu);
	void (*cr8_set)(struct vcpu *vcpu, uint8_t cr8);
	/* Owner thread: IA32_APIC_BASE as the guest has it. */
	uint64_t (*apic_base_get)(struct vcpu *vcpu);
	/*
	 * Before the first run(): ticks a second of the vcpu's TSC, whose value is msr_get(0x10); 0: not known, and
	 * the guest is offered no TSC deadline. Otherwise accesses to IA32_TSC_DEADLINE come out as VCPU_EXIT_MSR_x.
	 */
	uint64_t (*tsc_hz)(struct vcpu *vcpu);

	/*
	 * Optional: what is counted elsewhere (KVM's, in the kernel); any thread, no allocation. Return: EXIT_BIT()s of those that
	 * were written to @ret
	 */
	uint64_t (*exits_read)(struct vcpu *vcpu, struct exit_counts *ret);

	/* ---- with own_irqchip ---- */
	void (*irq_set)(struct vm *vm, uint32_t gsi, bool level); /* any thread */
	void (*msi)(struct vm *vm, uint64_t addr, uint32_t data); /* any thread */

	/* ---- optional: NULL without the cap ---- */
	/*
	 * A guest write of len bytes (0: any) at an MMIO address, or a port, signals fd instead of exiting; value: only
	 * that one, where match is set. fd < 0 takes it back.
	 */
	int (*doorbell_set)(struct vm *vm, uint64_t addr, unsigned len, bool is_port, bool match,
			    uint64_t value, int fd);
	int (*debug_set)(struct vcpu *vcpu, bool single_step, bool sw_breakpoints,
			 const struct debug_point points[DEBUG_POINTS]); /* NULL: none */
	/*
	 * Owner thread, with debug_set. An int3 that came out as VCPU_EXIT_DEBUG was the guest's own: it gets its #BP at
	 * the next run().
	 */
	int (*inject_breakpoint)(struct vcpu *vcpu);
	/*
	 * FPU and vector state: XCR0, and an image in the standard format of XSAVE (SDM 1, XSAVE Area). *n in: room in
	 * bytes, out: used; -E2BIG with *n needed.
	 */
	int (*xsave_get)(struct vcpu *vcpu, uint64_t *ret_xcr0, void *ret, size_t *n);
	int (*xsave_set)(struct vcpu *vcpu, uint64_t xcr0, const void *image, size_t n);
};

/* Every engine's first members. */
struct vm {
	const struct cpu_ops *ops;
};
struct vcpu {
	const struct cpu_ops *ops;
	unsigned index;
	struct exit_counts *counts; /* borrowed, set before the first run(); NULL: nobody counts */
};
