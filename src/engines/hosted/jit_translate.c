/* SPDX-License-Identifier: Apache-2.0 */
/* A block: its instructions, which flags matter, host code, tables. */
#include "engines/hosted/jit_parts.h"

#include <errno.h>

#define AHEAD_INSNS 6U

/* An instruction at an offset in the page; copied once, since the guest may change it meanwhile. Return: as x86_decode(). */
static int decode(const struct jit_work *w, const uint8_t *page, unsigned at, struct x86_insn *ret)
{
	uint8_t bytes[X86_INSN_MAX];
	unsigned n = CPU_PAGE_BYTES - at;

	if (n > X86_INSN_MAX)
		n = X86_INSN_MAX;
	cpu_copy(bytes, page + at, n);
	return x86_decode(bytes, n, (enum x86_code)w->code, ret);
}

/* The first instruction goes on in the next page. */
static int decode_torn(const struct jit_work *w, const uint8_t *page, struct x86_insn *ret)
{
	uint8_t bytes[X86_INSN_MAX];
	unsigned at = w->gpa % CPU_PAGE_BYTES;
	unsigned n = CPU_PAGE_BYTES - at;

	cpu_copy(bytes, page + at, n);
	cpu_copy(bytes + n, w->page2, X86_INSN_MAX - n);
	return x86_decode(bytes, X86_INSN_MAX, (enum x86_code)w->code, ret);
}

static void collect_torn(struct jit_work *w, const uint8_t *page)
{
	int len = w->page2 ? decode_torn(w, page, &w->insns[0]) : -EAGAIN;

	w->leaves = len < 0 || !jit_can(w, &w->insns[0]);
	w->n = w->leaves ? 0 : 1;
	w->at[0] = 0;
	w->guest_end = w->leaves ? 0 : (uint32_t)len;
}

/* A branch to an address that is none faults itself (SDM 1, Canonical Addressing), not what it leads to. @next: behind it. */
static bool leads_nowhere(const struct x86_insn *insn, uint64_t next)
{
	return insn->class == X86_CLASS_BRANCH && !sys_is_canonical(next + (uint64_t)insn->imm);
}

/* The block goes on behind a conditional branch forward in the page, which is left on the way as long as there is room for the rest. */
static bool goes_on(const struct jit_work *w, const struct x86_insn *insn, uint64_t next,
		    unsigned branches)
{
	return insn->op == X86_OP_JCC && insn->imm >= 0 && w->n < JIT_LONG_INSNS &&
	       branches < JIT_BRANCHES_MAX &&
	       ((next + (uint64_t)insn->imm) ^ w->rip) < CPU_PAGE_BYTES;
}

/*
 * A short loop that is all of the block is there several times over, so that its rounds share look-ups and one look at the poll word.
 * Where a round is the last one the way leads out behind the loop.
 */
static void unroll(struct jit_work *w, unsigned branches)
{
	const struct x86_insn *last = &w->insns[w->n - 1];
	unsigned round = w->n, times = JIT_ROUNDS;
	uint64_t next = w->rip + w->guest_end;

	if (last->op != X86_OP_JCC || last->imm != -(int64_t)w->guest_end ||
	    round > JIT_ROUND_INSNS || (next ^ w->rip) >= CPU_PAGE_BYTES)
		return;
	while (times > 1 &&
	       (times * branches > JIT_LINKS_MAX - 1 || times * round > JIT_ROUNDS_INSNS))
		times--;
	w->round = round;
	for (; w->n < times * round; w->n++) {
		w->insns[w->n] = w->insns[w->n - round];
		w->at[w->n] = w->at[w->n - round];
	}
}

static void collect(struct jit_work *w, const uint8_t *page)
{
	unsigned first = w->gpa % CPU_PAGE_BYTES;
	unsigned at = first, branches = 0;

	w->n = w->round = 0;
	w->leaves = w->is_torn = false;
	while (w->n < JIT_BLOCK_INSNS && at < CPU_PAGE_BYTES) {
		struct x86_insn *insn = &w->insns[w->n];
		int len = decode(w, page, at, insn);
		if (len == -EAGAIN && w->n) {
			w->is_torn = true; /* a block of its own */
			break;
		}
		if (len == -EAGAIN) {
			collect_torn(w, page);
			return;
		}
		if (len < 0 || !jit_can(w, insn) ||
		    leads_nowhere(insn, w->rip + (at - first) + (uint64_t)len)) {
			w->leaves = true;
			break;
		}
		w->at[w->n++] = (uint16_t)(at - first);
		at += (unsigned)len;
		if (insn->class == X86_CLASS_BRANCH &&
		    !goes_on(w, insn, w->rip + (at - first), branches++))
			break;
	}
	w->guest_end = at - first;
	if (w->n && !w->leaves && !w->is_torn)
		unroll(w, branches);
}

/* ---- which flags matter ---- */

/* Flags that are something else after it. */
static uint32_t flags_set(const struct x86_insn *insn)
{
	return insn->flags_written & ~cpu_flags_kept(insn);
}

/* Flags that the code at target may read before it writes them; what was looked at is noted. */
static uint32_t ahead(struct jit_work *w, const uint8_t *page, uint64_t target, uint16_t noted[2])
{
	uint32_t open = X86_FLAGS_ARITH, read = 0;
	unsigned at = target % CPU_PAGE_BYTES;

	if ((target ^ w->rip) >= CPU_PAGE_BYTES)
		return X86_FLAGS_ARITH;
	noted[0] = (uint16_t)at;
	for (unsigned i = 0; i < AHEAD_INSNS && open; i++) {
		struct x86_insn insn;
		int len = at < CPU_PAGE_BYTES ? decode(w, page, at, &insn) : -EAGAIN;
		if (len < 0 || insn.class == X86_CLASS_BRANCH || insn.class == X86_CLASS_SYSTEM)
			break;
		at += (unsigned)len;
		read |= insn.flags_read & open;
		open &= ~flags_set(&insn);
		if (insn.op == X86_OP_PUSHF)
			break;
	}
	noted[1] = (uint16_t)(at + X86_INSN_MAX);
	return read | open;
}

static uint32_t flags_behind(struct jit_work *w, const uint8_t *page)
{
	uint64_t next = w->rip + w->guest_end;

	if (w->leaves || !w->n)
		return X86_FLAGS_ARITH;
	const struct x86_insn *last = &w->insns[w->n - 1];
	if (last->class != X86_CLASS_BRANCH)
		return ahead(w, page, next, w->ahead[0]);
	uint64_t target = next + (uint64_t)last->imm;
	switch (last->op) {
	case X86_OP_JMP:
	case X86_OP_CALL:
		return ahead(w, page, target, w->ahead[0]);
	case X86_OP_JCC:
	case X86_OP_JCXZ:
	case X86_OP_LOOP:
		return ahead(w, page, next, w->ahead[0]) | ahead(w, page, target, w->ahead[1]);
	default:
		return X86_FLAGS_ARITH;
	}
}

static void liveness(struct jit_work *w, const uint8_t *page)
{
	cpu_zero(w->ahead, sizeof(w->ahead));
	w->needed_after = flags_behind(w, page);
	uint32_t needed = w->needed_after;
	for (unsigned i = w->n; i-- > 0;) {
		const struct x86_insn *insn = &w->insns[i];
		if (i + 1 < w->n && insn->class == X86_CLASS_BRANCH)
			needed = X86_FLAGS_ARITH; /* where it leads: they are in place anyway */
		needed = (insn->flags_read | (needed & ~flags_set(insn))) & X86_FLAGS_ARITH;
		w->needed[i] = needed;
	}
}

/* ---- host code ---- */

static void body(struct jit_work *w)
{
	w->start = w->e.at;
	w->flags = JIT_FLAGS_HOST;
	w->hands[0] = w->hands[1] = JIT_NO_SLOT;
	w->n_links = w->n_sites = w->n_traps = w->n_exits = 0;
	w->wanted = 0;
	w->moved = 0;
	for (unsigned i = 0; i < w->n_groups; i++)
		w->groups[i].is_open = false;
	cpu_zero(w->thunk_jumps, sizeof(w->thunk_jumps));
	for (w->i = 0; w->i < w->n; w->i++) {
		const struct x86_insn *insn = &w->insns[w->i];
		jit_stack_settle(w);
		if (jit_can_system(w, insn))
			jit_system(w, insn);
		else if (insn->class == X86_CLASS_DATA)
			jit_data(w, insn);
		else if (insn->class == X86_CLASS_STACK)
			jit_stack(w, insn);
		else
			jit_branch(w, insn);
	}
	jit_stack_settle(w);
	w->i = 0;
	if (w->leaves || !w->n)
		jit_leave(w, w->guest_end, X86_FLAGS_ARITH);
	else if (w->is_torn)
		jit_edge_torn(w, w->rip + w->guest_end, w->needed_after);
	else if (w->insns[w->n - 1].class != X86_CLASS_BRANCH)
		jit_edge(w, w->rip + w->guest_end, w->rip, w->needed_after);
}

/* ---- tables and stubs ---- */

static jit_ref arg_ref(struct jit_work *w, struct jit_block *block, const struct jit_exit *out)
{
	if (out->arg_is == JIT_ARG_LINK)
		return jit_ref_of(w->jit, &jit_links(block)[out->arg]);
	return jit_ref_of(w->jit, &jit_sites(block)[out->arg]);
}

/* One before that has a stub that does for it. */
static const struct jit_exit *same_exit(const struct jit_work *w, unsigned i)
{
	for (unsigned k = 0; k < i; k++) {
		const struct jit_exit *out = &w->exits[k];
		if (out->stub && out->thunk == w->exits[i].thunk && out->arg == w->exits[i].arg)
			return out;
	}
	return NULL;
}

/* "mov $arg, %r11d; jmp thunk", once for each link and for each other exit; those that are there get their argument. */
static void stubs(struct jit_work *w, struct jit_block *block)
{
	struct emit *e = &w->e;

	for (unsigned i = 0; i < w->n_exits && !e->full; i++) {
		struct jit_exit *out = &w->exits[i];
		if (out->is_there) {
			le32_store(out->from, arg_ref(w, block, out));
			continue;
		}
		const struct jit_exit *same = same_exit(w, i);
		if (same) {
			emit_patch(e, out->from, same->stub);
			continue;
		}
		if (out->arg_is == JIT_ARG_LINK)
			jit_links(block)[out->arg].stub = jit_ref_of(w->jit, e->at);
		out->stub = e->at;
		emit_patch(e, out->from, e->at);
		emit_mov_imm(e, jit_thunk_arg(out->thunk), arg_ref(w, block, out));
		jit_jump_to_thunk(w, out->thunk);
	}
}

static struct jit_block *tables(struct jit_work *w, const struct jit_block *made)
{
	struct jit_region *region = &w->jit->regions[w->jit->region];
	uint32_t bytes =
		(uint32_t)(sizeof(struct jit_block) + w->n_links * sizeof(struct jit_link) +
			   w->n_sites * sizeof(struct jit_site) +
			   w->n_traps * sizeof(struct jit_trap));
	jit_ref ref = (region->table - bytes) & ~UINT32_C(15);
	struct jit_block *block = jit_block(w->jit, ref);

	*block = *made;
	block->n_links = (uint8_t)w->n_links;
	block->n_sites = (uint16_t)w->n_sites;
	block->n_traps = (uint16_t)w->n_traps;
	for (unsigned i = 0; i < w->n_links; i++) {
		jit_links(block)[i] = w->links[i];
		jit_links(block)[i].block = ref;
	}
	for (unsigned i = 0; i < w->n_sites; i++) {
		jit_sites(block)[i] = w->sites[i];
		jit_sites(block)[i].block = ref;
	}
	for (unsigned i = 0; i < w->n_traps; i++)
		jit_traps(block)[i] = w->traps[i];
	return block;
}

static void commit(struct jit_work *w, struct jit_block *block)
{
	struct jit_region *region = &w->jit->regions[w->jit->region];

	region->code = jit_ref_of(w->jit, w->e.at);
	region->table = jit_ref_of(w->jit, block);
	block->code_bytes = region->code - block->code;
	w->jit->unserialized = true;
	w->jit->stats.blocks++;
	w->jit->stats.guest_bytes += w->guest_end;
	w->jit->stats.host_bytes += block->code_bytes;
	jit_insert(w->jit, block);
}

/* Bytes that its instructions are in: of a loop that was cut in another round than the first, more than up to where it is left. */
static unsigned span(const struct jit_work *w)
{
	unsigned end = w->guest_end;

	for (unsigned i = 0; i < w->n; i++) {
		if (end < w->at[i] + w->insns[i].len)
			end = w->at[i] + w->insns[i].len;
	}
	return end;
}

/* With fewer instructions, should they have turned out too long. */
static struct jit_block *make(struct jit_work *w, const uint8_t *page)
{
	struct emit room = w->e;

	for (;;) {
		struct jit_block made = { .rip = w->rip, .gpa = w->gpa, .mode = w->mode };
		if (w->gpa % CPU_PAGE_BYTES + w->guest_end > CPU_PAGE_BYTES || (!w->n && w->gpa2))
			made.gpa2 = w->gpa2;
		w->e = room;
		liveness(w, page);
		made.bytes = (uint16_t)(span(w) + (w->leaves || !w->n ? X86_INSN_MAX : 0));
		made.interpret = w->n == 0;
		cpu_copy(made.ahead, w->ahead, sizeof(made.ahead));
		jit_plan(w);
		made.wants_flags = (w->n ? w->needed[0] : w->needed_after) != 0;
		made.code = jit_ref_of(w->jit, w->e.at);
		w->stored = 0;
		body(w);
		if (w->wanted) { /* for it was not written */
			w->stored = w->wanted;
			w->e = room;
			body(w);
		}
		struct jit_block *block = tables(w, &made);
		stubs(w, block);
		if (!w->e.full) {
			commit(w, block);
			return block;
		}
		w->n /= 2;
		w->guest_end = w->n ? w->at[w->n] : 0;
		w->leaves = w->is_torn = false;
	}
}

static bool is_marked(const struct jit_vcpu *jit, const struct jit_place *place)
{
	return jit_page_has_code(jit->vm->vm, place->gpa) &&
	       (!place->page2 || jit_page_has_code(jit->vm->vm, place->gpa2));
}

struct jit_block *jit_translate(struct jit_vcpu *jit, const struct jit_place *place, uint32_t mode)
{
	struct jit_work *w = &jit->work;
	struct jit_block *block = NULL;

	w->cpu = jit->cpu;
	w->jit = jit;
	w->rip = place->rip;
	w->gpa = place->gpa;
	w->gpa2 = place->gpa2;
	w->page2 = place->page2;
	w->mode = mode;
	w->plain = mode & JIT_MODE_PLAIN;
	w->code = w->mode & CPU_MODE_CODE;
	w->long_mode = w->code == X86_CODE_64;
	jit_room(jit, &w->e);
	lock_acquire(&jit->lock);
	if (is_marked(jit, place)) {
		collect(w, place->page);
		block = make(w, place->page);
	}
	lock_release(&jit->lock);
	return block;
}
