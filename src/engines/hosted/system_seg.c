/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about selectors, answered in ZF. Sources: SDM 2A, LAR, LSL; SDM 2B, VERR/VERW; SDM 2A, ARPL. */
#include "engines/hosted/interp.h"
#include "engines/hosted/system.h"

#define T(type) (1U << (type))
#define LONG	(T(SYS_TYPE_LDT) | T(SYS_TYPE_TSS) | T(SYS_TYPE_TSS_BUSY))
/* System descriptors that LSL knows; LAR knows gates besides. */
#define LSL_LONG   LONG
#define LSL_LEGACY (LONG | T(SYS_TYPE_TSS16) | T(SYS_TYPE_TSS16_BUSY))
#define LAR_LONG   (LSL_LONG | T(SYS_TYPE_CALL))
#define LAR_LEGACY (LSL_LEGACY | T(SYS_TYPE_CALL) | T(SYS_TYPE_CALL16) | T(SYS_TYPE_TASK))

static void set_zf(struct hosted_cpu *cpu, bool zf)
{
	cpu->rflags = zf ? cpu->rflags | X86_ZF : cpu->rflags & ~(uint64_t)X86_ZF;
}

static bool privileged(const struct hosted_cpu *cpu, const struct x86_segment *seg)
{
	if (seg_is_code(seg) && seg_is_conforming(seg))
		return true;
	return seg->dpl >= cpu->cpl && seg->dpl >= (seg->selector & 3);
}

/* The descriptor that a selector operand names, where there is one that this privilege may ask about. */
static enum cpu_result visible(struct hosted_cpu *cpu, const struct x86_insn *insn,
			       struct seg_desc *ret, bool *ret_visible)
{
	uint64_t selector;

	*ret_visible = false;
	if (sys_is_8086(cpu))
		return sys_raise(cpu, SYS_UD);
	enum cpu_result r = operand_rm(cpu, insn, 2, &selector);
	if (r != CPU_OK || sys_is_null((uint16_t)selector))
		return r;
	r = seg_lookup(cpu, (uint16_t)selector, ret, ret_visible);
	*ret_visible = *ret_visible && r == CPU_OK && privileged(cpu, &ret->seg);
	return r;
}

static bool type_known(const struct hosted_cpu *cpu, const struct x86_segment *seg, uint32_t legacy,
		       uint32_t in_long)
{
	return seg->s || ((sys_is_long(cpu) ? in_long : legacy) >> seg->type & 1);
}

enum cpu_result system_lar(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	struct seg_desc desc;
	bool ok;
	enum cpu_result r = visible(cpu, insn, &desc, &ok);

	if (r != CPU_OK)
		return r;
	ok = ok && type_known(cpu, &desc.seg, LAR_LEGACY, LAR_LONG);
	if (ok) {
		uint64_t rights = desc.raw >> 32 & 0xffff00;
		interp_set_reg(cpu, insn->reg, insn->op_bytes, rights);
	}
	set_zf(cpu, ok);
	return sys_done(cpu, insn);
}

enum cpu_result system_lsl(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	struct seg_desc desc;
	bool ok;
	enum cpu_result r = visible(cpu, insn, &desc, &ok);

	if (r != CPU_OK)
		return r;
	ok = ok && type_known(cpu, &desc.seg, LSL_LEGACY, LSL_LONG);
	if (ok)
		interp_set_reg(cpu, insn->reg, insn->op_bytes, desc.seg.limit);
	set_zf(cpu, ok);
	return sys_done(cpu, insn);
}

enum cpu_result system_verify(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	struct seg_desc desc;
	bool ok;
	enum cpu_result r = visible(cpu, insn, &desc, &ok);

	if (r != CPU_OK)
		return r;
	if (insn->op == X86_OP_VERR)
		ok = ok && seg_is_readable(&desc.seg);
	else
		ok = ok && seg_is_writable(&desc.seg);
	set_zf(cpu, ok);
	return sys_done(cpu, insn);
}

enum cpu_result system_arpl(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t to, from = interp_reg(cpu, insn->reg, 2);

	if (sys_is_8086(cpu))
		return sys_raise(cpu, SYS_UD);
	enum cpu_result r = operand_rm(cpu, insn, 2, &to);
	if (r != CPU_OK)
		return r;
	bool raise = (to & 3) < (from & 3);
	if (raise)
		r = operand_set_rm(cpu, insn, 2, (to & ~UINT64_C(3)) | (from & 3));
	if (r != CPU_OK)
		return r;
	set_zf(cpu, raise);
	return sys_done(cpu, insn);
}
