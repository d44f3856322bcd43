/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/cgroup/devices_bpf.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"

/*
 * Linux Documentation/admin-guide/devices.txt. Making any node is harmless where opening it is refused, and archives
 * that hold nodes unpack.
 */
const struct device_rule devices_default[DEVICES_DEFAULT] = {
	{ 'c', DEVICE_ANY, DEVICE_ANY, BPF_DEVCG_ACC_MKNOD, false },
	{ 'b', DEVICE_ANY, DEVICE_ANY, BPF_DEVCG_ACC_MKNOD, false },
	{ 'c', 1, 3, DEVICE_ALL, false },	     /* null */
	{ 'c', 1, 5, DEVICE_ALL, false },	     /* zero */
	{ 'c', 1, 7, DEVICE_ALL, false },	     /* full */
	{ 'c', 1, 8, DEVICE_ALL, false },	     /* random */
	{ 'c', 1, 9, DEVICE_ALL, false },	     /* urandom */
	{ 'c', 5, 0, DEVICE_ALL, false },	     /* tty */
	{ 'c', 5, 1, DEVICE_ALL, false },	     /* console */
	{ 'c', 5, 2, DEVICE_ALL, false },	     /* ptmx */
	{ 'c', 136, DEVICE_ANY, DEVICE_ALL, false }, /* pts/n */
};

/*
 * The shape decides what loading costs: the kernel's verifier follows every branch, so a rule is one branch where it can
 * be, all to the same two ends, where it sees that it has been (docs/cgroups.md). A device is compared whole, as the
 * kernel's dev_t: 12 bits major, 20 bits minor.
 */
struct program {
	struct bpf_insn *insns;
	size_t n, cap;
	bool exact; /* DEVICES_BPF_EXACT */
};

enum { R0, R1, R_TYPE, R_ACCESS, R_DEVICE, R_MAJOR, R_REST }; /* R1: struct bpf_cgroup_dev_ctx */

#define INSNS_PER_RULE 8
#define INSNS_AROUND   20
#define TO_ALLOW       INT16_MAX /* jump offset that program_link() fills in */

static void emit(struct program *p, uint8_t code, unsigned dst, unsigned src, int16_t off,
		 uint32_t imm)
{
	if (p->n < p->cap)
		p->insns[p->n] = (struct bpf_insn){ .code = code,
						    .dst_reg = dst & 15,
						    .src_reg = src & 15,
						    .off = off,
						    .imm = (int32_t)imm };
	p->n++;
}

static void emit_minor(struct program *p)
{
	emit(p, BPF_ALU | BPF_MOV | BPF_X, R_REST, R_DEVICE, 0, 0);
	emit(p, BPF_ALU | BPF_AND | BPF_K, R_REST, 0, 0, 0xfffff);
}

/*
 * The general form, for lists that deny: from the last rule to the first, each allows its part of what is asked for and is left, till
 * nothing is, or denies it.
 */
static void emit_ordered(struct program *p, const struct device_rule *rule)
{
	const bool any_major = rule->major == DEVICE_ANY, any_minor = rule->minor == DEVICE_ANY;
	const int16_t body = rule->deny ? 5 : 2;

	if (any_major && !any_minor) {
		emit_minor(p);
		emit(p, BPF_JMP32 | BPF_JNE | BPF_K, R_REST, 0, body, rule->minor);
	} else if (!any_major && any_minor) {
		emit(p, BPF_JMP32 | BPF_JNE | BPF_K, R_MAJOR, 0, body, rule->major);
	} else if (!any_major) {
		emit(p, BPF_JMP32 | BPF_JNE | BPF_K, R_DEVICE, 0, body,
		     rule->major << 20 | rule->minor);
	}
	if (!rule->deny) {
		emit(p, BPF_ALU | BPF_AND | BPF_K, R_ACCESS, 0, 0, DEVICE_ALL & ~rule->access);
		emit(p, BPF_JMP32 | BPF_JEQ | BPF_K, R_ACCESS, 0, TO_ALLOW, 0);
		return;
	}
	emit(p, BPF_ALU | BPF_MOV | BPF_X, R_REST, R_ACCESS, 0, 0);
	emit(p, BPF_ALU | BPF_AND | BPF_K, R_REST, 0, 0, rule->access);
	emit(p, BPF_JMP32 | BPF_JEQ | BPF_K, R_REST, 0, 2, 0);
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, R0, 0, 0, 0);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void emit_rule(struct program *p, const struct device_rule *rule)
{
	bool any_major = rule->major == DEVICE_ANY, any_minor = rule->minor == DEVICE_ANY;

	if (rule->access != DEVICE_ALL && p->exact) {
		emit(p, BPF_JMP32 | BPF_JNE | BPF_K, R_ACCESS, 0, 1, rule->access);
	} else if (rule->access != DEVICE_ALL) {
		/* More is asked than it gives: on to the next rule. */
		emit(p, BPF_ALU | BPF_MOV | BPF_X, R_REST, R_ACCESS, 0, 0);
		emit(p, BPF_ALU | BPF_AND | BPF_K, R_REST, 0, 0, DEVICE_ALL & ~rule->access);
		emit(p, BPF_JMP32 | BPF_JNE | BPF_K, R_REST, 0, 1, 0);
	}
	if (any_major && any_minor) {
		emit(p, BPF_JMP | BPF_JA, 0, 0, TO_ALLOW, 0);
	} else if (any_major) {
		emit_minor(p);
		emit(p, BPF_JMP32 | BPF_JEQ | BPF_K, R_REST, 0, TO_ALLOW, rule->minor);
	} else if (any_minor) {
		emit(p, BPF_JMP32 | BPF_JEQ | BPF_K, R_MAJOR, 0, TO_ALLOW, rule->major);
	} else {
		emit(p, BPF_JMP32 | BPF_JEQ | BPF_K, R_DEVICE, 0, TO_ALLOW,
		     rule->major << 20 | rule->minor);
	}
}

static void emit_rules(struct program *p, char type, const struct device_rule *rules, size_t n)
{
	const bool ordered = devices_deny(rules, n);

	for (size_t i = 0; i < n; i++) {
		const struct device_rule *rule = &rules[ordered ? n - 1 - i : i];
		if (rule->type == type && rule->access && ordered)
			emit_ordered(p, rule);
		else if (rule->type == type)
			emit_rule(p, rule);
	}
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, R0, 0, 0, 0);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Jumps to "allow" know their distance only once its place is known. */
static int program_link(struct program *p, size_t block, size_t allow, size_t type_jump)
{
	if (p->n > p->cap || p->n >= INT16_MAX)
		return -E2BIG;
	for (size_t i = 0; i < p->n; i++) {
		if (p->insns[i].off == TO_ALLOW)
			p->insns[i].off = (int16_t)(allow - i - 1);
	}
	p->insns[type_jump].off = (int16_t)(block - type_jump - 1);
	return 0;
}

static int program_make(struct program *p, const struct device_rule *rules, size_t n)
{
	emit(p, BPF_LDX | BPF_W | BPF_MEM, R_TYPE, R1, 0, 0);
	emit(p, BPF_ALU | BPF_MOV | BPF_X, R_ACCESS, R_TYPE, 0, 0);
	emit(p, BPF_ALU | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff);
	emit(p, BPF_ALU | BPF_RSH | BPF_K, R_ACCESS, 0, 0, 16);
	emit(p, BPF_LDX | BPF_W | BPF_MEM, R_MAJOR, R1, 4, 0);
	emit(p, BPF_LDX | BPF_W | BPF_MEM, R_REST, R1, 8, 0);
	emit(p, BPF_ALU | BPF_MOV | BPF_X, R_DEVICE, R_MAJOR, 0, 0);
	emit(p, BPF_ALU | BPF_LSH | BPF_K, R_DEVICE, 0, 0, 20);
	emit(p, BPF_ALU | BPF_OR | BPF_X, R_DEVICE, R_REST, 0, 0);
	size_t type_jump = p->n;
	emit(p, BPF_JMP32 | BPF_JEQ | BPF_K, R_TYPE, 0, 0, BPF_DEVCG_DEV_BLOCK);
	emit_rules(p, 'c', rules, n);
	size_t block = p->n;
	emit_rules(p, 'b', rules, n);
	size_t allow = p->n;
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, R0, 0, 0, 1);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return program_link(p, block, allow, type_jump);
}

bool devices_deny(const struct device_rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (rules[i].deny && rules[i].access)
			return true;
	}
	return false;
}

static int bpf_attach(int dirfd, const struct program *p, uint32_t flags)
{
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
				.insns = (uintptr_t)p->insns,
				.insn_cnt = (uint32_t)p->n,
				.license = (uintptr_t) "Apache-2.0" };

	AUTO(fd_close_p) int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	if (fd < 0)
		return -errno;
	union bpf_attr attach = { .target_fd = (uint32_t)dirfd,
				  .attach_bpf_fd = (uint32_t)fd,
				  .attach_type = BPF_CGROUP_DEVICE,
				  .attach_flags = flags };
	return syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)) < 0 ? -errno : 0;
}

int devices_bpf_set(int dirfd, const struct device_rule *rules, size_t n, unsigned flags)
{
	struct program p = { .cap = n * INSNS_PER_RULE + INSNS_AROUND,
			     .exact = flags & DEVICES_BPF_EXACT };

	p.insns = calloc(p.cap, sizeof(*p.insns));
	if (!p.insns)
		return -ENOMEM;
	int r = program_make(&p, rules, n);
	if (r == 0)
		r = bpf_attach(dirfd, &p, flags & DEVICES_BPF_ALONE ? 0 : BPF_F_ALLOW_MULTI);
	free(p.insns);
	return r;
}
