/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, registers and memory operands of instructions that are executed in C. */
#include "engines/hosted/interp.h"
#include "engines/hosted/system.h"

/* x86 Instruction Format, Memory-Addressing: wrapped to the address size. */
uint64_t interp_ea(const struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	const struct x86_mem *mem = &insn->mem;
	uint64_t ea = (uint64_t)mem->disp;

	if (mem->base < X86_REGS)
		ea += cpu->regs[mem->base];
	if (mem->index < X86_REGS && !mem->is_vsib)
		ea += cpu->regs[mem->index] * mem->scale;
	if (mem->is_rip)
		ea += cpu->rip + insn->len;
	if (insn->op == X86_OP_XLAT)
		ea += cpu->regs[X86_RAX] & 0xff;
	return ea & interp_mask(insn->addr_bytes);
}

/* Intel SDM 3A, Alignment Checking (table of alignment requirements by data type). */
static bool operand_misaligned(uint64_t gva, unsigned len)
{
	unsigned align = len == 10 ? 8 : len;

	return align <= 8 && (align & (align - 1)) == 0 && (gva & (align - 1)) != 0;
}

/* Base 0 and no limit that matters: nothing to look at, but that code cannot be written. */
static bool operand_is_flat(const struct hosted_cpu *cpu, enum x86_seg seg, bool write)
{
	return (cpu->mode & CPU_MODE_FLAT) && (cpu->mode & CPU_MODE_CODE) != X86_CODE_64 &&
	       seg < X86_FS && !(seg == X86_CS && write);
}

enum cpu_result interp_linear(struct hosted_cpu *cpu, enum x86_seg seg, uint64_t ea, unsigned len,
			      bool write, uint64_t *ret)
{
	uint64_t gva = ea;

	if (!operand_is_flat(cpu, seg, write)) {
		enum cpu_result result = seg_linear(cpu, seg, ea, len, write, &gva);
		if (result != CPU_OK)
			return result;
	}
	if (cpu->mode & (CPU_MODE_ALIGN | CPU_MODE_TRAP)) {
		if ((cpu->mode & CPU_MODE_ALIGN) && operand_misaligned(gva, len))
			return fault_error(cpu, SYS_AC, 0);
		debug_access(cpu, gva, len, write);
	}
	*ret = gva;
	return CPU_OK;
}

uint8_t *interp_direct(struct hosted_cpu *cpu, uint64_t gva, unsigned len, bool write)
{
	const struct cpu_tlb_entry *entry = &cpu->tlb->entries[cpu_tlb_index(gva)];
	uint64_t tag = write ? entry->write : entry->read;

	if (((gva + len - 1) & -(uint64_t)CPU_PAGE_BYTES) != tag)
		return NULL;
	return cpu_hva(entry, gva);
}

static uint64_t operand_read(const uint8_t *at, unsigned len)
{
	switch (len) {
	case 1:
		return *at;
	case 2:
		return *(const volatile uint16_t *)at;
	case 4:
		return *(const volatile uint32_t *)at;
	default:
		return *(const volatile uint64_t *)at;
	}
}

enum cpu_result interp_load(struct hosted_cpu *cpu, enum x86_seg seg, uint64_t ea, unsigned len,
			    uint64_t *ret)
{
	uint64_t gva, value = 0;
	enum cpu_result result = interp_linear(cpu, seg, ea, len, false, &gva);

	if (result != CPU_OK)
		return result;
	const uint8_t *direct = interp_direct(cpu, gva, len, false);
	if (direct && (len & (len - 1)) == 0) {
		*ret = operand_read(direct, len);
		return CPU_OK;
	}
	result = cpu_load(cpu, gva, &value, len);
	if (result == CPU_OK)
		*ret = value;
	return result;
}

enum cpu_result interp_store(struct hosted_cpu *cpu, enum x86_seg seg, uint64_t ea, unsigned len,
			     uint64_t value)
{
	uint64_t gva;
	enum cpu_result result = interp_linear(cpu, seg, ea, len, true, &gva);

	if (result != CPU_OK)
		return result;
	uint8_t *direct = interp_direct(cpu, gva, len, true);
	if (!direct)
		return cpu_store(cpu, gva, &value, len);
	switch (len) {
	case 1:
		*direct = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)direct = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)direct = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)direct = value;
		break;
	}
	return CPU_OK;
}

uint64_t interp_reg(const struct hosted_cpu *cpu, unsigned number, unsigned bytes)
{
	if (number >= X86_REG_AH)
		return cpu->regs[number - X86_REG_AH] >> 8 & 0xff;
	return cpu->regs[number] & interp_mask(bytes);
}

/* 32 bits clear the upper half; 8 and 16 leave the rest as it is. Intel SDM 1, General-Purpose Registers in 64-Bit Mode. */
void interp_set_reg(struct hosted_cpu *cpu, unsigned number, unsigned bytes, uint64_t value)
{
	uint64_t *reg;

	if (number >= X86_REG_AH) {
		reg = &cpu->regs[number - X86_REG_AH];
		*reg = (*reg & ~UINT64_C(0xff00)) | (value & 0xff) << 8;
		return;
	}
	reg = &cpu->regs[number];
	if (bytes >= 4)
		*reg = value & interp_mask(bytes);
	else
		*reg = (*reg & ~interp_mask(bytes)) | (value & interp_mask(bytes));
}

enum cpu_result interp_rm(struct hosted_cpu *cpu, const struct x86_insn *insn, unsigned bytes,
			  uint64_t *ret)
{
	if (insn->has_mem)
		return interp_load(cpu, insn->mem.seg, interp_ea(cpu, insn), bytes, ret);
	*ret = interp_reg(cpu, insn->rm, bytes);
	return CPU_OK;
}
