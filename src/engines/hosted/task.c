/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Task switches. Once the new task's registers are in, what is wrong with them is the new task's fault, not the old one's.
 * Sources: SDM 3A, Task Management: Task Switching; Task-State Segment (TSS); 16-Bit Task-State Segment (TSS).
 */
#include "engines/hosted/system.h"
#include "x86/tss.h"

#define DR6_BT	  UINT64_C(0x8000)
#define DR7_LOCAL UINT64_C(0x155) /* L0 to L3, LE: they are the task's */

static bool is_32(const struct x86_segment *tss)
{
	return x86_tss_is_32(tss->type);
}

static bool is_short(const struct x86_segment *tss)
{
	return tss->limit < x86_tss_bytes(is_32(tss)) - 1;
}

enum cpu_result task_tss(struct hosted_cpu *cpu, uint16_t selector, bool is_busy, uint8_t vector,
			 uint32_t ext, struct seg_desc *ret)
{
	uint32_t error = seg_error(selector, ext);

	if (sys_is_null(selector) || (selector & 4))
		return sys_fault(cpu, vector, error);
	enum cpu_result r = seg_desc(cpu, selector, vector, ext, ret);
	if (r != CPU_OK)
		return r;
	uint8_t wanted = is_busy ? SYS_TYPE_TSS_BUSY : SYS_TYPE_TSS;
	if (ret->seg.s || (ret->seg.type | 8) != wanted)
		return sys_fault(cpu, vector, error);
	return ret->seg.present ? CPU_OK : sys_fault(cpu, SYS_NP, error);
}

static enum cpu_result task_load(struct hosted_cpu *cpu, const struct x86_segment *tss,
				 struct x86_tss *ret)
{
	uint8_t bytes[X86_TSS_BYTES];
	unsigned len = x86_tss_bytes(is_32(tss)), first = len < 64 ? len : 64;
	enum cpu_result r = cpu_load_system(cpu, tss->base, bytes, first);

	if (r == CPU_OK && first < len)
		r = cpu_load_system(cpu, (tss->base + first) & UINT32_MAX, bytes + first,
				    len - first);
	if (r == CPU_OK)
		x86_tss_parse(bytes, is_32(tss), ret);
	return r;
}

static enum cpu_result task_save(struct hosted_cpu *cpu, enum task_why why, uint64_t next)
{
	uint64_t flags = why == TASK_IRET ? cpu->rflags & ~SYS_FL_NT : cpu->rflags;
	struct x86_tss old = { .ip = (uint32_t)next, .flags = (uint32_t)flags };
	uint8_t bytes[X86_TSS_SAVED_BYTES];
	unsigned at;

	for (unsigned i = 0; i < 8; i++)
		old.regs[i] = (uint32_t)cpu->regs[i];
	for (unsigned i = 0; i < X86_SEGS; i++)
		old.segs[i] = cpu->segs[i].selector;
	unsigned len = x86_tss_pack(&old, is_32(&cpu->tr), bytes, &at);
	return cpu_store_system(cpu, (cpu->tr.base + at) & UINT32_MAX, bytes, len);
}

/* Busy bits, and the way back. */
static enum cpu_result task_mark(struct hosted_cpu *cpu, struct seg_desc *tss, enum task_why why)
{
	bool nests = why == TASK_CALL || why == TASK_GATE, there;
	enum cpu_result r = CPU_OK;
	struct seg_desc old;

	if (nests) {
		r = cpu_store_system(cpu, tss->seg.base, &cpu->tr.selector, 2);
	} else {
		r = seg_lookup(cpu, cpu->tr.selector, &old, &there);
		if (r == CPU_OK && there)
			r = seg_set_type(cpu, &old, old.seg.type & ~SYS_TYPE_BUSY & 0xf);
	}
	if (r == CPU_OK && why != TASK_IRET)
		r = seg_set_type(cpu, tss, tss->seg.type | SYS_TYPE_BUSY);
	return r;
}

/* Registers and selectors, as they are in the TSS; segments are loaded after. */
static void task_take(struct hosted_cpu *cpu, const struct x86_tss *task, enum task_why why)
{
	uint64_t flags = task->flags & SYS_FL_ALL;

	if (why == TASK_CALL || why == TASK_GATE)
		flags |= SYS_FL_NT;
	cpu->rflags = flags | X86_RFLAGS_FIXED;
	cpu->rip = task->ip;
	for (unsigned i = 0; i < 8; i++)
		cpu->regs[i] = task->regs[i];
	for (unsigned i = 0; i < X86_SEGS; i++)
		cpu->segs[i] = seg_null(task->segs[i], 0);
	cpu->ldt = seg_null(task->ldt, 0);
	cpu->cr0 |= X86_CR0_TS;
	cpu->dr[7] &= ~DR7_LOCAL;
	cpu->cpl = flags & SYS_FL_VM ? 3 : cpu->segs[X86_CS].selector & 3;
	cpu->segs[X86_SS].dpl = cpu->cpl;
	if (is_32(&cpu->tr) && (cpu->cr0 & X86_CR0_PG))
		mmu_cr3_write(cpu, task->cr3);
	cpu_mode_update(cpu);
}

static enum cpu_result take_ldt(struct hosted_cpu *cpu, uint32_t ext)
{
	uint16_t selector = cpu->ldt.selector;
	struct seg_desc desc;
	bool there;

	if (sys_is_null(selector))
		return CPU_OK;
	if (selector & 4)
		return sys_fault(cpu, SYS_TS, seg_error(selector, ext));
	enum cpu_result r = seg_lookup(cpu, selector, &desc, &there);
	if (r != CPU_OK)
		return r;
	if (!there || desc.seg.s || desc.seg.type != SYS_TYPE_LDT || !desc.seg.present)
		return sys_fault(cpu, SYS_TS, seg_error(selector, ext));
	cpu->ldt = desc.seg;
	return CPU_OK;
}

static enum cpu_result take_code(struct hosted_cpu *cpu, uint32_t ext)
{
	uint16_t selector = cpu->segs[X86_CS].selector;
	struct seg_desc desc;

	if (sys_is_null(selector))
		return sys_fault(cpu, SYS_TS, ext);
	enum cpu_result r = seg_desc(cpu, selector, SYS_TS, ext, &desc);
	if (r != CPU_OK)
		return r;
	const struct x86_segment *s = &desc.seg;
	bool privilege = seg_is_conforming(s) ? s->dpl <= cpu->cpl : s->dpl == cpu->cpl;
	if (!seg_is_code(s) || !privilege)
		return sys_fault(cpu, SYS_TS, seg_error(selector, ext));
	if (!s->present)
		return sys_fault(cpu, SYS_NP, seg_error(selector, ext));
	r = seg_accessed(cpu, &desc);
	if (r == CPU_OK)
		cpu->segs[X86_CS] = desc.seg;
	return r;
}

static enum cpu_result take_data(struct hosted_cpu *cpu, enum x86_seg seg, uint32_t ext)
{
	uint16_t selector = cpu->segs[seg].selector;
	enum cpu_result r = seg_check(cpu, seg, selector, &cpu->segs[seg]);

	/* The checks are those of a MOV, their #GP is a #TS here. */
	if (r == CPU_FAULT && cpu->fault.vector == SYS_GP)
		cpu->fault.vector = SYS_TS;
	if (r == CPU_FAULT && cpu->fault.vector != SYS_PF)
		cpu->fault.error |= ext;
	return r;
}

static enum cpu_result take_segments(struct hosted_cpu *cpu, uint32_t ext)
{
	static const uint8_t data[] = { X86_ES, X86_DS, X86_FS, X86_GS };
	struct seg_desc ss;
	enum cpu_result r = take_ldt(cpu, ext);

	if (r != CPU_OK)
		return r;
	if (cpu->rflags & SYS_FL_VM) {
		for (unsigned i = 0; i < X86_SEGS; i++)
			seg_8086(cpu, i, cpu->segs[i].selector);
		return CPU_OK;
	}
	r = take_code(cpu, ext);
	if (r == CPU_OK)
		r = seg_stack(cpu, cpu->segs[X86_SS].selector, cpu->cpl, SYS_TS, ext, &ss);
	if (r != CPU_OK)
		return r;
	cpu->segs[X86_SS] = ss.seg;
	for (unsigned i = 0; r == CPU_OK && i < sizeof(data); i++)
		r = take_data(cpu, data[i], ext);
	return r;
}

static enum cpu_result task_enter(struct hosted_cpu *cpu, uint32_t ext, const uint32_t *error)
{
	enum cpu_result r = take_segments(cpu, ext);

	cpu_mode_update(cpu);
	if (r != CPU_OK || !error)
		return r == CPU_OK ? far_target(cpu, &cpu->segs[X86_CS], cpu->rip, ext) : r;
	struct stack stack = stack_now(cpu);
	const uint64_t value = *error;
	stack.error = ext;
	r = stack_push(cpu, &stack, &value, 1, is_32(&cpu->tr) ? 4 : 2);
	if (r != CPU_OK)
		return r;
	stack_set_sp(cpu, &stack, stack.sp);
	return far_target(cpu, &cpu->segs[X86_CS], cpu->rip, ext);
}

enum cpu_result task_switch(struct hosted_cpu *cpu, struct seg_desc *tss, enum task_why why,
			    uint64_t next, uint32_t ext, const uint32_t *error)
{
	struct x86_tss task;
	enum cpu_result r;

	if (is_short(&tss->seg))
		return sys_fault(cpu, SYS_TS, seg_error(tss->seg.selector, ext));
	if (is_short(&cpu->tr))
		return sys_fault(cpu, SYS_TS, seg_error(cpu->tr.selector, ext));
	r = task_load(cpu, &tss->seg, &task);
	if (r == CPU_OK)
		r = task_save(cpu, why, next);
	if (r == CPU_OK)
		r = task_mark(cpu, tss, why);
	if (r != CPU_OK)
		return r;
	tss->seg.type |= SYS_TYPE_BUSY;
	cpu->tr = tss->seg;
	task_take(cpu, &task, why);
	r = task_enter(cpu, ext, error);
	if (r == CPU_OK && task.trap)
		r = except_debug(cpu, DR6_BT);
	if (cpu->rflags & SYS_FL_IF)
		sys_events(cpu);
	return r;
}
