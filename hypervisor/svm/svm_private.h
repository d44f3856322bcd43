/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of svm/ share. */
#include "base/core/macros.h"
#include "core/percpu.h"
#include "svm/vmcb.h"
#include "hw/hw_ops.h"

#define SVM_FPU_ORDER 1U /* pages: an XSAVE area of 8 KiB holds all but AMX */

struct svm_vcpu {
	struct hw_vcpu hw;
	const struct hw_vm *vm;
	struct vmcb *vmcb;
	uint8_t *fpu; /* XSAVE or FXSAVE image while it is not loaded */
	uint64_t xcr0;
	uint64_t tsc_aux;
	uint64_t dr[4];	    /* while it is not loaded */
	uint64_t asid_turn; /* of the CPU that gave it its ASID; 0: it has none */
	bool in_nmi;	    /* its handler has not come to its IRET */
	bool nmi_ends;	    /* it is at iret_rip; past that it is over */
	uint64_t iret_rip;
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
/* svm_exit.c: what the exit was. Return: false: ours alone, enter again. */
bool svm_decode(struct svm_vcpu *v, struct hw_exit *ret);

/* svm_state.c */
void svm_state_get(struct hw_vcpu *hw, struct x86_state *ret);
void svm_state_set(struct hw_vcpu *hw, const struct x86_state *state);
void svm_paging(const struct hw_vcpu *hw, struct hw_paging *ret);
uint64_t svm_seg_base(const struct hw_vcpu *hw, enum x86_seg seg);
int svm_msr_get(const struct hw_vcpu *hw, uint32_t index, uint64_t *ret);
int svm_msr_set(struct hw_vcpu *hw, uint32_t index, uint64_t value);

/* svm_fpu.c */
bool svm_fpu_has_xsave(void);
void svm_fpu_enable(void); /* this CPU */
void svm_fpu_init(struct svm_vcpu *v);
void svm_fpu_load(struct svm_vcpu *v);
void svm_fpu_unload(struct svm_vcpu *v);
void svm_tsc_aux_write(uint64_t value); /* this CPU */
uint64_t svm_xcr0_get(const struct hw_vcpu *hw);
void svm_xcr0_set(struct hw_vcpu *hw, uint64_t value);

/* svm_cpu.c: what each CPU has for itself */
struct svm_cpu {
	void *hsave;			 /* where the CPU keeps its own state while a guest runs */
	void *host_save;		 /* VMSAVE area: FS, GS, TR, ... */
	struct cpu_last_exit *last_exit; /* of cpu_this() */
	uint32_t n_asids, next_asid;
	uint64_t turn;	       /* how often all ASIDs were used up, from 1 */
	uint8_t *iopm, *msrpm; /* read by every vcpu that was created here */
};

static inline struct svm_cpu *svm_cpu_of(void)
{
	return cpu_this()->hw;
}

int svm_cpu_init(struct err *err);
int svm_probe(struct hw_caps *ret, struct err *err);
const void *svm_iopm(void);		/* every port exits */
const void *svm_msrpm(void);		/* every MSR exits but those that are switched */
void svm_asid_give(struct svm_vcpu *v); /* loaded: a new ASID of this CPU's, without translations */
