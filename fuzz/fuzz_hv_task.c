/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task switch with any memory and any state: it comes to an end, reaches no memory but the guest's, and what it leaves is a state
 * that hardware can be entered with.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/vcpu_task.h"

#define RAM 0x4000U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

struct head {
	uint32_t tss, tss_limit, gdt, ldt, ldt_limit, cr3, rip, rflags, event_error;
	uint16_t selector, old, gdt_limit;
	uint8_t why, is_paged, is_pae, has_ldt, event, vector, has_error, old_type, insn_len;
};

static void state_of(const struct head *h, struct x86_state *ret)
{
	*ret = (struct x86_state){
		.rip = h->rip,
		.rflags = h->rflags,
		.cr0 = X86_CR0_PE | (h->is_paged & 1 ? X86_CR0_PG : 0) |
		       (h->is_paged & 2 ? X86_CR0_WP : 0),
		.cr3 = h->cr3,
		.cr4 = h->is_pae & 1   ? X86_CR4_PAE
		       : h->is_pae & 2 ? 0x10
				       : 0,
		.gdt = { h->gdt, h->gdt_limit },
		.tr = { .base = h->tss,
			.limit = h->tss_limit,
			.selector = h->old,
			.type = h->old_type & 1 ? 0xb : 3,
			.present = true },
		.ldt = { .base = h->ldt, .limit = h->ldt_limit, .unusable = !(h->has_ldt & 1) },
	};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t ram[RAM] __attribute__((aligned(4096)));
	struct guest_mem mem = { 0 };
	struct task_fault fault = { 0 };
	struct x86_state state, before;
	struct head h;

	if (size < sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	size -= sizeof(h);
	memset(ram, 0, sizeof(ram));
	memcpy(ram, data + sizeof(h), size < RAM ? size : RAM);
	must(mem_add(&mem, 0, RAM, ram, false) == 0);
	state_of(&h, &state);
	before = state;
	const struct hw_task task = { .why = h.why & 3,
				      .selector = h.selector,
				      .event = { h.event & 3, h.vector & 31, h.has_error & 1,
						 h.event_error } };
	int r = task_switch(&mem, &state, &task, h.insn_len & 15, 40, &fault);
	must(r == 0 || r == -EIO || (r == -EFAULT && fault.vector < 15));
	if (memcmp(&state, &before, sizeof(state)) == 0)
		return 0;
	const struct x86_segment *cs = &state.segs[X86_CS], *ss = &state.segs[X86_SS];
	must(cs->present && !cs->unusable && cs->s && ss->present && !ss->unusable && ss->s);
	must(state.rflags & 0x20000 ? cs->type == 3 && cs->dpl == 3 : cs->type & 8 && cs->type & 1);
	must(state.rip >> 32 == 0 && !(state.tr.selector & 4) && (state.tr.type & 7) == 3);
	must((cs->type & 12) == 12 ? cs->dpl <= ss->dpl : cs->dpl == ss->dpl);
	return 0;
}
