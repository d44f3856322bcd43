/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of svm/ share. */
#include "base/core/macros.h"
#include "core/percpu.h"
#include "svm/vmcb.h"
#include "hw/hw_fpu.h"
#include "hw/hw_ops.h"

struct svm_vcpu {
	struct hw_vcpu hw;
	const struct hw_vm *vm;
	struct vmcb *vmcb;
	struct hw_fpu fpu;
	uint64_t dr[4];	    /* while it is not loaded */
	uint64_t asid_turn; /* of the CPU that gave it its ASID; 0: it has none */
	bool in_nmi;	    /* its handler has not come to its IRET */
	bool nmi_ends;	    /* it is at iret_rip; past that it is over */
	uint64_t iret_rip;
	bool is_stepping;    /* TF is ours: svm_nmi.c */
	bool step_is_iret;   /* over the IRET that ends the handler */
	uint64_t own_rflags; /* the guest's, and its DR6, when it became so */
	uint64_t own_dr6;
	bool irq_window, nmi_window; /* who asked for the virtual interrupt that exits */
};

static inline struct svm_vcpu *svm_vcpu_of(struct hw_vcpu *hw)
{
	return container_of(hw, struct svm_vcpu, hw);
}
static inline const struct svm_vcpu *svm_vcpu_of_const(const struct hw_vcpu *hw)
{
	return container_of(hw, const struct svm_vcpu, hw);
}

/* svm_enter.S: into the guest and back; GIF is 0 before, and 1 after, when host interrupts have been served. */
void svm_switch(uint64_t vmcb_hpa, uint64_t regs[X86_REGS], uint64_t host_hpa);

/* svm.c */
void svm_enter(struct hw_vcpu *hw, struct hw_exit *ret);
/* svm_exit.c: what the exit was. */
void svm_decode(struct svm_vcpu *v, struct hw_exit *ret);

/* svm.c: a virtual interrupt that nobody masks is there as long as one of the windows is open. */
void svm_window_set(struct svm_vcpu *v);

/* svm_nmi.c */
void svm_nmi_window(struct hw_vcpu *hw, bool wanted);
bool svm_nmi_open(const struct hw_vcpu *hw);
bool svm_nmi_blocked(const struct hw_vcpu *hw);
void svm_nmi_block(struct hw_vcpu *hw, bool blocked);
/* An NMI is injected; or that was interrupted. */
void svm_nmi_begin(struct svm_vcpu *v);
void svm_nmi_undo(struct svm_vcpu *v);
/* RFLAGS and DR6 are the guest's own again, before anybody looks at them or the next entry. */
void svm_step_end(struct svm_vcpu *v);
/* An exception while stepping. Return: true: it is the guest's too. */
bool svm_step_seen(struct svm_vcpu *v);

/* svm_state.c */
void svm_state_get(struct hw_vcpu *hw, struct x86_state *ret);
void svm_state_set(struct hw_vcpu *hw, const struct x86_state *state);
void svm_paging(const struct hw_vcpu *hw, struct hw_paging *ret);
uint64_t svm_seg_base(const struct hw_vcpu *hw, enum x86_seg seg);
int svm_msr_get(const struct hw_vcpu *hw, uint32_t index, uint64_t *ret);
int svm_msr_set(struct hw_vcpu *hw, uint32_t index, uint64_t value);

/* svm_cpu.c: what each CPU has for itself */
struct svm_cpu {
	void *hsave;			 /* where the CPU keeps its own state while a guest runs */
	void *host_save;		 /* VMSAVE area: FS, GS, TR, ... */
	struct cpu_last_exit *last_exit; /* of cpu_this() */
	uint32_t n_asids, next_asid;
	uint64_t turn;	       /* how often all ASIDs were used up, from 1 */
	uint8_t *iopm, *msrpm; /* read by every vcpu that was created here */
	uint64_t tsc_rate;     /* in the MSR, where there is one */
};

static inline struct svm_cpu *svm_cpu_of(void)
{
	return cpu_this()->hw;
}

int svm_cpu_init(struct err *err);
int svm_probe(struct hw_caps *ret, struct err *err);
const void *svm_iopm(void);  /* every port exits */
const void *svm_msrpm(void); /* every MSR exits but those that are switched */
void svm_tsc_rate_load(const struct svm_vcpu *v);
/* Loaded, and entered next, whatever comes: a new ASID of this CPU's, without translations. */
void svm_asid_give(struct svm_vcpu *v);
/* The entry failed, and maybe the flush that was asked with it. */
void svm_asid_lost(struct svm_vcpu *v);
