/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Debug registers after a reset (SDM 3A, IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT). */
#define DR6_RESET UINT64_C(0xffff0ff0)
#define DR7_RESET UINT64_C(0x400)

static void segment_get(struct x86_segment *to, const struct kvm_segment *from)
{
	*to = (struct x86_segment){
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.type = from->type,
		.s = from->s,
		.present = from->present,
		.avl = from->avl,
		.l = from->l,
		.db = from->db,
		.g = from->g,
		.unusable = from->unusable,
		.dpl = from->dpl,
	};
}

static void segment_set(struct kvm_segment *to, const struct x86_segment *from)
{
	*to = (struct kvm_segment){
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.type = from->type,
		.present = from->present,
		.dpl = from->dpl,
		.db = from->db,
		.s = from->s,
		.l = from->l,
		.g = from->g,
		.avl = from->avl,
		.unusable = from->unusable,
	};
}

/* KVM's general registers in the order of enum x86_reg. */
static void regs_get(struct x86_state *to, const struct kvm_regs *from)
{
	const uint64_t regs[X86_REGS] = {
		from->rax, from->rcx, from->rdx, from->rbx, from->rsp, from->rbp,
		from->rsi, from->rdi, from->r8,	 from->r9,  from->r10, from->r11,
		from->r12, from->r13, from->r14, from->r15,
	};

	memcpy(to->regs, regs, sizeof(regs));
	to->rip = from->rip;
	to->rflags = from->rflags;
}

static void regs_set(struct kvm_regs *to, const struct x86_state *from)
{
	const uint64_t *r = from->regs;

	*to = (struct kvm_regs){
		.rax = r[X86_RAX],
		.rcx = r[X86_RCX],
		.rdx = r[X86_RDX],
		.rbx = r[X86_RBX],
		.rsp = r[X86_RSP],
		.rbp = r[X86_RBP],
		.rsi = r[X86_RSI],
		.rdi = r[X86_RDI],
		.r8 = r[X86_R8],
		.r9 = r[X86_R9],
		.r10 = r[X86_R10],
		.r11 = r[X86_R11],
		.r12 = r[X86_R12],
		.r13 = r[X86_R13],
		.r14 = r[X86_R14],
		.r15 = r[X86_R15],
		.rip = from->rip,
		.rflags = from->rflags,
	};
}

static void sregs_get(struct x86_state *to, const struct kvm_sregs *from)
{
	segment_get(&to->segs[X86_ES], &from->es);
	segment_get(&to->segs[X86_CS], &from->cs);
	segment_get(&to->segs[X86_SS], &from->ss);
	segment_get(&to->segs[X86_DS], &from->ds);
	segment_get(&to->segs[X86_FS], &from->fs);
	segment_get(&to->segs[X86_GS], &from->gs);
	segment_get(&to->tr, &from->tr);
	segment_get(&to->ldt, &from->ldt);
	to->gdt = (struct x86_table){ from->gdt.base, from->gdt.limit };
	to->idt = (struct x86_table){ from->idt.base, from->idt.limit };
	to->cr0 = from->cr0;
	to->cr2 = from->cr2;
	to->cr3 = from->cr3;
	to->cr4 = from->cr4;
	to->cr8 = from->cr8;
	to->efer = from->efer;
	to->apic_base = from->apic_base;
}

static void sregs_set(struct kvm_sregs *to, const struct x86_state *from)
{
	*to = (struct kvm_sregs){
		.gdt = { .base = from->gdt.base, .limit = from->gdt.limit },
		.idt = { .base = from->idt.base, .limit = from->idt.limit },
		.cr0 = from->cr0,
		.cr2 = from->cr2,
		.cr3 = from->cr3,
		.cr4 = from->cr4,
		.cr8 = from->cr8,
		.efer = from->efer,
		.apic_base = from->apic_base,
	};
	segment_set(&to->es, &from->segs[X86_ES]);
	segment_set(&to->cs, &from->segs[X86_CS]);
	segment_set(&to->ss, &from->segs[X86_SS]);
	segment_set(&to->ds, &from->segs[X86_DS]);
	segment_set(&to->fs, &from->segs[X86_FS]);
	segment_set(&to->gs, &from->segs[X86_GS]);
	segment_set(&to->tr, &from->tr);
	segment_set(&to->ldt, &from->ldt);
}

/* Where KVM has no LAPIC it knows no waiting: HLT exits, and what was set is kept here. */
static int mp_get(struct kvm_vcpu *vcpu, struct x86_state *ret)
{
	struct kvm_mp_state mp;

	ret->halted = vcpu->halted;
	ret->wait_sipi = vcpu->wait_sipi;
	if (!vcpu->vm->own_irqchip)
		return 0;
	int r = kvm_ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp);
	if (r < 0)
		return r;
	ret->halted = mp.mp_state == KVM_MP_STATE_HALTED;
	ret->wait_sipi = mp.mp_state == KVM_MP_STATE_UNINITIALIZED ||
			 mp.mp_state == KVM_MP_STATE_INIT_RECEIVED;
	return 0;
}

static int mp_set(struct kvm_vcpu *vcpu, const struct x86_state *state)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

	vcpu->halted = state->halted;
	vcpu->wait_sipi = state->wait_sipi;
	if (!vcpu->vm->own_irqchip)
		return 0;
	if (state->wait_sipi)
		mp.mp_state = KVM_MP_STATE_INIT_RECEIVED;
	else if (state->halted)
		mp.mp_state = KVM_MP_STATE_HALTED;
	return kvm_ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp);
}

static int debug_get(struct kvm_vcpu *vcpu, struct x86_state *ret)
{
	struct kvm_debugregs dr;

	int r = kvm_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &dr);
	if (r < 0)
		return r;
	memset(ret->dr, 0, sizeof(ret->dr));
	memcpy(ret->dr, dr.db, sizeof(dr.db));
	ret->dr[6] = dr.dr6;
	ret->dr[7] = dr.dr7;
	return 0;
}

/* All zero counts as a reset's: who fills a state for a first start need not know their fixed bits. */
static int debug_set(struct kvm_vcpu *vcpu, const struct x86_state *state)
{
	struct kvm_debugregs dr = {
		.dr6 = state->dr[6] ? state->dr[6] : DR6_RESET,
		.dr7 = state->dr[7] ? state->dr[7] : DR7_RESET,
	};
	const struct kvm_debugregs reset = { .dr6 = DR6_RESET, .dr7 = DR7_RESET };

	memcpy(dr.db, state->dr, sizeof(dr.db));
	bool is_reset = memcmp(&dr, &reset, sizeof(dr)) == 0;
	if (is_reset && vcpu->dr_reset && vcpu->tid == 0)
		return 0; /* a system call less on the way to a guest's first instruction */
	vcpu->dr_reset = is_reset;
	return kvm_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &dr);
}

int kvm_state_get(struct vcpu *base, struct x86_state *ret)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	struct x86_state state = { 0 };
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	int r = kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs);
	if (r == 0)
		r = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
	if (r == 0)
		r = debug_get(vcpu, &state);
	if (r == 0)
		r = mp_get(vcpu, &state);
	if (r < 0)
		return r;
	regs_get(&state, &regs);
	sregs_get(&state, &sregs);
	*ret = state;
	return 0;
}

int kvm_state_set(struct vcpu *base, const struct x86_state *state)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	sregs_set(&sregs, state);
	regs_set(&regs, state);
	/* Without KVM's LAPIC these two are read from here, and CR8 goes in from here, until KVM writes them anew. */
	vcpu->run->cr8 = state->cr8;
	vcpu->run->apic_base = state->apic_base;
	int r = kvm_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
	if (r == 0)
		r = kvm_ioctl(vcpu->fd, KVM_SET_REGS, &regs);
	if (r == 0)
		r = debug_set(vcpu, state);
	if (r == 0)
		r = mp_set(vcpu, state);
	return r;
}

/* One MSR's worth of struct kvm_msrs, whose entries are a flexible array. */
union one_msr {
	uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	struct kvm_msrs list;
};

int kvm_msr_get(struct vcpu *base, uint32_t index, uint64_t *ret)
{
	union one_msr msr = { .room = { 0 } };

	msr.list.nmsrs = 1;
	msr.list.entries[0].index = index;
	int r = kvm_ioctl(kvm_vcpu_of(base)->fd, KVM_GET_MSRS, &msr);
	if (r < 1)
		return r < 0 ? r : -ENOENT;
	*ret = msr.list.entries[0].data;
	return 0;
}

int kvm_msr_set(struct vcpu *base, uint32_t index, uint64_t value)
{
	union one_msr msr = { .room = { 0 } };

	msr.list.nmsrs = 1;
	msr.list.entries[0].index = index;
	msr.list.entries[0].data = value;
	int r = kvm_ioctl(kvm_vcpu_of(base)->fd, KVM_SET_MSRS, &msr);
	if (r < 1)
		return r < 0 ? r : -ENOENT;
	return 0;
}
