/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FXSAVE and FXRSTOR, x87 state and environment, by way of the scratch area of system_xsave.c.
 * Instruction and operand pointers, and the opcode, would be the host's: they read as 0, which makes the images of all modes but their width the same.
 * Sources: SDM 1, x87 FPU Instruction and Data (Operand) Pointers; Saving the x87 FPU's State with FSTENV/FNSTENV and FSAVE/FNSAVE;
 * SDM 2A, FXSAVE.
 */
#include "engines/hosted/system.h"

#define FX_USED_64 416U /* to the last XMM register */
#define FX_USED	   288U
#define FX_BYTES   512U
#define FX_MXCSR   24U
#define POINTERS   6U /* FOP, FIP, FDP */

#define ENV32	   28U
#define ENV16	   14U
#define REGS_BYTES 80U

#define FSW_ES 0x80U

static enum cpu_result move(struct hosted_cpu *cpu, uint64_t gva, uint8_t *bytes, unsigned n,
			    bool store)
{
	enum cpu_result r = CPU_OK;

	for (unsigned done = 0; r == CPU_OK && done < n; done += 64) {
		unsigned now = n - done < 64 ? n - done : 64;
		r = store ? cpu_store(cpu, gva + done, bytes + done, now)
			  : cpu_load(cpu, gva + done, bytes + done, now);
	}
	return r;
}

/* ---- FXSAVE ---- */

static enum cpu_result fx_area(struct hosted_cpu *cpu, const struct x86_insn *insn, bool write,
			       uint64_t *ret)
{
	if (!insn->has_mem || (cpu->cr0 & X86_CR0_EM))
		return sys_raise(cpu, SYS_UD);
	if (cpu->cr0 & X86_CR0_TS)
		return sys_raise(cpu, SYS_NM);
	enum cpu_result r = operand_memory(cpu, insn, 0, FX_BYTES, write, ret);
	if (r == CPU_OK && (*ret & 15))
		return sys_gp(cpu, 0);
	return r;
}

static unsigned fx_used(const struct x86_insn *insn)
{
	return insn->code == X86_CODE_64 ? FX_USED_64 : FX_USED;
}

static void fx_save(const struct hosted_cpu *cpu)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(cpu->xsave) : "memory");
	cpu_zero(cpu->xsave + POINTERS, FX_MXCSR - POINTERS);
}

enum cpu_result system_fxsave(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t gva;
	enum cpu_result r = fx_area(cpu, insn, true, &gva);

	if (r != CPU_OK)
		return r;
	fx_save(cpu);
	r = move(cpu, gva, cpu->xsave, fx_used(insn), true);
	return r == CPU_OK ? sys_done(cpu, insn) : r;
}

enum cpu_result system_fxrstor(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint32_t mxcsr, mask;
	uint64_t gva;
	enum cpu_result r = fx_area(cpu, insn, false, &gva);

	if (r != CPU_OK)
		return r;
	/* What the image has no room for stays; and the mask of MXCSR's bits is there to be read. */
	fx_save(cpu);
	cpu_copy(&mask, cpu->xsave + FX_MXCSR + 4, 4);
	r = move(cpu, gva, cpu->xsave, fx_used(insn), false);
	if (r != CPU_OK)
		return r;
	cpu_copy(&mxcsr, cpu->xsave + FX_MXCSR, 4);
	if (mxcsr & ~mask)
		return sys_gp(cpu, 0);
	__asm__ volatile("fxrstor64 (%0)" : : "r"(cpu->xsave) : "memory");
	return sys_done(cpu, insn);
}

/* ---- x87 ---- */

/* A waiting instruction reports what an earlier one left unmasked. */
static enum cpu_result x87_check(struct hosted_cpu *cpu, const struct x86_insn *insn, bool waits)
{
	uint16_t fsw;

	if (!insn->has_mem)
		return sys_raise(cpu, SYS_UD);
	if (cpu->cr0 & (X86_CR0_EM | X86_CR0_TS))
		return sys_raise(cpu, SYS_NM);
	__asm__ volatile("fnstsw %0" : "=a"(fsw));
	return waits && (fsw & FSW_ES) ? sys_raise(cpu, SYS_MF) : CPU_OK;
}

/* The environment from and to its 16-bit form: control, status and tag word; pointers are 0. */
static unsigned env_narrow(const uint8_t env[ENV32], bool is_16, uint8_t ret[ENV32])
{
	cpu_copy(ret, env, ENV32);
	cpu_zero(ret + 12, ENV32 - 12);
	if (!is_16)
		return ENV32;
	cpu_copy(ret + 2, env + 4, 2);
	cpu_copy(ret + 4, env + 8, 2);
	cpu_zero(ret + 6, ENV32 - 6);
	return ENV16;
}

static void env_widen(uint8_t env[ENV32], bool is_16)
{
	if (is_16) {
		cpu_copy(env + 8, env + 4, 2);
		cpu_copy(env + 4, env + 2, 2);
	}
	cpu_zero(env + 12, ENV32 - 12);
}

static enum cpu_result env_area(struct hosted_cpu *cpu, const struct x86_insn *insn, bool with_regs,
				bool write, uint64_t *ret)
{
	unsigned env = insn->op_bytes == 2 ? ENV16 : ENV32;

	return operand_memory(cpu, insn, 0, with_regs ? env + REGS_BYTES : env, write, ret);
}

enum cpu_result system_fstenv(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint8_t env[ENV32], image[ENV32];
	uint64_t gva;
	enum cpu_result r = x87_check(cpu, insn, false);

	if (r == CPU_OK)
		r = env_area(cpu, insn, false, true, &gva);
	if (r != CPU_OK)
		return r;
	__asm__ volatile("fnstenv (%0)" : : "r"(env) : "memory");
	unsigned n = env_narrow(env, insn->op_bytes == 2, image);
	r = cpu_store(cpu, gva, image, n);
	if (r == CPU_OK)
		return sys_done(cpu, insn);
	__asm__ volatile("fldenv (%0)" : : "r"(env) : "memory");
	return r;
}

enum cpu_result system_fldenv(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	bool is_16 = insn->op_bytes == 2;
	uint8_t env[ENV32] = { 0 };
	uint64_t gva;
	enum cpu_result r = x87_check(cpu, insn, true);

	if (r == CPU_OK)
		r = env_area(cpu, insn, false, false, &gva);
	if (r == CPU_OK)
		r = cpu_load(cpu, gva, env, is_16 ? ENV16 : ENV32);
	if (r != CPU_OK)
		return r;
	env_widen(env, is_16);
	__asm__ volatile("fldenv (%0)" : : "r"(env) : "memory");
	return sys_done(cpu, insn);
}

enum cpu_result system_fsave(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint8_t *area = cpu->xsave, image[ENV32];
	uint64_t gva;
	enum cpu_result r = x87_check(cpu, insn, false);

	if (r == CPU_OK)
		r = env_area(cpu, insn, true, true, &gva);
	if (r != CPU_OK)
		return r;
	__asm__ volatile("fnsave (%0)" : : "r"(area) : "memory");
	unsigned n = env_narrow(area, insn->op_bytes == 2, image);
	/* The environment last: a page that is not there costs nothing yet. */
	r = move(cpu, gva + n, area + ENV32, REGS_BYTES, true);
	if (r == CPU_OK)
		r = cpu_store(cpu, gva, image, n);
	if (r == CPU_OK)
		return sys_done(cpu, insn);
	__asm__ volatile("frstor (%0)" : : "r"(area) : "memory");
	return r;
}

enum cpu_result system_frstor(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	bool is_16 = insn->op_bytes == 2;
	unsigned n = is_16 ? ENV16 : ENV32;
	uint8_t *area = cpu->xsave;
	uint64_t gva;
	enum cpu_result r = x87_check(cpu, insn, true);

	if (r == CPU_OK)
		r = env_area(cpu, insn, true, false, &gva);
	if (r != CPU_OK)
		return r;
	cpu_zero(area, ENV32);
	r = move(cpu, gva + n, area + ENV32, REGS_BYTES, false);
	if (r == CPU_OK)
		r = cpu_load(cpu, gva, area, n);
	if (r != CPU_OK)
		return r;
	env_widen(area, is_16);
	__asm__ volatile("frstor (%0)" : : "r"(area) : "memory");
	return sys_done(cpu, insn);
}
