/* SPDX-License-Identifier: Apache-2.0 */
/* What an exit of the hardware's means. Source: AMD APM 2, appendix C, SVM Intercept Exit Codes. */
#include "core/trap.h"
#include "svm/svm_private.h"

#define VECTOR_DB 1U
#define VECTOR_PF 14U

#define RFLAGS_NT UINT64_C(0x4000)
#define RFLAGS_VM UINT64_C(0x20000)

/* Where the CPU says where the next instruction is, how long this one was. */
static inline uint8_t insn_len(const struct vmcb *c)
{
	return c->next_rip && c->next_rip - c->rip <= 15 ? (uint8_t)(c->next_rip - c->rip) : 0;
}

static inline void decode_pio(const struct vmcb *c, struct hw_exit *ret)
{
	uint32_t info = (uint32_t)c->exit_info1;

	ret->kind = HW_EXIT_PIO;
	ret->insn_len = (uint8_t)(c->exit_info2 - c->rip);
	ret->pio.port = (uint16_t)(info >> VMCB_IO_PORT);
	ret->pio.len = info >> VMCB_IO_SIZE & 7;
	ret->pio.is_write = !(info & VMCB_IO_IN);
	ret->pio.is_string = info & VMCB_IO_STRING;
}

static inline void decode_npf(const struct vmcb *c, struct hw_exit *ret)
{
	struct cpu_last_exit *last = svm_cpu_of()->last_exit;
	uint64_t info = c->exit_info1;

	last->info1 = info;
	last->info2 = c->exit_info2;
	ret->kind = HW_EXIT_NPF;
	ret->npf.gpa = c->exit_info2;
	ret->npf.is_write = info & VMCB_NPF_WRITE;
	ret->npf.is_fetch = info & VMCB_NPF_FETCH;
	ret->npf.in_walk = info & VMCB_NPF_TABLE;
}

/* Whatever is not asked for, and VMEXIT_INVALID, which emulators report in 32 bits. */
static enum hw_exit_kind decode_fail(struct svm_vcpu *v, struct hw_exit *ret)
{
	uint64_t code = v->vmcb->exit_code;

	svm_asid_lost(v);
	ret->fail.what = (uint32_t)code == UINT32_MAX ? "the CPU refuses the guest's state"
						      : "an exit that nobody asked for";
	ret->fail.code = code;
	return HW_EXIT_FAIL;
}

/*
 * A guest's own debug exception or alignment check. It is taken from it only because a guest can have a table and a stack where
 * the delivery of one causes the next, without end and without an exit (CVE-2015-8104, CVE-2015-5307): delivered again
 * by an entry, there is a look at the host's interrupts each time. DR6 and DR7 are as its handler is to see them.
 */
static enum hw_exit_kind exception_keep(struct svm_vcpu *v)
{
	v->hw.interrupted = (struct hw_event){
		.type = HW_EVENT_EXCEPTION,
		.vector = (uint8_t)(v->vmcb->exit_code - VMEXIT_EXCEPTION_0),
		.has_error = (uint32_t)v->vmcb->exit_code == VMEXIT_ALIGNMENT,
	};
	trap_open();
	return HW_EXIT_HOST;
}

/* What the instruction that is stepped over raised is the guest's; the step itself is not. */
static enum hw_exit_kind exception_stepped(struct svm_vcpu *v)
{
	const uint32_t have_errors =
		0x227d00; /* #DF, #TS to #PF, #AC, #CP: AMD APM 2, Exceptions */
	uint8_t vector = (uint8_t)(v->vmcb->exit_code - VMEXIT_EXCEPTION_0);
	struct vmcb *c = v->vmcb;

	if (svm_step_seen(v)) {
		if (vector == VECTOR_PF)
			c->cr2 = c->exit_info2;
		if (vector != VECTOR_DB)
			v->hw.rflags |= X86_RFLAGS_RF; /* a fault's frame has it */
		v->hw.interrupted = (struct hw_event){
			.type = HW_EVENT_EXCEPTION,
			.vector = vector,
			.has_error = have_errors >> vector & 1,
			.error = (uint32_t)c->exit_info1,
		};
	}
	trap_open();
	return HW_EXIT_HOST;
}

/*
 * One that goes back to another task cannot be stepped over: what it steps with is in the old task's image then, and not in the new
 * one's. In long mode and in virtual-8086 mode it is none of these.
 */
static bool iret_is_task(const struct svm_vcpu *v)
{
	return v->vmcb->cr0 & X86_CR0_PE && !(v->vmcb->efer & X86_EFER_LMA) &&
	       (v->hw.rflags & (RFLAGS_NT | RFLAGS_VM)) == RFLAGS_NT;
}

/*
 * The IRET that ends an NMI's handler is about to be executed: the next NMI may come once it was. Out of enter(): one that waits
 * asks for that moment now.
 */
static enum hw_exit_kind iret_seen(struct svm_vcpu *v, struct hw_exit *ret)
{
	v->vmcb->intercept_misc1 &= ~VMCB_MISC1(MISC1_IRET);
	v->nmi_ends = true;
	v->iret_rip = v->hw.rip;
	trap_open();
	if (!iret_is_task(v))
		return HW_EXIT_HOST;
	ret->task = (struct hw_task){ .why = HW_TASK_IRET };
	return HW_EXIT_TASK;
}

static enum hw_exit_kind decode_rest(struct svm_vcpu *v, struct hw_exit *ret)
{
	switch ((uint32_t)v->vmcb->exit_code) {
	case VMEXIT_VMMCALL:
		return HW_EXIT_HYPERCALL;
	case VMEXIT_CR4_WRITE:
		return HW_EXIT_CR4;
	case VMEXIT_CR8_WRITE:
		return HW_EXIT_CR8;
	case VMEXIT_XSETBV:
		return HW_EXIT_XSETBV;
	case VMEXIT_INVD:
	case VMEXIT_WBINVD:
		return HW_EXIT_CACHE;
	case VMEXIT_SHUTDOWN:
		return HW_EXIT_SHUTDOWN;
	case VMEXIT_RDPMC:
		return HW_EXIT_PRIVILEGED;
	case VMEXIT_UD:
	case VMEXIT_RSM:
	case VMEXIT_INVLPGA:
	case VMEXIT_VMRUN:
	case VMEXIT_VMLOAD:
	case VMEXIT_VMSAVE:
	case VMEXIT_STGI:
	case VMEXIT_CLGI:
	case VMEXIT_SKINIT:
	case VMEXIT_MONITOR:
	case VMEXIT_MWAIT:
	case VMEXIT_MWAIT_ARMED:
		return HW_EXIT_FORBIDDEN;
	default:
		return decode_fail(v, ret);
	}
}

/* Those that are rare: out of the way, so that the others save no registers for them. */
static __attribute__((noinline)) void decode_rare(struct svm_vcpu *v, uint32_t code,
						  struct hw_exit *ret)
{
	if (code == VMEXIT_MACHINE_CHECK) /* it ends the server */
		__asm__ volatile("int %0" : : "i"(TRAP_MACHINE_CHECK) : "memory");
	if (code == VMEXIT_IRET)
		ret->kind = iret_seen(v, ret);
	else if (v->is_stepping && code - VMEXIT_EXCEPTION_0 < 32 && code != VMEXIT_UD)
		ret->kind = exception_stepped(v);
	else if (code == VMEXIT_DEBUG || code == VMEXIT_ALIGNMENT)
		ret->kind = exception_keep(v);
	else
		ret->kind = decode_rest(v, ret);
}

void svm_decode(struct svm_vcpu *v, struct hw_exit *ret)
{
	const struct vmcb *c = v->vmcb;
	uint32_t code = (uint32_t)c->exit_code;

	if (code == VMEXIT_IOIO) { /* the most, of most guests */
		decode_pio(c, ret);
		return;
	}
	ret->insn_len = insn_len(c);
	switch (code) {
	case VMEXIT_INTR:
	case VMEXIT_NMI:
	case VMEXIT_SMI:
	case VMEXIT_INIT:
		trap_open();
		ret->kind = HW_EXIT_HOST;
		return;
	case VMEXIT_CPUID:
		ret->kind = HW_EXIT_CPUID;
		return;
	case VMEXIT_NPF:
		decode_npf(c, ret);
		return;
	case VMEXIT_MSR:
		ret->kind = HW_EXIT_MSR;
		ret->msr.is_write = c->exit_info1 & 1;
		return;
	case VMEXIT_HLT:
		ret->kind = HW_EXIT_HLT;
		return;
	case VMEXIT_VINTR:
		ret->kind = HW_EXIT_WINDOW;
		return;
	default:
		decode_rare(v, code, ret);
	}
}
