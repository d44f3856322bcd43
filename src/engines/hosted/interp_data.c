/* SPDX-License-Identifier: Apache-2.0 */
/* Class DATA: by a stub, on the guest's memory itself where that is one plain piece, else on a copy of it. */
#include "engines/hosted/interp.h"

enum interp_how interp_how(const struct x86_insn *insn)
{
	if (insn->class != X86_CLASS_DATA)
		return INTERP_OTHER;
	if (interp_is_legacy(insn))
		return INTERP_C;
	if (insn->op == X86_OP_LEA)
		return INTERP_LEA;
	if (insn->op == X86_OP_NOP || insn->op == X86_OP_PAUSE)
		return INTERP_NOTHING;
	if (insn->encoding == X86_ENC_VEX && insn->map == X86_MAP_0F && insn->opcode == 0x77 &&
	    insn->code != X86_CODE_64)
		return INTERP_VZERO;
	if (!insn->has_mem)
		return INTERP_REGS;
	if (insn->mem.is_vsib)
		return INTERP_GATHER;
	return insn->mem.bytes == 0    ? INTERP_NOTHING
	       : insn->mem.bytes <= 64 ? INTERP_MEM
				       : INTERP_NEVER;
}

enum cpu_result interp_run_stub(struct hosted_cpu *cpu, struct interp_entry *entry, void *mem)
{
	struct interp_vcpu *interp = cpu->interp;
	unsigned slot = (unsigned)(entry - interp->entries);
	uint8_t *state = (uint8_t *)cpu->regs + INTERP_STATE_BIAS;

	if (!entry->has_stub) {
		uint8_t code[INTERP_STUB_BYTES];
		unsigned n = interp_stub_build(&entry->insn, code);
		if (n == 0)
			return fault_raise(cpu, SYS_UD);
		interp_stub_write(interp, slot, code, n);
		entry->has_stub = true;
	}
	int trap = interp_enter(state, mem, interp->stubs_rx + (size_t)slot * INTERP_STUB_BYTES,
				&interp->native_sp);
	if (trap == 0) {
		entry->has_run = true;
		return CPU_OK;
	}
	unsigned vector = (unsigned)trap - 1;
	if (vector == SYS_PF) /* only interp_window() gives an operand that can */
		return CPU_AGAIN;
	if (vector == SYS_XM && !(cpu->cr4 & X86_CR4_OSXMMEXCPT))
		vector = SYS_UD;
	return vector == SYS_GP ? fault_error(cpu, SYS_GP, 0) : fault_raise(cpu, (uint8_t)vector);
}

/* BT and kin with a register: what its upper bits add to the address, which the stub's instruction adds as well. */
static int64_t data_bit_offset(const struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	unsigned bits = 8U * insn->op_bytes, shift = 64 - bits;
	int64_t index = (int64_t)(cpu->regs[insn->reg] << shift) >> shift;

	return (index & -(int64_t)bits) / 8;
}

/*
 * What a stub needs undone if its store finds a device after all: general registers, flags; and the x87 stack, which FSTP pops.
 * A second execution raises the same flags of MXCSR again.
 */
struct data_undo {
	uint64_t regs[X86_REGS], rflags;
};

static void data_save(struct hosted_cpu *cpu, const struct x86_insn *insn, struct data_undo *undo)
{
	cpu_copy(undo->regs, cpu->regs, sizeof(undo->regs));
	undo->rflags = cpu->rflags;
	if (insn->uses & (X86_USES_X87 | X86_USES_MMX))
		__asm__ volatile("fxsave64 %0" : "=m"(cpu->interp->fxsave));
}

static void data_undo(struct hosted_cpu *cpu, const struct x86_insn *insn,
		      const struct data_undo *undo)
{
	cpu_copy(cpu->regs, undo->regs, sizeof(undo->regs));
	cpu->rflags = undo->rflags;
	if (insn->uses & (X86_USES_X87 | X86_USES_MMX))
		__asm__ volatile("fxrstor64 %0" : : "m"(cpu->interp->fxsave));
}

/*
 * A device, or across pages: on a copy. Every page is probed before anything is loaded; only a device's store can fail
 * after the stub, and is then executed again with the device's answer. With LOCK, or XCHG, no other vcpu's such access
 * comes between; one that is not split is not held off.
 */
static enum cpu_result data_bounce(struct hosted_cpu *cpu, struct interp_entry *entry, uint64_t gva,
				   int64_t bit_offset)
{
	const struct x86_insn *insn = &entry->insn;
	unsigned len = insn->mem.bytes;
	uint8_t *bounce = cpu->interp->bounce + gva % 64;
	struct data_undo undo;
	/* an x87 store with an exception that is not masked stores nothing */
	bool is_loaded = insn->mem.is_read || (insn->uses & X86_USES_X87);
	enum cpu_result result = CPU_OK;

	if (insn->mem.is_written)
		result = cpu_probe(cpu, gva, len, CPU_WRITE);
	if (result == CPU_OK && is_loaded)
		result = cpu_load(cpu, gva, bounce, len);
	if (result != CPU_OK)
		return result;
	if (insn->mem.is_written)
		data_save(cpu, insn, &undo);
	result = interp_run_stub(cpu, entry, bounce - bit_offset);
	if (result != CPU_OK || !insn->mem.is_written)
		return result;
	result = cpu_store(cpu, gva, bounce, len);
	if (result != CPU_OK)
		data_undo(cpu, insn, &undo);
	return result;
}

static bool data_is_locked(const struct x86_insn *insn)
{
	return insn->has_lock || insn->op == X86_OP_XCHG;
}

static enum cpu_result data_split(struct hosted_cpu *cpu, struct interp_entry *entry, uint64_t gva,
				  int64_t bit_offset)
{
	if (!data_is_locked(&entry->insn))
		return data_bounce(cpu, entry, gva, bit_offset);
	int *lock = &cpu->vm->lock_split;
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)) {
		/* whoever has it may wait for this vcpu's answer */
		if (__atomic_load_n(&cpu->poll, __ATOMIC_RELAXED) & CPU_POLL_SYNC)
			mmu_sync(cpu);
		__builtin_ia32_pause();
	}
	enum cpu_result result = data_bounce(cpu, entry, gva, bit_offset);
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
	return result;
}

static enum cpu_result data_divisor(struct hosted_cpu *cpu, const struct x86_insn *insn,
				    const uint8_t *mem)
{
	uint64_t divisor = 0;

	if (mem)
		cpu_copy(&divisor, mem, insn->op_bytes);
	else
		divisor = interp_reg(cpu, insn->rm, insn->op_bytes);
	return interp_divides(cpu, insn, divisor) ? CPU_OK : fault_raise(cpu, SYS_DE);
}

/* A divisor that another vcpu changes between check and division must not surprise: it is copied. */
static enum cpu_result data_divide(struct hosted_cpu *cpu, struct interp_entry *entry, uint64_t gva)
{
	uint8_t *bounce = cpu->interp->bounce;
	enum cpu_result result = cpu_load(cpu, gva, bounce, entry->insn.mem.bytes);

	if (result == CPU_OK)
		result = data_divisor(cpu, &entry->insn, bounce);
	return result == CPU_OK ? interp_run_stub(cpu, entry, bounce) : result;
}

static bool data_is_division(const struct x86_insn *insn)
{
	return insn->op == X86_OP_DIV || insn->op == X86_OP_IDIV;
}

/*
 * An access that faults may be one that is not made: masked; or the instruction may have a fault that comes first: it is none, its
 * operand is not aligned, an x87 exception waits. The host's CPU knows, but asking it takes a signal: only where it can be so.
 */
static bool data_may_be_other(const struct interp_entry *entry, uint64_t gva)
{
	const struct x86_insn *insn = &entry->insn;

	if (interp_is_masked(insn) || (insn->uses & (X86_USES_X87 | X86_USES_MMX)))
		return true;
	if (insn->mem.align > 1 && gva % insn->mem.align != 0)
		return true;
	return !entry->has_run && (insn->encoding != X86_ENC_LEGACY || insn->map > X86_MAP_0F);
}

static enum cpu_result data_faulted(struct hosted_cpu *cpu, struct interp_entry *entry,
				    uint64_t gva, bool is_linear)
{
	if (!data_may_be_other(entry, gva))
		return CPU_FAULT;
	return interp_window(cpu, entry, gva, is_linear);
}

static enum cpu_result data_slow(struct hosted_cpu *cpu, struct interp_entry *entry, uint64_t ea,
				 int64_t bit_offset)
{
	const struct x86_insn *insn = &entry->insn;
	const struct x86_mem *mem = &insn->mem;
	uint8_t *pinned = NULL;
	uint64_t gva;
	enum cpu_result result =
		interp_linear(cpu, mem->seg, ea, mem->bytes, mem->is_written, &gva);

	if (result == CPU_FAULT)
		return data_faulted(cpu, entry, ea, false);
	if (data_is_division(insn))
		return data_divide(cpu, entry, gva);
	result = cpu_pin(cpu, gva, mem->bytes, mem->is_written, &pinned);
	if (result == CPU_FAULT)
		return data_faulted(cpu, entry, gva, true);
	if (result != CPU_OK)
		return result;
	if (pinned)
		return interp_run_stub(cpu, entry, pinned - bit_offset);
	return interp_is_masked(insn) ? interp_window(cpu, entry, gva, true)
				      : data_split(cpu, entry, gva, bit_offset);
}

/* The usual case: base 0 or FS, GS in 64-bit code, the page in the TLB. */
static uint8_t *data_quick(struct hosted_cpu *cpu, const struct x86_insn *insn, uint64_t ea)
{
	const struct x86_mem *mem = &insn->mem;

	if (cpu->mode & (CPU_MODE_TRAP | CPU_MODE_ALIGN) || !(cpu->mode & CPU_MODE_FLAT))
		return NULL;
	if (mem->seg >= X86_FS) {
		if (insn->code != X86_CODE_64)
			return NULL;
		ea += cpu->segs[mem->seg].base;
	}
	if (mem->seg == X86_CS && mem->is_written && insn->code != X86_CODE_64)
		return NULL; /* code cannot be written */
	return interp_direct(cpu, ea, mem->bytes, mem->is_written);
}

static enum cpu_result data_memory(struct hosted_cpu *cpu, struct interp_entry *entry)
{
	const struct x86_insn *insn = &entry->insn;
	uint64_t ea = interp_ea(cpu, insn);
	int64_t bit_offset = 0;

	if (insn->mem.bit_offset) {
		bit_offset = data_bit_offset(cpu, insn);
		ea = (ea + (uint64_t)bit_offset) & interp_mask(insn->addr_bytes);
	}
	uint8_t *direct = data_quick(cpu, insn, ea);
	if (direct && !data_is_division(insn))
		return interp_run_stub(cpu, entry, direct - bit_offset);
	return data_slow(cpu, entry, ea, bit_offset);
}

enum cpu_result interp_data(struct hosted_cpu *cpu, struct interp_entry *entry)
{
	const struct x86_insn *insn = &entry->insn;
	enum cpu_result result = CPU_OK;

	switch (entry->how) {
	case INTERP_C:
		result = interp_legacy(cpu, insn);
		break;
	case INTERP_NOTHING:
		break;
	case INTERP_LEA:
		interp_set_reg(cpu, insn->reg, insn->op_bytes, interp_ea(cpu, insn));
		break;
	case INTERP_REGS:
		if (data_is_division(insn))
			result = data_divisor(cpu, insn, NULL);
		if (result == CPU_OK)
			result = interp_run_stub(cpu, entry, NULL);
		break;
	case INTERP_MEM:
		result = data_memory(cpu, entry);
		break;
	case INTERP_GATHER:
		result = interp_gather(cpu, insn);
		break;
	case INTERP_VZERO:
		interp_vzero(cpu, insn);
		break;
	default:
		return fault_raise(cpu, SYS_UD);
	}
	if (result == CPU_OK)
		cpu->rip = interp_next(cpu, insn);
	return result;
}
