/* SPDX-License-Identifier: Apache-2.0 */
/* System instructions by name; those that change flags or wait. Sources: SDM 2, each instruction's page. */
#include "engines/hosted/interp.h"
#include "engines/hosted/system.h"

static system_fn system_nothing, system_undefined, system_clear_ts;

/* What has no line here is undefined: 0F 0B and its kin, virtualization, MONITOR, protection keys, XSAVES: nothing of that is shown. */
static system_fn *const system_table[X86_OP_MAX] = {
	[X86_OP_PUSHF] = system_pushf,
	[X86_OP_POPF] = system_popf,
	[X86_OP_PUSH_SEG] = system_push_seg,
	[X86_OP_POP_SEG] = system_pop_seg,
	[X86_OP_MOV_FROM_SEG] = system_mov_from_seg,
	[X86_OP_MOV_TO_SEG] = system_mov_to_seg,
	[X86_OP_LES] = system_load_far,
	[X86_OP_LDS] = system_load_far,
	[X86_OP_LSS] = system_load_far,
	[X86_OP_LFS] = system_load_far,
	[X86_OP_LGS] = system_load_far,
	[X86_OP_JMP_FAR] = far_jmp,
	[X86_OP_CALL_FAR] = far_call,
	[X86_OP_RET_FAR] = far_ret,
	[X86_OP_IRET] = far_iret,
	[X86_OP_INT] = system_int,
	[X86_OP_INT3] = system_int,
	[X86_OP_INTO] = system_int,
	[X86_OP_INT1] = system_int,
	[X86_OP_SYSCALL] = far_syscall,
	[X86_OP_SYSRET] = far_sysret,
	[X86_OP_SYSENTER] = far_sysenter,
	[X86_OP_SYSEXIT] = far_sysexit,
	[X86_OP_CLI] = system_cli,
	[X86_OP_STI] = system_sti,
	[X86_OP_HLT] = system_hlt,
	[X86_OP_CLTS] = system_clear_ts,
	[X86_OP_CLAC] = system_ac,
	[X86_OP_STAC] = system_ac,
	[X86_OP_IN] = system_in,
	[X86_OP_OUT] = system_out,
	[X86_OP_MOV_FROM_CR] = system_mov_from_cr,
	[X86_OP_MOV_TO_CR] = system_mov_to_cr,
	[X86_OP_MOV_FROM_DR] = system_mov_from_dr,
	[X86_OP_MOV_TO_DR] = system_mov_to_dr,
	[X86_OP_LGDT] = system_table_load,
	[X86_OP_LIDT] = system_table_load,
	[X86_OP_SGDT] = system_table_store,
	[X86_OP_SIDT] = system_table_store,
	[X86_OP_LLDT] = system_lldt,
	[X86_OP_SLDT] = system_store_selector,
	[X86_OP_LTR] = system_ltr,
	[X86_OP_STR] = system_store_selector,
	[X86_OP_LMSW] = system_lmsw,
	[X86_OP_SMSW] = system_smsw,
	[X86_OP_LAR] = system_lar,
	[X86_OP_LSL] = system_lsl,
	[X86_OP_VERR] = system_verify,
	[X86_OP_VERW] = system_verify,
	[X86_OP_ARPL] = system_arpl,
	[X86_OP_INVLPG] = system_invlpg,
	[X86_OP_INVPCID] = system_invpcid,
	[X86_OP_INVD] = system_nothing,
	[X86_OP_WBINVD] = system_nothing,
	[X86_OP_RDMSR] = system_rdmsr,
	[X86_OP_WRMSR] = system_wrmsr,
	[X86_OP_RDTSC] = system_rdtsc,
	[X86_OP_RDTSCP] = system_rdtsc,
	[X86_OP_RDPMC] = system_rdpmc,
	[X86_OP_RDPID] = system_rdpid,
	[X86_OP_CPUID] = system_cpuid_insn,
	[X86_OP_XGETBV] = system_xgetbv,
	[X86_OP_XSETBV] = system_xsetbv,
	[X86_OP_RDFSBASE] = system_fsgsbase,
	[X86_OP_RDGSBASE] = system_fsgsbase,
	[X86_OP_WRFSBASE] = system_fsgsbase,
	[X86_OP_WRGSBASE] = system_fsgsbase,
	[X86_OP_SWAPGS] = system_swapgs,
	[X86_OP_FXSAVE] = system_fxsave,
	[X86_OP_FXRSTOR] = system_fxrstor,
	[X86_OP_XSAVE] = system_xsave,
	[X86_OP_XSAVEOPT] = system_xsave,
	[X86_OP_XSAVEC] = system_xsave,
	[X86_OP_XRSTOR] = system_xrstor,
	[X86_OP_FSAVE] = system_fsave,
	[X86_OP_FRSTOR] = system_frstor,
	[X86_OP_FSTENV] = system_fstenv,
	[X86_OP_FLDENV] = system_fldenv,
	[X86_OP_VMCALL] = system_hypercall,
	[X86_OP_VMMCALL] = system_hypercall,
};

enum cpu_result system_execute(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	system_fn *fn = insn->op < X86_OP_MAX ? system_table[insn->op] : NULL;

	return fn ? fn(cpu, insn) : system_undefined(cpu, insn);
}

static enum cpu_result system_undefined(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	(void)insn;
	return sys_raise(cpu, SYS_UD);
}

/* INVD, WBINVD: memory is coherent without. */
static enum cpu_result system_nothing(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	return cpu->cpl == 0 ? sys_done(cpu, insn) : sys_gp(cpu, 0);
}

static enum cpu_result system_clear_ts(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	cpu->cr0 &= ~X86_CR0_TS;
	cpu_mode_update(cpu);
	return sys_done(cpu, insn);
}

/* ---- software interrupts ---- */

#define TSS_IOMAP_AT 102U

/* Virtual-8086 mode, VME: whether INT n goes to the 8086 program's own handler. Source: SDM 3B, Software Interrupt Handling Methods While Operating in Virtual-8086 Mode. */
static enum cpu_result int_redirected(struct hosted_cpu *cpu, unsigned vector, bool *ret)
{
	uint16_t map = 0;
	uint8_t byte = 0xff;

	*ret = false;
	if (!(cpu->cr4 & X86_CR4_VME) || cpu->tr.limit < TSS_IOMAP_AT + 1)
		return CPU_OK;
	enum cpu_result r =
		cpu_load_system(cpu, (cpu->tr.base + TSS_IOMAP_AT) & UINT32_MAX, &map, 2);
	if (r != CPU_OK)
		return r;
	uint32_t at = map - 32U + vector / 8;
	if (map < 32 || at > cpu->tr.limit)
		return CPU_OK;
	r = cpu_load_system(cpu, (cpu->tr.base + at) & UINT32_MAX, &byte, 1);
	*ret = !(byte >> (vector % 8) & 1);
	return r;
}

static uint8_t int_vector(const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_INT3:
		return SYS_BP;
	case X86_OP_INTO:
		return SYS_OF;
	case X86_OP_INT1:
		return SYS_DB;
	default:
		return (uint8_t)insn->imm;
	}
}

enum cpu_result system_int(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	const struct except_event event = {
		.vector = int_vector(insn),
		.is_software = insn->op != X86_OP_INT1,
		.ext = insn->op == X86_OP_INT1 ? SYS_ERR_EXT : 0,
		.rip = sys_next(cpu, insn),
	};

	if (insn->op == X86_OP_INTO && !(cpu->rflags & X86_OF))
		return sys_done(cpu, insn);
	cpu->rflags &= ~SYS_FL_RF;
	if (insn->op == X86_OP_INT && sys_is_vm86(cpu)) {
		bool redirected;
		enum cpu_result r = int_redirected(cpu, event.vector, &redirected);
		if (r != CPU_OK)
			return r;
		if (redirected)
			return except_real(cpu, &event);
		if (sys_iopl(cpu) != 3)
			return sys_gp(cpu, 0);
	}
	enum cpu_result r = except_enter(cpu, &event);
	/* What MOV SS has met, held back until now, is part of this #DB. */
	if (r == CPU_OK && insn->op == X86_OP_INT1) {
		cpu->dr[6] |= cpu->debug_hits;
		cpu->debug_hits = 0;
	}
	return r;
}

/* ---- flags ---- */

/* With IOPL too low: whether the virtual interrupt flag is used instead. */
static bool uses_vif(const struct hosted_cpu *cpu)
{
	if (sys_is_vm86(cpu))
		return cpu->cr4 & X86_CR4_VME;
	return cpu->cpl == 3 && (cpu->cr4 & X86_CR4_PVI);
}

enum cpu_result system_cli(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	if (cpu->cpl <= sys_iopl(cpu))
		cpu->rflags &= ~SYS_FL_IF;
	else if (uses_vif(cpu))
		cpu->rflags &= ~SYS_FL_VIF;
	else
		return sys_gp(cpu, 0);
	return sys_done(cpu, insn);
}

enum cpu_result system_sti(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	if (cpu->cpl <= sys_iopl(cpu)) {
		if (!(cpu->rflags & SYS_FL_IF))
			cpu->shadow |= CPU_SHADOW_STI;
		sys_set_flags(cpu, SYS_FL_IF, SYS_FL_IF);
	} else if (uses_vif(cpu) && !(cpu->rflags & SYS_FL_VIP)) {
		cpu->rflags |= SYS_FL_VIF;
	} else {
		return sys_gp(cpu, 0);
	}
	return sys_done(cpu, insn);
}

enum cpu_result system_pushf(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	struct stack stack = stack_now(cpu);
	uint64_t value = cpu->rflags & ~(SYS_FL_VM | SYS_FL_RF);

	if (sys_is_vm86(cpu) && sys_iopl(cpu) != 3) {
		if (insn->op_bytes != 2 || !(cpu->cr4 & X86_CR4_VME))
			return sys_gp(cpu, 0);
		value = (value & ~SYS_FL_IF) | SYS_FL_IOPL;
		if (cpu->rflags & SYS_FL_VIF)
			value |= SYS_FL_IF;
	}
	enum cpu_result r = stack_push(cpu, &stack, &value, 1, insn->op_bytes);
	if (r != CPU_OK)
		return r;
	stack_set_sp(cpu, &stack, stack.sp);
	return sys_done(cpu, insn);
}

/* Which flags a POPF may change; with VIF in IF's place *value is adapted. */
static enum cpu_result popf_mask(struct hosted_cpu *cpu, const struct x86_insn *insn,
				 uint64_t *value, uint64_t *ret)
{
	uint64_t mask = SYS_FL_ARITH | SYS_FL_TF | SYS_FL_DF | SYS_FL_NT;

	if (insn->op_bytes != 2)
		mask |= SYS_FL_AC | SYS_FL_ID;
	if (cpu->cpl == 0)
		mask |= SYS_FL_IOPL;
	if (cpu->cpl <= sys_iopl(cpu)) {
		mask |= SYS_FL_IF;
	} else if (sys_is_vm86(cpu)) {
		bool pending = (cpu->rflags & SYS_FL_VIP) && (*value & SYS_FL_IF);
		if (insn->op_bytes != 2 || !(cpu->cr4 & X86_CR4_VME) || pending ||
		    (*value & SYS_FL_TF))
			return sys_gp(cpu, 0);
		*value = *value & SYS_FL_IF ? *value | SYS_FL_VIF : *value & ~SYS_FL_VIF;
		mask |= SYS_FL_VIF;
	}
	*ret = mask;
	return CPU_OK;
}

enum cpu_result system_popf(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	const struct stack stack = stack_now(cpu);
	uint64_t value, mask;
	enum cpu_result r = stack_peek(cpu, &stack, 0, insn->op_bytes, 1, &value);

	if (r == CPU_OK)
		r = popf_mask(cpu, insn, &value, &mask);
	if (r != CPU_OK)
		return r;
	stack_set_sp(cpu, &stack, stack.sp + insn->op_bytes);
	sys_set_flags(cpu, value & ~SYS_FL_RF, mask | SYS_FL_RF);
	return sys_done(cpu, insn);
}

enum cpu_result system_ac(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	bool set = insn->op == X86_OP_STAC;

	if (cpu->cpl != 0 || !system_has(cpu, CPUID_EXTENDED_FEATURES, 0, CPUID_EBX, 20))
		return sys_raise(cpu, SYS_UD);
	sys_set_flags(cpu, set ? SYS_FL_AC : 0, SYS_FL_AC);
	return sys_done(cpu, insn);
}

enum cpu_result system_hlt(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	cpu->halted = true;
	sys_events(cpu);
	return sys_done(cpu, insn);
}

/* ---- ports ---- */

/* Source: SDM 1, I/O Permission Bit Map: the byte after the last is looked at too. */
static enum cpu_result io_bitmap(struct hosted_cpu *cpu, uint16_t port, unsigned len, bool *ret)
{
	uint64_t base = cpu->tr.base;
	uint16_t map, bits;

	*ret = false;
	if (cpu->tr.unusable || (cpu->tr.type | SYS_TYPE_BUSY) != SYS_TYPE_TSS_BUSY ||
	    cpu->tr.limit < TSS_IOMAP_AT + 1)
		return CPU_OK;
	enum cpu_result r = cpu_load_system(cpu, base + TSS_IOMAP_AT, &map, 2);
	if (r != CPU_OK)
		return r;
	uint32_t at = map + port / 8U;
	if (at + 1 > cpu->tr.limit)
		return CPU_OK;
	r = cpu_load_system(cpu, base + at, &bits, 2);
	*ret = r == CPU_OK && !(bits >> port % 8 & ((1U << len) - 1));
	return r;
}

enum cpu_result system_io_allowed(struct hosted_cpu *cpu, uint16_t port, unsigned len)
{
	bool allowed;

	if (!sys_is_protected(cpu) || (!sys_is_vm86(cpu) && cpu->cpl <= sys_iopl(cpu)))
		return CPU_OK;
	enum cpu_result r = io_bitmap(cpu, port, len, &allowed);
	if (r == CPU_OK && !allowed)
		return sys_gp(cpu, 0);
	return r;
}

static enum cpu_result io_port(struct hosted_cpu *cpu, const struct x86_insn *insn, bool is_write,
			       uint64_t *data)
{
	unsigned len = insn->op_bytes > 4 ? 4 : insn->op_bytes;
	uint16_t port = insn->port_dx ? (uint16_t)cpu->regs[X86_RDX] : (uint8_t)insn->imm;
	enum cpu_result r = system_io_allowed(cpu, port, len);

	if (r == CPU_OK)
		r = io_access(cpu, true, is_write, port, len, data);
	if (r == CPU_OK)
		cpu->debug_hits |= (uint32_t)debug_port(cpu, port, len);
	return r;
}

enum cpu_result system_in(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t data = 0;
	enum cpu_result r = io_port(cpu, insn, false, &data);

	if (r != CPU_OK)
		return r;
	interp_set_reg(cpu, X86_RAX, insn->op_bytes > 4 ? 4 : insn->op_bytes, data);
	return sys_done(cpu, insn);
}

enum cpu_result system_out(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t data = interp_reg(cpu, X86_RAX, insn->op_bytes > 4 ? 4 : insn->op_bytes);
	enum cpu_result r = io_port(cpu, insn, true, &data);

	return r == CPU_OK ? sys_done(cpu, insn) : r;
}
