/* SPDX-License-Identifier: Apache-2.0 */
/* Operands of system instructions: the interpreter's, with alignment checks and data breakpoints. */
#include "engines/hosted/interp.h"
#include "engines/hosted/system.h"

enum cpu_result operand_memory(struct hosted_cpu *cpu, const struct x86_insn *insn, uint64_t at,
			       unsigned len, bool write, uint64_t *ret)
{
	uint64_t ea = (interp_ea(cpu, insn) + at) & interp_mask(insn->addr_bytes);

	return interp_linear(cpu, insn->mem.seg, ea, len, write, ret);
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

enum cpu_result operand_rm(struct hosted_cpu *cpu, const struct x86_insn *insn, unsigned bytes,
			   uint64_t *ret)
{
	if (insn->has_mem)
		return operand_load(cpu, insn, 0, bytes, ret);
	*ret = interp_reg(cpu, insn->rm, bytes);
	return CPU_OK;
}

enum cpu_result operand_set_rm(struct hosted_cpu *cpu, const struct x86_insn *insn, unsigned bytes,
			       uint64_t value)
{
	uint64_t gva;

	if (!insn->has_mem) {
		interp_set_reg(cpu, insn->rm, bytes, value);
		return CPU_OK;
	}
	enum cpu_result r = operand_memory(cpu, insn, 0, bytes, true, &gva);
	return r == CPU_OK ? cpu_store(cpu, gva, &value, bytes) : r;
}
