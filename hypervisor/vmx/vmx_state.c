/* SPDX-License-Identifier: Apache-2.0 */
/* A vcpu's state in the VMCS and out of it. Source: Intel SDM 3C, Guest-State Area; Checks on the Guest State Area. */
#include <string.h>

#include "core/clock.h"
#include "core/page.h"
#include "hw/npt.h"
#include "vmx/vmx_format.h"
#include "vmx/vmx_private.h"
#include "x86/insn.h"

#define TIMER_HZ 100U

/* A machine check is the server's; debug exceptions and alignment checks: vmx_exit.c says why. */
#define EXCEPTIONS (UINT32_C(1) << 18 | UINT32_C(1) << 1 | UINT32_C(1) << 17)

#define RFLAGS_KNOWN UINT64_C(0x3f7fd5)

/* VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP LA57 FSGSBASE PCIDE OSXSAVE SMEP SMAP PKE: the others are #GP */
#define CR4_GUEST UINT64_C(0x771fff)

static uint64_t cr0_mask(const struct vmx_cpu *c)
{
	return c->cr0_fixed | VMX_CR0_CACHE;
}

/* A 4-level walk over the guest's tables takes these from memory itself; a PAE one from the VMCS. */
static void pdptes_write(const struct vmx_vcpu *v, uint64_t cr3)
{
	uint64_t entries[4] = { 0 };
	gpa_t gpa = cr3 & UINT64_C(0xffffffe0);
	uint64_t hpa = npt_translate(v->vm->npt, gpa, NULL);

	if (hpa != UINT64_MAX)
		memcpy(entries, phys_to_ptr(hpa), sizeof(entries));
	for (unsigned i = 0; i < 4; i++)
		vmcs_write((enum vmcs_field)(VMCS_GUEST_PDPTE0 + 2 * i), entries[i]);
}

void vmx_segment_get(unsigned seg, struct x86_segment *ret)
{
	unsigned at = seg * 2;

	vmx_segment_of(ret, (uint32_t)vmcs_read((enum vmcs_field)(VMCS_GUEST_ACCESS_ES + at)),
		       vmcs_read((enum vmcs_field)(VMCS_GUEST_BASE_ES + at)),
		       (uint32_t)vmcs_read((enum vmcs_field)(VMCS_GUEST_LIMIT_ES + at)),
		       (uint16_t)vmcs_read((enum vmcs_field)(VMCS_GUEST_ES + at)));
}

static void segment_set(unsigned seg, const struct x86_segment *s)
{
	unsigned at = seg * 2;

	vmcs_write((enum vmcs_field)(VMCS_GUEST_ACCESS_ES + at), vmx_access_of(s));
	vmcs_write((enum vmcs_field)(VMCS_GUEST_BASE_ES + at), s->base);
	vmcs_write((enum vmcs_field)(VMCS_GUEST_LIMIT_ES + at), s->limit);
	vmcs_write((enum vmcs_field)(VMCS_GUEST_ES + at), s->selector);
}

static uint64_t cr0_get(void)
{
	uint64_t mask = vmcs_read(VMCS_CR0_MASK);

	return (vmcs_read(VMCS_GUEST_CR0) & ~mask) | (vmcs_read(VMCS_CR0_SHADOW) & mask);
}

/* Bits that are not a guest's are 0 to it. */
static uint64_t cr4_get(void)
{
	return vmcs_read(VMCS_GUEST_CR4) & CR4_GUEST;
}

static void debug_get(struct vmx_vcpu *v, uint64_t dr[8])
{
	if (v->is_loaded)
		vmx_dr_unload(v);
	for (unsigned i = 0; i < 4; i++)
		dr[i] = v->dr[i];
	dr[6] = v->dr6;
	dr[7] = vmcs_read(VMCS_GUEST_DR7);
}

static uint64_t cr2_get(const struct vmx_vcpu *v)
{
	uint64_t cr2 = v->cr2;

	if (v->is_loaded)
		__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	return cr2;
}

void vmx_state_get(struct hw_vcpu *hw, struct x86_state *ret)
{
	struct vmx_vcpu *v = vmx_vcpu_of(hw), *former = vmx_open(v);

	*ret = (struct x86_state){
		.rip = hw->rip,
		.rflags = hw->rflags,
		.gdt = { vmcs_read(VMCS_GUEST_BASE_GDTR),
			 (uint16_t)vmcs_read(VMCS_GUEST_LIMIT_GDTR) },
		.idt = { vmcs_read(VMCS_GUEST_BASE_IDTR),
			 (uint16_t)vmcs_read(VMCS_GUEST_LIMIT_IDTR) },
		.cr0 = cr0_get(),
		.cr2 = cr2_get(v),
		.cr3 = vmcs_read(VMCS_GUEST_CR3),
		.cr4 = cr4_get(),
		.cr8 = v->vapic[VMX_TPR_AT] >> 4,
		.efer = vmcs_read(VMCS_GUEST_EFER),
	};
	debug_get(v, ret->dr);
	for (unsigned i = 0; i < X86_REGS; i++)
		ret->regs[i] = hw->regs[i];
	for (unsigned i = 0; i < X86_SEGS; i++)
		vmx_segment_get(i, &ret->segs[i]);
	vmx_segment_get(VMX_SEG_LDTR, &ret->ldt);
	vmx_segment_get(VMX_SEG_TR, &ret->tr);
	vmx_close(v, former);
}

static void debug_set(struct vmx_vcpu *v, const uint64_t dr[8])
{
	for (unsigned i = 0; i < 4; i++)
		v->dr[i] = dr[i];
	v->dr6 = dr[6] | X86_DR6_FIXED;
	vmcs_write(VMCS_GUEST_DR7, (dr[7] & UINT32_MAX) | X86_DR7_FIXED);
	if (v->is_loaded)
		vmx_dr_load(v);
}

static void control_set(struct vmx_vcpu *v, const struct x86_state *state)
{
	const struct vmx_cpu *c = vmx_cpu_of();
	bool is_paged = state->cr0 & X86_CR0_PG, is_long = is_paged && state->efer & X86_EFER_LME;
	uint64_t efer = state->efer & ~X86_EFER_LMA;

	vmcs_write(VMCS_GUEST_CR0, (state->cr0 & ~VMX_CR0_CACHE) | c->cr0_fixed);
	vmcs_write(VMCS_CR0_SHADOW, state->cr0);
	vmcs_write(VMCS_GUEST_CR4, (state->cr4 & CR4_GUEST) | c->cr4_fixed);
	vmcs_write(VMCS_GUEST_CR3, state->cr3);
	vmcs_write(VMCS_GUEST_EFER, efer | (is_long ? X86_EFER_LMA : 0));
	vmcs_write(VMCS_ENTRY, c->controls.entry | (is_long ? VMX_ENTRY_GUEST_64 : 0));
	if (is_paged && !is_long && state->cr4 & X86_CR4_PAE)
		pdptes_write(v, state->cr3);
	v->hw.cr3 = state->cr3;
	vmx_cr2_set(&v->hw, state->cr2);
	v->vapic[VMX_TPR_AT] = (uint8_t)(state->cr8 << 4);
}

static void registers_set(struct vmx_vcpu *v, const struct x86_state *state)
{
	for (unsigned i = 0; i < X86_REGS; i++)
		v->hw.regs[i] = state->regs[i];
	v->hw.rip = state->rip;
	v->hw.rflags = (state->rflags & RFLAGS_KNOWN) | X86_RFLAGS_FIXED;
	v->rsp = ~v->hw.regs[X86_RSP]; /* so that both are written */
	v->rflags = ~v->hw.rflags;
}

static void segments_set(const struct x86_state *state)
{
	struct x86_segment s;

	for (unsigned i = 0; i < X86_SEGS; i++) {
		s = state->segs[i];
		vmx_segment_fit(&s);
		segment_set(i, &s);
	}
	segment_set(VMX_SEG_LDTR, &state->ldt);
	s = state->tr;
	vmx_task_fit(&s);
	segment_set(VMX_SEG_TR, &s);
	vmcs_write(VMCS_GUEST_BASE_GDTR, state->gdt.base);
	vmcs_write(VMCS_GUEST_LIMIT_GDTR, state->gdt.limit);
	vmcs_write(VMCS_GUEST_BASE_IDTR, state->idt.base);
	vmcs_write(VMCS_GUEST_LIMIT_IDTR, state->idt.limit);
}

/* Events under way are forgotten: whoever sets the whole state begins anew. */
void vmx_state_set(struct hw_vcpu *hw, const struct x86_state *state)
{
	struct vmx_vcpu *v = vmx_vcpu_of(hw), *former = vmx_open(v);

	registers_set(v, state);
	control_set(v, state);
	debug_set(v, state->dr);
	segments_set(state);
	vmcs_write(VMCS_GUEST_SHADOW, 0);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
	vmcs_write(VMCS_GUEST_ACTIVITY, 0);
	vmcs_write(VMCS_ENTRY_EVENT, 0);
	vmcs_write(VMCS_TPR_THRESHOLD, 0);
	v->injected = false;
	hw->interrupted.type = HW_EVENT_NONE;
	v->vpid_turn = 0;
	vmx_close(v, former);
}

/*
 * Counts down while the guest runs. Interrupts for the host end a guest's turn well before that; but Bochs holds them back
 * from a guest that is entered with RFLAGS.IF clear, until it changes that.
 */
void vmx_timer_write(void)
{
	const struct vmx_controls *controls = &vmx_cpu_of()->controls;
	uint64_t ticks = clock_tsc_hz() / TIMER_HZ >> controls->timer_shift;

	if (controls->pin & VMX_PIN_TIMER)
		vmcs_write(VMCS_GUEST_TIMER, ticks < UINT32_MAX ? ticks : UINT32_MAX);
}

/* What never changes in a VMCS, or has its first value here. */
void vmx_guest_init(struct vmx_vcpu *v)
{
	const struct vmx_cpu *c = vmx_cpu_of();

	vmcs_write(VMCS_PIN, c->controls.pin);
	vmcs_write(VMCS_PROC, c->controls.proc);
	vmcs_write(VMCS_PROC2,
		   c->controls.proc2 | (v->vm->tsc_scale.factor ? VMX_PROC2_TSC_SCALING : 0));
	if (v->vm->tsc_scale.factor)
		vmcs_write(VMCS_TSC_MULTIPLIER, v->vm->tsc_scale.factor);
	vmcs_write(VMCS_EXIT, c->controls.exit);
	v->proc = c->controls.proc;
	vmx_timer_write();
	vmcs_write(VMCS_EXCEPTIONS, EXCEPTIONS);
	vmcs_write(VMCS_MSR_BITMAP, ptr_to_phys(c->msr_bitmap));
	vmcs_write(VMCS_VIRTUAL_APIC, ptr_to_phys(v->vapic));
	vmcs_write(VMCS_EPTP, npt_root_hpa(v->vm->npt) | VMX_EPTP_WB_4_LEVELS);
	vmcs_write(VMCS_TSC_OFFSET, v->vm->tsc_offset);
	vmcs_write(VMCS_LINK, UINT64_MAX);
	vmcs_write(VMCS_CR0_MASK, cr0_mask(c));
	vmcs_write(VMCS_CR4_MASK, ~CR4_GUEST);
	vmcs_write(VMCS_CR4_SHADOW, 0);
	if (c->controls.proc2 & VMX_PROC2_ENCLS)
		vmcs_write(VMCS_ENCLS_BITMAP, UINT64_MAX);
	if (c->controls.proc2 & VMX_PROC2_ENCLV)
		vmcs_write(VMCS_ENCLV_BITMAP, UINT64_MAX);
	static const enum vmcs_field zeros[] = {
		VMCS_CR3_TARGETS,	 VMCS_EXIT_MSR_STORE,	  VMCS_EXIT_MSR_LOAD,
		VMCS_ENTRY_MSR_LOAD,	 VMCS_TPR_THRESHOLD,	  VMCS_GUEST_DEBUGCTL,
		VMCS_ENTRY_INSN_LEN,	 VMCS_ENTRY_ERROR,	  VMCS_GUEST_SYSENTER_CS,
		VMCS_GUEST_SYSENTER_ESP, VMCS_GUEST_SYSENTER_EIP,
	};
	for (size_t i = 0; i < ARRAY_SIZE(zeros); i++)
		vmcs_write(zeros[i], 0);
	for (unsigned i = 0; i < 4; i++)
		vmcs_write((enum vmcs_field)(VMCS_GUEST_PDPTE0 + 2 * i), 0);
}

void vmx_paging(const struct hw_vcpu *hw, struct hw_paging *ret)
{
	const struct vmx_vcpu *v = vmx_vcpu_of_const(hw);
	struct vmx_vcpu *former = vmx_open(v);
	uint64_t cs = vmcs_read(VMCS_GUEST_ACCESS_CS);

	*ret = (struct hw_paging){
		.cr0 = cr0_get(),
		.cr3 = vmcs_read(VMCS_GUEST_CR3),
		.cr4 = cr4_get(),
		.efer = vmcs_read(VMCS_GUEST_EFER),
		.cpl = vmcs_read(VMCS_GUEST_ACCESS_SS) >> 5 & 3,
		.code = cs & VMX_ACCESS_DB ? X86_CODE_32 : X86_CODE_16,
	};
	if (ret->efer & X86_EFER_LMA && cs & VMX_ACCESS_L)
		ret->code = X86_CODE_64;
	vmx_close(v, former);
}

uint64_t vmx_seg_base(const struct hw_vcpu *hw, enum x86_seg seg)
{
	const struct vmx_vcpu *v = vmx_vcpu_of_const(hw);
	struct vmx_vcpu *former = vmx_open(v);
	bool is_flat = seg != X86_FS && seg != X86_GS &&
		       vmcs_read(VMCS_GUEST_EFER) & X86_EFER_LMA &&
		       vmcs_read(VMCS_GUEST_ACCESS_CS) & VMX_ACCESS_L;
	uint64_t base = is_flat ? 0 : vmcs_read((enum vmcs_field)(VMCS_GUEST_BASE_ES + 2 * seg));

	vmx_close(v, former);
	return base;
}
