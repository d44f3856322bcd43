/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 * The kernel verifies, compiles and tries out a filter each time a process takes it: libseccomp's 1,300 instructions
 * cost 0.4 ms of every start. Most of them say of one number after the other what holds for whole ranges. So the
 * finished program is run here for every range of numbers in which it cannot tell one from another, and
 *
 *	- where its answer does not depend on arguments, ranges with the same answer become one leaf of a search tree;
 *	- for the rest, what they can reach of the program is kept behind the trees, and nothing else of it.
 *
 * Meaning is kept by construction, and tests compare both programs. What this cannot follow (an instruction that
 * libseccomp does not write, too many ranges) leaves the program as it was.
 */
#include "engines/seccomp/seccomp_parts.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#define SHRINK_MARKS  2048 /* numbers at which an answer may change */
#define SHRINK_ARCHES 8
#define SHRINK_LEAVES 240 /* a tree is reached with 8-bit jumps */
#define SHRINK_TAILS  8	  /* different answers */

enum shrink_a { SHRINK_NONE, SHRINK_NR, SHRINK_ARCH, SHRINK_ARG, SHRINK_A_MAX };

struct shrink_answer {
	bool depends; /* on arguments */
	uint32_t action;
};

struct shrink_range {
	uint32_t from;
	struct shrink_answer answer;
};

struct shrink {
	const struct sock_filter *in;
	size_t n;
	uint32_t marks[SHRINK_MARKS];
	size_t n_marks;
	uint32_t arches[SHRINK_ARCHES];
	size_t n_arches;
	bool keep[BPF_MAXINSNS];     /* reached for some range that depends on arguments */
	bool jumps[BPF_MAXINSNS][2]; /* which way a conditional jump was taken: [1] if true */
	bool seen[BPF_MAXINSNS][SHRINK_A_MAX]; /* during one walk */
	uint32_t place[BPF_MAXINSNS + 1];      /* in what is kept */
};

/* What the accumulator holds after a load from there. */
static enum shrink_a shrink_load(uint32_t offset)
{
	if (offset == offsetof(struct seccomp_data, nr))
		return SHRINK_NR;
	return offset == offsetof(struct seccomp_data, arch) ? SHRINK_ARCH : SHRINK_ARG;
}

static bool shrink_is_arch(const struct shrink *s, const struct sock_filter *insn)
{
	for (size_t i = 0; i < s->n_arches; i++) {
		if (s->arches[i] == insn->k)
			return BPF_OP(insn->code) == BPF_JEQ;
	}
	return false;
}

static int shrink_test(const struct sock_filter *insn, uint32_t value)
{
	switch (BPF_OP(insn->code)) {
	case BPF_JEQ:
		return value == insn->k;
	case BPF_JGE:
		return value >= insn->k;
	case BPF_JGT:
		return value > insn->k;
	default:
		return -ENOTSUP;
	}
}

/*
 * The walk of one call through the program, both ways where an argument decides.
 * @ret: depends, or the one answer
 */
static int shrink_walk(struct shrink *s, size_t pc, enum shrink_a a, uint32_t arch, uint32_t nr,
		       bool note, struct shrink_answer *ret)
{
	for (; pc < s->n; pc++) {
		const struct sock_filter *insn = &s->in[pc];
		if (s->seen[pc][a])
			return 0;
		s->seen[pc][a] = true;
		s->keep[pc] |= note;
		if (insn->code == (BPF_RET | BPF_K)) {
			ret->action = insn->k;
			return 0;
		}
		if (insn->code == (BPF_LD | BPF_W | BPF_ABS)) {
			a = shrink_load(insn->k);
		} else if (insn->code == (BPF_JMP | BPF_JA)) {
			pc += insn->k;
		} else if (insn->code == (BPF_ALU | BPF_AND | BPF_K) && a == SHRINK_ARG) {
			continue;
		} else if (BPF_CLASS(insn->code) == BPF_JMP && BPF_SRC(insn->code) == BPF_K &&
			   a != SHRINK_NONE) {
			/* A question that shrink_arches() did not see: its trees would be too few. */
			if (a == SHRINK_ARCH && !shrink_is_arch(s, insn))
				return -ENOTSUP;
			int way =
				a == SHRINK_ARG ? 1 : shrink_test(insn, a == SHRINK_NR ? nr : arch);
			if (way < 0)
				return way;
			s->jumps[pc][way] |= note;
			if (a == SHRINK_ARG) {
				ret->depends = true;
				s->jumps[pc][0] |= note;
				int r = shrink_walk(s, pc + 1 + insn->jf, a, arch, nr, note, ret);
				if (r < 0)
					return r;
			}
			pc += way ? insn->jt : insn->jf;
		} else {
			return -ENOTSUP;
		}
	}
	return -ENOTSUP;
}

static int shrink_answer(struct shrink *s, uint32_t arch, uint32_t nr, bool note,
			 struct shrink_answer *ret)
{
	struct shrink_answer answer = { 0 };

	memset(s->seen, 0, s->n * sizeof(s->seen[0]));
	int r = shrink_walk(s, 0, SHRINK_NONE, arch, nr, note, &answer);
	if (answer.depends)
		answer.action = 0;
	*ret = answer;
	return r;
}

static int shrink_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static size_t shrink_unique(uint32_t *values, size_t n)
{
	size_t kept = 0;

	qsort(values, n, sizeof(*values), shrink_compare);
	for (size_t i = 0; i < n; i++) {
		if (!kept || values[kept - 1] != values[i])
			values[kept++] = values[i];
	}
	return kept;
}

/* Every constant of a jump is a place where an answer may change: more marks than needed do no harm. */
static int shrink_marks(struct shrink *s)
{
	uint32_t *all = calloc(2 * s->n + 1, sizeof(*all));
	size_t n = 1; /* all[0] is 0, the first number */

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++) {
		if (BPF_CLASS(s->in[i].code) != BPF_JMP || BPF_OP(s->in[i].code) == BPF_JA)
			continue;
		all[n++] = s->in[i].k;
		if (s->in[i].k < UINT32_MAX)
			all[n++] = s->in[i].k + 1;
	}
	n = shrink_unique(all, n);
	s->n_marks = n;
	if (n <= SHRINK_MARKS)
		memcpy(s->marks, all, n * sizeof(*all));
	free(all);
	return n <= SHRINK_MARKS ? 0 : -ENOTSUP;
}

/* Every way through the program: where the architecture is in the accumulator, what is it compared with? */
static int shrink_ask(struct shrink *s, size_t pc, enum shrink_a a)
{
	for (; pc < s->n && !s->seen[pc][a]; pc++) {
		const struct sock_filter *insn = &s->in[pc];
		s->seen[pc][a] = true;
		if (BPF_CLASS(insn->code) == BPF_RET)
			return 0;
		if (insn->code == (BPF_LD | BPF_W | BPF_ABS))
			a = shrink_load(insn->k);
		if (BPF_CLASS(insn->code) != BPF_JMP)
			continue;
		if (BPF_OP(insn->code) == BPF_JA) {
			pc += insn->k;
			continue;
		}
		if (a == SHRINK_ARCH && !shrink_is_arch(s, insn)) {
			if (s->n_arches == SHRINK_ARCHES)
				return -ENOTSUP;
			s->arches[s->n_arches++] = insn->k;
		}
		int r = shrink_ask(s, pc + 1 + insn->jf, a);
		if (r < 0)
			return r;
		pc += insn->jt;
	}
	return pc < s->n ? 0 : -ENOTSUP;
}

static int shrink_arches(struct shrink *s)
{
	memset(s->seen, 0, s->n * sizeof(s->seen[0]));
	int r = shrink_ask(s, 0, SHRINK_NONE);

	if (r < 0 || s->n_arches == 0)
		return -ENOTSUP;
	s->n_arches = shrink_unique(s->arches, s->n_arches);
	return 0;
}

static bool shrink_same(const struct shrink_answer *a, const struct shrink_answer *b)
{
	return a->depends == b->depends && a->action == b->action;
}

static int shrink_ranges(struct shrink *s, uint32_t arch, struct shrink_range *ranges,
			 size_t *ret_n)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_marks; i++) {
		struct shrink_range range = { .from = s->marks[i] };
		int r = shrink_answer(s, arch, range.from, false, &range.answer);
		if (r == 0 && range.answer.depends)
			r = shrink_answer(s, arch, range.from, true, &range.answer);
		if (r < 0)
			return r;
		if (n && shrink_same(&ranges[n - 1].answer, &range.answer))
			continue;
		if (n == SHRINK_LEAVES)
			return -ENOTSUP;
		ranges[n++] = range;
	}
	*ret_n = n;
	return 0;
}

/* One architecture's tree: n - 1 jumps, left part first, then its answers. */
struct shrink_tree {
	struct sock_filter insns[SHRINK_LEAVES + SHRINK_TAILS];
	const struct shrink_range *ranges;
	size_t n, n_tails;
	struct shrink_answer tails[SHRINK_TAILS];
};

static int shrink_tail(struct shrink_tree *tree, const struct shrink_answer *answer)
{
	size_t i = 0;

	while (i < tree->n_tails && !shrink_same(&tree->tails[i], answer))
		i++;
	if (i == SHRINK_TAILS)
		return -ENOTSUP;
	if (i == tree->n_tails)
		tree->tails[tree->n_tails++] = *answer;
	return (int)i;
}

static int shrink_branch(struct shrink_tree *tree, size_t at, size_t lo, size_t hi)
{
	size_t mid = lo + (hi - lo) / 2, right_at = at + (mid - lo);
	int r = 0;

	if (hi - lo < 2)
		return 0;
	int left = shrink_tail(tree, &tree->ranges[lo].answer);
	int right = shrink_tail(tree, &tree->ranges[mid].answer);
	if (left < 0 || right < 0)
		return -ENOTSUP;
	size_t to_left = mid - lo == 1 ? tree->n - 1 + (size_t)left : at + 1;
	size_t to_right = hi - mid == 1 ? tree->n - 1 + (size_t)right : right_at;
	tree->insns[at] = (struct sock_filter)BPF_JUMP(
		BPF_JMP | BPF_JGE | BPF_K, tree->ranges[mid].from, (uint8_t)(to_right - at - 1),
		(uint8_t)(to_left - at - 1));
	r = shrink_branch(tree, at + 1, lo, mid);
	return r < 0 ? r : shrink_branch(tree, right_at, mid, hi);
}

/* @jump_to_rest: filled in by the caller, who knows how far it is. */
#define SHRINK_REST UINT32_MAX

static int shrink_tree(const struct shrink_range *ranges, size_t n, struct buf *out)
{
	struct shrink_tree tree = { .ranges = ranges, .n = n };
	struct sock_filter load =
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));

	if (n == 1 && shrink_tail(&tree, &ranges[0].answer) < 0)
		return -ENOTSUP;
	int r = shrink_branch(&tree, 0, 0, n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < tree.n_tails; i++) {
		const struct shrink_answer *tail = &tree.tails[i];
		tree.insns[n - 1 + i] =
			tail->depends ? (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, SHRINK_REST)
				      : (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, tail->action);
	}
	r = buf_add(out, &load, sizeof(load));
	return r < 0 ? r : buf_add(out, tree.insns, (n - 1 + tree.n_tails) * sizeof(tree.insns[0]));
}

static uint32_t shrink_jt(const struct sock_filter *insn)
{
	return insn->code == (BPF_JMP | BPF_JA) ? insn->k : insn->jt;
}

/* Where a jump that goes one way only leads; pc + 1 for anything else. */
static size_t shrink_only_way(const struct shrink *s, size_t pc)
{
	const struct sock_filter *insn = &s->in[pc];

	if (BPF_CLASS(insn->code) != BPF_JMP)
		return pc + 1;
	if (BPF_OP(insn->code) == BPF_JA || !s->jumps[pc][0])
		return pc + 1 + shrink_jt(insn);
	return pc + 1 + (s->jumps[pc][1] ? 0 : insn->jf);
}

static bool shrink_is_jump(const struct shrink *s, size_t pc)
{
	return BPF_CLASS(s->in[pc].code) == BPF_JMP;
}

static bool shrink_both_ways(const struct shrink *s, size_t pc)
{
	return shrink_is_jump(s, pc) && BPF_OP(s->in[pc].code) != BPF_JA && s->jumps[pc][0] &&
	       s->jumps[pc][1];
}

/* From the end: drop what no walk reached, and jumps to what then follows them. place counts from the end. */
static void shrink_places(struct shrink *s)
{
	uint32_t kept = 0;

	s->place[s->n] = 0;
	for (size_t pc = s->n; pc-- > 0;) {
		if (s->keep[pc] && shrink_is_jump(s, pc) && !shrink_both_ways(s, pc) &&
		    s->place[shrink_only_way(s, pc)] == kept)
			s->keep[pc] = false;
		kept += s->keep[pc];
		s->place[pc] = kept;
	}
}

static int shrink_rest(struct shrink *s, struct buf *out)
{
	shrink_places(s);
	for (size_t pc = 0; pc < s->n; pc++) {
		struct sock_filter insn = s->in[pc];
		if (!s->keep[pc])
			continue;
		if (shrink_both_ways(s, pc)) {
			insn.jt = (uint8_t)(s->place[pc] - 1 - s->place[pc + 1 + insn.jt]);
			insn.jf = (uint8_t)(s->place[pc] - 1 - s->place[pc + 1 + insn.jf]);
		} else if (shrink_is_jump(s, pc)) {
			insn = (struct sock_filter)BPF_STMT(
				BPF_JMP | BPF_JA,
				s->place[pc] - 1 - s->place[shrink_only_way(s, pc)]);
		}
		if (buf_add(out, &insn, sizeof(insn)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ld arch; for each: jeq, ja to its tree; the answer for any other; then the trees. */
static int shrink_trees(struct shrink *s, struct buf *out)
{
	AUTO(buf_fini) struct buf trees = { 0 };
	struct shrink_range ranges[SHRINK_LEAVES];
	struct shrink_answer other;
	uint32_t strange = 0;
	size_t n, size = sizeof(struct sock_filter);

	for (size_t i = 0; i < s->n_arches; i++)
		strange += s->arches[i] == strange; /* sorted: ends at one that is not there */
	int r = shrink_answer(s, strange, 0, false, &other);
	if (r < 0 || other.depends)
		return -ENOTSUP;

	struct sock_filter insn =
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	r = buf_add(out, &insn, size);
	for (size_t i = 0; r == 0 && i < s->n_arches; i++) {
		size_t after =
			2 * (s->n_arches - i) - 1; /* to the first tree, from behind the ja */
		insn = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, s->arches[i], 0, 1);
		r = buf_add(out, &insn, size);
		insn = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA,
						    (uint32_t)(after + trees.len / size));
		if (r == 0)
			r = buf_add(out, &insn, size);
		if (r == 0)
			r = shrink_ranges(s, s->arches[i], ranges, &n);
		if (r == 0)
			r = shrink_tree(ranges, n, &trees);
	}
	insn = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, other.action);
	if (r == 0)
		r = buf_add(out, &insn, size);
	return r < 0 ? r : buf_add(out, trees.data, trees.len);
}

static int shrink_program(struct shrink *s, struct buf *out)
{
	int r = shrink_marks(s);

	if (r == 0)
		r = shrink_arches(s);
	if (r == 0)
		r = shrink_trees(s, out);
	if (r < 0)
		return r;
	struct sock_filter *insns = (struct sock_filter *)(void *)out->data;
	size_t n = out->len / sizeof(*insns);
	for (size_t i = 0; i < n; i++) {
		if (insns[i].code == (BPF_JMP | BPF_JA) && insns[i].k == SHRINK_REST)
			insns[i].k = (uint32_t)(n - i - 1);
	}
	return shrink_rest(s, out);
}

void seccomp_shrink(struct buf *program)
{
	AUTO(buf_fini) struct buf out = { 0 };
	struct shrink *s = calloc(1, sizeof(*s));
	size_t n = program->len / sizeof(struct sock_filter);

	if (s && n && n <= BPF_MAXINSNS) {
		s->in = (const struct sock_filter *)(const void *)program->data;
		s->n = n;
		if (shrink_program(s, &out) == 0 && out.len < program->len) {
			memcpy(program->data, out.data, out.len);
			program->len = out.len;
		}
	}
	free(s);
}
