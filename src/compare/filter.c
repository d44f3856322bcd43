/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>

#define FILTER_PATHS 512U   /* open branches at once */
#define FILTER_STEPS 50000U /* instructions on all paths together */

/* The calls that syscall_64.tbl has a number for and the kernel none: ranges, both ends in. */
static const struct {
	unsigned first, last;
} gone[] = { { 134, 134 }, { 156, 156 }, { 174, 174 }, { 177, 178 }, { 180, 185 },
	     { 205, 205 }, { 211, 212 }, { 214, 215 }, { 236, 236 }, { 337, 423 } };
#define CALL_LAST 469U

bool filter_is_call(unsigned nr)
{
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		if (nr >= gone[i].first && nr <= gone[i].last)
			return false;
	}
	return nr <= CALL_LAST;
}

/* A number, or one that depends on the arguments. */
struct value {
	unsigned bits;
	bool known;
};

struct path {
	size_t pc;
	struct value a, x, mem[BPF_MEMWORDS];
};

struct walk {
	const struct sock_filter *program;
	size_t n;
	unsigned nr, steps;
	struct path open[FILTER_PATHS];
	size_t n_open;
	bool allowed;
};

static struct value known(unsigned bits)
{
	return (struct value){ bits, true };
}

/* struct seccomp_data: number, architecture, instruction pointer, six arguments */
static struct value load(const struct walk *walk, unsigned offset)
{
	if (offset == offsetof(struct seccomp_data, nr))
		return known(walk->nr);
	if (offset == offsetof(struct seccomp_data, arch))
		return known(AUDIT_ARCH_X86_64);
	return (struct value){ 0 };
}

static struct value compute(unsigned op, struct value a, struct value b)
{
	struct value r = { 0, a.known && b.known };

	switch (op) {
	case BPF_ADD:
		r.bits = a.bits + b.bits;
		break;
	case BPF_SUB:
		r.bits = a.bits - b.bits;
		break;
	case BPF_MUL:
		r.bits = a.bits * b.bits;
		break;
	case BPF_DIV:
		r.bits = b.bits ? a.bits / b.bits : 0;
		break;
	case BPF_AND:
		r.bits = a.bits & b.bits;
		break;
	case BPF_OR:
		r.bits = a.bits | b.bits;
		break;
	case BPF_XOR:
		r.bits = a.bits ^ b.bits;
		break;
	case BPF_LSH:
		r.bits = b.bits < 32 ? a.bits << b.bits : 0;
		break;
	case BPF_RSH:
		r.bits = b.bits < 32 ? a.bits >> b.bits : 0;
		break;
	case BPF_NEG:
		r = (struct value){ -a.bits, a.known };
		break;
	default:
		r.known = false;
		break;
	}
	return r;
}

static bool compare(unsigned op, unsigned a, unsigned b)
{
	switch (op) {
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	default: /* BPF_JSET */
		return a & b;
	}
}

static void branch(struct walk *walk, const struct path *path, size_t by)
{
	if (walk->n_open == FILTER_PATHS) {
		walk->allowed = true; /* too many to look at */
		return;
	}
	walk->open[walk->n_open] = *path;
	walk->open[walk->n_open++].pc += by;
}

static void jump(struct walk *walk, struct path *path, const struct sock_filter *insn)
{
	struct value b = BPF_SRC(insn->code) == BPF_X ? path->x : known(insn->k);

	if (BPF_OP(insn->code) == BPF_JA) {
		path->pc += insn->k;
	} else if (path->a.known && b.known) {
		path->pc += compare(BPF_OP(insn->code), path->a.bits, b.bits) ? insn->jt : insn->jf;
	} else {
		branch(walk, path, insn->jf);
		path->pc += insn->jt;
	}
}

static bool lets_through(struct value action)
{
	unsigned kind = action.bits & SECCOMP_RET_ACTION_FULL;

	return !action.known || kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG ||
	       kind == SECCOMP_RET_TRACE || kind == SECCOMP_RET_USER_NOTIF;
}

static void load_into(const struct walk *walk, const struct path *path,
		      const struct sock_filter *insn, struct value *ret)
{
	switch (BPF_MODE(insn->code)) {
	case BPF_ABS:
		*ret = load(walk, insn->k);
		break;
	case BPF_IMM:
		*ret = known(insn->k);
		break;
	case BPF_LEN:
		*ret = known(sizeof(struct seccomp_data));
		break;
	case BPF_MEM:
		*ret = path->mem[insn->k % BPF_MEMWORDS];
		break;
	default:
		*ret = (struct value){ 0 };
		break;
	}
}

/* One instruction. Return: whether the path goes on. */
static bool step(struct walk *walk, struct path *path)
{
	const struct sock_filter *insn = &walk->program[path->pc++];

	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
		load_into(walk, path, insn, &path->a);
		return true;
	case BPF_LDX:
		load_into(walk, path, insn, &path->x);
		return true;
	case BPF_ST:
		path->mem[insn->k % BPF_MEMWORDS] = path->a;
		return true;
	case BPF_STX:
		path->mem[insn->k % BPF_MEMWORDS] = path->x;
		return true;
	case BPF_ALU:
		path->a = compute(BPF_OP(insn->code), path->a,
				  BPF_SRC(insn->code) == BPF_X ? path->x : known(insn->k));
		return true;
	case BPF_JMP:
		jump(walk, path, insn);
		return true;
	case BPF_MISC:
		if (BPF_MISCOP(insn->code) == BPF_TXA)
			path->a = path->x;
		else
			path->x = path->a;
		return true;
	default: /* BPF_RET */
		walk->allowed |=
			lets_through(BPF_RVAL(insn->code) == BPF_A ? path->a : known(insn->k));
		return false;
	}
}

bool filter_allows(const struct sock_filter *program, size_t n, unsigned nr)
{
	struct walk walk = { .program = program, .n = n, .nr = nr, .n_open = 1 };

	/* Jumps lead forward only, so that each path ends; their number is what has to be bounded. */
	while (walk.n_open && !walk.allowed) {
		struct path path = walk.open[--walk.n_open];
		while (path.pc < n && step(&walk, &path) && !walk.allowed) {
			if (++walk.steps > FILTER_STEPS)
				return true;
		}
	}
	return walk.allowed;
}
