/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which memory accesses of a block share one look-up: those at constant distances from one another, on registers that are followed
 * through additions of constants, copies, pushes and pops.
 */
#include "engines/hosted/jit_parts.h"

#define SLOT	     8
#define OPCODE_STORE 0x89U /* mov rm, reg */

/* What a register holds: an unknown value that has a number, and a constant. */
struct value {
	uint32_t origin;
	int64_t offset;
};

/* Where an access is: two values and a constant. */
struct address {
	uint32_t origin, index; /* index 0: none */
	uint8_t scale;
	int64_t offset;
	bool is_constant;
};

struct plan {
	struct jit_work *w;
	struct value regs[X86_REGS];
	uint32_t origins;
	uint32_t era;  /* of known addresses: they are looked up anew where the TLB is another */
	unsigned part; /* of the block: branches passed */
};

static void forget(struct plan *p, unsigned reg)
{
	p->regs[reg] = (struct value){ .origin = ++p->origins };
}

static void forget_all(struct plan *p)
{
	for (unsigned reg = 0; reg < X86_REGS; reg++)
		forget(p, reg);
}

/* ---- groups ---- */

/* Of the same page, whatever is between them: which page is known. */
static bool same_page(int64_t min, int64_t max)
{
	return ((min ^ (max - 1)) & ~(int64_t)(CPU_PAGE_BYTES - 1)) == 0;
}

/*
 * A store behind a branch is no member of a group that only loads before it: the page would be dirty, or the look-up fail, for a
 * store that may never be.
 */
static struct jit_group *group_of(struct plan *p, const struct address *at, int64_t to, bool write)
{
	struct jit_work *w = p->w;
	const int64_t most = w->round ? JIT_ROUND_BYTES : JIT_GROUP_BYTES;

	for (unsigned i = 0; i < w->n_groups; i++) {
		struct jit_group *g = &w->groups[i];
		int64_t min = at->offset < g->min ? at->offset : g->min;
		int64_t max = to > g->max ? to : g->max;
		if (write && !g->write && g->part != p->part)
			continue;
		bool same_base = g->origin == at->origin && g->index == at->index &&
				 g->scale == at->scale && g->is_constant == at->is_constant;
		if (same_base && (at->is_constant ? same_page(min, max) : max - min <= most))
			return g;
	}
	return NULL;
}

static void note(struct plan *p, unsigned i, enum jit_which which, const struct address *at,
		 unsigned bytes, bool write)
{
	struct jit_work *w = p->w;
	int64_t to = at->offset + (int64_t)bytes;
	struct jit_group *g = group_of(p, at, to, write);

	if (!g) {
		if (w->n_groups == JIT_GROUPS_MAX)
			return;
		g = &w->groups[w->n_groups++];
		*g = (struct jit_group){
			.origin = at->origin,
			.index = at->index,
			.scale = at->scale,
			.is_constant = at->is_constant,
			.min = at->offset,
			.max = to,
			.first = at->offset,
			.part = p->part,
			.slot = JIT_NO_SLOT,
		};
	}
	g->min = at->offset < g->min ? at->offset : g->min;
	g->max = to > g->max ? to : g->max;
	g->write |= write;
	g->n++;
	w->group_at[i][which] = (uint8_t)(g - w->groups + 1);
	w->offset_at[i][which] = at->offset;
}

/* With an index, both registers have to be where the host can take them from. */
static bool is_followed(const struct x86_insn *insn)
{
	const struct x86_mem *mem = &insn->mem;

	if (mem->is_rip || mem->is_moffs || mem->is_vsib || mem->bit_offset ||
	    mem->base >= X86_REGS || mem->seg == X86_FS || mem->seg == X86_GS ||
	    insn->addr_bytes != 8 || insn->op == X86_OP_XLAT)
		return false;
	return mem->index == X86_REG_NONE ||
	       !((UINT32_C(1) << mem->base | UINT32_C(1) << mem->index) & JIT_SCRATCH);
}

/* An operand at a known address, which fits a displacement and is in one page. */
static bool is_constant(const struct plan *p, unsigned i, const struct x86_insn *insn,
			unsigned bytes, int64_t *ret)
{
	const struct x86_mem *mem = &insn->mem;
	bool is_absolute = mem->base == X86_REG_NONE && mem->index == X86_REG_NONE;

	if (mem->is_moffs || mem->is_vsib || mem->bit_offset || mem->seg == X86_FS ||
	    mem->seg == X86_GS || insn->addr_bytes != 8 || insn->op == X86_OP_XLAT ||
	    !(mem->is_rip || is_absolute))
		return false;
	*ret = mem->disp;
	if (mem->is_rip)
		*ret += (int64_t)(p->w->rip + p->w->at[i] + insn->len);
	return *ret == (int32_t)*ret && same_page(*ret, *ret + (int64_t)bytes);
}

static void note_operand(struct plan *p, unsigned i, const struct x86_insn *insn, unsigned bytes)
{
	const struct x86_mem *mem = &insn->mem;
	struct address known = { .origin = p->era, .is_constant = true };

	if (is_constant(p, i, insn, bytes, &known.offset)) {
		note(p, i, JIT_OPERAND, &known, bytes, mem->is_written);
		return;
	}
	if (!is_followed(insn))
		return;
	struct address at = { .origin = p->regs[mem->base].origin,
			      .offset = p->regs[mem->base].offset + mem->disp };
	if (mem->index != X86_REG_NONE) {
		at.index = p->regs[mem->index].origin;
		at.scale = mem->scale;
		at.offset += p->regs[mem->index].offset * mem->scale;
	}
	note(p, i, JIT_OPERAND, &at, bytes, mem->is_written);
}

/* ---- following registers ---- */

static void stack_move(struct plan *p, int64_t by)
{
	p->regs[X86_RSP].offset += by;
}

static void stack_note(struct plan *p, unsigned i, unsigned reg, int64_t offset, bool write)
{
	struct address at = { .origin = p->regs[reg].origin,
			      .offset = p->regs[reg].offset + offset };

	note(p, i, JIT_STACK, &at, SLOT, write);
}

/* Where the instruction gives one register another value that is known; false: it does not. */
static bool follow_known(struct plan *p, const struct x86_insn *insn)
{
	const struct x86_mem *mem = &insn->mem;
	bool whole = insn->op_bytes == 8 && insn->encoding == X86_ENC_LEGACY;
	bool is_rm = whole && !insn->has_mem && insn->rm_field == X86_FIELD_GPR;

	if (is_rm && insn->reg_field == X86_FIELD_NONE && insn->imm_len &&
	    (insn->op == X86_OP_ADD || insn->op == X86_OP_SUB)) {
		p->regs[insn->rm].offset += insn->op == X86_OP_ADD ? insn->imm : -insn->imm;
		return true;
	}
	if (is_rm && insn->op == X86_OP_MOV && insn->reg_field == X86_FIELD_GPR) {
		if (insn->opcode == OPCODE_STORE)
			p->regs[insn->rm] = p->regs[insn->reg];
		else
			p->regs[insn->reg] = p->regs[insn->rm];
		return true;
	}
	if (whole && insn->op == X86_OP_LEA && !mem->is_rip && insn->addr_bytes == 8 &&
	    mem->base < X86_REGS && mem->index == X86_REG_NONE) {
		struct value at = p->regs[mem->base];
		at.offset += mem->disp;
		p->regs[insn->reg] = at;
		return true;
	}
	return false;
}

static void follow(struct plan *p, const struct x86_insn *insn)
{
	if (follow_known(p, insn))
		return;
	for (unsigned reg = 0; reg < X86_REGS; reg++) {
		if (insn->gpr_written >> reg & 1)
			forget(p, reg);
	}
}

static void stack(struct plan *p, unsigned i, const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_PUSH:
		if (insn->has_mem)
			note_operand(p, i, insn, SLOT);
		stack_note(p, i, X86_RSP, -SLOT, true);
		stack_move(p, -SLOT);
		break;
	case X86_OP_PUSHF:
		stack_note(p, i, X86_RSP, -SLOT, true);
		stack_move(p, -SLOT);
		break;
	case X86_OP_POP:
		stack_note(p, i, X86_RSP, 0, false);
		stack_move(p, SLOT);
		forget(p, insn->rm);
		break;
	default: /* LEAVE */
		stack_note(p, i, X86_RBP, 0, false);
		p->regs[X86_RSP] = p->regs[X86_RBP];
		stack_move(p, SLOT);
		forget(p, X86_RBP);
		break;
	}
}

static void branch(struct plan *p, unsigned i, const struct x86_insn *insn)
{
	if (insn->has_mem)
		note_operand(p, i, insn, SLOT);
	if (insn->op == X86_OP_CALL || insn->op == X86_OP_CALL_IND)
		stack_note(p, i, X86_RSP, -SLOT, true);
	else if (insn->op == X86_OP_RET)
		stack_note(p, i, X86_RSP, 0, false);
}

static void plan_insn(struct plan *p, unsigned i)
{
	const struct x86_insn *insn = &p->w->insns[i];

	if (insn->class == X86_CLASS_STACK) {
		stack(p, i, insn);
	} else if (insn->class == X86_CLASS_BRANCH) {
		branch(p, i, insn);
		p->part++;
	} else if (insn->op == X86_OP_STAC || insn->op == X86_OP_CLAC) {
		forget_all(p); /* the TLB is another one behind it */
		p->era++;
	} else {
		if (insn->class == X86_CLASS_DATA && insn->has_mem && insn->op != X86_OP_LEA &&
		    insn->op != X86_OP_NOP)
			note_operand(p, i, insn, insn->mem.bytes);
		follow(p, insn);
		if (insn->class == X86_CLASS_STRING) {
			forget(p, X86_RSI);
			forget(p, X86_RDI);
			forget(p, X86_RCX);
		}
	}
}

void jit_plan(struct jit_work *w)
{
	struct plan p = { .w = w };
	unsigned slots = 0;

	cpu_zero(w->group_at, sizeof(w->group_at));
	w->n_groups = 0;
	if (w->plain || !w->long_mode)
		return;
	forget_all(&p);
	for (unsigned i = 0; i < w->n; i++)
		plan_insn(&p, i);
	for (unsigned i = 0; i < w->n_groups; i++) {
		struct jit_group *g = &w->groups[i];
		if (g->n > 1 && slots < JIT_GROUP_SLOTS)
			g->slot = (uint8_t)slots++;
	}
}
