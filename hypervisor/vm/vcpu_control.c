/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest does to its CPU as a whole, and asks of us: CR4, whose bits it has as far as its CPUID says so, CR8 while something
 * waits for it, task switches, and hypercalls.
 *
 * Sources: Intel SDM 3A, Control Registers, CR4, and 2B, MOV--Move to/from Control Registers; Linux:
 * Documentation/virt/kvm/x86/hypercalls.rst, KVM Hypercalls ABI.
 */
#include <errno.h>

#include "base/core/macros.h"
#include "machine/lapic.h"
#include "vm/vcpu.h"
#include "vm/vcpu_task.h"

#define BIT(n)	  (UINT32_C(1) << (n))
#define VECTOR_DB 1U
#define VECTOR_DF 8U
#define VECTOR_GP 13U
#define VECTOR_PF 14U

#define HC_POLL_IRQ 1U
#define HC_SEND_IPI 10U
#define HC_EPERM    1U
#define HC_EINVAL   22U
#define HC_ENOSYS   1000U

#define ICR_LOGICAL   BIT(11)
#define ICR_SHORTHAND (BIT(18) | BIT(19))

enum cpuid_word { LEAF_1_EDX, LEAF_1_ECX, LEAF_7_EBX, LEAF_7_ECX, WORDS };

/* Which bit of CPUID lets a guest set which of CR4. */
static const struct {
	uint8_t cr4, word, bit;
} cr4_bits[] = {
	{ 0, LEAF_1_EDX, 1 },	{ 1, LEAF_1_EDX, 1 },	{ 2, LEAF_1_EDX, 4 },
	{ 3, LEAF_1_EDX, 2 },	{ 4, LEAF_1_EDX, 3 },	{ 5, LEAF_1_EDX, 6 },
	{ 6, LEAF_1_EDX, 7 },	{ 7, LEAF_1_EDX, 13 },	{ 9, LEAF_1_EDX, 24 },
	{ 10, LEAF_1_EDX, 25 }, { 11, LEAF_7_ECX, 2 },	{ 12, LEAF_7_ECX, 16 },
	{ 16, LEAF_7_EBX, 0 },	{ 17, LEAF_1_ECX, 17 }, { 18, LEAF_1_ECX, 26 },
	{ 20, LEAF_7_EBX, 7 },	{ 21, LEAF_7_EBX, 20 }, { 22, LEAF_7_ECX, 3 },
};

static uint64_t cr4_allowed(const struct hv_vcpu *v)
{
	const struct cpuid_leaf *one = hv_cpuid_find(v, 1, 0), *seven = hv_cpuid_find(v, 7, 0);
	const uint32_t words[WORDS] = {
		[LEAF_1_EDX] = one ? one->edx : 0,
		[LEAF_1_ECX] = one ? one->ecx : 0,
		[LEAF_7_EBX] = seven ? seven->ebx : 0,
		[LEAF_7_ECX] = seven ? seven->ecx : 0,
	};
	uint64_t allowed = X86_CR4_PCE; /* no CPUID bit tells of it */

	for (size_t i = 0; i < ARRAY_SIZE(cr4_bits); i++) {
		if (words[cr4_bits[i].word] >> cr4_bits[i].bit & 1)
			allowed |= BIT(cr4_bits[i].cr4);
	}
	return allowed;
}

static bool cr4_is_good(const struct hv_vcpu *v, uint64_t value)
{
	const struct hw_paging *p = &v->paging;
	bool is_long = p->efer & X86_EFER_LMA;
	uint64_t changed = value ^ p->cr4;

	if (p->cpl || value & ~cr4_allowed(v))
		return false;
	if (is_long && (!(value & X86_CR4_PAE) || changed & X86_CR4_LA57))
		return false;
	if (changed & value & X86_CR4_PCIDE && (!is_long || p->cr3 & 0xfff))
		return false;
	return true;
}

void hv_cr4_exit(struct hv_vcpu *v)
{
	uint8_t bytes[X86_INSN_MAX];
	struct x86_insn insn;
	unsigned n = hv_fetch(v, bytes);

	if (!n) /* a fault was raised */
		return;
	int len = x86_decode(bytes, n, (enum x86_code)v->paging.code, &insn);
	/* MOV to CR4 is 0F 22 /4; rewritten under our feet: let it be executed again */
	if (len <= 0 || insn.opcode != 0x22 || (insn.modrm >> 3 & 7) != 4 || insn.rm >= X86_REGS)
		return;
	uint64_t value = v->hw->regs[insn.rm];
	if (v->paging.code != X86_CODE_64)
		value &= UINT32_MAX;
	if (!cr4_is_good(v, value)) {
		hv_raise(v, VECTOR_GP, true, 0);
		return;
	}
	v->vm->hw_ops->cr4_set(v->hw, value);
	v->vm->hw_ops->advance(v->hw, (unsigned)len);
}

/* MOV to CR8: 0F 22 /0 with REX.R, or with LOCK (AMD APM 3, MOV CRn), which the decoder takes for what it is elsewhere. */
bool hv_cr8_exit(struct hv_vcpu *v)
{
	uint8_t bytes[X86_INSN_MAX];
	struct x86_insn insn;
	unsigned n = hv_fetch(v, bytes), skip = n && bytes[0] == 0xf0;

	if (!n) /* a fault was raised */
		return false;
	int len = x86_decode(bytes + skip, n - skip, (enum x86_code)v->paging.code, &insn);
	/* else rewritten under our feet: let it be executed again */
	if (len <= 0 || insn.op != X86_OP_MOV_TO_CR || (insn.modrm >> 3 & 7) != 0 ||
	    insn.rm >= X86_REGS)
		return false;
	uint64_t value = v->hw->regs[insn.rm];
	if (v->paging.code != X86_CODE_64)
		value &= UINT32_MAX;
	if (v->paging.cpl || value > 15) {
		hv_raise(v, VECTOR_GP, true, 0);
		return false;
	}
	v->vm->hw_ops->cr8_set(v->hw, (uint8_t)value);
	v->vm->hw_ops->advance(v->hw, (unsigned)len + skip);
	return true;
}

/* KVM_HC_SEND_IPI: two words of bits from a lowest APIC id on. Return: how many took it. */
static uint64_t send_ipi(const struct hv_vcpu *v, const uint64_t words[2], unsigned bits,
			 uint64_t lowest, uint32_t icr)
{
	struct lapic_msg msg = { .vector = (uint8_t)icr,
				 .delivery = icr >> 8 & 7,
				 .is_wide = true };
	uint64_t taken = 0;

	if (icr & (ICR_LOGICAL | ICR_SHORTHAND))
		return -(uint64_t)HC_EINVAL;
	for (unsigned i = 0; i < 2 * bits && lowest < LAPIC_MAX; i++, lowest++) {
		if (!(words[i / bits] >> i % bits & 1))
			continue;
		msg.dest = (uint32_t)lowest;
		taken += lapic_bus_send(v->vm->ipis, &msg);
	}
	return taken;
}

void hv_hypercall_exit(struct hv_vcpu *v)
{
	uint64_t *r = v->hw->regs, result = -(uint64_t)HC_ENOSYS;

	v->vm->hw_ops->paging(v->hw, &v->paging);
	bool is_64 = v->paging.code == X86_CODE_64;
	uint64_t mask = is_64 ? UINT64_MAX : UINT32_MAX, what = r[X86_RAX] & mask;
	const uint64_t words[2] = { r[X86_RBX] & mask, r[X86_RCX] & mask };

	if (v->paging.cpl)
		result = -(uint64_t)HC_EPERM;
	else if (what == HC_POLL_IRQ)
		result = 0;
	else if (what == HC_SEND_IPI && v->vm->ipis)
		result = send_ipi(v, words, is_64 ? 64 : 32, r[X86_RDX] & mask,
				  (uint32_t)r[X86_RSI]);
	r[X86_RAX] = result & mask;
}

/* What came of a switch that did not end well: the fault of whichever task is in force, or what that and the event make. */
static int task_fault(struct hv_vcpu *v, const struct hw_event *event, const struct task_fault *f)
{
	switch (task_combine(event, f->vector)) {
	case TASK_TRIPLE_FAULT:
		return -ECANCELED;
	case TASK_DOUBLE_FAULT:
		hv_raise(v, VECTOR_DF, true, 0);
		return 0;
	default:
		break;
	}
	if (f->vector == VECTOR_DB) { /* a trap: its frame has no RF, as that of hv_raise() has */
		static const struct hw_event trap = { .type = HW_EVENT_EXCEPTION,
						      .vector = VECTOR_DB };
		v->vm->hw_ops->inject(v->hw, &trap);
	} else if (f->vector == VECTOR_PF) {
		hv_raise_page_fault(v, f->gva, f->error);
	} else {
		hv_raise(v, f->vector, true, f->error);
	}
	return 0;
}

int hv_task_exit(struct hv_vcpu *v, const struct hw_exit *exit)
{
	const struct hw_ops *ops = v->vm->hw_ops;
	const struct hw_task *task = &exit->task;
	uint8_t cr8_below = v->cr8_below;
	unsigned len = exit->insn_len;
	struct task_fault fault;
	struct x86_state state;

	if (task->why != HW_TASK_GATE) {
		len = hv_insn_len(v, exit);
		if (!len)
			return 0; /* a fault was raised */
	}
	ops->state_get(v->hw, &state);
	int r = task_switch(v->vm->mem, &state, task, len, v->vm->phys_bits, &fault);
	ops->state_set(v->hw, &state);
	ops->nmi_block(v->hw, task->nmi_blocked);
	v->cr8_below = 0; /* state_set() forgot it */
	hv_cr8_below(v, cr8_below);
	return r == -EFAULT ? task_fault(v, &task->event, &fault) : r;
}
