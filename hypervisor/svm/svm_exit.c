/* SPDX-License-Identifier: Apache-2.0 */
/* What an exit of the hardware's means. Source: AMD APM 2, appendix C, SVM Intercept Exit Codes. */
#include "core/trap.h"
#include "svm/svm_private.h"

/* Where the CPU says where the next instruction is, how long this one was. */
static inline uint8_t insn_len(const struct vmcb *c)
{
	return c->next_rip && c->next_rip - c->rip <= 15 ? (uint8_t)(c->next_rip - c->rip) : 0;
}

static enum hw_exit_kind decode_pio(const struct svm_vcpu *v, struct hw_exit *ret)
{
	uint64_t info = v->vmcb->exit_info1;

	ret->pio.port = (uint16_t)(info >> VMCB_IO_PORT);
	ret->pio.len = info >> VMCB_IO_SIZE & 7;
	ret->pio.is_write = !(info & VMCB_IO_IN);
	ret->pio.is_string = info & VMCB_IO_STRING;
	ret->pio.is_repeated = info & VMCB_IO_REPEATED;
	ret->insn_len = (uint8_t)(v->vmcb->exit_info2 - v->vmcb->rip);
	return HW_EXIT_PIO;
}

static enum hw_exit_kind decode_npf(const struct svm_vcpu *v, struct hw_exit *ret)
{
	uint64_t info = v->vmcb->exit_info1;

	svm_cpu_of()->last_exit->info1 = info;
	svm_cpu_of()->last_exit->info2 = v->vmcb->exit_info2;
	ret->npf.gpa = v->vmcb->exit_info2;
	ret->npf.is_write = info & VMCB_NPF_WRITE;
	ret->npf.is_fetch = info & VMCB_NPF_FETCH;
	ret->npf.in_walk = info & VMCB_NPF_TABLE;
	return HW_EXIT_NPF;
}

/* Whatever is not asked for, and VMEXIT_INVALID, which emulators report in 32 bits. */
static enum hw_exit_kind decode_fail(const struct svm_vcpu *v, struct hw_exit *ret)
{
	uint64_t code = v->vmcb->exit_code;

	ret->fail.what = (uint32_t)code == UINT32_MAX ? "the CPU refuses the guest's state"
						      : "an exit that nobody asked for";
	ret->fail.code = code;
	return HW_EXIT_FAIL;
}

/* The IRET that ends an NMI's handler is about to be executed: the next NMI may come once it was. */
static bool iret_seen(struct svm_vcpu *v)
{
	v->vmcb->intercept_misc1 &= ~VMCB_MISC1(MISC1_IRET);
	v->nmi_ends = true;
	v->iret_rip = v->hw.rip;
	return false;
}

static enum hw_exit_kind decode_rest(const struct svm_vcpu *v, struct hw_exit *ret)
{
	switch ((uint32_t)v->vmcb->exit_code) {
	case VMEXIT_VMMCALL:
		return HW_EXIT_HYPERCALL;
	case VMEXIT_XSETBV:
		return HW_EXIT_XSETBV;
	case VMEXIT_INVD:
	case VMEXIT_WBINVD:
		return HW_EXIT_CACHE;
	case VMEXIT_SHUTDOWN:
		return HW_EXIT_SHUTDOWN;
	case VMEXIT_RDPMC:
		return HW_EXIT_PRIVILEGED;
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

bool svm_decode(struct svm_vcpu *v, struct hw_exit *ret)
{
	ret->insn_len = insn_len(v->vmcb);
	switch ((uint32_t)v->vmcb->exit_code) {
	case VMEXIT_INTR:
	case VMEXIT_NMI:
	case VMEXIT_SMI:
	case VMEXIT_INIT:
		trap_open();
		ret->kind = HW_EXIT_HOST;
		return true;
	case VMEXIT_CPUID:
		ret->kind = HW_EXIT_CPUID;
		return true;
	case VMEXIT_IOIO:
		ret->kind = decode_pio(v, ret);
		return true;
	case VMEXIT_NPF:
		ret->kind = decode_npf(v, ret);
		return true;
	case VMEXIT_MSR:
		ret->kind = HW_EXIT_MSR;
		ret->msr.is_write = v->vmcb->exit_info1 & 1;
		return true;
	case VMEXIT_HLT:
		ret->kind = HW_EXIT_HLT;
		return true;
	case VMEXIT_VINTR:
		ret->kind = HW_EXIT_WINDOW;
		return true;
	case VMEXIT_IRET:
		return iret_seen(v);
	default:
		ret->kind = decode_rest(v, ret);
		return true;
	}
}
