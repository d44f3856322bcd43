/* SPDX-License-Identifier: Apache-2.0 */
/* A vcpu's state in the VMCB and out of it. */
#include <errno.h>

#include "svm/svm_private.h"
#include "x86/msr.h"

#define EFER_SVME                                                                                  \
	UINT64_C(                                                                                  \
		0x1000) /* must be set in a guest's too: AMD APM 2, VMRUN Instruction, Canonicalization and Consistency Checks */

#define ATTR_S	     0x010U
#define ATTR_PRESENT 0x080U
#define ATTR_AVL     0x100U
#define ATTR_L	     0x200U
#define ATTR_DB	     0x400U
#define ATTR_G	     0x800U

static void segment_get(struct x86_segment *to, const struct vmcb_segment *from)
{
	uint16_t a = from->attributes;

	*to = (struct x86_segment){
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.type = a & 0xf,
		.s = a & ATTR_S,
		.dpl = a >> 5 & 3,
		.present = a & ATTR_PRESENT,
		.avl = a & ATTR_AVL,
		.l = a & ATTR_L,
		.db = a & ATTR_DB,
		.g = a & ATTR_G,
		.unusable = !(a & ATTR_PRESENT),
	};
}

static void segment_set(struct vmcb_segment *to, const struct x86_segment *from)
{
	uint32_t a = (from->type & 0xfU) | (from->s ? ATTR_S : 0) | (from->dpl & 3U) << 5 |
		     (from->present ? ATTR_PRESENT : 0) | (from->avl ? ATTR_AVL : 0) |
		     (from->l ? ATTR_L : 0) | (from->db ? ATTR_DB : 0) | (from->g ? ATTR_G : 0);

	*to = (struct vmcb_segment){
		.selector = from->selector,
		.attributes = from->unusable ? 0 : (uint16_t)a,
		.limit = from->limit,
		.base = from->base,
	};
}

static struct vmcb_segment *segment_at(struct vmcb *c, unsigned seg)
{
	struct vmcb_segment *const at[X86_SEGS] = {
		[X86_ES] = &c->es, [X86_CS] = &c->cs, [X86_SS] = &c->ss,
		[X86_DS] = &c->ds, [X86_FS] = &c->fs, [X86_GS] = &c->gs,
	};

	return at[seg % X86_SEGS];
}

void svm_state_get(struct hw_vcpu *hw, struct x86_state *ret)
{
	struct svm_vcpu *v = svm_vcpu_of(hw);
	struct vmcb *c = v->vmcb;

	svm_step_end(v);
	*ret = (struct x86_state){
		.rip = hw->rip,
		.rflags = hw->rflags,
		.gdt = { c->gdtr.base, (uint16_t)c->gdtr.limit },
		.idt = { c->idtr.base, (uint16_t)c->idtr.limit },
		.cr0 = c->cr0,
		.cr2 = c->cr2,
		.cr3 = c->cr3,
		.cr4 = c->cr4,
		.cr8 = c->interrupt_control & VMCB_INT_TPR,
		.efer = c->efer & ~EFER_SVME,
		.dr = { v->dr[0], v->dr[1], v->dr[2], v->dr[3], 0, 0, c->dr6, c->dr7 },
	};
	for (unsigned i = 0; i < X86_REGS; i++)
		ret->regs[i] = hw->regs[i];
	for (unsigned i = 0; i < X86_SEGS; i++)
		segment_get(&ret->segs[i], segment_at(c, i));
	segment_get(&ret->tr, &c->tr);
	segment_get(&ret->ldt, &c->ldtr);
}

static void registers_set(struct svm_vcpu *v, const struct x86_state *state)
{
	struct vmcb *c = v->vmcb;

	for (unsigned i = 0; i < X86_REGS; i++)
		v->hw.regs[i] = state->regs[i];
	v->hw.rip = state->rip;
	v->hw.rflags = state->rflags | X86_RFLAGS_FIXED;
	c->cr0 = state->cr0;
	c->cr2 = state->cr2;
	c->cr3 = v->hw.cr3 = state->cr3;
	c->cr4 = state->cr4;
	c->efer = state->efer | EFER_SVME;
	c->dr6 = state->dr[6] | X86_DR6_FIXED;
	c->dr7 = state->dr[7] | X86_DR7_FIXED;
	c->interrupt_control = (c->interrupt_control & ~VMCB_INT_TPR) | (state->cr8 & VMCB_INT_TPR);
}

/* Events under way are forgotten: whoever sets the whole state begins anew. */
void svm_state_set(struct hw_vcpu *hw, const struct x86_state *state)
{
	struct svm_vcpu *v = svm_vcpu_of(hw);
	struct vmcb *c = v->vmcb;

	svm_step_end(v);
	registers_set(v, state);
	for (unsigned i = 0; i < 4; i++)
		v->dr[i] = state->dr[i];
	for (unsigned i = 0; i < X86_SEGS; i++)
		segment_set(segment_at(c, i), &state->segs[i]);
	segment_set(&c->tr, &state->tr);
	segment_set(&c->ldtr, &state->ldt);
	c->gdtr = (struct vmcb_segment){ .base = state->gdt.base, .limit = state->gdt.limit };
	c->idtr = (struct vmcb_segment){ .base = state->idt.base, .limit = state->idt.limit };
	c->cpl = c->ss.attributes >> 5 & 3;
	c->event_injection = 0;
	c->interrupt_shadow = 0;
	c->intercept_misc1 &= ~VMCB_MISC1(MISC1_IRET);
	c->intercept_cr_write = VMCB_CR4_WRITE;
	v->in_nmi = v->nmi_ends = false;
	hw->interrupted.type = HW_EVENT_NONE;
	v->asid_turn = 0;
}

void svm_paging(const struct hw_vcpu *hw, struct hw_paging *ret)
{
	const struct vmcb *c = svm_vcpu_of_const(hw)->vmcb;

	*ret = (struct hw_paging){
		.cr0 = c->cr0,
		.cr3 = c->cr3,
		.cr4 = c->cr4,
		.efer = c->efer & ~EFER_SVME,
		.cpl = c->cpl,
		.code = c->cs.attributes & ATTR_DB ? 1 : 0, /* X86_CODE_32, X86_CODE_16 */
	};
	if (c->efer & X86_EFER_LMA && c->cs.attributes & ATTR_L)
		ret->code = 2; /* X86_CODE_64 */
}

uint64_t svm_seg_base(const struct hw_vcpu *hw, enum x86_seg seg)
{
	const struct svm_vcpu *v = svm_vcpu_of_const(hw);
	bool is_long = v->vmcb->efer & X86_EFER_LMA && v->vmcb->cs.attributes & ATTR_L;

	if (is_long && seg != X86_FS && seg != X86_GS)
		return 0;
	return segment_at(v->vmcb, seg)->base;
}

/* EFER.SVME stays out of sight. */
static uint64_t *msr_at(struct svm_vcpu *v, uint32_t index)
{
	switch (index) {
	case MSR_SYSENTER_CS:
		return &v->vmcb->sysenter_cs;
	case MSR_SYSENTER_ESP:
		return &v->vmcb->sysenter_esp;
	case MSR_SYSENTER_EIP:
		return &v->vmcb->sysenter_eip;
	case MSR_PAT:
		return &v->vmcb->pat;
	case MSR_DEBUGCTL:
		return &v->vmcb->debugctl;
	case MSR_EFER:
		return &v->vmcb->efer;
	case MSR_STAR:
		return &v->vmcb->star;
	case MSR_LSTAR:
		return &v->vmcb->lstar;
	case MSR_CSTAR:
		return &v->vmcb->cstar;
	case MSR_SFMASK:
		return &v->vmcb->sfmask;
	case MSR_FS_BASE:
		return &v->vmcb->fs.base;
	case MSR_GS_BASE:
		return &v->vmcb->gs.base;
	case MSR_KERNEL_GS_BASE:
		return &v->vmcb->kernel_gs_base;
	case MSR_TSC_AUX:
		return &v->fpu.tsc_aux;
	default:
		return NULL;
	}
}

int svm_msr_get(const struct hw_vcpu *hw, uint32_t index, uint64_t *ret)
{
	struct svm_vcpu *v = svm_vcpu_of((struct hw_vcpu *)(uintptr_t)hw); /* to be read only */
	const uint64_t *at = msr_at(v, index);

	if (!at)
		return -ENOENT;
	*ret = at == &v->vmcb->efer ? *at & ~EFER_SVME : *at;
	return 0;
}

int svm_msr_set(struct hw_vcpu *hw, uint32_t index, uint64_t value)
{
	struct svm_vcpu *v = svm_vcpu_of(hw);
	uint64_t *at = msr_at(v, index);

	if (!at)
		return -ENOENT;
	*at = at == &v->vmcb->efer ? value | EFER_SVME : value;
	if (at == &v->fpu.tsc_aux)
		hw_tsc_aux_write(value);
	return 0;
}
