/* SPDX-License-Identifier: Apache-2.0 */
/* Segment registers, LDTR and TR are loaded. Sources: SDM 2, MOV, LDS/LES/LFS/LGS/LSS, POP, LLDT, LTR. */
#include "engines/hosted/interp.h"
#include "engines/hosted/system.h"
#include "x86/descriptor.h"

struct x86_segment seg_null(uint16_t selector, uint8_t dpl)
{
	return (struct x86_segment){ .selector = selector, .unusable = true, .dpl = dpl };
}

void seg_8086(struct hosted_cpu *cpu, enum x86_seg seg, uint16_t selector)
{
	struct x86_segment *s = &cpu->segs[seg];
	bool vm86 = sys_is_vm86(cpu);

	/* Real mode leaves the limit, and what else it was loaded with in protected mode: "unreal" code lives on it. */
	if (vm86 || s->unusable) {
		s->limit = UINT16_MAX;
		s->db = s->g = false;
	}
	s->base = (uint64_t)selector << 4;
	s->selector = selector;
	s->s = s->present = true;
	s->unusable = s->l = false;
	s->dpl = vm86 ? 3 : 0;
	s->type = seg == X86_CS && !vm86 ? X86_TYPE_CODE_XR : X86_TYPE_DATA_RW;
}

/* A null selector is fine but in SS, and even there in 64-bit code of an inner level. */
static enum cpu_result check_null(struct hosted_cpu *cpu, enum x86_seg seg, uint16_t selector,
				  struct x86_segment *ret)
{
	bool allowed =
		seg != X86_SS || (sys_is_64(cpu) && cpu->cpl != 3 && (selector & 3) == cpu->cpl);

	if (!allowed)
		return sys_gp(cpu, 0);
	*ret = seg_null(selector, seg == X86_SS ? cpu->cpl : 0);
	return CPU_OK;
}

static bool data_allowed(const struct hosted_cpu *cpu, const struct x86_segment *s)
{
	if (!seg_is_readable(s))
		return false;
	if (seg_is_code(s) && seg_is_conforming(s))
		return true;
	return s->dpl >= cpu->cpl && s->dpl >= (s->selector & 3);
}

static bool stack_allowed(const struct x86_segment *s, uint8_t cpl)
{
	return seg_is_writable(s) && s->dpl == cpl && (s->selector & 3) == cpl;
}

enum cpu_result seg_stack(struct hosted_cpu *cpu, uint16_t selector, uint8_t cpl, uint8_t vector,
			  uint32_t ext, struct seg_desc *ret)
{
	if (sys_is_null(selector))
		return sys_fault(cpu, vector, ext);
	enum cpu_result r = seg_desc(cpu, selector, vector, ext, ret);
	if (r != CPU_OK)
		return r;
	if (!stack_allowed(&ret->seg, cpl))
		return sys_fault(cpu, vector, seg_error(selector, ext));
	if (!ret->seg.present)
		return sys_fault(cpu, SYS_SS, seg_error(selector, ext));
	return seg_accessed(cpu, ret);
}

enum cpu_result seg_check(struct hosted_cpu *cpu, enum x86_seg seg, uint16_t selector,
			  struct x86_segment *ret)
{
	struct seg_desc desc;
	enum cpu_result r;

	if (sys_is_null(selector))
		return check_null(cpu, seg, selector, ret);
	if (seg == X86_SS) {
		r = seg_stack(cpu, selector, cpu->cpl, SYS_GP, 0, &desc);
	} else {
		r = seg_desc(cpu, selector, SYS_GP, 0, &desc);
		if (r == CPU_OK && !data_allowed(cpu, &desc.seg))
			r = sys_gp(cpu, seg_error(selector, 0));
		if (r == CPU_OK && !desc.seg.present)
			r = sys_fault(cpu, SYS_NP, seg_error(selector, 0));
		if (r == CPU_OK)
			r = seg_accessed(cpu, &desc);
	}
	if (r == CPU_OK)
		*ret = desc.seg;
	return r;
}

enum cpu_result seg_load(struct hosted_cpu *cpu, enum x86_seg seg, uint16_t selector)
{
	if (sys_is_8086(cpu)) {
		seg_8086(cpu, seg, selector);
	} else {
		struct x86_segment loaded;
		enum cpu_result r = seg_check(cpu, seg, selector, &loaded);
		if (r != CPU_OK)
			return r;
		cpu->segs[seg] = loaded;
	}
	if (seg != X86_FS && seg != X86_GS)
		cpu_mode_update(cpu);
	return CPU_OK;
}

void seg_outer(struct hosted_cpu *cpu)
{
	static const uint8_t data[] = { X86_ES, X86_DS, X86_FS, X86_GS };

	for (unsigned i = 0; i < sizeof(data); i++) {
		struct x86_segment *s = &cpu->segs[data[i]];
		bool shared = seg_is_code(s) && seg_is_conforming(s);
		if (s->unusable || shared || s->dpl >= cpu->cpl)
			continue;
		/* The base stays, as it does in a CPU: FS's and GS's are seen in 64-bit code. */
		s->selector = 0;
		s->unusable = true;
	}
}

/* ---- instructions ---- */

enum cpu_result system_mov_to_seg(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t selector;

	if (insn->reg == X86_CS || insn->reg >= X86_SEGS)
		return sys_raise(cpu, SYS_UD);
	enum cpu_result r = operand_rm(cpu, insn, 2, &selector);
	if (r == CPU_OK)
		r = seg_load(cpu, insn->reg, (uint16_t)selector);
	if (r != CPU_OK)
		return r;
	if (insn->reg == X86_SS)
		cpu->shadow |= CPU_SHADOW_STI | CPU_SHADOW_MOV_SS;
	return sys_done(cpu, insn);
}

enum cpu_result system_mov_from_seg(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	if (insn->reg >= X86_SEGS)
		return sys_raise(cpu, SYS_UD);
	/* Memory takes 16 bits, whatever the operand's size. */
	unsigned bytes = insn->has_mem ? 2 : insn->op_bytes;
	enum cpu_result r = operand_set_rm(cpu, insn, bytes, cpu->segs[insn->reg].selector);
	return r == CPU_OK ? sys_done(cpu, insn) : r;
}

enum cpu_result system_push_seg(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	struct stack stack = stack_now(cpu);
	uint64_t value = cpu->segs[insn->reg].selector;
	enum cpu_result r;

	if (insn->op_bytes == 4) {
		/* The upper half of the stack's word stays as it is (SDM 2B, PUSH). */
		uint64_t gva, sp = (stack.sp - 4) & stack_mask(&stack);
		r = seg_linear(cpu, X86_SS, sp, 4, true, &gva);
		if (r == CPU_OK)
			r = cpu_store(cpu, gva, &value, 2);
		stack.sp = sp;
	} else {
		r = stack_push(cpu, &stack, &value, 1, insn->op_bytes);
	}
	if (r != CPU_OK)
		return r;
	stack_set_sp(cpu, &stack, stack.sp);
	return sys_done(cpu, insn);
}

enum cpu_result system_pop_seg(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	const struct stack stack = stack_now(cpu);
	uint64_t selector;
	enum cpu_result r = stack_peek(cpu, &stack, 0, 2, 1, &selector);

	if (r == CPU_OK)
		r = seg_load(cpu, insn->reg, (uint16_t)selector);
	if (r != CPU_OK)
		return r;
	/* As wide as the stack was: POP SS may have changed that. */
	stack_set_sp(cpu, &stack, stack.sp + insn->op_bytes);
	if (insn->reg == X86_SS)
		cpu->shadow |= CPU_SHADOW_STI | CPU_SHADOW_MOV_SS;
	return sys_done(cpu, insn);
}

static enum x86_seg far_seg(const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_LES:
		return X86_ES;
	case X86_OP_LDS:
		return X86_DS;
	case X86_OP_LSS:
		return X86_SS;
	case X86_OP_LFS:
		return X86_FS;
	default:
		return X86_GS;
	}
}

enum cpu_result system_load_far(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t offset, selector;

	if (!insn->has_mem)
		return sys_raise(cpu, SYS_UD);
	enum cpu_result r = operand_load(cpu, insn, 0, insn->op_bytes, &offset);
	if (r == CPU_OK)
		r = operand_load(cpu, insn, insn->op_bytes, 2, &selector);
	if (r == CPU_OK)
		r = seg_load(cpu, far_seg(insn), (uint16_t)selector);
	if (r != CPU_OK)
		return r;
	interp_set_reg(cpu, insn->reg, insn->op_bytes, offset);
	return sys_done(cpu, insn);
}

/* Both: privileged, in protected mode, from the GDT. */
static enum cpu_result system_selector(struct hosted_cpu *cpu, const struct x86_insn *insn,
				       uint16_t *ret)
{
	uint64_t selector;

	if (sys_is_8086(cpu))
		return sys_raise(cpu, SYS_UD);
	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	enum cpu_result r = operand_rm(cpu, insn, 2, &selector);
	if (r == CPU_OK && (selector & 4))
		return sys_gp(cpu, seg_error((uint16_t)selector, 0));
	*ret = (uint16_t)selector;
	return r;
}

enum cpu_result system_lldt(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	struct seg_desc desc;
	uint16_t selector;
	enum cpu_result r = system_selector(cpu, insn, &selector);

	if (r != CPU_OK)
		return r;
	if (sys_is_null(selector)) {
		cpu->ldt = seg_null(selector, 0);
		return sys_done(cpu, insn);
	}
	r = seg_desc(cpu, selector, SYS_GP, 0, &desc);
	if (r != CPU_OK)
		return r;
	if (desc.seg.s || desc.seg.type != SYS_TYPE_LDT || !sys_is_canonical(desc.seg.base))
		return sys_gp(cpu, seg_error(selector, 0));
	if (!desc.seg.present)
		return sys_fault(cpu, SYS_NP, seg_error(selector, 0));
	cpu->ldt = desc.seg;
	return sys_done(cpu, insn);
}

enum cpu_result system_ltr(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	struct seg_desc desc;
	uint16_t selector;
	enum cpu_result r = system_selector(cpu, insn, &selector);

	if (r != CPU_OK)
		return r;
	if (sys_is_null(selector))
		return sys_gp(cpu, 0);
	r = seg_desc(cpu, selector, SYS_GP, 0, &desc);
	if (r != CPU_OK)
		return r;
	bool fits = desc.seg.type == SYS_TYPE_TSS ||
		    (desc.seg.type == SYS_TYPE_TSS16 && !sys_is_long(cpu));
	if (desc.seg.s || !fits || !sys_is_canonical(desc.seg.base))
		return sys_gp(cpu, seg_error(selector, 0));
	if (!desc.seg.present)
		return sys_fault(cpu, SYS_NP, seg_error(selector, 0));
	r = seg_set_type(cpu, &desc, desc.seg.type | SYS_TYPE_BUSY);
	if (r != CPU_OK)
		return r;
	cpu->tr = desc.seg;
	return sys_done(cpu, insn);
}
