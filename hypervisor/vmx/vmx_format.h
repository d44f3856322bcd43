/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What VMX calls things, and what the rest calls them: segments, events, exit qualifications, errors. Pure.
 * Source: Intel SDM 3C, Guest Register State; Event Injection; Basic VM-Exit Information (exit qualifications);
 * Information for VM Exits That Occur During Event Delivery; VM Instruction Error Numbers.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hw/hw_ops.h"
#include "vmx/vmcs.h"
#include "x86/state.h"

/* vmx_access_of() - a segment's access rights, unusable ones included */
uint32_t vmx_access_of(const struct x86_segment *segment);
/* vmx_segment_of() - @access, @base, @limit, @selector: as in the VMCS */
void vmx_segment_of(struct x86_segment *ret, uint32_t access, uint64_t base, uint32_t limit,
		    uint16_t selector);
/*
 * vmx_segment_fit() - as an entry wants a code or data segment, where a CPU's own loading would have made it so: accessed,
 * and a limit that its granularity can say
 */
void vmx_segment_fit(struct x86_segment *segment);
/* vmx_task_fit() - the same for TR, which an entry wants to be there and busy */
void vmx_task_fit(struct x86_segment *segment);

/* vmx_event_info() - interruption information. @is_real: of a guest in real mode, where no exception has an error code */
uint32_t vmx_event_info(const struct hw_event *event, bool is_real);
/*
 * vmx_event_of() - the event whose delivery an exit met
 * Return: false: there is none, or one that the guest's instruction makes again (INT n, INT1, INT3, INTO).
 */
bool vmx_event_of(uint32_t info, uint32_t error, struct hw_event *ret);
/* vmx_event_is_insn() - whether that event is one which the guest's instruction makes */
bool vmx_event_is_insn(uint32_t info);
/* vmx_task_of() - a task switch's qualification: which TSS, and why */
void vmx_task_of(uint64_t qualification, struct hw_task *ret);

/* vmx_io_of(), vmx_ept_of() - the qualification; not the GPA of the latter. On the way of every exit: inline. */
static inline void vmx_io_of(uint64_t q, struct hw_exit *ret)
{
	ret->pio.port = (uint16_t)(q >> VMX_IO_PORT);
	ret->pio.len = (uint8_t)((q & VMX_IO_SIZE) + 1);
	ret->pio.is_write = !(q & VMX_IO_IN);
	ret->pio.is_string = q & VMX_IO_STRING;
}

static inline void vmx_ept_of(uint64_t q, struct hw_exit *ret)
{
	ret->npf.is_write = q & VMX_EPT_WRITE;
	ret->npf.is_fetch = q & VMX_EPT_FETCH;
	/* Without a linear address it was PDPTEs, on the way to them. */
	ret->npf.in_walk = !(q & VMX_EPT_LINEAR) || !(q & VMX_EPT_FINAL);
}

/* vmx_insn_error() - words for a VM-instruction error number */
const char *vmx_insn_error(uint32_t number);

/* What of a guest's state an entry checks, as it is in the VMCS. */
struct vmx_entry_state {
	uint64_t cr0, cr4, efer, rflags, rip, dr7;
	uint32_t entry; /* controls */
	uint32_t event, shadow, activity;
	struct x86_segment cs, ss, tr, ldt;
};

/*
 * vmx_state_fault() - why an entry found the guest's state invalid
 * Return: words; the last resort says that it is none of what is looked at here.
 */
const char *vmx_state_fault(const struct vmx_entry_state *state);
