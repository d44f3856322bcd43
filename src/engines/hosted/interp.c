/* SPDX-License-Identifier: Apache-2.0 */
/* One instruction: fetched, decoded, or found decoded; executed by one of interp_*.c or system*.c; debug traps after it. */
#include "engines/hosted/interp.h"

#include <errno.h>

#include "engines/hosted/system.h"

#define DR6_BS	  UINT64_C(0x4000) /* SDM 3B, Debug Status Register (DR6) */
#define HASH	  UINT64_C(0x9e3779b97f4a7c15)
#define DENY_8086 (CPU_MODE_VM86 | CPU_MODE_REAL)

/* ---- what a mode forbids ---- */

static uint32_t interp_deny(const struct x86_insn *insn)
{
	uint32_t deny = 0;

	if (insn->uses & (X86_USES_X87 | X86_USES_MMX) || insn->op == X86_OP_FWAIT)
		deny |= CPU_MODE_NO_FPU;
	if (insn->uses & X86_USES_SSE)
		deny |= CPU_MODE_NO_SSE;
	if (insn->uses & X86_USES_AVX)
		deny |= CPU_MODE_NO_AVX;
	if (insn->uses & (X86_USES_AVX512 | X86_USES_MASKS))
		deny |= CPU_MODE_NO_AVX512;
	if (insn->encoding != X86_ENC_LEGACY)
		deny |= DENY_8086;
	return deny;
}

/* Whether the system has turned it off for good: #UD before #NM. SDM 2, Exceptions of AVX and SSE instructions; SDM 3A, Control Registers. */
static bool interp_is_off(const struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	bool avx512 = insn->uses & (X86_USES_AVX512 | X86_USES_MASKS);

	if (insn->encoding != X86_ENC_LEGACY && (cpu->mode & DENY_8086))
		return true;
	if (avx512 || (insn->uses & X86_USES_AVX)) {
		uint64_t needed = avx512 ? SYS_XCR0_AVX512 : SYS_XCR0_AVX;
		return !(cpu->cr4 & X86_CR4_OSXSAVE) || (cpu->xcr0 & needed) != needed;
	}
	if (insn->uses & X86_USES_SSE)
		return (cpu->cr0 & X86_CR0_EM) || !(cpu->cr4 & X86_CR4_OSFXSR);
	return (insn->uses & X86_USES_MMX) && (cpu->cr0 & X86_CR0_EM);
}

static enum cpu_result interp_check(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	const uint64_t wait = X86_CR0_MP | X86_CR0_TS;

	if (insn->op == X86_OP_FWAIT)
		return (cpu->cr0 & wait) == wait ? fault_raise(cpu, SYS_NM) : CPU_OK;
	if (interp_is_off(cpu, insn))
		return fault_raise(cpu, SYS_UD);
	bool no_device = cpu->cr0 & X86_CR0_TS;
	if (insn->uses & X86_USES_X87)
		no_device = no_device || (cpu->cr0 & X86_CR0_EM);
	return no_device && insn->uses ? fault_raise(cpu, SYS_NM) : CPU_OK;
}

/* ---- the cache of decoded instructions ---- */

static uint64_t interp_load8(const uint8_t *at)
{
	return *(const volatile uint64_t *)at;
}

static uint64_t interp_low_bytes(unsigned n)
{
	return n >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * n)) - 1;
}

static void interp_fill(struct interp_entry *entry, const uint8_t *hva, const struct x86_insn *insn)
{
	uint64_t bytes[2] = { 0, 0 };

	cpu_copy(bytes, insn->bytes, insn->len);
	entry->hva = hva;
	entry->mask[0] = interp_low_bytes(insn->len);
	entry->mask[1] = insn->len > 8 ? interp_low_bytes(insn->len - 8U) : 0;
	entry->bytes[0] = bytes[0];
	entry->bytes[1] = bytes[1];
	entry->deny = interp_deny(insn);
	entry->how = (uint8_t)interp_how(insn);
	entry->has_stub = entry->has_run = false;
	entry->insn = *insn;
}

static struct interp_entry *interp_slot(const struct hosted_cpu *cpu, uint64_t key)
{
	return &cpu->interp->entries[key * HASH >> cpu->interp->hash_shift];
}

/* By its bytes: where they were is not known, or they lie in two pages. */
static struct interp_entry *interp_entry_of(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t bytes[2] = { 0, 0 };

	cpu_copy(bytes, insn->bytes, insn->len);
	struct interp_entry *entry = interp_slot(cpu, (bytes[0] ^ bytes[1] << 7) * 4 + insn->code);
	if (entry->hva || entry->insn.len != insn->len || entry->insn.code != insn->code ||
	    entry->bytes[0] != bytes[0] || entry->bytes[1] != bytes[1])
		interp_fill(entry, NULL, insn);
	return entry;
}

/* By where its bytes are, if they are what they were. A vcpu that changes them while this one executes them may see either. */
static bool interp_is_cached(const struct interp_entry *entry, const uint8_t *hva, unsigned code)
{
	return entry->hva == hva && entry->insn.code == code &&
	       (interp_load8(hva) & entry->mask[0]) == entry->bytes[0] &&
	       (!entry->mask[1] || (interp_load8(hva + 8) & entry->mask[1]) == entry->bytes[1]);
}

/* ---- fetching ---- */

/* @gva: of the first byte. Less than a whole instruction in the page, and the next page cannot be read: its fault. */
static enum cpu_result interp_decode(struct hosted_cpu *cpu, uint64_t gva, unsigned code,
				     struct x86_insn *ret)
{
	uint8_t bytes[X86_INSN_MAX];
	unsigned n;
	enum cpu_result result = cpu_fetch(cpu, gva, bytes, &n);

	if (result != CPU_OK)
		return result;
	int length = x86_decode(bytes, n, (enum x86_code)code, ret);
	if (length > 0)
		return CPU_OK;
	if (length == -EAGAIN) {
		uint64_t next = (gva | (CPU_PAGE_BYTES - 1)) + 1;
		if (code != X86_CODE_64)
			next &= UINT32_MAX;
		result = cpu_probe(cpu, next, 1, CPU_EXEC);
		/* another vcpu has mapped it meanwhile: once more, from the start */
		return result == CPU_OK ? CPU_AGAIN : result;
	}
	return length == -E2BIG ? fault_error(cpu, SYS_GP, 0) : fault_raise(cpu, SYS_UD);
}

static enum cpu_result interp_fetch_slow(struct hosted_cpu *cpu, uint64_t gva, const uint8_t *hva,
					 unsigned code, struct interp_entry **ret)
{
	struct x86_insn insn;
	enum cpu_result result;

	do {
		result = interp_decode(cpu, gva, code, &insn);
	} while (result == CPU_AGAIN);
	if (result != CPU_OK)
		return result;
	unsigned offset = (unsigned)(gva & (CPU_PAGE_BYTES - 1));
	if (hva && offset <= CPU_PAGE_BYTES - 16) {
		*ret = interp_slot(cpu, (uint64_t)(uintptr_t)hva);
		interp_fill(*ret, hva, &insn);
	} else {
		*ret = interp_entry_of(cpu, &insn);
	}
	return CPU_OK;
}

static enum cpu_result interp_fetch(struct hosted_cpu *cpu, struct interp_entry **ret)
{
	unsigned code = cpu->mode & CPU_MODE_CODE;
	uint64_t gva = cpu->rip;

	if (code != X86_CODE_64) {
		enum cpu_result result = seg_fetch(cpu, cpu->rip, &gva);
		if (result != CPU_OK)
			return result;
	}
	const struct cpu_tlb_entry *tlb = &cpu->tlb->entries[cpu_tlb_index(gva)];
	const uint8_t *hva = NULL;
	if (tlb->exec == (gva & -(uint64_t)CPU_PAGE_BYTES)) {
		hva = cpu_hva(tlb, gva);
		*ret = interp_slot(cpu, (uint64_t)(uintptr_t)hva);
		if ((gva & (CPU_PAGE_BYTES - 1)) <= CPU_PAGE_BYTES - 16 &&
		    interp_is_cached(*ret, hva, code))
			return CPU_OK;
	} else if (code == X86_CODE_64) { /* canonical? */
		enum cpu_result result = seg_fetch(cpu, cpu->rip, &gva);
		if (result != CPU_OK)
			return result;
	}
	return interp_fetch_slow(cpu, gva, hva, code, ret);
}

/* ---- executing ---- */

static enum cpu_result interp_entry_run(struct hosted_cpu *cpu, struct interp_entry *entry)
{
	const struct x86_insn *insn = &entry->insn;

	cpu->insns++;
	if (cpu->mode & entry->deny) {
		enum cpu_result result = interp_check(cpu, insn);
		if (result != CPU_OK)
			return result;
	}
	switch (insn->class) {
	case X86_CLASS_DATA:
		return interp_data(cpu, entry);
	case X86_CLASS_BRANCH:
		return interp_branch(cpu, insn);
	case X86_CLASS_STACK:
		return interp_stack(cpu, insn);
	case X86_CLASS_STRING:
		return interp_string(cpu, insn);
	default:
		return system_execute(cpu, insn);
	}
}

/* Those after which TF counts as they leave it: they end with the handler's, not the program's next instruction. */
static bool interp_enters_system(const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_INT:
	case X86_OP_INT3:
	case X86_OP_INTO:
	case X86_OP_INT1:
	case X86_OP_SYSCALL:
	case X86_OP_SYSENTER:
		return true;
	default:
		return false;
	}
}

/*
 * With TF set when it began, or a data breakpoint met: #DB once it has retired; after MOV SS and POP SS, once the next one has.
 * SDM 3B, Debug Exception (#DB); Masking Debug Exceptions after a stack switch: Interrupt 1.
 */
static enum cpu_result interp_traps(struct hosted_cpu *cpu, const struct x86_insn *insn,
				    uint64_t flags_before)
{
	uint64_t dr6 = cpu->debug_hits;

	if (cpu->shadow & CPU_SHADOW_MOV_SS)
		return CPU_OK; /* debug_hits stay */
	if ((flags_before & X86_TF) && (!interp_enters_system(insn) || (cpu->rflags & X86_TF)))
		dr6 |= DR6_BS;
	cpu->debug_hits = 0;
	return dr6 ? except_debug(cpu, dr6) : CPU_OK;
}

/* RF is for one instruction; IRET is how it is set. SDM 3B, Instruction-Breakpoint Exception Condition. */
static enum cpu_result interp_run(struct hosted_cpu *cpu, struct interp_entry *entry)
{
	bool sets_rf = entry->insn.op == X86_OP_IRET;
	enum cpu_result result = interp_entry_run(cpu, entry);

	if (result == CPU_OK && (cpu->rflags & SYS_FL_RF) && !sets_rf)
		cpu->rflags &= ~SYS_FL_RF;
	return result;
}

/* One at a time: breakpoints before it, traps after it. What an instruction that does not retire has met does not count. */
static enum cpu_result interp_step_trapping(struct hosted_cpu *cpu, struct interp_entry *entry,
					    uint64_t gva, bool is_shadowed)
{
	const struct x86_insn insn = entry->insn;
	uint64_t flags = cpu->rflags, pending = cpu->debug_hits;
	enum cpu_result result = is_shadowed ? CPU_OK : debug_fetch(cpu, gva);

	if (result == CPU_OK)
		result = interp_run(cpu, entry);
	if (result == CPU_OK)
		return interp_traps(cpu, &insn, flags);
	cpu->debug_hits = result == CPU_EXIT ? pending : 0;
	return result;
}

static uint64_t interp_linear_rip(const struct hosted_cpu *cpu)
{
	if ((cpu->mode & CPU_MODE_CODE) == X86_CODE_64)
		return cpu->rip;
	return (cpu->segs[X86_CS].base + cpu->rip) & UINT32_MAX;
}

enum cpu_result interp_step(struct hosted_cpu *cpu)
{
	struct interp_entry *entry = NULL;
	uint8_t shadow = cpu->shadow;
	uint64_t rip = cpu->rip;
	enum cpu_result result = interp_fetch(cpu, &entry);

	if (result != CPU_OK)
		return result;
	bool traps = (cpu->mode & CPU_MODE_TRAP) || cpu->debug_hits;
	/* the shadow ends with this instruction, unless it casts its own */
	cpu->shadow = 0;
	if (traps)
		result = interp_step_trapping(cpu, entry, interp_linear_rip(cpu),
					      (shadow & CPU_SHADOW_MOV_SS) && !system_is_amd(cpu));
	else
		result = interp_run(cpu, entry);
	if (result == CPU_EXIT && cpu->rip == rip)
		cpu->shadow = shadow;
	return result;
}
