/* SPDX-License-Identifier: Apache-2.0 */
/* Operands of system instructions. */
#include "engines/hosted/system.h"

uint64_t operand_ea(const struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	const struct x86_mem *mem = &insn->mem;
	uint64_t ea = (uint64_t)mem->disp;

	if (mem->is_rip)
		ea += cpu->rip + insn->len;
	if (mem->base < X86_REGS)
		ea += cpu->regs[mem->base];
	if (mem->index < X86_REGS)
		ea += cpu->regs[mem->index] * mem->scale;
	if (insn->addr_bytes == 2)
		return ea & UINT16_MAX;
	return insn->addr_bytes == 4 ? ea & UINT32_MAX : ea;
}

uint64_t operand_reg(const struct hosted_cpu *cpu, unsigned number, unsigned bytes)
{
	uint64_t value = cpu->regs[number & 15];

	if (bytes >= 8)
		return value;
	return value & ((UINT64_C(1) << (8 * bytes)) - 1);
}

void operand_set_reg(struct hosted_cpu *cpu, unsigned number, unsigned bytes, uint64_t value)
{
	uint64_t *reg = &cpu->regs[number & 15];

	if (bytes == 4)
		*reg = value & UINT32_MAX;
	else
		cpu_copy(reg, &value, bytes);
}

enum cpu_result operand_memory(struct hosted_cpu *cpu, const struct x86_insn *insn, uint64_t at,
			       unsigned len, bool write, uint64_t *ret)
{
	uint64_t ea = operand_ea(cpu, insn) + at;

	if (insn->code != X86_CODE_64 || insn->addr_bytes == 4)
		ea &= insn->addr_bytes == 2 ? UINT16_MAX : UINT32_MAX;
	return seg_linear(cpu, insn->mem.seg, ea, len, write, ret);
}

enum cpu_result operand_load(struct hosted_cpu *cpu, const struct x86_insn *insn, uint64_t at,
			     unsigned len, uint64_t *ret)
{
	uint64_t gva, value = 0;
	enum cpu_result r = operand_memory(cpu, insn, at, len, false, &gva);

	if (r == CPU_OK)
		r = cpu_load(cpu, gva, &value, len);
	if (r == CPU_OK)
		*ret = value;
	return r;
}

enum cpu_result operand_store(struct hosted_cpu *cpu, const struct x86_insn *insn, uint64_t at,
			      unsigned len, uint64_t value)
{
	uint64_t gva;
	enum cpu_result r = operand_memory(cpu, insn, at, len, true, &gva);

	return r == CPU_OK ? cpu_store(cpu, gva, &value, len) : r;
}

enum cpu_result operand_rm(struct hosted_cpu *cpu, const struct x86_insn *insn, unsigned bytes,
			   uint64_t *ret)
{
	if (insn->has_mem)
		return operand_load(cpu, insn, 0, bytes, ret);
	*ret = operand_reg(cpu, insn->rm, bytes);
	return CPU_OK;
}

enum cpu_result operand_set_rm(struct hosted_cpu *cpu, const struct x86_insn *insn, unsigned bytes,
			       uint64_t value)
{
	if (insn->has_mem)
		return operand_store(cpu, insn, 0, bytes, value);
	operand_set_reg(cpu, insn->rm, bytes, value);
	return CPU_OK;
}
