/* SPDX-License-Identifier: Apache-2.0 */
#include "vmx/vmx_format.h"

#include <stddef.h>

#include "base/core/macros.h"
#include "vmx/vmcs.h"

#define TYPE_ACCESSED 0x1U
#define TYPE_BUSY     0x2U
#define TYPE_TSS_32   0xbU
#define LIMIT_BYTES   UINT32_C(0xfffff) /* the most without granularity */
#define PAGE_LOW      UINT32_C(0xfff)

uint32_t vmx_access_of(const struct x86_segment *s)
{
	if (s->unusable || !s->present)
		return VMX_ACCESS_UNUSABLE;
	return (s->type & 0xfU) | (s->s ? VMX_ACCESS_S : 0) | (s->dpl & 3U) << 5 |
	       VMX_ACCESS_PRESENT | (s->avl ? VMX_ACCESS_AVL : 0) | (s->l ? VMX_ACCESS_L : 0) |
	       (s->db ? VMX_ACCESS_DB : 0) | (s->g ? VMX_ACCESS_G : 0);
}

void vmx_segment_of(struct x86_segment *ret, uint32_t access, uint64_t base, uint32_t limit,
		    uint16_t selector)
{
	bool unusable = access & VMX_ACCESS_UNUSABLE;

	*ret = (struct x86_segment){
		.base = base,
		.limit = limit,
		.selector = selector,
		.type = access & 0xf,
		.s = access & VMX_ACCESS_S,
		.dpl = access >> 5 & 3,
		.present = access & VMX_ACCESS_PRESENT && !unusable,
		.avl = access & VMX_ACCESS_AVL,
		.l = access & VMX_ACCESS_L,
		.db = access & VMX_ACCESS_DB,
		.g = access & VMX_ACCESS_G,
		.unusable = unusable,
	};
}

static void limit_fit(struct x86_segment *s)
{
	if (s->limit > LIMIT_BYTES) {
		s->g = true;
		s->limit |= PAGE_LOW;
	} else if (s->g && (s->limit & PAGE_LOW) != PAGE_LOW) {
		s->g = false;
	}
}

void vmx_segment_fit(struct x86_segment *s)
{
	if (s->unusable || !s->present)
		return;
	s->s = true;
	s->type |= TYPE_ACCESSED;
	limit_fit(s);
}

void vmx_task_fit(struct x86_segment *s)
{
	if (s->unusable || !s->present)
		*s = (struct x86_segment){ .type = TYPE_TSS_32, .limit = UINT16_MAX };
	s->unusable = false;
	s->present = true;
	s->s = false;
	s->type |= TYPE_BUSY;
	limit_fit(s);
}

uint32_t vmx_event_info(const struct hw_event *event, bool is_real)
{
	static const uint8_t types[] = {
		[HW_EVENT_IRQ] = VMX_EVENT_IRQ,
		[HW_EVENT_NMI] = VMX_EVENT_NMI,
		[HW_EVENT_EXCEPTION] = VMX_EVENT_EXCEPTION,
	};

	return VMX_EVENT_VALID | (uint32_t)types[event->type] << 8 | event->vector |
	       (event->has_error && !is_real ? VMX_EVENT_ERROR : 0);
}

bool vmx_event_of(uint32_t info, uint32_t error, struct hw_event *ret)
{
	static const uint8_t types[8] = {
		[VMX_EVENT_IRQ] = HW_EVENT_IRQ,
		[VMX_EVENT_NMI] = HW_EVENT_NMI,
		[VMX_EVENT_EXCEPTION] = HW_EVENT_EXCEPTION,
	};
	uint8_t type = types[info >> 8 & 7];

	if (!(info & VMX_EVENT_VALID) || type == HW_EVENT_NONE)
		return false;
	*ret = (struct hw_event){
		.type = type,
		.vector = (uint8_t)info,
		.has_error = info & VMX_EVENT_ERROR,
		.error = info & VMX_EVENT_ERROR ? error : 0,
	};
	return true;
}

bool vmx_event_is_insn(uint32_t info)
{
	uint32_t type = info >> 8 & 7;

	return info & VMX_EVENT_VALID && type >= VMX_EVENT_SOFT_IRQ && type <= VMX_EVENT_SOFT;
}

void vmx_task_of(uint64_t q, struct hw_task *ret)
{
	static const uint8_t whys[] = { HW_TASK_CALL, HW_TASK_IRET, HW_TASK_JMP, HW_TASK_GATE };

	*ret = (struct hw_task){ .selector = (uint16_t)q, .why = whys[q >> VMX_TASK_WHY & 3] };
}

const char *vmx_insn_error(uint32_t number)
{
	static const char *const words[] = {
		[1] = "VMCALL executed in VMX root operation",
		[2] = "VMCLEAR of an invalid address",
		[3] = "VMCLEAR of the VMXON region",
		[4] = "VMLAUNCH of a VMCS that is not clear",
		[5] = "VMRESUME of a VMCS that was not launched",
		[6] = "VMRESUME after VMXOFF",
		[7] = "entry with invalid controls",
		[8] = "entry with invalid host state",
		[9] = "VMPTRLD of an invalid address",
		[10] = "VMPTRLD of the VMXON region",
		[11] = "VMPTRLD of another revision's VMCS",
		[12] = "a VMCS field that this CPU has not got",
		[13] = "VMWRITE of a read-only VMCS field",
		[15] = "VMXON in VMX root operation",
		[16] = "entry with an invalid executive VMCS",
		[17] = "entry with an executive VMCS that was not launched",
		[18] = "entry with an executive VMCS that is not the VMXON region",
		[19] = "VMCALL with a VMCS that is not clear",
		[20] = "VMCALL with invalid exit controls",
		[22] = "VMCALL with a wrong MSEG revision",
		[23] = "VMXOFF under the dual-monitor treatment",
		[24] = "VMCALL with invalid SMM features",
		[25] = "entry with invalid execution controls of an executive VMCS",
		[26] = "entry with events blocked by MOV SS",
		[28] = "INVEPT or INVVPID of a wrong operand",
	};

	return number < ARRAY_SIZE(words) && words[number] ? words[number]
							   : "an error without a name";
}

static bool is_long_fault(const struct vmx_entry_state *s)
{
	bool lma = s->efer & X86_EFER_LMA, control = s->entry & VMX_ENTRY_GUEST_64;
	bool want = s->cr0 & X86_CR0_PG && s->efer & X86_EFER_LME;

	return lma != control || lma != want || (lma && !(s->cr4 & X86_CR4_PAE));
}

static bool is_rip_fault(const struct vmx_entry_state *s)
{
	bool is_64 = s->efer & X86_EFER_LMA && s->cs.l;

	return is_64 ? (uint64_t)((int64_t)(s->rip << 7) >> 7) != s->rip : s->rip >> 32 != 0;
}

#define RFLAGS_VM	UINT64_C(0x20000)
#define RFLAGS_RESERVED UINT64_C(0xffffffffffc08028)

static bool is_rflags_fault(const struct vmx_entry_state *s)
{
	bool no_vm86 = s->efer & X86_EFER_LMA || !(s->cr0 & X86_CR0_PE);

	return s->rflags & RFLAGS_RESERVED || !(s->rflags & X86_RFLAGS_FIXED) ||
	       (s->rflags & RFLAGS_VM && no_vm86);
}

static bool is_cs_fault(const struct x86_segment *cs, const struct x86_segment *ss, bool lma)
{
	if (cs->unusable || !cs->s || (cs->type != 3 && !(cs->type & 8)) || !(cs->type & 1))
		return true;
	if (lma && cs->l && cs->db)
		return true;
	if (cs->type == 3)
		return cs->dpl != 0;
	return cs->type & 4 ? cs->dpl > ss->dpl : cs->dpl != ss->dpl;
}

static bool is_event_fault(const struct vmx_entry_state *s)
{
	uint32_t type = s->event >> 8 & 7;
	uint32_t shadow = VMX_SHADOW_STI | VMX_SHADOW_MOV_SS;

	if (!(s->event & VMX_EVENT_VALID))
		return false;
	if (type == VMX_EVENT_IRQ && (!(s->rflags & X86_RFLAGS_IF) || s->shadow & shadow))
		return true;
	return type == VMX_EVENT_NMI && s->shadow & (VMX_SHADOW_MOV_SS | VMX_SHADOW_NMI);
}

const char *vmx_state_fault(const struct vmx_entry_state *s)
{
	bool lma = s->efer & X86_EFER_LMA, vm86 = s->rflags & RFLAGS_VM;

	if (s->cr0 & X86_CR0_PG && !(s->cr0 & X86_CR0_PE))
		return "the CPU refuses the guest's state: CR0 has paging without protection";
	if (is_long_fault(s))
		return "the CPU refuses the guest's state: EFER, CR0 and CR4 disagree about long mode";
	if (is_rflags_fault(s))
		return "the CPU refuses the guest's state: RFLAGS";
	if (is_rip_fault(s))
		return "the CPU refuses the guest's state: RIP";
	if (s->dr7 >> 32)
		return "the CPU refuses the guest's state: DR7";
	if (!vm86 && is_cs_fault(&s->cs, &s->ss, lma))
		return "the CPU refuses the guest's state: CS";
	if (s->tr.unusable || s->tr.s || (s->tr.type != 11 && (lma || s->tr.type != 3)))
		return "the CPU refuses the guest's state: TR";
	if (!s->ldt.unusable && (s->ldt.s || s->ldt.type != 2))
		return "the CPU refuses the guest's state: LDTR";
	if (is_event_fault(s) || s->activity)
		return "the CPU refuses the guest's state: an event while events are blocked";
	return "the CPU refuses the guest's state";
}
