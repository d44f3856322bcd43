/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NMIs on AMD: when one may come, and to be told of that moment.
 *
 * Theory of operation. No CPU of ours tells that an NMI could be taken; what there is: an exit before the IRET that ends
 * a handler (AMD APM 2, Secure Virtual Machine, IRET Intercept), so the moment is one instruction later. That one is
 * stepped over, as the one in a shadow of STI or MOV SS is: with RFLAGS.TF set behind the guest's back, whose debug exception exits
 * anyway. A fault of that instruction would push our TF: so while it is stepped over every exception exits, and is
 * delivered again with the guest's own flags. Where the guest takes interrupts a virtual interrupt that exits is enough.
 */
#include "core/percpu.h"
#include "core/smp.h"
#include "svm/svm_private.h"

/* All but NMI, and #BP, #OF: they come after their instruction, which leaves no TF behind. */
#define STEP_EXCEPTIONS (~(UINT32_C(1) << 2 | UINT32_C(1) << 3 | UINT32_C(1) << 4))

void svm_nmi_begin(struct svm_vcpu *v)
{
	v->in_nmi = true;
	v->nmi_ends = false;
	v->vmcb->intercept_misc1 |= VMCB_MISC1(MISC1_IRET);
}

/* Its handler was not reached: it would block itself. */
void svm_nmi_undo(struct svm_vcpu *v)
{
	v->in_nmi = false;
	v->vmcb->intercept_misc1 &= ~VMCB_MISC1(MISC1_IRET);
}

void svm_nmi_block(struct hw_vcpu *hw, bool blocked)
{
	if (blocked)
		svm_nmi_begin(svm_vcpu_of(hw));
	else
		svm_nmi_undo(svm_vcpu_of(hw));
}

static bool is_at_iret(const struct svm_vcpu *v)
{
	return v->in_nmi && v->nmi_ends && v->hw.rip == v->iret_rip;
}

bool svm_nmi_blocked(const struct hw_vcpu *hw)
{
	const struct svm_vcpu *v = svm_vcpu_of_const(hw);

	return v->in_nmi && (!v->nmi_ends || is_at_iret(v));
}

bool svm_nmi_open(const struct hw_vcpu *hw)
{
	const struct svm_vcpu *v = svm_vcpu_of_const(hw);

	return !svm_nmi_blocked(hw) && !(v->vmcb->interrupt_shadow & 1) &&
	       !(v->vmcb->event_injection & VMCB_EVENT_VALID);
}

static void step_begin(struct svm_vcpu *v)
{
	v->is_stepping = true;
	v->step_is_iret = is_at_iret(v);
	v->own_rflags = v->hw.rflags;
	v->own_dr6 = v->vmcb->dr6;
	v->hw.rflags |= X86_RFLAGS_TF;
	v->vmcb->dr6 &= ~X86_DR6_STEP;
	v->vmcb->intercept_exceptions = STEP_EXCEPTIONS;
}

static void step_is_over(struct svm_vcpu *v)
{
	v->is_stepping = false;
	v->vmcb->dr6 |= v->own_dr6 & X86_DR6_STEP;
	v->vmcb->intercept_exceptions = VMCB_EXCEPTIONS | VMCB_EXCEPTION_UD;
}

void svm_step_end(struct svm_vcpu *v)
{
	if (!v->is_stepping)
		return;
	v->hw.rflags = (v->hw.rflags & ~X86_RFLAGS_TF) | (v->own_rflags & X86_RFLAGS_TF);
	step_is_over(v);
}

bool svm_step_seen(struct svm_vcpu *v)
{
	struct vmcb *c = v->vmcb;
	uint64_t hit = c->dr6 & ~v->own_dr6 & X86_DR6_TRAPS;

	if ((uint32_t)c->exit_code != VMEXIT_DEBUG || !(c->dr6 & X86_DR6_STEP)) {
		svm_step_end(v);
		return true;
	}
	if (!(v->own_rflags & X86_RFLAGS_TF))
		c->dr6 &= ~X86_DR6_STEP;
	if (v->step_is_iret) { /* RFLAGS are those that it brought */
		v->in_nmi = false;
		step_is_over(v);
	} else {
		svm_step_end(v);
	}
	return hit || v->own_rflags & X86_RFLAGS_TF;
}

static void moment_ask(struct svm_vcpu *v)
{
	if (v->vmcb->event_injection & VMCB_EVENT_VALID)
		cpu_kick(
			cpu_this()); /* an interrupt for us: an exit as soon as that event is delivered */
	else if (v->hw.rflags & X86_RFLAGS_IF && !is_at_iret(v))
		v->nmi_window = true;
	else
		step_begin(v);
}

void svm_nmi_window(struct hw_vcpu *hw, bool wanted)
{
	struct svm_vcpu *v = svm_vcpu_of(hw);
	bool is_told = v->in_nmi && !v->nmi_ends; /* its IRET exits */

	svm_step_end(v);
	v->nmi_window = false;
	if (wanted && !is_told)
		moment_ask(v);
	svm_window_set(v);
}
