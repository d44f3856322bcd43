/* SPDX-License-Identifier: Apache-2.0 */
/* The world switch on AMD: one vcpu is one VMCB. */
#include <errno.h>

#include "core/page.h"
#include "core/percpu.h"
#include "core/trap.h"
#include "svm/svm_private.h"
#include "hw/npt.h"
#include "x86/msr.h"

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

	c->intercept_cr_write = VMCB_CR4_WRITE;
	c->intercept_exceptions =
		VMCB_EXCEPTIONS | VMCB_EXCEPTION_UD; /* #UD: emulators forget RF in its frame */
	c->intercept_misc1 = misc1_always;
	c->intercept_misc2 = VMCB_MISC2_ALL;
	c->iopm_base = ptr_to_phys(svm_iopm());
	c->msrpm_base = ptr_to_phys(svm_msrpm());
	c->tsc_offset = v->vm->tsc_offset;
	c->interrupt_control = VMCB_INT_MASKING;
	c->nested_control = 1;
	c->nested_cr3 = npt_root_hpa(v->vm->npt);
	c->pat = X86_PAT_INITIAL;
}

static void svm_vcpu_destroy(struct hw_vcpu *hw)
{
	struct svm_vcpu *v = hw ? svm_vcpu_of(hw) : NULL;

	if (!v)
		return;
	hw_fpu_fini(&v->fpu);
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
	if (!v->vmcb || hw_fpu_init(&v->fpu) < 0) {
		svm_vcpu_destroy(&v->hw);
		return err_say(err, ENOMEM, "no memory for a vcpu");
	}
	vmcb_init(v);
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
	if (type == VMCB_EVENT_NMI)
		svm_nmi_undo(v);
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
	registers_out(hw, c);
	clgi();
	if (__atomic_load_n(&hw->kicked, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&hw->kicked, 0, __ATOMIC_RELAXED);
		stgi();
		trap_open();
		/* Not entered: what was to be injected still is. */
		ret->kind = HW_EXIT_HOST;
		return;
	}
	/* Nothing comes between this and the entry: with a new turn's first ASID goes the flush that the others of that turn rely on. */
	if (v->asid_turn != cpu->turn)
		svm_asid_give(v);
	svm_switch(ptr_to_phys(c), hw->regs, ptr_to_phys(cpu->host_save));
	struct cpu_last_exit *const last = cpu->last_exit;
	registers_in(hw, c);
	c->event_injection = 0;
	c->tlb_control = 0;
	last->reason = c->exit_code;
	last->rip = c->rip;
	if (c->exit_int_info & VMCB_EVENT_VALID)
		interrupted_note(v);
	svm_decode(v, ret);
}

static void svm_inject(struct hw_vcpu *hw, const struct hw_event *event)
{
	static const uint8_t types[] = {
		[HW_EVENT_IRQ] = VMCB_EVENT_INTR,
		[HW_EVENT_NMI] = VMCB_EVENT_NMI,
		[HW_EVENT_EXCEPTION] = VMCB_EVENT_EXCEPTION,
	};
	struct svm_vcpu *v = svm_vcpu_of(hw);

	svm_step_end(v);
	v->vmcb->event_injection =
		VMCB_EVENT_VALID | event->vector | (uint64_t)types[event->type] << 8 |
		(event->has_error ? VMCB_EVENT_ERROR : 0) | (uint64_t)event->error << 32;
	if (event->type == HW_EVENT_NMI)
		svm_nmi_begin(v);
}

static bool svm_irq_open(const struct hw_vcpu *hw)
{
	const struct svm_vcpu *v = svm_vcpu_of_const(hw);

	return hw->rflags & X86_RFLAGS_IF && !(v->vmcb->interrupt_shadow & 1) &&
	       !(v->vmcb->event_injection & VMCB_EVENT_VALID);
}

/* It exits instead of being delivered. */
void svm_window_set(struct svm_vcpu *v)
{
	struct vmcb *c = v->vmcb;
	const uint64_t bits = VMCB_INT_PENDING | VMCB_INT_PRIORITY | VMCB_INT_IGNORE_TPR;

	if (v->irq_window || v->nmi_window) {
		c->interrupt_control |= bits;
		c->intercept_misc1 |= VMCB_MISC1(MISC1_VINTR);
	} else {
		c->interrupt_control &= ~bits;
		c->intercept_misc1 &= ~VMCB_MISC1(MISC1_VINTR);
	}
}

static void svm_window(struct hw_vcpu *hw, bool wanted)
{
	svm_vcpu_of(hw)->irq_window = wanted;
	svm_window_set(svm_vcpu_of(hw));
}

/* A debugger's single step ends here, too: no CPU keeps one for the next entry, so it is that entry's event. */
static __attribute__((noinline)) void step_inject(struct svm_vcpu *v)
{
	static const struct hw_event step = { .type = HW_EVENT_EXCEPTION, .vector = 1 };

	svm_step_end(v);
	if (!(v->hw.rflags & X86_RFLAGS_TF))
		return;
	v->vmcb->dr6 |= X86_DR6_STEP;
	svm_inject(&v->hw, &step);
}

static void svm_advance(struct hw_vcpu *hw, unsigned insn_len)
{
	struct vmcb *c = svm_vcpu_of(hw)->vmcb;

	hw->rip += insn_len;
	if (hw->rip >> 32 && !(c->efer & X86_EFER_LMA && c->cs.attributes & 0x200))
		hw->rip &= UINT32_MAX;
	c->interrupt_shadow = 0;
	if (hw->rflags & X86_RFLAGS_TF)
		step_inject(svm_vcpu_of(hw));
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

/*
 * By the intercept of MOV to CR8, not by a virtual interrupt of that priority: where one of those is compared otherwise than it
 * should, it exits without an effect, for ever.
 */
static void svm_cr8_below(struct hw_vcpu *hw, uint8_t limit)
{
	struct vmcb *c = svm_vcpu_of(hw)->vmcb;

	c->intercept_cr_write = VMCB_CR4_WRITE | (limit ? VMCB_CR8_WRITE : 0);
}

static void svm_cr2_set(struct hw_vcpu *hw, uint64_t value)
{
	svm_vcpu_of(hw)->vmcb->cr2 = value;
}

/* Another ASID: what the change may end is not looked at. */
static void svm_cr4_set(struct hw_vcpu *hw, uint64_t value)
{
	svm_vcpu_of(hw)->vmcb->cr4 = value;
	svm_vcpu_of(hw)->asid_turn = 0;
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

	hw_fpu_load(&v->fpu);
	dr_load(v);
	svm_tsc_rate_load(v);
}

static void svm_unload(struct hw_vcpu *hw)
{
	struct svm_vcpu *v = svm_vcpu_of(hw);

	hw_fpu_unload(&v->fpu);
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
	.nmi_blocked = svm_nmi_blocked,
	.nmi_block = svm_nmi_block,
	.window = svm_window,
	.nmi_window = svm_nmi_window,
	.advance = svm_advance,
	.cr8_get = svm_cr8_get,
	.cr8_set = svm_cr8_set,
	.cr8_below = svm_cr8_below,
	.msr_get = svm_msr_get,
	.msr_set = svm_msr_set,
	.cr2_set = svm_cr2_set,
	.cr4_set = svm_cr4_set,
	.tsc_offset_set = svm_tsc_offset_set,
	.flush = svm_flush,
	.insn_bytes = svm_insn_bytes,
};
