/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vector loads and stores under a mask, and MASKMOV, where some of their bytes are not in plain memory: elements that the mask leaves
 * out do not fault. Which those are is asked of the instruction itself, not of a table: it is executed on a copy.
 *
 * A store is executed on two copies of different contents: bytes that are the same afterwards are the ones that it wrote.
 * A load is executed on a copy in which the bytes that cannot be read are 0, and again with others: if a register differs, it
 * needed one of them, and gets its fault; the first in address order that makes a difference is the one.
 */
#include "engines/hosted/interp.h"

#define VECTOR_PF 14

bool interp_is_masked(const struct x86_insn *insn)
{
	if (insn->op == X86_OP_MASKMOV)
		return true;
	if (insn->encoding == X86_ENC_EVEX)
		return insn->evex_aaa != 0;
	/* VMASKMOVPS/PD, VPMASKMOVD/Q */
	return insn->encoding == X86_ENC_VEX && insn->map == X86_MAP_0F38 &&
	       ((insn->opcode >= 0x2c && insn->opcode <= 0x2f) || insn->opcode == 0x8c ||
		insn->opcode == 0x8e);
}

static void masked_fill(uint8_t *to, unsigned len, uint8_t value)
{
	for (unsigned i = 0; i < len; i++)
		to[i] = value;
}

static void masked_save(struct hosted_cpu *cpu, unsigned slot)
{
	__asm__ volatile("xsave64 %0"
			 : "+m"(*(uint8_t(*)[CPU_PAGE_BYTES])cpu->interp->xsave[slot])
			 : "a"((uint32_t)cpu->xsave_mask), "d"((uint32_t)(cpu->xsave_mask >> 32)));
}

static void masked_restore(struct hosted_cpu *cpu, unsigned slot)
{
	__asm__ volatile("xrstor64 %0"
			 :
			 : "m"(*(uint8_t(*)[CPU_PAGE_BYTES])cpu->interp->xsave[slot]),
			   "a"((uint32_t)cpu->xsave_mask), "d"((uint32_t)(cpu->xsave_mask >> 32)));
}

/* One element is one store of the bus's; a fault in one that is written is reported at the first byte. */
static enum cpu_result masked_store(struct hosted_cpu *cpu, struct interp_entry *entry,
				    uint64_t gva)
{
	uint8_t *one = cpu->interp->bounce[0], *two = cpu->interp->bounce[1];
	unsigned len = entry->insn.mem.bytes;
	enum cpu_result result = CPU_OK;

	masked_fill(one, len, 0);
	masked_fill(two, len, 0xff);
	result = interp_run_stub(cpu, entry, one);
	if (result == CPU_OK)
		result = interp_run_stub(cpu, entry, two);
	for (unsigned i = 0; i < len && result == CPU_OK; i++) {
		if (one[i] == two[i])
			result = cpu_probe(cpu, gva + i, 1, CPU_WRITE);
	}
	for (unsigned i = 0, n; i < len && result == CPU_OK; i += n) {
		n = 1;
		if (one[i] != two[i])
			continue;
		while (i + n < len && n < 8 && one[i + n] == two[i + n])
			n++;
		result = cpu_store(cpu, gva + i, one + i, n);
	}
	return result;
}

/* Executes it with the copy as it is; its result in xsave[slot], the state before it is in the registers again. */
static enum cpu_result masked_try(struct hosted_cpu *cpu, struct interp_entry *entry, unsigned slot)
{
	uint64_t regs[X86_REGS], rflags = cpu->rflags;

	cpu_copy(regs, cpu->regs, sizeof(regs));
	enum cpu_result result = interp_run_stub(cpu, entry, cpu->interp->bounce[0]);
	cpu_copy(cpu->regs, regs, sizeof(regs));
	cpu->rflags = rflags;
	if (result == CPU_OK)
		masked_save(cpu, slot);
	masked_restore(cpu, 0);
	return result;
}

static bool masked_differs(const struct hosted_cpu *cpu)
{
	const uint8_t *a = cpu->interp->xsave[1], *b = cpu->interp->xsave[2];

	for (uint32_t i = 0; i < cpu->xsave_bytes; i++) {
		if (a[i] != b[i])
			return true;
	}
	return false;
}

/*
 * Whether any of bytes [from, to) of the copy matters. A comparison's result may be the same for two values of a byte: more than
 * two are tried.
 */
static enum cpu_result masked_matters(struct hosted_cpu *cpu, struct interp_entry *entry,
				      unsigned from, unsigned to, bool *ret)
{
	static const uint8_t values[] = { 0xff, 0x3c, 0x81 };
	uint8_t *bounce = cpu->interp->bounce[0];
	enum cpu_result result = CPU_OK;

	*ret = false;
	for (unsigned i = 0; i < sizeof(values) && !*ret && result == CPU_OK; i++) {
		masked_fill(bounce + from, to - from, values[i]);
		result = masked_try(cpu, entry, 2);
		*ret = masked_differs(cpu);
	}
	masked_fill(bounce + from, to - from, 0);
	return result;
}

/* The bytes of one page that cannot be read: @from .. @to of the operand. */
static enum cpu_result masked_page(struct hosted_cpu *cpu, struct interp_entry *entry, uint64_t gva,
				   unsigned from, unsigned to)
{
	bool matters;
	enum cpu_result result = masked_matters(cpu, entry, from, to, &matters);

	if (result != CPU_OK || !matters)
		return result;
	for (unsigned i = from; i < to; i++) {
		result = masked_matters(cpu, entry, i, i + 1, &matters);
		if (result != CPU_OK)
			return result;
		if (matters)
			return cpu_load(cpu, gva + i, cpu->interp->bounce[1], 1);
	}
	return cpu_load(cpu, gva + from, cpu->interp->bounce[1], 1);
}

static enum cpu_result masked_load(struct hosted_cpu *cpu, struct interp_entry *entry, uint64_t gva)
{
	unsigned len = entry->insn.mem.bytes;
	unsigned first = (unsigned)(CPU_PAGE_BYTES - (gva & (CPU_PAGE_BYTES - 1)));
	uint8_t *bounce = cpu->interp->bounce[0];
	bool bad[2] = { false, false };
	unsigned at[3] = { 0, first < len ? first : len, len };

	masked_fill(bounce, len, 0);
	for (unsigned i = 0; i < 2 && at[i] < at[i + 1]; i++) {
		enum cpu_result result =
			cpu_load(cpu, gva + at[i], bounce + at[i], at[i + 1] - at[i]);
		if (result == CPU_EXIT)
			return result;
		bad[i] = result == CPU_FAULT;
	}
	masked_save(cpu, 0);
	if (bad[0] || bad[1]) {
		enum cpu_result result = masked_try(cpu, entry, 1);
		for (unsigned i = 0; i < 2 && result == CPU_OK; i++) {
			if (bad[i])
				result = masked_page(cpu, entry, gva, at[i], at[i + 1]);
		}
		if (result != CPU_OK)
			return result;
	}
	return interp_run_stub(cpu, entry, bounce);
}

enum cpu_result interp_masked(struct hosted_cpu *cpu, struct interp_entry *entry, uint64_t gva)
{
	if (entry->insn.mem.is_written)
		return masked_store(cpu, entry, gva);
	return masked_load(cpu, entry, gva);
}
