/* SPDX-License-Identifier: Apache-2.0 */
/* A block: its instructions, which flags matter, host code, tables. */
#include "engines/hosted/jit_parts.h"

#include <errno.h>

#define AHEAD_INSNS 6U
#define ENTRY_ALIGN 8U
#define SHORT_REACH 128 /* of a jump with one byte of displacement */
#define JMP_SHORT   0xebU

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

/* A branch to an address that is none faults itself (SDM 1, Canonical Addressing), not what it leads to. @next: behind it. */
static bool leads_nowhere(const struct x86_insn *insn, uint64_t next)
{
	return insn->class == X86_CLASS_BRANCH && !sys_is_canonical(next + (uint64_t)insn->imm);
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

static void collect(struct jit_work *w, const uint8_t *page)
{
	unsigned first = w->gpa % CPU_PAGE_BYTES;
	unsigned at = first;

	w->n = 0;
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
		if (insn->class == X86_CLASS_BRANCH)
			break;
	}
	w->guest_end = at - first;
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
		needed = (insn->flags_read | (needed & ~flags_set(insn))) & X86_FLAGS_ARITH;
		w->needed[i] = needed;
	}
}

/* ---- host code ---- */

/*
 * [flags_load, jmp entry: the entry of indirect edges, where flags matter], jmp to the thunk of dead blocks, and the entry: 8 bytes
 * that do nothing, in one instruction, for jit_kill.c to write to.
 */
static void prologue(struct jit_work *w, struct jit_block *block)
{
	static const uint8_t nop[] = { 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0 };
	struct emit *e = &w->e;
	uint8_t *over = NULL;

	block->wants_flags = (w->n ? w->needed[0] : w->needed_after) != 0;
	block->code = jit_ref_of(w->jit, e->at);
	if (block->wants_flags) {
		block->jump_entry = block->code;
		jit_flags_load(e, JIT_A);
		over = emit_short(e, JMP_SHORT);
	}
	while (((uintptr_t)e->at + 5) % ENTRY_ALIGN)
		emit_byte(e, 0xcc);
	emit_jmp(e, w->jit->rw + w->jit->thunks[JIT_THUNK_DEAD]);
	block->entry = jit_ref_of(w->jit, e->at);
	if (over)
		emit_patch_short(e, over);
	else
		block->jump_entry = block->entry;
	emit_bytes(e, nop, sizeof(nop));
}

static void body(struct jit_work *w)
{
	w->start = w->e.at;
	w->flags = JIT_FLAGS_HOST;
	w->at_hand = JIT_NO_SLOT;
	w->n_links = w->n_sites = w->n_traps = w->n_exits = 0;
	for (w->i = 0; w->i < w->n; w->i++) {
		const struct x86_insn *insn = &w->insns[w->i];
		if (jit_can_system(w, insn))
			jit_system(w, insn);
		else if (insn->class == X86_CLASS_DATA)
			jit_data(w, insn);
		else if (insn->class == X86_CLASS_STACK)
			jit_stack(w, insn);
		else
			jit_branch(w, insn);
	}
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

/* JIT_C has something else for it. */
static bool thunk_has_c(unsigned thunk)
{
	return thunk == JIT_THUNK_MEM_C || thunk == JIT_THUNK_JUMP || thunk == JIT_THUNK_POLL_JUMP;
}

/* By way of a jump there that is near enough, if there is one. */
static void jump_to_thunk(struct jit_work *w, unsigned thunk, uint8_t *jumps[JIT_THUNKS])
{
	struct emit *e = &w->e;

	if (jumps[thunk] && e->at + 2 - jumps[thunk] <= SHORT_REACH) {
		emit_byte(e, JMP_SHORT);
		emit_byte(e, (uint8_t)(jumps[thunk] - (e->at + 1)));
		return;
	}
	jumps[thunk] = e->at;
	emit_jmp(e, w->jit->rw + w->jit->thunks[thunk]);
}

/* "mov $arg, %r11d; jmp thunk", once for each (thunk, arg). */
static void stubs(struct jit_work *w, struct jit_block *block)
{
	struct emit *e = &w->e;
	uint8_t *jumps[JIT_THUNKS] = { NULL };

	for (unsigned i = 0; i < w->n_exits; i++) {
		struct jit_exit *out = &w->exits[i];
		struct jit_link *link = NULL;
		if (out->arg_is == JIT_ARG_NONE) {
			emit_patch(e, out->from, w->jit->rw + w->jit->thunks[out->thunk]);
			continue;
		}
		if (out->thunk == JIT_THUNK_LINK || out->thunk == JIT_THUNK_LINK_SAVED) {
			link = &jit_links(block)[out->arg];
			if (link->stub) {
				emit_patch(e, out->from, w->jit->rw + link->stub);
				continue;
			}
			link->stub = jit_ref_of(w->jit, e->at);
		}
		emit_patch(e, out->from, e->at);
		emit_mov_imm(e, thunk_has_c(out->thunk) ? JIT_A : JIT_C, arg_ref(w, block, out));
		jump_to_thunk(w, out->thunk, jumps);
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
		made.bytes = (uint16_t)(w->guest_end + (w->leaves || !w->n ? X86_INSN_MAX : 0));
		made.interpret = w->n == 0;
		cpu_copy(made.ahead, w->ahead, sizeof(made.ahead));
		jit_plan(w);
		prologue(w, &made);
		body(w);
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
