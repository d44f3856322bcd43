/* SPDX-License-Identifier: Apache-2.0 */
/* What an exit of the hardware's means. Source: Intel SDM 3D, appendix C, VMX Basic Exit Reasons; SDM 3C, VM Exits. */
#include "core/trap.h"
#include "vmx/vmx_format.h"
#include "vmx/vmx_private.h"

/* Exit qualification of control-register accesses. */
#define CR_NUMBER 0xfU
#define CR_TYPE	  0x30U /* 0: MOV to it */
#define CR_FROM	  8U

/* DR6's BD and BS, as in a debug exception's qualification; DR7.GD. */
#define VECTOR_DB 1U
#define DR6_KEPT  UINT64_C(0x6000)
#define DR7_GD	  UINT64_C(0x2000)

/*
 * A fault in IRET's own accesses after it had ended the blocking of NMIs: it is executed again, so they are blocked again. Not
 * where the exit met an event's delivery: the event's NMI is what counts then.
 */
void vmx_iret_undo(void)
{
	if (!(vmcs_read(VMCS_IDT_EVENT) & VMX_EVENT_VALID))
		vmcs_write(VMCS_GUEST_SHADOW, vmcs_read(VMCS_GUEST_SHADOW) | VMX_SHADOW_NMI);
}

static enum hw_exit_kind fail(struct hw_exit *ret, const char *what, uint64_t code)
{
	ret->fail.what = what;
	ret->fail.code = code;
	return HW_EXIT_FAIL;
}

static const char *state_words(void)
{
	struct vmx_entry_state s = {
		.cr0 = vmcs_read(VMCS_GUEST_CR0),
		.cr4 = vmcs_read(VMCS_GUEST_CR4),
		.efer = vmcs_read(VMCS_GUEST_EFER),
		.rflags = vmcs_read(VMCS_GUEST_RFLAGS),
		.rip = vmcs_read(VMCS_GUEST_RIP),
		.dr7 = vmcs_read(VMCS_GUEST_DR7),
		.entry = (uint32_t)vmcs_read(VMCS_ENTRY),
		.event = (uint32_t)vmcs_read(VMCS_ENTRY_EVENT),
		.shadow = (uint32_t)vmcs_read(VMCS_GUEST_SHADOW),
		.activity = (uint32_t)vmcs_read(VMCS_GUEST_ACTIVITY),
	};

	vmx_segment_get(X86_CS, &s.cs);
	vmx_segment_get(X86_SS, &s.ss);
	vmx_segment_get(VMX_SEG_TR, &s.tr);
	vmx_segment_get(VMX_SEG_LDTR, &s.ldt);
	return vmx_state_fault(&s);
}

/* The guest never ran. */
static enum hw_exit_kind decode_failed_entry(uint32_t reason, struct hw_exit *ret)
{
	switch (reason & VMX_REASON_BASIC) {
	case VMX_REASON_GUEST_STATE:
		if (vmcs_read(VMCS_QUALIFICATION) == 2)
			return fail(ret, "the CPU refuses the guest's state: PDPTEs", reason);
		return fail(ret, state_words(), reason);
	case VMX_REASON_MSR_LOADING:
		return fail(ret, "the CPU refuses an MSR of the guest's", reason);
	case VMX_REASON_MACHINE_CHECK:
		return fail(ret, "a machine check at the entry", reason);
	default:
		return fail(ret, "an entry that failed", reason);
	}
}

void vmx_decode_refused(unsigned how, struct hw_exit *ret)
{
	uint32_t number = how == 2 ? (uint32_t)vmcs_read(VMCS_INSN_ERROR) : 0;

	ret->kind = fail(ret, how == 2 ? vmx_insn_error(number) : "entry without a VMCS", number);
}

/*
 * A guest's own debug exception or alignment check. It is taken from it only because a guest can have a table and a stack where
 * the delivery of one causes the next, without end and without an exit (CVE-2015-8104, CVE-2015-5307): delivered
 * again by an entry, there is a look at the host's interrupts each time.
 */
static void exception_keep(struct vmx_vcpu *v, uint32_t info)
{
	const uint32_t blocked = VMX_SHADOW_STI | VMX_SHADOW_MOV_SS;

	v->hw.interrupted = (struct hw_event){ .type = HW_EVENT_EXCEPTION,
					       .vector = (uint8_t)info,
					       .has_error = info & VMX_EVENT_ERROR };
	if ((uint8_t)info != VECTOR_DB)
		return;
	/* The exit changed neither DR6 nor DR7. Of a single step in a shadow an entry wants to be told. */
	uint64_t why = vmcs_read(VMCS_QUALIFICATION);
	dr6_write((dr6_read() & ~X86_DR6_TRAPS) | (why & (X86_DR6_TRAPS | DR6_KEPT)));
	vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~DR7_GD);
	if (why & X86_DR6_STEP && vmcs_read(VMCS_GUEST_SHADOW) & blocked)
		vmcs_write(VMCS_GUEST_PENDING_DEBUG, X86_DR6_STEP);
}

/* An NMI: the exit took it from the CPU, which blocks further ones until an IRET. A machine check ends the server. */
static void exception_serve(struct vmx_vcpu *v)
{
	uint32_t info = (uint32_t)vmcs_read(VMCS_EXIT_EVENT);

	if ((info >> 8 & 7) == VMX_EVENT_NMI)
		__asm__ volatile("int %0" : : "i"(TRAP_NMI) : "memory");
	else if ((uint8_t)info == TRAP_MACHINE_CHECK)
		__asm__ volatile("int %0" : : "i"(TRAP_MACHINE_CHECK) : "memory");
	else
		exception_keep(v, info);
	if (info & VMX_EVENT_IRET)
		vmx_iret_undo();
	trap_open();
}

/*
 * MOV to CR0 that changes CD, NW or NE, or to CR4 with a bit that is not a guest's. CR0: the guest sees its own value of those
 * from now on, and the instruction, executed again, no longer exits: the CPU does the rest, and its checks.
 * Return: false: that; true: #GP.
 */
static bool decode_cr(const struct vmx_vcpu *v)
{
	uint64_t q = vmcs_read(VMCS_QUALIFICATION), value = v->hw.regs[q >> CR_FROM & 0xf];
	uint64_t access = vmcs_read(VMCS_GUEST_ACCESS_CS);

	if (q & (CR_NUMBER | CR_TYPE))
		return true;
	if (!(access & VMX_ACCESS_L && vmcs_read(VMCS_GUEST_EFER) & X86_EFER_LMA))
		value &= UINT32_MAX;
	if (value >> 32 || (value & X86_CR0_NW && !(value & X86_CR0_CD)) ||
	    (value & X86_CR0_PG && !(value & X86_CR0_PE)))
		return true;
	vmcs_write(VMCS_CR0_SHADOW, value);
	return false;
}

/*
 * An event that came by a task gate in the IDT is the switch's now, not the next entry's. The blocking of NMIs: one that begins by a
 * switch has it on, and interrupted_note() took it off; IRET ends it, whatever comes of its switch.
 */
static void decode_task(struct vmx_vcpu *v, struct hw_exit *ret)
{
	uint32_t info = (uint32_t)vmcs_read(VMCS_IDT_EVENT);

	vmx_task_of(vmcs_read(VMCS_QUALIFICATION), &ret->task);
	ret->task.event.type = HW_EVENT_NONE;
	if (ret->task.why == HW_TASK_GATE) {
		ret->task.event = v->hw.interrupted;
		v->hw.interrupted.type = HW_EVENT_NONE;
	}
	if (ret->task.why != HW_TASK_GATE || vmx_event_is_insn(info))
		ret->insn_len = vmx_insn_len();
	ret->task.nmi_blocked =
		ret->task.why != HW_TASK_IRET && (ret->task.event.type == HW_EVENT_NMI ||
						  vmcs_read(VMCS_GUEST_SHADOW) & VMX_SHADOW_NMI);
	ret->kind = HW_EXIT_TASK;
	trap_open();
}

/* Instructions that a guest has not got. */
static bool is_forbidden(uint32_t reason)
{
	switch (reason) {
	case VMX_REASON_GETSEC:
	case VMX_REASON_RSM:
	case VMX_REASON_MWAIT:
	case VMX_REASON_MONITOR:
	case VMX_REASON_INVEPT:
	case VMX_REASON_INVVPID:
	case VMX_REASON_VMFUNC:
	case VMX_REASON_ENCLS:
	case VMX_REASON_ENCLV:
		return true;
	default:
		return reason >= VMX_REASON_VMCLEAR && reason <= VMX_REASON_VMXON;
	}
}

static enum hw_exit_kind decode_rest(uint32_t reason, struct hw_exit *ret)
{
	switch (reason) {
	case VMX_REASON_VMCALL:
		ret->insn_len = vmx_insn_len();
		return HW_EXIT_HYPERCALL;
	case VMX_REASON_XSETBV:
		ret->insn_len = vmx_insn_len();
		return HW_EXIT_XSETBV;
	case VMX_REASON_INVD:
	case VMX_REASON_WBINVD:
		ret->insn_len = vmx_insn_len();
		return HW_EXIT_CACHE;
	case VMX_REASON_TRIPLE_FAULT:
		return HW_EXIT_SHUTDOWN;
	case VMX_REASON_RDPMC:
		return HW_EXIT_PRIVILEGED;
	case VMX_REASON_EPT_MISCONFIGURED:
		return fail(ret, "an entry of the nested page tables makes no sense",
			    vmcs_read(VMCS_GUEST_PHYSICAL));
	default:
		if (is_forbidden(reason))
			return HW_EXIT_FORBIDDEN;
		return reason & VMX_REASON_FAILED
			       ? decode_failed_entry(reason, ret)
			       : fail(ret, "an exit that nobody asked for", reason);
	}
}

bool vmx_decode(struct vmx_vcpu *v, uint32_t reason, struct hw_exit *ret)
{
	switch (reason) {
	case VMX_REASON_EXCEPTION:
		exception_serve(v);
		ret->kind = HW_EXIT_HOST;
		return true;
	case VMX_REASON_INIT:
	case VMX_REASON_SIPI:
	case VMX_REASON_NMI_WINDOW:
	case VMX_REASON_TIMER:
		vmx_timer_write();
		trap_open();
		ret->kind = HW_EXIT_HOST;
		return true;
	case VMX_REASON_WINDOW:
	case VMX_REASON_TPR:
		ret->kind = HW_EXIT_WINDOW;
		return true;
	case VMX_REASON_TASK_SWITCH:
		decode_task(v, ret);
		return true;
	case VMX_REASON_CR:
		ret->kind = HW_EXIT_PRIVILEGED;
		return decode_cr(v);
	default:
		ret->kind = decode_rest(reason, ret);
		return true;
	}
}
