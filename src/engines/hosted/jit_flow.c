/* SPDX-License-Identifier: Apache-2.0 */
/* Where control goes: edges and exits, branches, and the stack. 64-bit code. */
#include "engines/hosted/jit_parts.h"

#define JRCXZ	    0xe3U
#define JMP_SHORT   0xebU
#define JCC_SHORT   0x70U
#define CC_INVERT   1U
#define SHORT_REACH 128 /* of a jump with one byte of displacement */
#define SLOT	    8U	/* bytes of a stack slot */

/* ---- leaving ---- */

void jit_exit(struct jit_work *w, uint8_t *from, enum jit_thunk thunk, enum jit_arg arg_is,
	      unsigned arg)
{
	if (w->n_exits == JIT_EXITS_MAX) {
		w->e.full = true;
		return;
	}
	w->exits[w->n_exits++] = (struct jit_exit){ .from = from,
						    .thunk = (uint8_t)thunk,
						    .arg_is = (uint8_t)arg_is,
						    .arg = (uint16_t)arg };
}

void jit_jump_to_thunk(struct jit_work *w, unsigned thunk)
{
	uint8_t **jump = &w->thunk_jumps[thunk];
	struct emit *e = &w->e;

	if (*jump && e->at + 2 - *jump <= SHORT_REACH) {
		emit_byte(e, JMP_SHORT);
		emit_byte(e, (uint8_t)(*jump - (e->at + 1)));
		return;
	}
	*jump = e->at;
	(void)emit_jmp(e, w->jit->rw + w->jit->thunks[thunk]);
}

void jit_stub(struct jit_work *w, enum jit_thunk thunk, enum jit_arg arg_is, unsigned arg)
{
	struct emit *e = &w->e;

	emit_mov_imm(e, jit_thunk_arg(thunk), 0);
	jit_exit(w, e->at - sizeof(uint32_t), thunk, arg_is, arg);
	if (!e->full)
		w->exits[w->n_exits - 1].is_there = true;
	jit_jump_to_thunk(w, thunk);
}

unsigned jit_site(struct jit_work *w, unsigned bytes, enum cpu_access access)
{
	if (w->n_sites == JIT_SITES_MAX) {
		w->e.full = true;
		return 0;
	}
	w->e.written |= JIT_SCRATCH; /* who comes back here has lost them */
	w->sites[w->n_sites] = (struct jit_site){
		.back = jit_ref_of(w->jit, w->e.at),
		.insn = w->at[w->i],
		.bytes = (uint8_t)bytes,
		.access = (uint8_t)access,
		.slot = JIT_NO_SLOT,
	};
	return w->n_sites++;
}

void jit_leave(struct jit_work *w, unsigned offset, uint32_t needed)
{
	bool live = needed && w->flags == JIT_FLAGS_HOST;
	unsigned site = jit_site(w, 0, CPU_READ);

	w->sites[site].insn = (uint16_t)offset;
	jit_stub(w, live ? JIT_THUNK_AGAIN_LIVE : JIT_THUNK_AGAIN, JIT_ARG_SITE, site);
}

/* ---- edges ---- */

static unsigned new_link(struct jit_work *w, uint64_t target)
{
	if (w->n_links == JIT_LINKS_MAX) {
		w->e.full = true;
		return 0;
	}
	w->links[w->n_links] = (struct jit_link){ .target = target };
	return w->n_links++;
}

/* The jump that is the edge itself is under way: where it goes before it is linked. */
static void link_stub(struct jit_work *w, unsigned link)
{
	w->links[link].stub = jit_ref_of(w->jit, w->e.at);
	jit_stub(w, w->links[link].saved ? JIT_THUNK_LINK_SAVED : JIT_THUNK_LINK, JIT_ARG_LINK,
		 link);
}

static void link_jump(struct jit_work *w, unsigned link, const uint8_t *displacement)
{
	w->links[link].jump = jit_ref_of(w->jit, displacement);
}

/* An edge backward that hands over flags in the host's: RCX tells whether there is something to do. */
static void edge_softly(struct jit_work *w, unsigned link)
{
	struct emit *e = &w->e;

	emit_rr(e, true, EMIT_LOAD, JIT_C, X86_RCX);
	emit_gs(e, false, EMIT_LOAD, X86_RCX, offsetof(struct hosted_cpu, poll));
	uint8_t *nothing = emit_short(e, JRCXZ);
	emit_rr(e, true, EMIT_LOAD, X86_RCX, JIT_C);
	link_stub(w, link);
	emit_patch_short(e, nothing);
	emit_rr(e, true, EMIT_LOAD, X86_RCX, JIT_C);
	uint8_t *jump = emit_jmp(e, w->jit->rw + w->links[link].stub);
	link_jump(w, link, jump);
}

static void check_stamp(struct jit_work *w, unsigned link)
{
	emit_gs_cmp32(&w->e, JIT_GS(stamp), JIT_STAMP_NONE);
	w->links[link].stamp = jit_ref_of(w->jit, w->e.at - sizeof(uint32_t));
}

/* The last comparison's jump is the edge; what else there is to do is asked at the stub behind it. */
static void edge_checked(struct jit_work *w, unsigned link, bool polls, bool stamped)
{
	struct emit *e = &w->e;
	uint8_t *out = NULL;

	if (polls)
		emit_gs_cmp32_zero(e, offsetof(struct hosted_cpu, poll));
	if (polls && stamped)
		out = emit_short(e, JCC_SHORT | EMIT_CC_NE);
	if (stamped)
		check_stamp(w, link);
	uint8_t *jump = emit_jcc(e, EMIT_CC_E, NULL);
	link_jump(w, link, jump);
	emit_patch(e, jump, e->at);
	if (out)
		emit_patch_short(e, out);
	link_stub(w, link);
}

static bool is_same_page(const struct jit_work *w, uint64_t target)
{
	return (target ^ w->rip) < CPU_PAGE_BYTES;
}

/* A short loop that needs its flags keeps them where they are; what compares stamps, or has saved them, leaves them saved. */
static void edge(struct jit_work *w, uint64_t target, uint64_t from, uint32_t needed, bool torn)
{
	unsigned link = new_link(w, target);
	bool stamped = torn || !is_same_page(w, target), polls = target <= from;
	bool saved = needed && (stamped || w->flags == JIT_FLAGS_SAVED);

	if (saved)
		jit_flags_spare(w, needed, JIT_A);
	w->links[link].saved = saved;
	if (polls && needed && !saved) {
		edge_softly(w, link);
	} else if (polls || stamped) {
		edge_checked(w, link, polls, stamped);
	} else {
		link_jump(w, link, w->e.at + 1);
		link_stub(w, link);
	}
}

void jit_edge(struct jit_work *w, uint64_t target, uint64_t from, uint32_t needed)
{
	edge(w, target, from, needed, false);
}

void jit_edge_torn(struct jit_work *w, uint64_t target, uint32_t needed)
{
	edge(w, target, w->rip, needed, true);
}

/* The target is in JIT_C, flags are saved: its entry in the jump table in force, by JIT_A, or away: to be interpreted. */
static struct emit_mem jump_of(struct jit_work *w, unsigned site)
{
	struct emit *e = &w->e;
	struct emit_mem slot = { JIT_A, X86_REG_NONE, 1, 0 };

	emit_gs_cmp32_zero(e, offsetof(struct hosted_cpu, poll));
	jit_exit(w, emit_jcc(e, EMIT_CC_NE, NULL), JIT_THUNK_AGAIN, JIT_ARG_SITE, site);
	emit_rr(e, false, EMIT_LOAD, JIT_A, JIT_C);
	emit_shift(e, false, EMIT_SHL, JIT_A, JIT_JUMP_SHIFT);
	emit_imm(e, false, EMIT_IMM_AND, JIT_A, (int32_t)((JIT_JUMPS - 1) << JIT_JUMP_SHIFT));
	emit_gs(e, true, EMIT_ADD, JIT_A, JIT_GS(jumps));
	emit_rm(e, true, EMIT_CMP, JIT_C, &slot);
	jit_exit(w, emit_jcc(e, EMIT_CC_NE, NULL), JIT_THUNK_AGAIN, JIT_ARG_SITE, site);
	return (struct emit_mem){ JIT_A, X86_REG_NONE, 1, offsetof(struct jit_jump, host) };
}

/*
 * The target is in JIT_C. The stack pointer has moved by that much: an address that is none faults at the branch, which is begun again
 * then (jit_slow_jump()).
 */
static void indirect(struct jit_work *w, int32_t moved)
{
	unsigned site = jit_site(w, 0, CPU_EXEC);

	w->sites[site].moved = moved;
	jit_flags_spare(w, X86_FLAGS_ARITH, JIT_B);
	jit_stub(w, JIT_THUNK_DISPATCH, JIT_ARG_SITE, site);
}

/* ---- the stack ---- */

static void move_stack(struct jit_work *w, int32_t by)
{
	struct emit_mem to = { X86_RSP, X86_REG_NONE, 1, w->moved + by };

	w->moved = 0;
	if (to.disp)
		emit_rm(&w->e, true, EMIT_LEA, X86_RSP, &to);
}

/* What accesses a slot that is known, and nothing else: it does not need the stack pointer. */
static bool can_wait(const struct jit_work *w, const struct x86_insn *insn)
{
	unsigned at = w->group_at[w->i][JIT_STACK];
	bool is_jump = insn->class == X86_CLASS_BRANCH &&
		       (insn->op == X86_OP_CALL || insn->op == X86_OP_RET);
	bool is_move = insn->class == X86_CLASS_STACK && !insn->has_mem &&
		       (insn->op == X86_OP_POP ||
			(insn->op == X86_OP_PUSH && (insn->imm_len || insn->rm != X86_RSP)));

	return (is_jump || is_move) && at && w->groups[at - 1].slot != JIT_NO_SLOT &&
	       w->groups[at - 1].is_open;
}

void jit_stack_settle(struct jit_work *w)
{
	if (w->moved && (w->i == w->n || !can_wait(w, &w->insns[w->i])))
		move_stack(w, 0);
}

/* The slot at [reg + disp], on the host; by JIT_A. */
static struct emit_mem slot_at(struct jit_work *w, unsigned reg, int32_t disp,
			       enum cpu_access access)
{
	struct emit_mem at = { (uint8_t)reg, X86_REG_NONE, 1, disp };

	return jit_operand(w, &at, JIT_A, SLOT, access, w->needed[w->i]);
}

/* The host register that holds a guest's; temp where it has to be loaded. */
static unsigned value_of(struct jit_work *w, unsigned reg, unsigned temp)
{
	if (!(JIT_SCRATCH >> reg & 1))
		return reg;
	emit_gs(&w->e, true, EMIT_LOAD, temp, JIT_REG(reg));
	return temp;
}

static void push_value(struct jit_work *w, uint64_t value)
{
	struct emit_mem at = slot_at(w, X86_RSP, -(int32_t)SLOT, CPU_WRITE);
	if ((uint64_t)(int64_t)(int32_t)value == value) {
		emit_store_imm(&w->e, true, &at, (int32_t)value);
	} else {
		emit_mov_imm(&w->e, JIT_B, value);
		emit_rm(&w->e, true, EMIT_STORE, JIT_B, &at);
	}
}

void jit_push_temp(struct jit_work *w)
{
	struct emit_mem at = slot_at(w, X86_RSP, -(int32_t)SLOT, CPU_WRITE);
	emit_gs(&w->e, true, EMIT_LOAD, JIT_B, JIT_GS(temp));
	emit_rm(&w->e, true, EMIT_STORE, JIT_B, &at);
	move_stack(w, -(int32_t)SLOT);
}

static void push_loaded(struct jit_work *w)
{
	struct emit_mem from = jit_operand(w, NULL, JIT_A, SLOT, CPU_READ, w->needed[w->i]);

	emit_rm(&w->e, true, EMIT_LOAD, JIT_B, &from);
	emit_gs(&w->e, true, EMIT_STORE, JIT_B, JIT_GS(temp));
	struct emit_mem at = slot_at(w, X86_RSP, -(int32_t)SLOT, CPU_WRITE);
	emit_gs(&w->e, true, EMIT_LOAD, JIT_B, JIT_GS(temp));
	emit_rm(&w->e, true, EMIT_STORE, JIT_B, &at);
}

static void push(struct jit_work *w, const struct x86_insn *insn)
{
	if (insn->has_mem) {
		push_loaded(w);
	} else if (insn->imm_len) {
		push_value(w, (uint64_t)insn->imm);
	} else {
		struct emit_mem at = slot_at(w, X86_RSP, -(int32_t)SLOT, CPU_WRITE);
		emit_rm(&w->e, true, EMIT_STORE, value_of(w, insn->rm, JIT_B), &at);
	}
	w->moved -= (int32_t)SLOT;
}

static void pop(struct jit_work *w, const struct x86_insn *insn)
{
	bool kept = JIT_SCRATCH >> insn->rm & 1;
	unsigned to = kept ? JIT_B : insn->rm;

	struct emit_mem at = slot_at(w, X86_RSP, 0, CPU_READ);
	emit_rm(&w->e, true, EMIT_LOAD, to, &at);
	if (kept)
		emit_gs(&w->e, true, EMIT_STORE, to, JIT_REG(insn->rm));
	w->moved = insn->rm == X86_RSP ? 0 : w->moved + (int32_t)SLOT;
}

static void leave(struct jit_work *w)
{
	struct emit_mem behind = { X86_RBP, X86_REG_NONE, 1, SLOT };

	struct emit_mem at = slot_at(w, X86_RBP, 0, CPU_READ);
	emit_rm(&w->e, true, EMIT_LEA, X86_RSP, &behind);
	emit_rm(&w->e, true, EMIT_LOAD, X86_RBP, &at);
}

void jit_stack(struct jit_work *w, const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_PUSH:
		push(w, insn);
		break;
	case X86_OP_POP:
		pop(w, insn);
		break;
	default:
		leave(w);
		break;
	}
}

/* ---- branches ---- */

static uint64_t wrapped(const struct jit_work *w, uint64_t rip)
{
	return w->long_mode ? rip : rip & UINT32_MAX;
}

/* Target of an indirect branch into JIT_C. */
static void load_target(struct jit_work *w, const struct x86_insn *insn)
{
	if (insn->has_mem) {
		struct emit_mem at = jit_operand(w, NULL, JIT_A, SLOT, CPU_READ, w->needed[w->i]);
		emit_rm(&w->e, true, EMIT_LOAD, JIT_C, &at);
	} else {
		unsigned reg = value_of(w, insn->rm, JIT_C);
		if (reg != JIT_C)
			emit_rr(&w->e, true, EMIT_LOAD, JIT_C, reg);
	}
}

/*
 * Where it leads is known before anything is pushed: a target that is no address faults, and leaves memory as it was. What the jump
 * table has not is interpreted, and is remembered then (jit_slow_again()).
 */
static void call_indirect(struct jit_work *w, const struct x86_insn *insn, uint64_t next)
{
	jit_flags_spare(w, X86_FLAGS_ARITH, JIT_A);
	load_target(w, insn);
	unsigned site = jit_site(w, 0, CPU_EXEC);
	struct emit_mem host = jump_of(w, site);
	emit_rm(&w->e, true, EMIT_LOAD, JIT_C, &host);
	emit_gs(&w->e, true, EMIT_STORE, JIT_C, JIT_GS(temp));
	push_value(w, next);
	move_stack(w, -(int32_t)SLOT);
	emit_jmp_gs(&w->e, JIT_GS(temp));
}

static void ret(struct jit_work *w, const struct x86_insn *insn)
{
	jit_flags_spare(w, X86_FLAGS_ARITH, JIT_A);
	struct emit_mem at = slot_at(w, X86_RSP, 0, CPU_READ);
	emit_rm(&w->e, true, EMIT_LOAD, JIT_C, &at);
	move_stack(w, (int32_t)(SLOT + (uint16_t)insn->imm));
	indirect(w, (int32_t)(SLOT + (uint16_t)insn->imm));
}

/* A conditional branch: skip is where the way not taken begins. */
static void two_ways(struct jit_work *w, uint8_t *skip, uint64_t target, uint64_t from,
		     uint64_t next, uint32_t needed)
{
	enum jit_flags flags = w->flags;

	jit_edge(w, target, from, needed);
	w->flags = flags;
	emit_patch_short(&w->e, skip);
	jit_edge(w, next, from, needed);
}

static void jcc(struct jit_work *w, const struct x86_insn *insn, uint64_t target, uint64_t from,
		uint64_t next, uint32_t needed)
{
	bool is_round = w->i + 1 < w->n && target <= from; /* another one follows */
	unsigned cc = is_round ? insn->cc ^ CC_INVERT : insn->cc;

	jit_flags_back(w, JIT_C);
	if (is_round || (target > from && is_same_page(w, target))) { /* the jump is the edge */
		unsigned link = new_link(w, is_round ? next : target);
		uint8_t *jump = emit_jcc(&w->e, cc, NULL);
		link_jump(w, link, jump);
		jit_exit(w, jump, JIT_THUNK_LINK, JIT_ARG_LINK, link);
		if (w->i + 1 == w->n)
			jit_edge(w, next, from, needed);
	} else {
		uint8_t *skip = emit_short(&w->e, JCC_SHORT | (insn->cc ^ CC_INVERT));
		two_ways(w, skip, target, from, next, needed);
	}
}

/* JCXZ and LOOP: by RCX or ECX, no flag is touched. */
static void by_count(struct jit_work *w, const struct x86_insn *insn, uint64_t target,
		     uint64_t from, uint64_t next, uint32_t needed)
{
	struct emit_mem less = { X86_RCX, X86_REG_NONE, 1, -1 };

	if (needed)
		jit_flags_back(w, JIT_C);
	if (insn->op == X86_OP_LOOP)
		emit_rm(&w->e, insn->addr_bytes == 8, EMIT_LEA, X86_RCX, &less);
	if (insn->addr_bytes == 4)
		emit_byte(&w->e, 0x67);
	uint8_t *zero = emit_short(&w->e, JRCXZ);
	uint8_t *skip = NULL;
	if (insn->op == X86_OP_LOOP) {
		uint8_t *taken = emit_short(&w->e, JMP_SHORT);
		emit_patch_short(&w->e, zero);
		skip = emit_short(&w->e, JMP_SHORT);
		emit_patch_short(&w->e, taken);
	} else {
		skip = emit_short(&w->e, JMP_SHORT);
		emit_patch_short(&w->e, zero);
	}
	two_ways(w, skip, target, from, next, needed);
}

void jit_branch(struct jit_work *w, const struct x86_insn *insn)
{
	uint64_t from = w->rip + w->at[w->i];
	uint64_t next = wrapped(w, from + insn->len);
	uint64_t target = wrapped(w, next + (uint64_t)insn->imm);
	uint32_t needed = w->needed_after;

	switch (insn->op) {
	case X86_OP_JMP:
		jit_edge(w, target, from, needed);
		break;
	case X86_OP_CALL:
		push_value(w, next);
		move_stack(w, -(int32_t)SLOT);
		jit_edge(w, target, from, needed);
		break;
	case X86_OP_JCC:
		jcc(w, insn, target, from, next, needed);
		break;
	case X86_OP_JMP_IND:
		jit_flags_spare(w, X86_FLAGS_ARITH, JIT_A);
		load_target(w, insn);
		indirect(w, 0);
		break;
	case X86_OP_CALL_IND:
		call_indirect(w, insn, next);
		break;
	case X86_OP_RET:
		ret(w, insn);
		break;
	default:
		by_count(w, insn, target, from, next, needed);
		break;
	}
}
