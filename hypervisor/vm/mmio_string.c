/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/mmio_string.h"

#include <errno.h>

static uint64_t addr_mask(const struct x86_insn *insn)
{
	return insn->addr_bytes >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * insn->addr_bytes)) - 1;
}

/* A count or index register of the address size; a 32-bit one clears its upper half. */
static void index_set(const struct mmio_cpu *cpu, const struct x86_insn *insn, uint8_t reg,
		      uint64_t value)
{
	uint64_t mask = addr_mask(insn);

	cpu->regs[reg] =
		insn->addr_bytes == 2 ? (cpu->regs[reg] & ~mask) | (value & mask) : value & mask;
}

static uint64_t index_get(const struct mmio_cpu *cpu, const struct x86_insn *insn, uint8_t reg)
{
	return cpu->regs[reg] & addr_mask(insn);
}

static bool is_repeated(const struct x86_insn *insn)
{
	return insn->has_rep || insn->has_repne;
}

static gva_t linear(struct mmio_cpu *cpu, const struct x86_insn *insn, uint8_t seg, uint8_t reg)
{
	return cpu->ops->seg_base(cpu, (enum x86_seg)seg) + index_get(cpu, insn, reg);
}

static enum mmio_step memory_error(int r)
{
	return r == -EFAULT ? MMIO_FAULT : MMIO_UNKNOWN;
}

/* The element is done: its index registers, and how many are left. */
static enum mmio_step element_done(struct mmio *m, struct mmio_cpu *cpu)
{
	const struct x86_insn *insn = &m->insn;
	uint64_t step = *cpu->rflags & X86_DF ? -(uint64_t)m->len : m->len;

	if (insn->op != X86_OP_STOS)
		index_set(cpu, insn, X86_RSI, index_get(cpu, insn, X86_RSI) + step);
	if (insn->op != X86_OP_LODS)
		index_set(cpu, insn, X86_RDI, index_get(cpu, insn, X86_RDI) + step);
	if (!is_repeated(insn))
		return MMIO_DONE;
	index_set(cpu, insn, X86_RCX, index_get(cpu, insn, X86_RCX) - 1);
	return index_get(cpu, insn, X86_RCX) ? MMIO_AGAIN : MMIO_DONE;
}

static enum mmio_step lods_done(struct mmio *m, struct mmio_cpu *cpu)
{
	uint64_t mask = m->len >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * m->len)) - 1;
	uint64_t *rax = &cpu->regs[X86_RAX];

	*rax = m->len == 4 ? m->value & mask : (*rax & ~mask) | (m->value & mask);
	return element_done(m, cpu);
}

enum mmio_step string_begin(struct mmio *m, struct mmio_cpu *cpu, bool is_write)
{
	const struct x86_insn *insn = &m->insn;

	if (is_repeated(insn) && !index_get(cpu, insn, X86_RCX))
		return MMIO_DONE;
	m->len = insn->op_bytes;
	m->value = 0;
	m->to_device = is_write;
	if (insn->op == X86_OP_STOS) {
		m->value = cpu->regs[X86_RAX];
		return MMIO_WRITE;
	}
	if (insn->op == X86_OP_LODS)
		return MMIO_READ;
	if (insn->op != X86_OP_MOVS)
		return MMIO_UNKNOWN;
	if (!is_write)
		return MMIO_READ;
	int r = cpu->ops->read(cpu, linear(cpu, insn, insn->mem.seg, X86_RSI), &m->value, m->len);
	return r < 0 ? memory_error(r) : MMIO_WRITE;
}

enum mmio_step string_next(struct mmio *m, struct mmio_cpu *cpu)
{
	const struct x86_insn *insn = &m->insn;

	if (insn->op == X86_OP_LODS)
		return lods_done(m, cpu);
	/* A read was asked for: its value goes to memory now. */
	if (insn->op == X86_OP_MOVS && !m->to_device) {
		int r = cpu->ops->write(cpu, linear(cpu, insn, X86_ES, X86_RDI), &m->value, m->len);
		if (r < 0)
			return memory_error(r);
	}
	return element_done(m, cpu);
}
