/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * hw_ops: what SVM and VMX have in common, for the part of the hypervisor that runs guests (vm/). Nothing outside of
 * svm/ and vmx/ touches a VMCB or a VMCS.
 *
 * Theory of operation.
 *
 *	cpu_ops (machine/cpu_ops.h), vm/vcpu*.c		CPUID, MSRs, ports, MMIO: decided here, the same for both vendors
 *	   |  enter() -> struct hw_exit
 *	hw_ops, svm/ or vmx/				the world switch, and what the hardware calls things
 *
 * The registers that an exit handler looks at are in struct hw_vcpu and right between two enter()s: general registers,
 * RIP, RFLAGS, CR3; a handler changes them in place, but for CR3. All others stay where the hardware has them and are asked for.
 *
 * A vcpu is loaded on one physical CPU at a time: load() takes it there (FPU, debug registers, TSC_AUX), unload()
 * brings that home, so that any CPU may load it next. enter() is for loaded ones alone.
 *
 * Thread rule: a vcpu belongs to whoever runs it. init_cpu() is called once on each CPU, before anything is loaded there.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "hw/tsc_scale.h"
#include "machine/types.h"
#include "x86/state.h"

struct npt;
struct npt_format;

/* Why enter() came back. */
enum hw_exit_kind {
	HW_EXIT_HOST, /* an interrupt for the host, which has been served; or a kick before the entry */
	HW_EXIT_CPUID, /* the next four: insn_len says how long the instruction is */
	HW_EXIT_HLT,
	HW_EXIT_HYPERCALL, /* VMMCALL, VMCALL */
	HW_EXIT_CR4, /* MOV to CR4, where the CPU cannot tell whether the guest may: cr4_set() does it */
	HW_EXIT_CR8, /* MOV to CR8 while cr8_below() is asked: it is not done, the handler does it */
	HW_EXIT_XSETBV,
	HW_EXIT_CACHE,	   /* INVD, WBINVD: insn_len */
	HW_EXIT_MSR,	   /* msr; insn_len */
	HW_EXIT_PIO,	   /* pio; insn_len */
	HW_EXIT_NPF,	   /* npf: no translation of a guest physical address */
	HW_EXIT_WINDOW,	   /* asked by window() or cr8_below(): an interrupt can be injected now */
	HW_EXIT_FORBIDDEN, /* an instruction that a guest has not got: it gets #UD */
	HW_EXIT_PRIVILEGED, /* one whose operand is wrong, or a counter that is not there: it gets #GP(0) */
	HW_EXIT_TASK, /* task: a task switch, of which nothing is done yet; insn_len: 0 where no instruction asked for it */
	HW_EXIT_SHUTDOWN, /* triple fault */
	HW_EXIT_FAIL,	  /* the CPU refused the state, or an exit that nobody asked for: fail */
	HW_EXIT_KINDS,
};

/* What is delivered to the guest at the next entry. */
enum hw_event_type { HW_EVENT_NONE, HW_EVENT_IRQ, HW_EVENT_NMI, HW_EVENT_EXCEPTION };

struct hw_event {
	uint8_t type; /* enum hw_event_type */
	uint8_t vector;
	bool has_error;
	uint32_t error;
};

/* A task switch. The rights of a gate, and of a TSS that is named directly, were checked. */
enum hw_task_why { HW_TASK_CALL, HW_TASK_IRET, HW_TASK_JMP, HW_TASK_GATE };

struct hw_task {
	uint8_t why;	   /* enum hw_task_why; GATE: one in the IDT */
	uint16_t selector; /* of the TSS; IRET: it is in the old one */
	bool nmi_blocked;  /* after it */
	/* GATE: what is delivered by it; HW_EVENT_NONE: INT n, INT3, INTO. */
	struct hw_event event;
};

struct hw_exit {
	enum hw_exit_kind kind;
	uint8_t insn_len; /* bytes; 0: not known, decode it */
	union {
		struct {
			uint16_t port;
			uint8_t len; /* 1, 2, 4 */
			bool is_write, is_string;
		} pio;
		struct {
			bool is_write;
		} msr;
		struct {
			gpa_t gpa;
			bool is_write, is_fetch;
			bool in_walk; /* the guest's page table itself was to be read or written */
		} npf;
		struct hw_task task;
		struct {
			const char *what; /* static text */
			uint64_t code;
		} fail;
	};
};

/* What addresses and instructions of the guest mean just now. */
struct hw_paging {
	uint64_t cr0, cr3, cr4, efer;
	uint8_t cpl;
	uint8_t code; /* enum x86_code */
};

struct hw_vcpu { /* embedded by the back end */
	uint64_t regs[X86_REGS];
	uint64_t rip, rflags;
	uint64_t cr3; /* to be read only */
	/*
	 * An event that an exit interrupted, which is to be delivered again; owner. The caller of enter() gives it to
	 * inject() before the next one, unless the guest is reset.
	 */
	struct hw_event interrupted;
	uint32_t kicked; /* atomic: do not enter, or leave at once */
};

/* What a vcpu is made for. Borrowed; lives longer than it. */
struct hw_vm {
	const struct npt *npt;
	struct tsc_scale tsc_scale; /* set before the first vcpu is made */
	uint64_t tsc_offset;	    /* of every vcpu; guest TSC = scaled host TSC + this */
};

struct hw_caps {
	unsigned phys_bits; /* of guest physical addresses */
	bool has_1g;	    /* leaves of 1 GiB in nested page tables */
	bool has_next_rip;  /* the hardware says how long instructions are */
	bool has_assists;   /* the hardware hands out an instruction's bytes */
	struct tsc_factor_bits tsc;
};

struct hw_ops {
	const char *name; /* "svm", "vmx" */
	const struct npt_format *npt_format;

	/* All are mandatory. */

	/*
	 * Whether this CPU has it, and the firmware left it on: 0; -ENODEV: it has not; -EPERM: the firmware, -ENOTSUP:
	 * something of it is missing, with the words.
	 */
	int (*probe)(struct hw_caps *ret, struct err *err);
	/* This CPU, once: 0, or -ENOMEM, and the errors of probe(). */
	int (*init_cpu)(struct err *err);
	/* In the state of reset. 0, or -ENOMEM. */
	int (*vcpu_create)(const struct hw_vm *vm, struct hw_vcpu **ret, struct err *err);
	void (*vcpu_destroy)(struct hw_vcpu *vcpu); /* NULL is a no-op; not a loaded one */
	void (*load)(struct hw_vcpu *vcpu);
	void (*unload)(struct hw_vcpu *vcpu);
	/*
	 * Into the guest, until something comes up. Host interrupts are on when it returns, and were served. Injected
	 * events are used up, or are in vcpu->interrupted.
	 */
	void (*enter)(struct hw_vcpu *vcpu, struct hw_exit *ret);
	/* Everything of struct x86_state but apic_base, halted and wait_sipi. */
	void (*state_get)(struct hw_vcpu *vcpu, struct x86_state *ret);
	void (*state_set)(struct hw_vcpu *vcpu, const struct x86_state *state);
	void (*paging)(const struct hw_vcpu *vcpu, struct hw_paging *ret);
	/* The base of a segment, as addresses in it are formed now: 0 for most in 64-bit code. */
	uint64_t (*seg_base)(const struct hw_vcpu *vcpu, enum x86_seg seg);
	/* The event of the next entry; one at a time. */
	void (*inject)(struct hw_vcpu *vcpu, const struct hw_event *event);
	/* Whether RFLAGS.IF and the shadows of STI and MOV SS let an external interrupt in. */
	bool (*irq_open)(const struct hw_vcpu *vcpu);
	/* Whether an NMI may come: none is being handled, and no shadow. */
	bool (*nmi_open)(const struct hw_vcpu *vcpu);
	/* Whether one is being handled. Loaded. */
	bool (*nmi_blocked)(const struct hw_vcpu *vcpu);
	/* Whether further NMIs are held back until an IRET; state_set() ends that. Loaded. */
	void (*nmi_block)(struct hw_vcpu *vcpu, bool blocked);
	/* HW_EXIT_WINDOW as soon as irq_open(). */
	void (*window)(struct hw_vcpu *vcpu, bool wanted);
	/* HW_EXIT_HOST or HW_EXIT_WINDOW as soon as nmi_open(). Asked again before each entry while it is wanted. */
	void (*nmi_window)(struct hw_vcpu *vcpu, bool wanted);
	/* The instruction is done: RIP behind it, and the shadow over. */
	void (*advance)(struct hw_vcpu *vcpu, unsigned insn_len);
	uint8_t (*cr8_get)(const struct hw_vcpu *vcpu);
	void (*cr8_set)(struct hw_vcpu *vcpu, uint8_t cr8);
	/*
	 * HW_EXIT_WINDOW as soon as the guest's CR8 is below limit, 0: never; or HW_EXIT_CR8 instead, by whatever it writes.
	 * limit is not above CR8 at an entry. Loaded; state_set() forgets it.
	 */
	void (*cr8_below)(struct hw_vcpu *vcpu, uint8_t limit);
	/* The MSRs that the hardware switches: 0, or -ENOENT: not one of these. The value was checked. */
	int (*msr_get)(const struct hw_vcpu *vcpu, uint32_t index, uint64_t *ret);
	int (*msr_set)(struct hw_vcpu *vcpu, uint32_t index, uint64_t value);
	void (*cr2_set)(struct hw_vcpu *vcpu, uint64_t value);
	/* Only by a back end with HW_EXIT_CR4: the value was checked; translations that it ends are forgotten. */
	void (*cr4_set)(struct hw_vcpu *vcpu, uint64_t value);
	void (*tsc_offset_set)(struct hw_vcpu *vcpu, uint64_t offset);
	/* Nested translations of this vcpu are forgotten at its next entry. */
	void (*flush)(struct hw_vcpu *vcpu);
	/* The bytes at RIP, if the last exit brought them: how many. */
	unsigned (*insn_bytes)(const struct hw_vcpu *vcpu, uint8_t ret[15]);
};

extern const struct hw_ops svm_hw_ops, vmx_hw_ops;
