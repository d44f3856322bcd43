/* SPDX-License-Identifier: Apache-2.0 */
/* The world switch on Intel: one vcpu is one VMCS. */
#include <errno.h>
#include <string.h>

#include "core/page.h"
#include "core/trap.h"
#include "hw/npt.h"
#include "vmx/vmx_format.h"
#include "vmx/vmx_private.h"

_Static_assert(offsetof(struct vmx_launch, host_rsp) == 0, "vmx_enter.S");
_Static_assert(offsetof(struct vmx_launch, launched) == 8, "vmx_enter.S");

static void vmx_vcpu_destroy(struct hw_vcpu *hw)
{
	struct vmx_vcpu *v = hw ? vmx_vcpu_of(hw) : NULL;

	if (!v)
		return;
	hw_fpu_fini(&v->fpu);
	page_free(v->vapic, 0);
	page_free(v->vmcs, 0);
	page_free(v, 0);
}

static int vmx_vcpu_create(const struct hw_vm *vm, struct hw_vcpu **ret, struct err *err)
{
	struct vmx_vcpu *v = page_alloc(0);
	struct x86_state state;

	_Static_assert(sizeof(*v) <= PAGE_BYTES, "a vcpu is a page");
	if (!v)
		return err_say(err, ENOMEM, "no memory for a vcpu");
	v->vm = vm;
	v->vmcs = page_alloc(0);
	v->vapic = page_alloc(0);
	if (!v->vmcs || !v->vapic || hw_fpu_init(&v->fpu) < 0) {
		vmx_vcpu_destroy(&v->hw);
		return err_say(err, ENOMEM, "no memory for a vcpu");
	}
	memcpy(v->vmcs, &vmx_cpu_of()->revision, sizeof(uint32_t));
	vmx_vmcs_clear(v);
	struct vmx_vcpu *former = vmx_open(v);
	vmx_guest_init(v);
	x86_state_reset(&state, true);
	vmx_state_set(&v->hw, &state);
	vmx_close(v, former);
	*ret = &v->hw;
	return 0;
}

void vmx_dr_load(const struct vmx_vcpu *v)
{
	__asm__ volatile("mov %0, %%db0; mov %1, %%db1; mov %2, %%db2; mov %3, %%db3; mov %4, %%db6"
			 :
			 : "r"(v->dr[0]), "r"(v->dr[1]), "r"(v->dr[2]), "r"(v->dr[3]), "r"(v->dr6));
}

void vmx_dr_unload(struct vmx_vcpu *v)
{
	__asm__ volatile("mov %%db0, %0; mov %%db1, %1; mov %%db2, %2; mov %%db3, %3; mov %%db6, %4"
			 : "=r"(v->dr[0]), "=r"(v->dr[1]), "=r"(v->dr[2]), "=r"(v->dr[3]),
			   "=r"(v->dr6));
}

/* CR2 is the guest's while it is loaded: the hypervisor has no page faults but its last. */
static void vmx_load(struct hw_vcpu *hw)
{
	struct vmx_vcpu *v = vmx_vcpu_of(hw);

	vmx_vmcs_load(v);
	if (v->host != vmx_cpu_of())
		vmx_host_write(v);
	hw_fpu_load(&v->fpu);
	vmx_msrs_load(v);
	vmx_dr_load(v);
	__asm__ volatile("mov %0, %%cr2" : : "r"(v->cr2));
	v->is_loaded = true;
}

static void vmx_unload(struct hw_vcpu *hw)
{
	struct vmx_vcpu *v = vmx_vcpu_of(hw);

	hw_fpu_unload(&v->fpu);
	vmx_msrs_unload(v);
	vmx_dr_unload(v);
	__asm__ volatile("mov %%cr2, %0" : "=r"(v->cr2));
	v->is_loaded = false;
	vmx_vmcs_clear(v);
	vmx_cpu_of()->current = NULL;
}

static void vmx_inject(struct hw_vcpu *hw, const struct hw_event *event)
{
	struct vmx_vcpu *v = vmx_vcpu_of(hw);
	bool is_real = !(vmcs_read(VMCS_GUEST_CR0) & X86_CR0_PE);

	vmcs_write(VMCS_ENTRY_EVENT, vmx_event_info(event, is_real));
	if (event->has_error)
		vmcs_write(VMCS_ENTRY_ERROR, event->error);
	v->injected = true;
}

static bool vmx_irq_open(const struct hw_vcpu *hw)
{
	return hw->rflags & X86_RFLAGS_IF && !vmx_vcpu_of_const(hw)->injected &&
	       !(vmcs_read(VMCS_GUEST_SHADOW) & (VMX_SHADOW_STI | VMX_SHADOW_MOV_SS));
}

static bool vmx_nmi_open(const struct hw_vcpu *hw)
{
	const uint32_t any = VMX_SHADOW_STI | VMX_SHADOW_MOV_SS | VMX_SHADOW_NMI;

	return !vmx_vcpu_of_const(hw)->injected && !(vmcs_read(VMCS_GUEST_SHADOW) & any);
}

static bool vmx_nmi_blocked(const struct hw_vcpu *hw)
{
	(void)hw; /* it is loaded */
	return vmcs_read(VMCS_GUEST_SHADOW) & VMX_SHADOW_NMI;
}

static void vmx_nmi_block(struct hw_vcpu *hw, bool blocked)
{
	uint64_t shadow = vmcs_read(VMCS_GUEST_SHADOW) & ~(uint64_t)VMX_SHADOW_NMI;

	(void)hw; /* it is loaded */
	vmcs_write(VMCS_GUEST_SHADOW, shadow | (blocked ? VMX_SHADOW_NMI : 0));
}

static void proc_set(struct vmx_vcpu *v, uint32_t bit, bool wanted)
{
	uint32_t proc = wanted ? v->proc | bit : v->proc & ~bit;

	if (proc != v->proc)
		vmcs_write(VMCS_PROC, proc);
	v->proc = proc;
}

static void vmx_window(struct hw_vcpu *hw, bool wanted)
{
	proc_set(vmx_vcpu_of(hw), VMX_PROC_WINDOW, wanted);
}

static void vmx_nmi_window(struct hw_vcpu *hw, bool wanted)
{
	proc_set(vmx_vcpu_of(hw), VMX_PROC_NMI_WINDOW, wanted);
}

/*
 * A debugger's single step ends here, too. Not as a pending debug exception: an entry that injects something else forgets that
 * (SDM 3C, Delivery of Pending Debug Exceptions after VM Entry).
 */
static __attribute__((noinline)) void step_inject(struct hw_vcpu *hw)
{
	static const struct hw_event step = { .type = HW_EVENT_EXCEPTION, .vector = 1 };

	dr6_write(dr6_read() | X86_DR6_STEP);
	vmx_inject(hw, &step);
}

static void vmx_advance(struct hw_vcpu *hw, unsigned insn_len)
{
	uint64_t shadow = vmcs_read(VMCS_GUEST_SHADOW);

	hw->rip += insn_len;
	if (hw->rip >> 32 && !(vmcs_read(VMCS_GUEST_EFER) & X86_EFER_LMA &&
			       vmcs_read(VMCS_GUEST_ACCESS_CS) & VMX_ACCESS_L))
		hw->rip &= UINT32_MAX;
	if (shadow & (VMX_SHADOW_STI | VMX_SHADOW_MOV_SS))
		vmcs_write(VMCS_GUEST_SHADOW,
			   shadow & ~(uint64_t)(VMX_SHADOW_STI | VMX_SHADOW_MOV_SS));
	if (hw->rflags & X86_RFLAGS_TF)
		step_inject(hw);
}

static uint8_t vmx_cr8_get(const struct hw_vcpu *hw)
{
	return vmx_vcpu_of_const(hw)->vapic[VMX_TPR_AT] >> 4;
}

static void vmx_cr8_set(struct hw_vcpu *hw, uint8_t cr8)
{
	vmx_vcpu_of(hw)->vapic[VMX_TPR_AT] = (uint8_t)(cr8 << 4);
}

/* The threshold must not be above the TPR at an entry (SDM 3C, VM-Execution Control Fields): it is not while something waits for it. */
static void vmx_cr8_below(struct hw_vcpu *hw, uint8_t limit)
{
	uint8_t cr8 = vmx_cr8_get(hw);

	vmcs_write(VMCS_TPR_THRESHOLD, limit < cr8 ? limit : cr8);
}

void vmx_cr2_set(struct hw_vcpu *hw, uint64_t value)
{
	struct vmx_vcpu *v = vmx_vcpu_of(hw);

	v->cr2 = value;
	if (v->is_loaded)
		__asm__ volatile("mov %0, %%cr2" : : "r"(value));
}

static void vmx_tsc_offset_set(struct hw_vcpu *hw, uint64_t offset)
{
	struct vmx_vcpu *v = vmx_vcpu_of(hw), *former = vmx_open(v);

	vmcs_write(VMCS_TSC_OFFSET, offset);
	vmx_close(v, former);
}

static void vmx_flush(struct hw_vcpu *hw)
{
	vmx_vcpu_of(hw)->vpid_turn = 0; /* no CPU's: the next entry gives another, and forgets */
}

/* No VMX hands out the bytes. */
static unsigned vmx_insn_bytes(const struct hw_vcpu *hw, uint8_t ret[15])
{
	(void)hw;
	(void)ret;
	return 0;
}

const struct hw_ops vmx_hw_ops = {
	.name = "vmx",
	.npt_format = &npt_format_ept,
	.probe = vmx_probe,
	.init_cpu = vmx_cpu_init,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_destroy = vmx_vcpu_destroy,
	.load = vmx_load,
	.unload = vmx_unload,
	.enter = vmx_enter,
	.state_get = vmx_state_get,
	.state_set = vmx_state_set,
	.paging = vmx_paging,
	.seg_base = vmx_seg_base,
	.inject = vmx_inject,
	.irq_open = vmx_irq_open,
	.nmi_open = vmx_nmi_open,
	.nmi_blocked = vmx_nmi_blocked,
	.nmi_block = vmx_nmi_block,
	.window = vmx_window,
	.nmi_window = vmx_nmi_window,
	.advance = vmx_advance,
	.cr8_get = vmx_cr8_get,
	.cr8_set = vmx_cr8_set,
	.cr8_below = vmx_cr8_below,
	.msr_get = vmx_msr_get,
	.msr_set = vmx_msr_set,
	.cr2_set = vmx_cr2_set,
	.tsc_offset_set = vmx_tsc_offset_set,
	.flush = vmx_flush,
	.insn_bytes = vmx_insn_bytes,
};
