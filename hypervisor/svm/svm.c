/* SPDX-License-Identifier: Apache-2.0 */
/* The world switch on AMD: one vcpu is one VMCB. */
#include <errno.h>

#include "core/page.h"
#include "core/percpu.h"
#include "core/trap.h"
#include "svm/svm_private.h"
#include "hw/npt.h"

#define PAT_INITIAL UINT64_C(0x0007040600070406) /* AMD APM 2, PAT Register: value at reset */

/* What a guest's instructions exit by. Reading the TSC is not among it: the offset makes it the guest's own. */
static const uint32_t misc1_always =
	VMCB_MISC1(MISC1_INTR) | VMCB_MISC1(MISC1_NMI) | VMCB_MISC1(MISC1_SMI) |
	VMCB_MISC1(MISC1_INIT) | VMCB_MISC1(MISC1_RDPMC) | VMCB_MISC1(MISC1_CPUID) |
	VMCB_MISC1(MISC1_RSM) | VMCB_MISC1(MISC1_INVD) | VMCB_MISC1(MISC1_HLT) |
	VMCB_MISC1(MISC1_INVLPGA) | VMCB_MISC1(MISC1_IOIO) | VMCB_MISC1(MISC1_MSR) |
	VMCB_MISC1(MISC1_SHUTDOWN);

static void vmcb_init(struct svm_vcpu *v)
{
	struct vmcb *c = v->vmcb;

	c->intercept_misc1 = misc1_always;
	c->intercept_misc2 = VMCB_MISC2_ALL;
	c->iopm_base = ptr_to_phys(svm_iopm());
	c->msrpm_base = ptr_to_phys(svm_msrpm());
	c->tsc_offset = v->vm->tsc_offset;
	c->interrupt_control = VMCB_INT_MASKING;
	c->nested_control = 1;
	c->nested_cr3 = npt_root_hpa(v->vm->npt);
	c->pat = PAT_INITIAL;
}

static void svm_vcpu_destroy(struct hw_vcpu *hw)
{
	struct svm_vcpu *v = hw ? svm_vcpu_of(hw) : NULL;

	if (!v)
		return;
	page_free(v->fpu, SVM_FPU_ORDER);
	page_free(v->vmcb, 0);
	page_free(v, 0);
}

static int svm_vcpu_create(const struct hw_vm *vm, struct hw_vcpu **ret, struct err *err)
{
	struct svm_vcpu *v = page_alloc(0);
	struct x86_state state;

	_Static_assert(sizeof(*v) <= PAGE_BYTES, "a vcpu is a page");
	if (!v)
		return err_say(err, ENOMEM, "no memory for a vcpu");
	v->vm = vm;
	v->vmcb = page_alloc(0);
	v->fpu = page_alloc(SVM_FPU_ORDER);
	if (!v->vmcb || !v->fpu) {
		svm_vcpu_destroy(&v->hw);
		return err_say(err, ENOMEM, "no memory for a vcpu");
	}
	vmcb_init(v);
	svm_fpu_init(v);
	x86_state_reset(&state, true);
	svm_state_set(&v->hw, &state);
	*ret = &v->hw;
	return 0;
}

static inline void clgi(void)
{
	__asm__ volatile("clgi" : : : "memory");
}

static inline void stgi(void)
{
	__asm__ volatile("stgi" : : : "memory");
}

/* What came out: the registers that the VMCB has, and an event that did not arrive. */
static inline void registers_in(struct hw_vcpu *hw, const struct vmcb *c)
{
	hw->regs[X86_RAX] = c->rax;
	hw->regs[X86_RSP] = c->rsp;
	hw->rip = c->rip;
	hw->rflags = c->rflags;
	hw->cr3 = c->cr3;
}

static inline void registers_out(const struct hw_vcpu *hw, struct vmcb *c)
{
	c->rax = hw->regs[X86_RAX];
	c->rsp = hw->regs[X86_RSP];
	c->rip = hw->rip;
	c->rflags = hw->rflags;
}

/*
 * Software interrupts, INT3's and INTO's exceptions among them, are executed again by themselves. What was to be
 * injected and met an exit is the same event.
 */
static __attribute__((noinline)) void interrupted_note(struct svm_vcpu *v)
{
	uint64_t info = v->vmcb->exit_int_info;
	uint8_t type = info >> 8 & 7, vector = (uint8_t)info;

	if (type == VMCB_EVENT_SOFT)
		return;
	if (type == VMCB_EVENT_EXCEPTION && (vector == 3 || vector == 4))
		return;
	v->hw.interrupted = (struct hw_event){
		.type = type == VMCB_EVENT_INTR	 ? HW_EVENT_IRQ
			: type == VMCB_EVENT_NMI ? HW_EVENT_NMI
						 : HW_EVENT_EXCEPTION,
		.vector = vector,
		.has_error = info & VMCB_EVENT_ERROR,
		.error = (uint32_t)(info >> 32),
	};
}

void svm_enter(struct hw_vcpu *hw, struct hw_exit *ret)
{
	struct svm_vcpu *v = svm_vcpu_of(hw);
	struct svm_cpu *cpu = svm_cpu_of();
	struct vmcb *const c = v->vmcb;

	hw->interrupted.type = HW_EVENT_NONE;
	do {
		registers_out(hw, c);
		if (v->asid_turn != cpu->turn)
			svm_asid_give(v);
		clgi();
		if (__atomic_load_n(&hw->kicked, __ATOMIC_ACQUIRE)) {
			__atomic_store_n(&hw->kicked, 0, __ATOMIC_RELAXED);
			stgi();
			trap_open();
			/* Not entered: what was to be injected still is. */
			ret->kind = HW_EXIT_HOST;
			return;
		}
		svm_switch(ptr_to_phys(c), hw->regs, ptr_to_phys(cpu->host_save));
		registers_in(hw, c);
		c->event_injection = 0;
		c->tlb_control = 0;
		if (c->exit_int_info & VMCB_EVENT_VALID)
			interrupted_note(v);
		cpu->last_exit->reason = c->exit_code;
		cpu->last_exit->rip = hw->rip;
	} while (!svm_decode(v, ret));
}

static void svm_inject(struct hw_vcpu *hw, const struct hw_event *event)
{
	static const uint8_t types[] = {
		[HW_EVENT_IRQ] = VMCB_EVENT_INTR,
		[HW_EVENT_NMI] = VMCB_EVENT_NMI,
		[HW_EVENT_EXCEPTION] = VMCB_EVENT_EXCEPTION,
	};
	struct svm_vcpu *v = svm_vcpu_of(hw);

	v->vmcb->event_injection =
		VMCB_EVENT_VALID | event->vector | (uint64_t)types[event->type] << 8 |
		(event->has_error ? VMCB_EVENT_ERROR : 0) | (uint64_t)event->error << 32;
	if (event->type == HW_EVENT_NMI) {
		v->in_nmi = true;
		v->nmi_ends = false;
		v->vmcb->intercept_misc1 |= VMCB_MISC1(MISC1_IRET);
	}
}

static bool svm_irq_open(const struct hw_vcpu *hw)
{
	const struct svm_vcpu *v = svm_vcpu_of_const(hw);

	return hw->rflags & X86_RFLAGS_IF && !(v->vmcb->interrupt_shadow & 1) &&
	       !(v->vmcb->event_injection & VMCB_EVENT_VALID);
}

static bool svm_nmi_open(const struct hw_vcpu *hw)
{
	const struct svm_vcpu *v = svm_vcpu_of_const(hw);
	bool busy = v->in_nmi && !(v->nmi_ends && hw->rip != v->iret_rip);

	return !busy && !(v->vmcb->interrupt_shadow & 1) &&
	       !(v->vmcb->event_injection & VMCB_EVENT_VALID);
}

/* A virtual interrupt that nobody masks; it exits instead of being delivered. */
static void svm_window(struct hw_vcpu *hw, bool wanted)
{
	struct vmcb *c = svm_vcpu_of(hw)->vmcb;
	const uint64_t bits = VMCB_INT_PENDING | VMCB_INT_PRIORITY | VMCB_INT_IGNORE_TPR;

	if (wanted) {
		c->interrupt_control |= bits;
		c->intercept_misc1 |= VMCB_MISC1(MISC1_VINTR);
	} else {
		c->interrupt_control &= ~bits;
		c->intercept_misc1 &= ~VMCB_MISC1(MISC1_VINTR);
	}
}

static void svm_advance(struct hw_vcpu *hw, unsigned insn_len)
{
	struct vmcb *c = svm_vcpu_of(hw)->vmcb;

	hw->rip += insn_len;
	if (!(c->efer & X86_EFER_LMA && c->cs.attributes & 0x200))
		hw->rip &= UINT32_MAX;
	c->interrupt_shadow = 0;
}

static uint8_t svm_cr8_get(const struct hw_vcpu *hw)
{
	return svm_vcpu_of_const(hw)->vmcb->interrupt_control & VMCB_INT_TPR;
}

static void svm_cr8_set(struct hw_vcpu *hw, uint8_t cr8)
{
	struct vmcb *c = svm_vcpu_of(hw)->vmcb;

	c->interrupt_control = (c->interrupt_control & ~VMCB_INT_TPR) | (cr8 & VMCB_INT_TPR);
}

static void svm_cr2_set(struct hw_vcpu *hw, uint64_t value)
{
	svm_vcpu_of(hw)->vmcb->cr2 = value;
}

static void svm_tsc_offset_set(struct hw_vcpu *hw, uint64_t offset)
{
	svm_vcpu_of(hw)->vmcb->tsc_offset = offset;
}

static void svm_flush(struct hw_vcpu *hw)
{
	svm_vcpu_of(hw)->asid_turn = 0; /* no CPU's: the next entry gives another */
}

static unsigned svm_insn_bytes(const struct hw_vcpu *hw, uint8_t ret[15])
{
	const struct vmcb *c = svm_vcpu_of_const(hw)->vmcb;
	unsigned n = c->insn_len & 0xf;

	for (unsigned i = 0; i < n; i++)
		ret[i] = c->insn[i];
	return n;
}

static void dr_load(const struct svm_vcpu *v)
{
	__asm__ volatile("mov %0, %%db0; mov %1, %%db1; mov %2, %%db2; mov %3, %%db3"
			 :
			 : "r"(v->dr[0]), "r"(v->dr[1]), "r"(v->dr[2]), "r"(v->dr[3]));
}

static void dr_unload(struct svm_vcpu *v)
{
	__asm__ volatile("mov %%db0, %0; mov %%db1, %1; mov %%db2, %2; mov %%db3, %3"
			 : "=r"(v->dr[0]), "=r"(v->dr[1]), "=r"(v->dr[2]), "=r"(v->dr[3]));
}

static void svm_load(struct hw_vcpu *hw)
{
	struct svm_vcpu *v = svm_vcpu_of(hw);

	svm_fpu_load(v);
	dr_load(v);
}

static void svm_unload(struct hw_vcpu *hw)
{
	struct svm_vcpu *v = svm_vcpu_of(hw);

	svm_fpu_unload(v);
	dr_unload(v);
}

const struct hw_ops svm_hw_ops = {
	.name = "svm",
	.npt_format = &npt_format_svm,
	.probe = svm_probe,
	.init_cpu = svm_cpu_init,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.load = svm_load,
	.unload = svm_unload,
	.enter = svm_enter,
	.state_get = svm_state_get,
	.state_set = svm_state_set,
	.paging = svm_paging,
	.seg_base = svm_seg_base,
	.inject = svm_inject,
	.irq_open = svm_irq_open,
	.nmi_open = svm_nmi_open,
	.window = svm_window,
	.advance = svm_advance,
	.cr8_get = svm_cr8_get,
	.cr8_set = svm_cr8_set,
	.msr_get = svm_msr_get,
	.msr_set = svm_msr_set,
	.xcr0_get = svm_xcr0_get,
	.xcr0_set = svm_xcr0_set,
	.cr2_set = svm_cr2_set,
	.tsc_offset_set = svm_tsc_offset_set,
	.flush = svm_flush,
	.insn_bytes = svm_insn_bytes,
};
