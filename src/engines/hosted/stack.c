/* SPDX-License-Identifier: Apache-2.0 */
/* Frames on the stack in force, and on one that a change of privilege goes to. */
#include "engines/hosted/system.h"

#define CHUNK 64U /* cpu_store()'s most */

struct stack stack_now(const struct hosted_cpu *cpu)
{
	struct stack stack = {
		.ss = cpu->segs[X86_SS],
		.sp = cpu->regs[X86_RSP],
		.is_64 = sys_is_64(cpu),
	};

	/* Its rights are those of real and virtual-8086 mode, whatever the register held before. */
	if (sys_is_8086(cpu))
		stack.ss.unusable = false;
	return stack;
}

uint64_t stack_mask(const struct stack *stack)
{
	if (stack->is_64)
		return UINT64_MAX;
	return stack->ss.db ? UINT32_MAX : UINT16_MAX;
}

void stack_set_sp(struct hosted_cpu *cpu, const struct stack *stack, uint64_t sp)
{
	uint64_t mask = stack_mask(stack);

	/* 32-bit writes clear the upper half, as everywhere; 16-bit ones leave what is there. */
	if (mask == UINT16_MAX)
		sp = (sp & mask) | (cpu->regs[X86_RSP] & ~mask);
	cpu->regs[X86_RSP] = sp & (mask == UINT16_MAX ? UINT64_MAX : mask);
}

static enum cpu_result stack_linear(struct hosted_cpu *cpu, const struct stack *stack,
				    uint64_t offset, unsigned len, uint64_t *ret)
{
	if (stack->is_64) {
		if (!sys_is_canonical(offset) || !sys_is_canonical(offset + len - 1))
			return sys_fault(cpu, SYS_SS, stack->error);
		*ret = offset;
		return CPU_OK;
	}
	if (stack->ss.unusable || !seg_range(&stack->ss, offset, len))
		return sys_fault(cpu, SYS_SS, stack->error);
	*ret = (stack->ss.base + offset) & UINT32_MAX;
	return CPU_OK;
}

/* bytes[0..len) to stack offset `at` on; across the end of a 16- or 32-bit stack pointer element by element. */
static enum cpu_result stack_store(struct hosted_cpu *cpu, const struct stack *stack, uint64_t at,
				   const uint8_t *bytes, unsigned len, unsigned width)
{
	uint64_t mask = stack_mask(stack), gva;
	bool wraps = at + len - 1 > mask;
	unsigned step = wraps ? width : len;

	for (unsigned done = 0; done < len; done += step) {
		enum cpu_result r = stack_linear(cpu, stack, (at + done) & mask, step, &gva);
		if (r == CPU_OK)
			r = cpu_store(cpu, gva, bytes + done, step);
		if (r != CPU_OK)
			return r;
		debug_access(cpu, gva, step, true);
	}
	return CPU_OK;
}

enum cpu_result stack_push(struct hosted_cpu *cpu, struct stack *stack, const uint64_t *values,
			   unsigned n, unsigned width)
{
	uint64_t mask = stack_mask(stack), sp = stack->sp & mask;
	uint8_t bytes[CHUNK];

	while (n) {
		unsigned now = n < CHUNK / width ? n : CHUNK / width;
		for (unsigned i = 0; i < now; i++)
			cpu_copy(bytes + (now - 1 - i) * width, &values[i], width);
		sp = (sp - now * width) & mask;
		enum cpu_result r = stack_store(cpu, stack, sp, bytes, now * width, width);
		if (r != CPU_OK)
			return r;
		values += now;
		n -= now;
	}
	stack->sp = sp;
	return CPU_OK;
}

enum cpu_result stack_peek(struct hosted_cpu *cpu, const struct stack *stack, uint64_t from,
			   unsigned width, unsigned n, uint64_t *ret)
{
	uint64_t mask = stack_mask(stack), at = (stack->sp + from) & mask, gva;
	unsigned len = n * width;
	bool wraps = at + len - 1 > mask;
	unsigned step = wraps || len > CHUNK ? width : len;
	uint8_t bytes[CHUNK];

	for (unsigned done = 0; done < len; done += step) {
		enum cpu_result r = stack_linear(cpu, stack, (at + done) & mask, step, &gva);
		if (r == CPU_OK)
			r = cpu_load(cpu, gva, bytes, step);
		if (r != CPU_OK)
			return r;
		debug_access(cpu, gva, step, false);
		for (unsigned i = 0; i < step / width; i++) {
			uint64_t value = 0;
			cpu_copy(&value, bytes + i * width, width);
			*ret++ = value;
		}
	}
	return CPU_OK;
}

/* ---- the TSS's stacks. Source: SDM 3A, Task-State Segment (TSS); 64-bit TSS ---- */

#define TSS64_RSP0 4U
#define TSS64_IST1 36U

static enum cpu_result inner_long(struct hosted_cpu *cpu, uint8_t cpl, unsigned ist, uint32_t ext,
				  struct stack *ret)
{
	unsigned at = ist ? TSS64_IST1 + (ist - 1) * 8 : TSS64_RSP0 + cpl * 8U;
	uint64_t rsp;

	if (at + 7 > cpu->tr.limit)
		return sys_fault(cpu, SYS_TS, seg_error(cpu->tr.selector, ext));
	enum cpu_result r = cpu_load_system(cpu, cpu->tr.base + at, &rsp, 8);
	if (r != CPU_OK)
		return r;
	*ret = (struct stack){ .ss = seg_null(cpl, cpl), .sp = rsp, .is_64 = true, .error = ext };
	return CPU_OK;
}

static enum cpu_result inner_legacy(struct hosted_cpu *cpu, uint8_t cpl, uint32_t ext,
				    struct stack *ret)
{
	bool is_16 = (cpu->tr.type | SYS_TYPE_BUSY) == SYS_TYPE_TSS16_BUSY;
	unsigned width = is_16 ? 2 : 4;
	unsigned at = is_16 ? 2 + cpl * 4U : 4 + cpl * 8U;
	uint64_t sp = 0, selector = 0;
	struct seg_desc ss;

	if (at + width + 1 > cpu->tr.limit)
		return sys_fault(cpu, SYS_TS, seg_error(cpu->tr.selector, ext));
	enum cpu_result r = cpu_load_system(cpu, (cpu->tr.base + at) & UINT32_MAX, &sp, width);
	if (r == CPU_OK)
		r = cpu_load_system(cpu, (cpu->tr.base + at + width) & UINT32_MAX, &selector, 2);
	if (r == CPU_OK)
		r = seg_stack(cpu, (uint16_t)selector, cpl, SYS_TS, ext, &ss);
	/* The selector's privilege is checked by seg_stack(). */
	if (r != CPU_OK)
		return r;
	*ret = (struct stack){ .ss = ss.seg,
			       .sp = sp,
			       .error = seg_error((uint16_t)selector, ext) };
	return CPU_OK;
}

enum cpu_result stack_inner(struct hosted_cpu *cpu, uint8_t cpl, unsigned ist, uint32_t ext,
			    struct stack *ret)
{
	if (sys_is_long(cpu))
		return inner_long(cpu, cpl, ist, ext, ret);
	return inner_legacy(cpu, cpl, ext, ret);
}
