/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SYSCALL, SYSENTER and their ways back.
 * Sources: SDM 2B, SYSCALL, SYSRET, SYSENTER, SYSEXIT; AMD APM 3, the same. Where vendors differ, it is the one that the guest is shown.
 */
#include "engines/hosted/interp.h"
#include "engines/hosted/system.h"

#include "x86/descriptor.h"

#define DR6_BS UINT64_C(0x4000)

static struct x86_segment flat(uint16_t selector, bool is_code, bool is_64, uint8_t dpl)
{
	return (struct x86_segment){
		.limit = UINT32_MAX,
		.selector = selector,
		.type = is_code ? X86_TYPE_CODE_XR : X86_TYPE_DATA_RW,
		.s = true,
		.present = true,
		.l = is_code && is_64,
		.db = !(is_code && is_64),
		.g = true,
		.dpl = dpl,
	};
}

static void set_flat(struct hosted_cpu *cpu, uint16_t cs, uint16_t ss, bool is_64, uint8_t dpl)
{
	cpu->segs[X86_CS] = flat((uint16_t)((cs & ~3U) | dpl), true, is_64, dpl);
	cpu->segs[X86_SS] = flat((uint16_t)((ss & ~3U) | dpl), false, is_64, dpl);
	cpu->cpl = dpl;
	cpu_mode_update(cpu);
}

/* Outside of 64-bit code only AMD has them. */
static bool syscall_there(const struct hosted_cpu *cpu)
{
	if (!(cpu->efer & X86_EFER_SCE) || !sys_is_protected(cpu))
		return false;
	return sys_is_64(cpu) || system_is_amd(cpu);
}

enum cpu_result far_syscall(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint16_t cs = (uint16_t)(cpu->star >> 32);

	if (!syscall_there(cpu))
		return sys_raise(cpu, SYS_UD);
	cpu->regs[X86_RCX] = sys_next(cpu, insn);
	if (sys_is_long(cpu)) {
		cpu->regs[X86_R11] = cpu->rflags & ~SYS_FL_RF;
		cpu->rip = sys_is_64(cpu) ? cpu->lstar : cpu->cstar;
		cpu->rflags &= ~(cpu->sfmask | SYS_FL_RF);
		cpu->rflags |= X86_RFLAGS_FIXED;
	} else {
		cpu->rip = cpu->star & UINT32_MAX;
		cpu->rflags &= ~(SYS_FL_VM | SYS_FL_IF | SYS_FL_RF);
	}
	set_flat(cpu, cs, (uint16_t)(cs + 8), sys_is_long(cpu), 0);
	return CPU_OK;
}

static enum cpu_result sysret_check(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	if (!syscall_there(cpu))
		return sys_raise(cpu, SYS_UD);
	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	/* AMD faults at the target, with the privilege of user code. */
	if (insn->op_bytes == 8 && !system_is_amd(cpu) && !sys_is_canonical(cpu->regs[X86_RCX]))
		return sys_gp(cpu, 0);
	return CPU_OK;
}

enum cpu_result far_sysret(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint16_t base = (uint16_t)(cpu->star >> 48);
	bool traps = cpu->rflags & SYS_FL_TF;
	bool to_64 = insn->op_bytes == 8 && sys_is_long(cpu);
	enum cpu_result r = sysret_check(cpu, insn);

	if (r != CPU_OK)
		return r;
	cpu->rip = to_64 ? cpu->regs[X86_RCX] : cpu->regs[X86_RCX] & UINT32_MAX;
	if (sys_is_long(cpu)) {
		const uint64_t mask = SYS_FL_ALL & ~(SYS_FL_RF | SYS_FL_VM);
		cpu->rflags = (cpu->regs[X86_R11] & mask) | X86_RFLAGS_FIXED;
	} else {
		cpu->rflags |= SYS_FL_IF;
	}
	set_flat(cpu, (uint16_t)(base + (to_64 ? 16 : 0)), (uint16_t)(base + 8), to_64, 3);
	if (cpu->rflags & SYS_FL_IF)
		sys_events(cpu);
	/* It is TF as it leaves it that counts, and whoever executes it looks at TF before. */
	return !traps && (cpu->rflags & SYS_FL_TF) ? except_debug(cpu, DR6_BS) : CPU_OK;
}

/* AMD has neither in long mode. */
static bool sysenter_there(const struct hosted_cpu *cpu)
{
	return !sys_is_long(cpu) || !system_is_amd(cpu);
}

enum cpu_result far_sysenter(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint16_t cs = (uint16_t)cpu->sysenter_cs;
	bool is_long = sys_is_long(cpu);

	(void)insn; /* the way back is software's */
	if (!sysenter_there(cpu))
		return sys_raise(cpu, SYS_UD);
	if (!sys_is_protected(cpu) || sys_is_null(cs))
		return sys_gp(cpu, 0);
	cpu->rflags &= ~(SYS_FL_VM | SYS_FL_IF | SYS_FL_RF);
	cpu->regs[X86_RSP] = is_long ? cpu->sysenter_esp : cpu->sysenter_esp & UINT32_MAX;
	cpu->rip = is_long ? cpu->sysenter_eip : cpu->sysenter_eip & UINT32_MAX;
	set_flat(cpu, cs, (uint16_t)((cs & ~3U) + 8), is_long, 0);
	return CPU_OK;
}

enum cpu_result far_sysexit(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint16_t cs = (uint16_t)cpu->sysenter_cs & 0xfffcU;
	bool to_64 = insn->op_bytes == 8 && sys_is_long(cpu);
	uint64_t rip = cpu->regs[X86_RDX], rsp = cpu->regs[X86_RCX];

	if (!sysenter_there(cpu))
		return sys_raise(cpu, SYS_UD);
	if (!sys_is_protected(cpu) || cpu->cpl != 0 || sys_is_null(cs))
		return sys_gp(cpu, 0);
	if (to_64 && (!sys_is_canonical(rip) || !sys_is_canonical(rsp)))
		return sys_gp(cpu, 0);
	cpu->rip = to_64 ? rip : rip & UINT32_MAX;
	cpu->regs[X86_RSP] = to_64 ? rsp : rsp & UINT32_MAX;
	set_flat(cpu, (uint16_t)(cs + (to_64 ? 32 : 16)), (uint16_t)(cs + (to_64 ? 40 : 24)), to_64,
		 3);
	return CPU_OK;
}

enum cpu_result system_swapgs(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t base = cpu->segs[X86_GS].base;

	if (!sys_is_64(cpu))
		return sys_raise(cpu, SYS_UD);
	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	cpu->segs[X86_GS].base = cpu->kernel_gs_base;
	cpu->kernel_gs_base = base;
	return sys_done(cpu, insn);
}

enum cpu_result system_fsgsbase(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	bool fs = insn->op == X86_OP_RDFSBASE || insn->op == X86_OP_WRFSBASE;
	bool write = insn->op == X86_OP_WRFSBASE || insn->op == X86_OP_WRGSBASE;
	uint64_t *base = &cpu->segs[fs ? X86_FS : X86_GS].base;

	if (!sys_is_64(cpu) || !(cpu->cr4 & X86_CR4_FSGSBASE))
		return sys_raise(cpu, SYS_UD);
	if (!write) {
		interp_set_reg(cpu, insn->rm, insn->op_bytes, *base);
		return sys_done(cpu, insn);
	}
	uint64_t value = interp_reg(cpu, insn->rm, insn->op_bytes);
	if (!sys_is_canonical(value))
		return sys_gp(cpu, 0);
	*base = value;
	return sys_done(cpu, insn);
}
