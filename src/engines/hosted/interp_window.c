/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operands that are partly there. Elements that a mask leaves out do not fault, and which of them an instruction accesses is its own
 * affair (some of AVX-512 access all of them whatever the mask says): it is executed on two pages of the host's that hold a copy,
 * placed such that what is missing in the guest is missing there. If it faults, the guest's access at that place faults.
 *
 * A store is executed on two copies of different contents: bytes that are the same afterwards are the ones that it wrote. Instructions
 * that store and cannot be executed twice (x87) come here only if their operand is missing, and then fault.
 */
#include "engines/hosted/interp.h"

struct window {
	struct hosted_cpu *cpu;
	struct interp_entry *entry;
	uint64_t gva;
	unsigned len[2]; /* the operand's parts in two pages */
	bool there[2];
	uint8_t *at; /* the operand in the window */
};

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

static uint64_t window_part(const struct window *w, unsigned i)
{
	uint64_t gva = i == 0 ? w->gva : w->gva + w->len[0];

	return w->entry->insn.code == X86_CODE_64 ? gva : gva & UINT32_MAX;
}

/* The same place in a page as the guest's, in the pages that are there, or at their ends. */
static void window_place(struct window *w)
{
	uint64_t offset = w->gva & (CPU_PAGE_BYTES - 1);
	unsigned page = 1;

	if (!w->there[0])
		page = w->there[1] ? 0 : 3;
	else if (w->len[1] && !w->there[1])
		page = 2;
	w->at = w->cpu->interp->window + page * (uint64_t)CPU_PAGE_BYTES + offset;
}

/* What can be loaded, or stored. A device is asked as in any other instruction. */
static enum cpu_result window_open(struct window *w)
{
	const struct x86_mem *mem = &w->entry->insn.mem;

	for (unsigned i = 0; i < 2 && w->len[i]; i++) {
		enum cpu_result result = cpu_probe(w->cpu, window_part(w, i), w->len[i],
						   mem->is_written ? CPU_WRITE : CPU_READ);
		if (result == CPU_EXIT)
			return result;
		w->there[i] = result == CPU_OK;
	}
	return CPU_OK;
}

static enum cpu_result window_load(struct window *w)
{
	uint8_t *to = w->at;

	for (unsigned i = 0; i < 2; to += w->len[i], i++) {
		if (!w->there[i])
			continue;
		enum cpu_result result = cpu_load(w->cpu, window_part(w, i), to, w->len[i]);
		if (result != CPU_OK)
			return result;
	}
	return CPU_OK;
}

static void window_fill(const struct window *w, uint8_t value)
{
	uint8_t *at = w->at;

	for (unsigned i = 0; i < 2; at += w->len[i], i++) {
		for (unsigned j = 0; w->there[i] && j < w->len[i]; j++)
			at[j] = value;
	}
}

/* The guest's fault at the place where the host's CPU had one. */
static enum cpu_result window_fault(const struct window *w)
{
	const struct x86_mem *mem = &w->entry->insn.mem;
	uint64_t at = w->gva + (w->cpu->interp->native_cr2 - (uint64_t)w->at);

	if (w->entry->insn.code != X86_CODE_64)
		at &= UINT32_MAX;
	enum cpu_result result = cpu_probe(w->cpu, at, 1, mem->is_written ? CPU_WRITE : CPU_READ);
	/* another vcpu has mapped it meanwhile: the instruction is executed again */
	return result == CPU_OK ? CPU_AGAIN : result;
}

static enum cpu_result window_run(const struct window *w)
{
	enum cpu_result result = interp_run_stub(w->cpu, w->entry, w->at);

	return result == CPU_AGAIN ? window_fault(w) : result;
}

static enum cpu_result window_store(const struct window *w)
{
	unsigned len = w->len[0] + w->len[1];
	uint8_t first[64];

	window_fill(w, 0);
	enum cpu_result result = window_run(w);
	if (result != CPU_OK)
		return result;
	unsigned from = w->there[0] ? 0 : w->len[0],
		 to = w->len[1] && !w->there[1] ? w->len[0] : len;
	if (from < to)
		cpu_copy(first + from, w->at + from, to - from);
	window_fill(w, 0xff);
	result = window_run(w);
	for (unsigned i = from, n; i < to && result == CPU_OK; i += n) {
		n = 1;
		if (first[i] != w->at[i])
			continue;
		while (i + n < to && n < 8 && first[i + n] == w->at[i + n])
			n++;
		result = cpu_store(w->cpu, w->gva + i, first + i, n);
	}
	return result;
}

/* Nothing of it is there, and what would be accessed is known: the fault that brought it here, unless another comes first. */
static enum cpu_result window_nowhere(struct window *w)
{
	const struct cpu_fault fault = w->cpu->fault;

	window_place(w);
	enum cpu_result result = interp_run_stub(w->cpu, w->entry, w->at);
	if (result != CPU_AGAIN)
		return result;
	w->cpu->fault = fault;
	return CPU_FAULT;
}

enum cpu_result interp_window(struct hosted_cpu *cpu, struct interp_entry *entry, uint64_t gva,
			      bool is_linear)
{
	const struct x86_mem *mem = &entry->insn.mem;
	unsigned first = (unsigned)(CPU_PAGE_BYTES - (gva & (CPU_PAGE_BYTES - 1)));
	struct window w = { .cpu = cpu, .entry = entry, .gva = gva };
	enum cpu_result result;

	w.len[0] = first < mem->bytes ? first : mem->bytes;
	w.len[1] = mem->bytes - w.len[0];
	if (!is_linear)
		return window_nowhere(&w);
	do {
		result = window_open(&w);
		if (result != CPU_OK)
			return result;
		window_place(&w);
		if (mem->is_written && !mem->is_read)
			result = window_store(&w);
		else if ((result = window_load(&w)) == CPU_OK)
			result = window_run(&w);
	} while (result == CPU_AGAIN);
	return result;
}
