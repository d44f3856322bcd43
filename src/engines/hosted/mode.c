/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of code runs, and what follows from it; faults; debug registers. */
#include "engines/hosted/interp.h"
#include "engines/hosted/system.h"

#define DR6_BD	    UINT64_C(0x2000)
#define DR7_ENABLED UINT64_C(0xff)
#define DR7_FIXED   UINT64_C(0x400)
#define DR_TRAPS    UINT64_C(0xf)

static bool is_flat(const struct x86_segment *seg, bool is_stack)
{
	return !seg->base && seg->limit == UINT32_MAX && !seg->unusable && (seg->type & 0xe) == 2 &&
	       (!is_stack || seg->db);
}

static bool mode_is_flat(const struct hosted_cpu *cpu)
{
	const struct x86_segment *cs = &cpu->segs[X86_CS];

	return !cs->base && cs->limit == UINT32_MAX && (cs->type & 0xa) != 8 &&
	       is_flat(&cpu->segs[X86_DS], false) && is_flat(&cpu->segs[X86_ES], false) &&
	       is_flat(&cpu->segs[X86_SS], true);
}

static uint32_t mode_code(const struct hosted_cpu *cpu)
{
	const struct x86_segment *cs = &cpu->segs[X86_CS];

	if (sys_is_64(cpu))
		return (uint32_t)X86_CODE_64 | CPU_MODE_FLAT;
	uint32_t mode = cs->db && !sys_is_vm86(cpu) ? X86_CODE_32 : X86_CODE_16;
	return mode_is_flat(cpu) ? mode | CPU_MODE_FLAT : mode;
}

static uint32_t mode_vectors(const struct hosted_cpu *cpu)
{
	uint32_t mode = 0;
	bool ts = cpu->cr0 & X86_CR0_TS, em = cpu->cr0 & X86_CR0_EM;
	bool avx = cpu->cr4 & X86_CR4_OSXSAVE && !ts && !sys_is_8086(cpu);

	if (ts || em)
		mode |= CPU_MODE_NO_FPU;
	if (ts || em || !(cpu->cr4 & X86_CR4_OSFXSR))
		mode |= CPU_MODE_NO_SSE;
	if (!avx || (cpu->xcr0 & SYS_XCR0_AVX) != SYS_XCR0_AVX)
		mode |= CPU_MODE_NO_AVX;
	if (!avx || (cpu->xcr0 & SYS_XCR0_AVX512) != SYS_XCR0_AVX512)
		mode |= CPU_MODE_NO_AVX512;
	return mode;
}

static bool mode_traps(const struct hosted_cpu *cpu)
{
	return (cpu->rflags & SYS_FL_TF) || (cpu->dr[7] & DR7_ENABLED) || cpu->debug_watches;
}

void cpu_mode_update(struct hosted_cpu *cpu)
{
	if (!sys_is_protected(cpu))
		cpu->cpl = 0;
	else if (sys_is_vm86(cpu))
		cpu->cpl = 3;

	uint32_t mode = mode_code(cpu) | mode_vectors(cpu) | (uint32_t)cpu->cpl << 2;
	if (cpu->segs[X86_SS].db && !sys_is_64(cpu)) /* there SS may be anything, even none */
		mode |= CPU_MODE_STACK32;
	if (mode_traps(cpu))
		mode |= CPU_MODE_TRAP;
	if (cpu->cpl == 3 && (cpu->cr0 & X86_CR0_AM) && (cpu->rflags & SYS_FL_AC))
		mode |= CPU_MODE_ALIGN;
	if (sys_is_vm86(cpu))
		mode |= CPU_MODE_VM86;
	if (!sys_is_protected(cpu))
		mode |= CPU_MODE_REAL;
	if (cpu->cpl <= sys_iopl(cpu))
		mode |= CPU_MODE_IOPL_OK;
	cpu->mode = mode;
	mmu_class_update(cpu);
}

void sys_events(struct hosted_cpu *cpu)
{
	__atomic_fetch_or(&cpu->poll, CPU_POLL_EVENT, __ATOMIC_RELAXED);
}

void sys_set_cpl(struct hosted_cpu *cpu, uint8_t cpl)
{
	if (cpu->cpl == cpl)
		return;
	cpu->cpl = cpl;
	mmu_class_update(cpu);
}

void sys_set_flags(struct hosted_cpu *cpu, uint64_t value, uint64_t mask)
{
	/* cpu->mode hangs on these. */
	const uint64_t modes = SYS_FL_TF | SYS_FL_AC | SYS_FL_VM | SYS_FL_IOPL;
	uint64_t flags = (cpu->rflags & ~mask) | (value & mask) | X86_RFLAGS_FIXED;
	uint64_t changed = flags ^ cpu->rflags;

	cpu->rflags = flags;
	if (changed & modes)
		cpu_mode_update(cpu);
	if (changed & flags & SYS_FL_IF)
		sys_events(cpu);
}

/* ---- faults ---- */

enum cpu_result fault_raise(struct hosted_cpu *cpu, uint8_t vector)
{
	cpu->fault = (struct cpu_fault){ .vector = vector };
	return CPU_FAULT;
}

enum cpu_result fault_error(struct hosted_cpu *cpu, uint8_t vector, uint32_t error)
{
	cpu->fault = (struct cpu_fault){ .vector = vector, .has_error = true, .error = error };
	return CPU_FAULT;
}

enum cpu_result fault_page(struct hosted_cpu *cpu, uint64_t gva, uint32_t error)
{
	cpu->fault = (struct cpu_fault){
		.vector = SYS_PF,
		.has_error = true,
		.error = error,
		.cr2 = gva,
	};
	return CPU_FAULT;
}

/* ---- debug registers. Source: SDM 3B, Debug Registers ---- */

enum dr7_kind { DR7_EXEC = 0, DR7_WRITE = 1, DR7_PORT = 2, DR7_ACCESS = 3 };

static uint64_t debug_match(const struct hosted_cpu *cpu, uint64_t at, unsigned len, bool kinds[4])
{
	static const uint8_t bytes[4] = { 1, 2, 8, 4 };
	uint64_t hits = 0;

	for (unsigned i = 0; i < 4; i++) {
		unsigned control = (unsigned)(cpu->dr[7] >> (16 + 4 * i)) & 0xf;
		unsigned n = bytes[control >> 2];
		uint64_t start = cpu->dr[i] & ~(uint64_t)(n - 1);
		bool enabled = cpu->dr[7] >> (2 * i) & 3;
		if (enabled && kinds[control & 3] && at < start + n && start < at + len)
			hits |= UINT64_C(1) << i;
	}
	return hits;
}

enum cpu_result debug_fetch(struct hosted_cpu *cpu, uint64_t gva)
{
	bool kinds[4] = { [DR7_EXEC] = true };

	if (!(cpu->dr[7] & DR7_ENABLED) || (cpu->rflags & SYS_FL_RF))
		return CPU_OK;
	uint64_t hits = debug_match(cpu, gva, 1, kinds);
	if (!hits)
		return CPU_OK;
	cpu->dr[6] = (cpu->dr[6] & ~DR_TRAPS) | hits;
	return sys_raise(cpu, SYS_DB);
}

uint64_t debug_data(const struct hosted_cpu *cpu, uint64_t gva, unsigned len, bool is_write)
{
	bool kinds[4] = { [DR7_WRITE] = is_write, [DR7_ACCESS] = true };

	return cpu->dr[7] & DR7_ENABLED ? debug_match(cpu, gva, len, kinds) : 0;
}

uint8_t debug_watched(const struct hosted_cpu *cpu, uint64_t gva, unsigned len, bool is_write)
{
	uint8_t hits = 0;

	for (unsigned i = 0; i < DEBUG_POINTS; i++) {
		const struct debug_point *point = &cpu->debug_watch[i];
		if (point->len && (is_write || point->access == DEBUG_READ_WRITE) &&
		    gva < point->gva + point->len && point->gva < gva + len)
			hits |= (uint8_t)(1U << i);
	}
	return hits;
}

void debug_access(struct hosted_cpu *cpu, uint64_t gva, unsigned len, bool is_write)
{
	if (!(cpu->mode & CPU_MODE_TRAP))
		return;
	cpu->debug_hits |= debug_data(cpu, gva, len, is_write);
	if (cpu->debug_watches)
		cpu->debug_met |= debug_watched(cpu, gva, len, is_write);
}

uint64_t debug_port(const struct hosted_cpu *cpu, uint16_t port, unsigned len)
{
	bool kinds[4] = { [DR7_PORT] = true };

	if (!(cpu->dr[7] & DR7_ENABLED) || !(cpu->cr4 & X86_CR4_DE))
		return 0;
	return debug_match(cpu, port, len, kinds);
}

/* The register that a number means: 4 and 5 are 6 and 7, unless CR4.DE. General detect faults before anything else is done. */
static enum cpu_result debug_register(struct hosted_cpu *cpu, const struct x86_insn *insn,
				      unsigned *ret)
{
	unsigned number = insn->reg;

	if (number > 7 || ((number == 4 || number == 5) && (cpu->cr4 & X86_CR4_DE)))
		return sys_raise(cpu, SYS_UD);
	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	if (cpu->dr[7] & DR6_BD) { /* GD is the same bit of DR7 */
		cpu->dr[6] = (cpu->dr[6] & ~DR_TRAPS) | DR6_BD;
		return sys_raise(cpu, SYS_DB);
	}
	*ret = number == 4 || number == 5 ? number + 2 : number;
	return CPU_OK;
}

enum cpu_result system_mov_from_dr(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	unsigned number;
	enum cpu_result r = debug_register(cpu, insn, &number);

	if (r != CPU_OK)
		return r;
	interp_set_reg(cpu, insn->rm, insn->code == X86_CODE_64 ? 8 : 4, cpu->dr[number]);
	return sys_done(cpu, insn);
}

enum cpu_result system_mov_to_dr(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = interp_reg(cpu, insn->rm, insn->code == X86_CODE_64 ? 8 : 4);
	unsigned number;
	enum cpu_result r = debug_register(cpu, insn, &number);

	if (r != CPU_OK)
		return r;
	if (number >= 6 && value >> 32)
		return sys_gp(cpu, 0);
	/* Source: SDM 3B, Debug Status Register (DR6); Debug Control Register (DR7): what is always 0 or 1. */
	if (number == 6)
		value = (value & 0xe00f) | 0xffff0ff0;
	if (number == 7)
		value = (value & 0xffff27ff) | DR7_FIXED;
	cpu->dr[number] = value;
	cpu_mode_update(cpu);
	return sys_done(cpu, insn);
}
