/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XSAVE, XRSTOR and their kin.
 *
 * The guest's state is live in the host's registers: the host's own instruction saves it to a scratch area, cpu->xsave, which nobody
 * else uses while run() is under way, in the standard format; what the guest's instruction writes is copied from there. Back it is the same,
 * with everything checked that could make the host's XRSTOR fault.
 * Addresses of x87 instructions and operands, and their opcodes, are the host's: the guest reads 0 in their place.
 *
 * Source: SDM 1, Managing State Using the XSAVE Feature Set.
 */
#include "engines/hosted/system.h"

#define LEGACY_BYTES 576U /* and header */
#define HEADER_AT    512U
#define MXCSR_AT     24U
#define MXCSR_INIT   0x1f80U
#define POINTERS_AT  6U /* FOP, FIP, FDP */

#define STATE_X87    UINT64_C(0x1)
#define STATE_SSE    UINT64_C(0x2)
#define STATE_AVX    UINT64_C(0x4)
#define STATE_MXCSR  (STATE_SSE | STATE_AVX) /* either brings MXCSR in the standard format */
#define STATE_AVX512 UINT64_C(0xe0)
#define STATE_HI16   7U
#define COMPACT	     (UINT64_C(1) << 63)

#define CHUNK 64U

/* A piece of state: where it is in the scratch area, and in the guest's. */
struct piece {
	uint32_t here, there, bytes;
};

struct area {
	struct hosted_cpu *cpu;
	uint64_t gva;
	uint64_t mask;	 /* requested-feature bitmap */
	uint64_t layout; /* compact: components that have a place; else 0 */
	bool is_64;
};

static void host_save(const struct hosted_cpu *cpu, uint64_t mask)
{
	cpu_zero(cpu->xsave + HEADER_AT, LEGACY_BYTES - HEADER_AT);
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(cpu->xsave), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
	cpu_zero(cpu->xsave + POINTERS_AT, MXCSR_AT - POINTERS_AT);
}

static void host_restore(const struct hosted_cpu *cpu, uint64_t mask)
{
	__asm__ volatile("xrstor64 (%0)"
			 :
			 : "r"(cpu->xsave), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

static uint64_t host_xinuse(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
	return (uint64_t)high << 32 | low;
}

static uint32_t scratch_get32(const struct hosted_cpu *cpu, unsigned at)
{
	uint32_t value;

	cpu_copy(&value, cpu->xsave + at, sizeof(value));
	return value;
}

static uint64_t scratch_get64(const struct hosted_cpu *cpu, unsigned at)
{
	uint64_t value;

	cpu_copy(&value, cpu->xsave + at, sizeof(value));
	return value;
}

static void scratch_set(const struct hosted_cpu *cpu, unsigned at, const void *data, unsigned n)
{
	cpu_copy(cpu->xsave + at, data, n);
}

/* Other code than 64-bit code has the first eight registers alone. */
static uint32_t piece_bytes(const struct area *area, unsigned component, uint32_t bytes)
{
	if (area->is_64 || component < 2)
		return bytes;
	if (component == 2 || component == 6)
		return bytes / 2;
	return component == STATE_HI16 ? 0 : bytes;
}

static void extended_leaf(const struct hosted_cpu *cpu, unsigned component, uint32_t ret[4])
{
	system_cpuid(cpu, CPUID_XSAVE, component, ret);
}

/* Where a component of 2 and above is; false: this vcpu has no room for it. */
static bool piece_of(const struct area *area, unsigned component, struct piece *ret)
{
	uint32_t regs[4], at = LEGACY_BYTES;

	extended_leaf(area->cpu, component, regs);
	const uint32_t bytes = regs[CPUID_EAX], here = regs[CPUID_EBX];
	if (here < LEGACY_BYTES || here > area->cpu->xsave_bytes ||
	    bytes > area->cpu->xsave_bytes - here)
		return false;
	for (unsigned i = 2; area->layout && i <= component; i++) {
		if (!(area->layout >> i & 1))
			continue;
		extended_leaf(area->cpu, i, regs);
		if (regs[CPUID_ECX] & 2)
			at = (at + 63) & ~63U;
		if (i < component)
			at += regs[CPUID_EAX];
	}
	*ret = (struct piece){
		.here = here,
		.there = area->layout ? at : here,
		.bytes = piece_bytes(area, component, bytes),
	};
	return true;
}

/* The pieces of one component; x87 lies around MXCSR. Return: how many. */
static unsigned pieces_of(const struct area *area, unsigned component, struct piece ret[2])
{
	switch (component) {
	case 0:
		ret[0] = (struct piece){ 0, 0, MXCSR_AT };
		ret[1] = (struct piece){ 32, 32, 128 };
		return 2;
	case 1:
		ret[0] = (struct piece){ 160, 160, area->is_64 ? 256 : 128 };
		return 1;
	default:
		return piece_of(area, component, &ret[0]) ? 1 : 0;
	}
}

static enum cpu_result piece_store(const struct area *area, const struct piece *piece)
{
	for (uint32_t done = 0; done < piece->bytes; done += CHUNK) {
		uint32_t left = piece->bytes - done;
		enum cpu_result r = cpu_store(area->cpu, area->gva + piece->there + done,
					      area->cpu->xsave + piece->here + done,
					      left < CHUNK ? left : CHUNK);
		if (r != CPU_OK)
			return r;
	}
	return CPU_OK;
}

static enum cpu_result piece_load(const struct area *area, const struct piece *piece)
{
	for (uint32_t done = 0; done < piece->bytes; done += CHUNK) {
		uint32_t left = piece->bytes - done;
		enum cpu_result r = cpu_load(area->cpu, area->gva + piece->there + done,
					     area->cpu->xsave + piece->here + done,
					     left < CHUNK ? left : CHUNK);
		if (r != CPU_OK)
			return r;
	}
	return CPU_OK;
}

static uint32_t area_bytes(const struct area *area)
{
	uint32_t end = LEGACY_BYTES;

	for (unsigned i = 2; i < 63; i++) {
		struct piece piece;
		if ((area->mask >> i & 1) && piece_of(area, i, &piece) &&
		    piece.there + piece.bytes > end)
			end = piece.there + piece.bytes;
	}
	return end;
}

static enum cpu_result area_check(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	if (!(cpu->cr4 & X86_CR4_OSXSAVE) || !insn->has_mem)
		return sys_raise(cpu, SYS_UD);
	if (cpu->cr0 & X86_CR0_TS)
		return sys_raise(cpu, SYS_NM);
	return CPU_OK;
}

static enum cpu_result area_at(const struct x86_insn *insn, struct area *area, bool write)
{
	struct hosted_cpu *cpu = area->cpu;
	uint32_t bytes = area_bytes(area);
	enum cpu_result r = operand_memory(cpu, insn, 0, bytes, write, &area->gva);

	if (r != CPU_OK)
		return r;
	if (area->gva & 63)
		return sys_gp(cpu, 0);
	if (!write)
		return CPU_OK;
	/* Every page can be written before the first byte is. */
	uint64_t last = area->gva + bytes - 1;
	for (uint64_t at = area->gva; r == CPU_OK && at <= last;
	     at = (at & ~(uint64_t)(CPU_PAGE_BYTES - 1)) + CPU_PAGE_BYTES)
		r = cpu_probe(cpu, at, 1, CPU_WRITE);
	return r == CPU_EXIT ? CPU_OK : r;
}

/* Which of the family's instructions the guest is shown: bits of leaf 0xd, sub-leaf 1. */
static enum cpu_result family_check(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	unsigned bit;

	switch (insn->op) {
	case X86_OP_XSAVEOPT:
		bit = 0;
		break;
	case X86_OP_XSAVEC:
		bit = 1;
		break;
	default:
		return CPU_OK;
	}
	return system_has(cpu, CPUID_XSAVE, 1, CPUID_EAX, bit) ? CPU_OK : sys_raise(cpu, SYS_UD);
}

static uint64_t requested(const struct hosted_cpu *cpu)
{
	uint64_t asked = cpu->regs[X86_RDX] << 32 | (uint32_t)cpu->regs[X86_RAX];

	return asked & cpu->xcr0 & cpu->xsave_mask;
}

/* ---- saving ---- */

static enum cpu_result save_header(const struct area *area, uint64_t saved)
{
	uint64_t header[2] = { saved, area->layout };
	enum cpu_result r;

	if (area->layout)
		return cpu_store(area->cpu, area->gva + HEADER_AT, header, 16);
	r = cpu_load(area->cpu, area->gva + HEADER_AT, &header[0], 8);
	header[0] = (header[0] & ~area->mask) | saved;
	return r == CPU_OK ? cpu_store(area->cpu, area->gva + HEADER_AT, header, 8) : r;
}

static enum cpu_result save_pieces(const struct area *area, uint64_t components, bool with_mxcsr)
{
	enum cpu_result r = CPU_OK;

	for (unsigned i = 0; r == CPU_OK && i < 63; i++) {
		struct piece pieces[2];
		unsigned n = components >> i & 1 ? pieces_of(area, i, pieces) : 0;
		for (unsigned j = 0; r == CPU_OK && j < n; j++)
			r = piece_store(area, &pieces[j]);
	}
	if (r == CPU_OK && with_mxcsr)
		r = piece_store(area, &(struct piece){ MXCSR_AT, MXCSR_AT, 8 });
	return r;
}

enum cpu_result system_xsave(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	bool compact = insn->op == X86_OP_XSAVEC;
	struct area area = { .cpu = cpu,
			     .mask = requested(cpu),
			     .is_64 = insn->code == X86_CODE_64 };
	enum cpu_result r = area_check(cpu, insn);

	if (r == CPU_OK)
		r = family_check(cpu, insn);
	if (compact)
		area.layout = area.mask | COMPACT;
	if (r == CPU_OK)
		r = area_at(insn, &area, true);
	if (r != CPU_OK)
		return r;
	host_save(cpu, area.mask);
	uint64_t saved = scratch_get64(cpu, HEADER_AT) & area.mask;
	/* In the compact format MXCSR is SSE's: with a value of its own it is in use. */
	if (compact && (area.mask & STATE_SSE) && scratch_get32(cpu, MXCSR_AT) != MXCSR_INIT)
		saved |= STATE_SSE;
	uint64_t written = insn->op == X86_OP_XSAVE ? area.mask : saved;
	r = save_pieces(&area, written, (compact ? saved & STATE_SSE : area.mask & STATE_MXCSR));
	if (r == CPU_OK)
		r = save_header(&area, saved);
	return r == CPU_OK ? sys_done(cpu, insn) : r;
}

/* ---- restoring ---- */

/* The header is what it must be, or #GP. *ret: XSTATE_BV. */
static enum cpu_result restore_header(struct area *area, uint64_t *ret)
{
	struct hosted_cpu *cpu = area->cpu;
	uint64_t header[8], others = 0;
	enum cpu_result r = cpu_load(cpu, area->gva + HEADER_AT, header, sizeof(header));

	if (r != CPU_OK)
		return r;
	bool compact = header[1] & COMPACT;
	for (unsigned i = 2; i < (compact ? 8 : 3); i++)
		others |= header[i];
	uint64_t layout = header[1] & ~COMPACT;
	bool good = !others;
	if (compact)
		good = good && system_has(cpu, CPUID_XSAVE, 1, CPUID_EAX, 1) &&
		       !(layout & ~cpu->xcr0) && !(header[0] & ~layout);
	else
		good = good && !layout && !(header[0] & ~cpu->xcr0);
	if (!good)
		return sys_gp(cpu, 0);
	area->layout = compact ? header[1] : 0;
	*ret = header[0];
	return CPU_OK;
}

static uint32_t mxcsr_mask(const struct hosted_cpu *cpu)
{
	/* Bit 17, misaligned exception mask: AMD's MISALIGNSSE. */
	bool misaligned = system_has(cpu, (uint32_t)CPUID_EXT_FEATURES, 0, CPUID_ECX, 7);

	return misaligned ? 0x2ffff : 0xffff;
}

/* MXCSR of the image that is restored, in the scratch area. */
static enum cpu_result restore_mxcsr(const struct area *area, uint64_t used)
{
	struct hosted_cpu *cpu = area->cpu;
	uint32_t mxcsr;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	if (area->layout && (area->mask & STATE_SSE) && !(used & STATE_SSE)) {
		mxcsr = MXCSR_INIT;
	} else if (area->mask & (area->layout ? STATE_SSE : STATE_MXCSR)) {
		enum cpu_result r = cpu_load(cpu, area->gva + MXCSR_AT, &mxcsr, 4);
		if (r != CPU_OK)
			return r;
		if (mxcsr & ~mxcsr_mask(cpu))
			return sys_gp(cpu, 0);
	}
	scratch_set(cpu, MXCSR_AT, &mxcsr, 4);
	return CPU_OK;
}

/* One component into the scratch area: from memory, or as after FNINIT where the image has none. */
static enum cpu_result restore_component(const struct area *area, unsigned component, bool used)
{
	struct piece pieces[2];
	unsigned n = pieces_of(area, component, pieces);
	enum cpu_result r = CPU_OK;

	for (unsigned i = 0; r == CPU_OK && i < n; i++) {
		if (used)
			r = piece_load(area, &pieces[i]);
		else
			cpu_zero(area->cpu->xsave + pieces[i].here, pieces[i].bytes);
	}
	if (component == 0 && !used)
		scratch_set(area->cpu, 0, &(uint16_t){ 0x37f }, 2);
	return r;
}

enum cpu_result system_xrstor(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	struct area area = { .cpu = cpu,
			     .mask = requested(cpu),
			     .is_64 = insn->code == X86_CODE_64 };
	uint64_t used = 0;
	enum cpu_result r = area_check(cpu, insn);

	if (r == CPU_OK)
		r = area_at(insn, &area, false);
	if (r == CPU_OK)
		r = restore_header(&area, &used);
	if (r != CPU_OK)
		return r;
	/* Registers that this code does not have keep what they hold. */
	uint64_t fresh = 0;
	if (!area.is_64) {
		host_save(cpu, area.mask);
		fresh = scratch_get64(cpu, HEADER_AT) | (area.mask & ~(UINT64_C(1) << STATE_HI16));
	}
	r = restore_mxcsr(&area, used);
	for (unsigned i = 0; r == CPU_OK && i < 63; i++) {
		bool is_used = used >> i & 1;
		if ((area.mask >> i & 1) && (is_used || !area.is_64))
			r = restore_component(&area, i, is_used);
	}
	if (r != CPU_OK)
		return r;
	uint64_t header[8] = { area.is_64 ? used & area.mask : fresh & area.mask };
	scratch_set(cpu, HEADER_AT, header, sizeof(header));
	host_restore(cpu, area.mask);
	return sys_done(cpu, insn);
}

/* ---- XCR0 ---- */

enum cpu_result system_xgetbv(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint32_t index = (uint32_t)cpu->regs[X86_RCX];
	uint64_t value = cpu->xcr0;

	if (!(cpu->cr4 & X86_CR4_OSXSAVE))
		return sys_raise(cpu, SYS_UD);
	if (index > 1 || (index == 1 && !system_has(cpu, CPUID_XSAVE, 1, CPUID_EAX, 2)))
		return sys_gp(cpu, 0);
	if (index == 1)
		value &= host_xinuse();
	cpu->regs[X86_RAX] = (uint32_t)value;
	cpu->regs[X86_RDX] = value >> 32;
	return sys_done(cpu, insn);
}

static uint64_t xcr0_shown(const struct hosted_cpu *cpu)
{
	uint32_t regs[4];

	system_cpuid(cpu, CPUID_XSAVE, 0, regs);
	return (uint64_t)regs[CPUID_EDX] << 32 | regs[CPUID_EAX];
}

enum cpu_result system_xsetbv(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = cpu->regs[X86_RDX] << 32 | (uint32_t)cpu->regs[X86_RAX];

	if (!(cpu->cr4 & X86_CR4_OSXSAVE))
		return sys_raise(cpu, SYS_UD);
	if (cpu->cpl != 0 || (uint32_t)cpu->regs[X86_RCX] != 0 ||
	    !x86_xcr0_is_valid(value, xcr0_shown(cpu)))
		return sys_gp(cpu, 0);
	cpu->xcr0 = value;
	cpu_mode_update(cpu);
	return sys_done(cpu, insn);
}
