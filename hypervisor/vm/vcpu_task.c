/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/vcpu_task.h"

#include <errno.h>

#include "vm/gva.h"
#include "x86/descriptor.h"
#include "x86/tss.h"

#define VECTOR_DB 1U
#define VECTOR_DF 8U
#define VECTOR_TS 10U
#define VECTOR_NP 11U
#define VECTOR_SS 12U
#define VECTOR_GP 13U
#define VECTOR_PF 14U

/* An error code: what came from outside of the program; and a selector without its RPL. */
#define ERROR_EXT      0x1U
#define ERROR_SELECTOR 0xfffcU

#define SELECTOR_LDT 0x4U
#define RPL	     0x3U
#define DESC_TYPE_AT 5U	  /* the byte with type, s, DPL and present */
#define TYPE_TSS     0x1U /* of either width, not busy */

#define RFLAGS_KNOWN UINT64_C(0x3f7fd5)
#define RFLAGS_NT    UINT64_C(0x4000)
#define RFLAGS_VM    UINT64_C(0x20000)
#define RFLAGS_AC    UINT64_C(0x40000)
#define DR6_BT	     UINT64_C(0x8000)
#define DR7_LOCAL    UINT64_C(0x155) /* L0 to L3, LE: they are the task's */

struct switching {
	struct guest_mem *mem;
	struct x86_state *s;
	uint16_t selector; /* of the new TSS */
	uint32_t ext;	   /* ERROR_EXT, or 0 */
	unsigned phys_bits;
	struct task_fault *fault;
};

/* A descriptor as it is in its table. */
struct desc {
	struct x86_segment seg;
	gva_t at;
	uint8_t type_byte;
};

static int fault(struct switching *w, uint8_t vector, uint16_t selector)
{
	*w->fault = (struct task_fault){ .vector = vector,
					 .error = (selector & ERROR_SELECTOR) | w->ext };
	return -EFAULT;
}

/* ---- memory ---- */

static uint8_t cpl_of(const struct x86_state *s)
{
	return s->rflags & RFLAGS_VM ? 3 : s->segs[X86_CS].selector & RPL;
}

static struct hw_paging paging_of(const struct x86_state *s)
{
	return (struct hw_paging){ .cr0 = s->cr0, .cr3 = s->cr3, .cr4 = s->cr4, .efer = s->efer };
}

static int accessed(struct switching *w, int r, gva_t gva, uint32_t error)
{
	if (r == -EFAULT)
		*w->fault = (struct task_fault){ .vector = VECTOR_PF,
						 .error = error,
						 .gva = gva & UINT32_MAX };
	return r;
}

/* What the CPU reads and writes for itself is no page of user mode's where CR4.SMAP is set. @access: GVA_WRITE or 0 */
static int smap_check(struct switching *w, gva_t gva, unsigned len, uint32_t access)
{
	const struct hw_paging p = paging_of(w->s);
	const gva_t ends[] = { gva & UINT32_MAX, (gva + len - 1) & UINT32_MAX };
	uint32_t error;
	gpa_t gpa;

	if (!(p.cr4 & X86_CR4_SMAP) || !(p.cr0 & X86_CR0_PG))
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		if (gva_translate(w->mem, &p, ends[i], GVA_USER, &gpa, &error) == 0)
			return accessed(w, -EFAULT, ends[i], GVA_PRESENT | access);
	}
	return 0;
}

static int load(struct switching *w, uint64_t gva, void *ret, unsigned len)
{
	const struct hw_paging p = paging_of(w->s);
	uint32_t error = 0;
	gva_t at = 0;
	int r = smap_check(w, gva, len, 0);

	if (r < 0)
		return r;
	r = gva_read(w->mem, &p, gva & UINT32_MAX, 0, ret, len, &at, &error);
	if (r == 0)
		gva_mark(w->mem, &p, gva, 0, len);
	return accessed(w, r, at, error);
}

/* @access: GVA_USER, or 0 */
static int store_as(struct switching *w, uint64_t gva, const void *data, unsigned len,
		    uint32_t access)
{
	const struct hw_paging p = paging_of(w->s);
	uint32_t error = 0;
	gva_t at = 0;
	int r = gva_write(w->mem, &p, gva & UINT32_MAX, access, data, len, &at, &error);

	if (r == 0)
		gva_mark(w->mem, &p, gva, GVA_WRITE, len);
	return accessed(w, r, at, error);
}

static int store(struct switching *w, uint64_t gva, const void *data, unsigned len)
{
	int r = smap_check(w, gva, len, GVA_WRITE);

	return r < 0 ? r : store_as(w, gva, data, len, 0);
}

/* ---- descriptors ---- */

static bool is_null(uint16_t selector)
{
	return !(selector & ERROR_SELECTOR);
}

static struct x86_segment unusable(uint16_t selector)
{
	return (struct x86_segment){ .selector = selector, .unusable = true };
}

/* @vector: of one that is not within its table */
static int desc_load(struct switching *w, uint16_t selector, uint8_t vector, struct desc *ret)
{
	const struct x86_state *s = w->s;
	bool local = selector & SELECTOR_LDT;
	uint64_t base = local ? s->ldt.base : s->gdt.base, raw;
	uint32_t limit = local ? s->ldt.limit : s->gdt.limit, at = selector & 0xfff8U;

	if ((local && s->ldt.unusable) || limit < 7 || at > limit - 7)
		return fault(w, vector, selector);
	int r = load(w, base + at, &raw, sizeof(raw));
	if (r < 0)
		return r;
	ret->at = base + at;
	ret->seg = x86_descriptor_parse(raw, selector);
	ret->type_byte = (uint8_t)(raw >> 40);
	return 0;
}

static int desc_type(struct switching *w, struct desc *desc, uint8_t type)
{
	desc->seg.type = type;
	desc->type_byte = (uint8_t)((desc->type_byte & 0xf0) | type);
	return store(w, desc->at + DESC_TYPE_AT, &desc->type_byte, 1);
}

static int desc_accessed(struct switching *w, struct desc *desc)
{
	if (desc->seg.type & X86_TYPE_ACCESSED)
		return 0;
	return desc_type(w, desc, desc->seg.type | X86_TYPE_ACCESSED);
}

static bool is_code(const struct x86_segment *s)
{
	return s->s && s->type & X86_TYPE_CODE;
}

static bool is_conforming(const struct x86_segment *s)
{
	return is_code(s) && s->type & X86_TYPE_CONFORMING;
}

/* ---- up to the moment when the new task is in force ---- */

static bool is_short(const struct x86_segment *tss)
{
	return tss->limit < x86_tss_bytes(x86_tss_is_32(tss->type)) - 1;
}

/* Where an IRET goes back to. */
static int link_load(struct switching *w)
{
	return load(w, w->s->tr.base, &w->selector, sizeof(w->selector));
}

/* The CPU has looked at it; who changes it meanwhile gets the same faults from us. */
static int tss_find(struct switching *w, bool is_iret, struct desc *ret)
{
	uint8_t vector = is_iret ? VECTOR_TS : VECTOR_GP;
	uint8_t wanted = is_iret ? TYPE_TSS | X86_TYPE_BUSY : TYPE_TSS;
	int r = is_iret ? link_load(w) : 0;

	if (r < 0)
		return r;
	if (is_null(w->selector) || w->selector & SELECTOR_LDT)
		return fault(w, vector, w->selector);
	r = desc_load(w, w->selector, vector, ret);
	if (r < 0)
		return r;
	if (ret->seg.s || (ret->seg.type & 7) != wanted)
		return fault(w, vector, w->selector);
	if (!ret->seg.present)
		return fault(w, VECTOR_NP, w->selector);
	if (is_short(&ret->seg))
		return fault(w, VECTOR_TS, w->selector);
	return is_short(&w->s->tr) ? fault(w, VECTOR_TS, w->s->tr.selector) : 0;
}

static int old_save(struct switching *w, const struct hw_task *task, unsigned insn_len)
{
	const struct x86_state *s = w->s;
	uint64_t flags = task->why == HW_TASK_IRET ? s->rflags & ~RFLAGS_NT : s->rflags;
	struct x86_tss old = { .ip = (uint32_t)(s->rip + insn_len), .flags = (uint32_t)flags };
	uint8_t bytes[X86_TSS_SAVED_BYTES];
	unsigned at;

	for (unsigned i = 0; i < 8; i++)
		old.regs[i] = (uint32_t)s->regs[i];
	for (unsigned i = 0; i < X86_SEGS; i++)
		old.segs[i] = s->segs[i].selector;
	unsigned len = x86_tss_pack(&old, x86_tss_is_32(s->tr.type), bytes, &at);
	return store(w, s->tr.base + at, bytes, len);
}

static bool nests(const struct hw_task *task)
{
	return task->why == HW_TASK_CALL || task->why == HW_TASK_GATE;
}

/* Busy bits, and the way back. */
static int busy_mark(struct switching *w, const struct hw_task *task, struct desc *tss)
{
	struct desc old;
	int r;

	if (nests(task)) {
		r = store(w, tss->seg.base, &w->s->tr.selector, sizeof(w->s->tr.selector));
	} else if (is_null(w->s->tr.selector)) { /* as after a reset: no descriptor is busy */
		r = 0;
	} else {
		r = desc_load(w, w->s->tr.selector, VECTOR_TS, &old);
		if (r == 0)
			r = desc_type(w, &old, old.seg.type & ~X86_TYPE_BUSY & 0xf);
	}
	if (r == 0 && task->why != HW_TASK_IRET)
		r = desc_type(w, tss, tss->seg.type | X86_TYPE_BUSY);
	return r;
}

/* The four entries that PAE's CR3 points to are loaded with it, and must be good. Source: SDM 3A, PDPTE Registers. */
static int cr3_check(struct switching *w, const struct x86_tss *new)
{
	const uint64_t reserved = ~((UINT64_C(1) << w->phys_bits) - 1) | 0x1e6;
	uint64_t entries[4];

	if (!(w->s->cr0 & X86_CR0_PG) || !(w->s->cr4 & X86_CR4_PAE))
		return 0;
	if (mem_read(w->mem, new->cr3 & 0xffffffe0, entries, sizeof(entries)) < 0)
		return -EIO;
	for (unsigned i = 0; i < 4; i++) {
		if (entries[i] & X86_PTE_PRESENT && entries[i] & reserved)
			return fault(w, VECTOR_GP, 0);
	}
	return 0;
}

static int new_load(struct switching *w, const struct x86_segment *tss, struct x86_tss *ret)
{
	uint8_t bytes[X86_TSS_BYTES];
	bool is_32 = x86_tss_is_32(tss->type);
	int r = load(w, tss->base, bytes, x86_tss_bytes(is_32));

	if (r < 0)
		return r;
	x86_tss_parse(bytes, is_32, ret);
	return is_32 ? cr3_check(w, ret) : 0;
}

/* ---- the new task ---- */

/* Registers, and segments that are nothing yet but selectors. */
static void new_take(struct x86_state *s, const struct x86_tss *new, bool is_nested)
{
	for (unsigned i = 0; i < 8; i++)
		s->regs[i] = new->regs[i];
	for (unsigned i = 0; i < X86_SEGS; i++)
		s->segs[i] = unusable(new->segs[i]);
	s->rip = new->ip;
	s->rflags = (RFLAGS_KNOWN & new->flags) | (is_nested ? RFLAGS_NT : 0) | X86_RFLAGS_FIXED;
	s->ldt = unusable(new->ldt);
	s->cr0 |= X86_CR0_TS;
	s->dr[7] &= ~DR7_LOCAL;
	if (x86_tss_is_32(s->tr.type) && s->cr0 & X86_CR0_PG)
		s->cr3 = new->cr3;
}

/*
 * While CS and SS are not loaded they have the privilege that their task has, and nothing can be done with them: one byte each. That
 * is what a fault on the way finds; no hardware would enter a guest whose CS is unusable.
 */
static void privilege_take(struct x86_state *s)
{
	static const uint8_t both[] = { X86_CS, X86_SS };

	for (unsigned i = 0; i < sizeof(both); i++) {
		struct x86_segment *seg = &s->segs[both[i]];
		*seg = (struct x86_segment){
			.selector = seg->selector,
			.type = both[i] == X86_CS ? X86_TYPE_CODE_XR : X86_TYPE_DATA_RW,
			.s = true,
			.present = true,
			.db = true,
			.dpl = cpl_of(s),
		};
	}
}

static void vm86_take(struct x86_state *s)
{
	for (unsigned i = 0; i < X86_SEGS; i++)
		s->segs[i] = (struct x86_segment){
			.base = (uint64_t)s->segs[i].selector << 4,
			.limit = UINT16_MAX,
			.selector = s->segs[i].selector,
			.type = X86_TYPE_DATA_RW,
			.s = true,
			.present = true,
			.dpl = 3,
		};
}

static int ldt_take(struct switching *w)
{
	uint16_t selector = w->s->ldt.selector;
	struct desc desc;

	if (is_null(selector))
		return 0;
	if (selector & SELECTOR_LDT)
		return fault(w, VECTOR_TS, selector);
	int r = desc_load(w, selector, VECTOR_TS, &desc);
	if (r < 0)
		return r;
	if (desc.seg.s || desc.seg.type != X86_TYPE_LDT || !desc.seg.present)
		return fault(w, VECTOR_TS, selector);
	w->s->ldt = desc.seg;
	return 0;
}

/* What has passed the checks of its register; vector: when it is not there. */
static int segment_take(struct switching *w, enum x86_seg seg, struct desc *desc, uint8_t vector)
{
	if (!desc->seg.present)
		return fault(w, vector, desc->seg.selector);
	int r = desc_accessed(w, desc);
	if (r == 0)
		w->s->segs[seg] = desc->seg;
	return r;
}

/* Of CS or SS, which cannot do without. */
static int desc_needed(struct switching *w, uint16_t selector, struct desc *ret)
{
	if (is_null(selector))
		return fault(w, VECTOR_TS, 0);
	return desc_load(w, selector, VECTOR_TS, ret);
}

static int code_take(struct switching *w)
{
	uint16_t selector = w->s->segs[X86_CS].selector;
	uint8_t cpl = cpl_of(w->s);
	struct desc desc;
	int r = desc_needed(w, selector, &desc);

	if (r < 0)
		return r;
	const struct x86_segment *s = &desc.seg;
	bool privilege = is_conforming(s) ? s->dpl <= cpl : s->dpl == cpl;
	if (!is_code(s) || !privilege)
		return fault(w, VECTOR_TS, selector);
	return segment_take(w, X86_CS, &desc, VECTOR_NP);
}

static int stack_take(struct switching *w)
{
	uint16_t selector = w->s->segs[X86_SS].selector;
	uint8_t cpl = cpl_of(w->s);
	struct desc desc;
	int r = desc_needed(w, selector, &desc);

	if (r < 0)
		return r;
	const struct x86_segment *s = &desc.seg;
	bool is_writable = s->s && !(s->type & X86_TYPE_CODE) && s->type & X86_TYPE_RW;
	if (!is_writable || s->dpl != cpl || (selector & RPL) != cpl)
		return fault(w, VECTOR_TS, selector);
	return segment_take(w, X86_SS, &desc, VECTOR_SS);
}

static int data_take(struct switching *w, enum x86_seg seg)
{
	uint16_t selector = w->s->segs[seg].selector;
	uint8_t cpl = cpl_of(w->s);
	struct desc desc;

	if (is_null(selector))
		return 0;
	int r = desc_load(w, selector, VECTOR_TS, &desc);
	if (r < 0)
		return r;
	const struct x86_segment *s = &desc.seg;
	bool is_readable = s->s && (!(s->type & X86_TYPE_CODE) || s->type & X86_TYPE_RW);
	bool privilege = is_conforming(s) || (s->dpl >= cpl && s->dpl >= (selector & RPL));
	if (!is_readable || !privilege)
		return fault(w, VECTOR_TS, selector);
	return segment_take(w, seg, &desc, VECTOR_NP);
}

static int segments_take(struct switching *w)
{
	static const uint8_t data[] = { X86_ES, X86_DS, X86_FS, X86_GS };
	bool is_vm86 = w->s->rflags & RFLAGS_VM;

	if (is_vm86)
		vm86_take(w->s);
	else
		privilege_take(w->s);
	int r = ldt_take(w);
	if (r < 0 || is_vm86)
		return r;
	r = code_take(w);
	if (r == 0)
		r = stack_take(w);
	for (unsigned i = 0; r == 0 && i < sizeof(data); i++)
		r = data_take(w, data[i]);
	return r;
}

static bool is_in_stack(const struct x86_segment *ss, uint32_t sp, unsigned len)
{
	uint64_t last = (uint64_t)sp + len - 1;

	if (ss->type & X86_TYPE_DOWN)
		return sp > ss->limit && last <= (ss->db ? UINT32_MAX : UINT16_MAX);
	return last <= ss->limit;
}

/* An exception's error code, on the new task's stack and with its privilege. */
static int error_push(struct switching *w, uint32_t error)
{
	struct x86_state *s = w->s;
	const struct x86_segment *ss = &s->segs[X86_SS];
	unsigned len = x86_tss_is_32(s->tr.type) ? 4 : 2;
	uint64_t mask = ss->db ? UINT32_MAX : UINT16_MAX;
	uint32_t sp = (uint32_t)((s->regs[X86_RSP] - len) & mask);
	bool is_user = cpl_of(s) == 3;

	if (!is_in_stack(ss, sp, len))
		return fault(w, VECTOR_SS, 0);
	int r = is_user || s->rflags & RFLAGS_AC
			? store_as(w, ss->base + sp, &error, len, is_user ? GVA_USER : 0)
			: store(w, ss->base + sp, &error, len);
	if (r == 0)
		s->regs[X86_RSP] = (s->regs[X86_RSP] & ~mask) | sp;
	return r;
}

static uint32_t ext_of(const struct hw_task *task)
{
	return task->why == HW_TASK_GATE && task->event.type != HW_EVENT_NONE ? ERROR_EXT : 0;
}

int task_switch(struct guest_mem *mem, struct x86_state *state, const struct hw_task *task,
		unsigned insn_len, unsigned phys_bits, struct task_fault *ret_fault)
{
	struct switching w = { .mem = mem,
			       .s = state,
			       .selector = task->selector,
			       .ext = ext_of(task),
			       .phys_bits = phys_bits,
			       .fault = ret_fault };
	struct x86_tss new;
	struct desc tss;
	int r = tss_find(&w, task->why == HW_TASK_IRET, &tss);

	if (r == 0)
		r = old_save(&w, task, insn_len);
	if (r == 0)
		r = new_load(&w, &tss.seg, &new);
	if (r == 0)
		r = busy_mark(&w, task, &tss);
	if (r < 0)
		return r;
	state->tr = tss.seg;
	new_take(state, &new, nests(task));
	r = segments_take(&w);
	if (r == 0 && task->why == HW_TASK_GATE && task->event.has_error)
		r = error_push(&w, task->event.error);
	if (r < 0 || !new.trap)
		return r;
	state->dr[6] |= DR6_BT;
	*ret_fault = (struct task_fault){ .vector = VECTOR_DB };
	return -EFAULT;
}

static bool is_contributory(uint8_t vector)
{
	return vector == 0 || (vector >= VECTOR_TS && vector <= VECTOR_GP);
}

enum task_combined task_combine(const struct hw_event *event, uint8_t vector)
{
	bool second = is_contributory(vector);

	if (event->type != HW_EVENT_EXCEPTION || (!second && vector != VECTOR_PF))
		return TASK_FAULT;
	if (event->vector == VECTOR_DF)
		return TASK_TRIPLE_FAULT;
	if (event->vector == VECTOR_PF || (is_contributory(event->vector) && second))
		return TASK_DOUBLE_FAULT;
	return TASK_FAULT;
}
