/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/seccomp/seccomp_parts.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>

#define HEAD_X32_BIT	0x40000000U /* asm/unistd.h, __X32_SYSCALL_BIT */
#define HEAD_SOCKETCALL 102U	    /* on 32-bit x86: asm/unistd_32.h */
#define HEAD_IPC	117U

/* Since 424 every architecture numbers alike: include/uapi/asm-generic/unistd.h of Linux 6.18. */
static const struct {
	const char *name;
	uint32_t nr;
} head_new_calls[] = {
	{ "cachestat", 451 },	      { "fchmodat2", 452 },	   { "map_shadow_stack", 453 },
	{ "futex_wake", 454 },	      { "futex_wait", 455 },	   { "futex_requeue", 456 },
	{ "statmount", 457 },	      { "listmount", 458 },	   { "lsm_get_self_attr", 459 },
	{ "lsm_set_self_attr", 460 }, { "lsm_list_modules", 461 }, { "mseal", 462 },
	{ "setxattrat", 463 },	      { "getxattrat", 464 },	   { "listxattrat", 465 },
	{ "removexattrat", 466 },     { "open_tree_attr", 467 },   { "file_getattr", 468 },
	{ "file_setattr", 469 },
};

/* include/uapi/linux/net.h, SYS_x, and include/uapi/linux/ipc.h. */
static const struct {
	const char *name;
	uint32_t nr, op;
} head_muxed[] = {
	{ "socket", HEAD_SOCKETCALL, 1 },
	{ "bind", HEAD_SOCKETCALL, 2 },
	{ "connect", HEAD_SOCKETCALL, 3 },
	{ "listen", HEAD_SOCKETCALL, 4 },
	{ "accept", HEAD_SOCKETCALL, 5 },
	{ "getsockname", HEAD_SOCKETCALL, 6 },
	{ "getpeername", HEAD_SOCKETCALL, 7 },
	{ "socketpair", HEAD_SOCKETCALL, 8 },
	{ "send", HEAD_SOCKETCALL, 9 },
	{ "recv", HEAD_SOCKETCALL, 10 },
	{ "sendto", HEAD_SOCKETCALL, 11 },
	{ "recvfrom", HEAD_SOCKETCALL, 12 },
	{ "shutdown", HEAD_SOCKETCALL, 13 },
	{ "setsockopt", HEAD_SOCKETCALL, 14 },
	{ "getsockopt", HEAD_SOCKETCALL, 15 },
	{ "sendmsg", HEAD_SOCKETCALL, 16 },
	{ "recvmsg", HEAD_SOCKETCALL, 17 },
	{ "accept4", HEAD_SOCKETCALL, 18 },
	{ "recvmmsg", HEAD_SOCKETCALL, 19 },
	{ "sendmmsg", HEAD_SOCKETCALL, 20 },
	{ "semop", HEAD_IPC, 1 },
	{ "semget", HEAD_IPC, 2 },
	{ "semctl", HEAD_IPC, 3 },
	{ "semtimedop", HEAD_IPC, 4 },
	{ "msgsnd", HEAD_IPC, 11 },
	{ "msgrcv", HEAD_IPC, 12 },
	{ "msgget", HEAD_IPC, 13 },
	{ "msgctl", HEAD_IPC, 14 },
	{ "shmat", HEAD_IPC, 21 },
	{ "shmdt", HEAD_IPC, 22 },
	{ "shmget", HEAD_IPC, 23 },
	{ "shmctl", HEAD_IPC, 24 },
};

_Static_assert(ARRAY_SIZE(head_new_calls) <= SECCOMP_HEAD_CALLS, "every new call has a place");
_Static_assert(ARRAY_SIZE(head_muxed) <= SECCOMP_HEAD_GUARDS, "every guard has a place");

bool seccomp_head_new_call(struct seccomp_head *head, const char *name, uint32_t action)
{
	for (size_t i = 0; i < ARRAY_SIZE(head_new_calls); i++) {
		uint32_t nr = head_new_calls[i].nr;
		if (strcmp(head_new_calls[i].name, name) != 0 || nr < head->first_new)
			continue;
		for (unsigned j = 0; j < head->n_calls; j++) {
			if (head->calls[j].nr == nr) /* the first rule stands, as in libseccomp */
				return true;
		}
		head->calls[head->n_calls].nr = nr;
		head->calls[head->n_calls++].action = action;
		return true;
	}
	return false;
}

void seccomp_head_guard(struct seccomp_head *head, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(head_muxed); i++) {
		if (strcmp(head_muxed[i].name, name) != 0)
			continue;
		for (unsigned j = 0; j < head->n_guards; j++) {
			if (head->guards[j].nr == head_muxed[i].nr &&
			    head->guards[j].op == head_muxed[i].op)
				return;
		}
		head->guards[head->n_guards].nr = head_muxed[i].nr;
		head->guards[head->n_guards++].op = head_muxed[i].op;
		return;
	}
}

static void head_drop(struct seccomp_head *head, uint32_t nr, uint32_t op)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < head->n_guards; i++) {
		if (head->guards[i].nr != nr || (op && head->guards[i].op != op))
			head->guards[kept++] = head->guards[i];
	}
	head->n_guards = kept;
}

void seccomp_head_unguard(struct seccomp_head *head, const char *name)
{
	if (!strcmp(name, "socketcall"))
		head_drop(head, HEAD_SOCKETCALL, 0);
	else if (!strcmp(name, "ipc"))
		head_drop(head, HEAD_IPC, 0);
	for (size_t i = 0; i < ARRAY_SIZE(head_muxed); i++) {
		if (!strcmp(head_muxed[i].name, name))
			head_drop(head, head_muxed[i].nr, head_muxed[i].op);
	}
}

static int head_add(struct buf *program, struct sock_filter insn)
{
	return buf_add(program, &insn, sizeof(insn));
}

/* Out of the head: BPF_JA, whose distance is known at the end. */
#define HEAD_MAIN UINT32_MAX

static int head_to_main(struct buf *program)
{
	return head_add(program, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, HEAD_MAIN));
}

static int head_load(struct buf *program, size_t offset)
{
	return head_add(program,
			(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* If A is k, answer with action; else go on. */
static void head_answer(struct buf *program, uint32_t k, uint32_t action)
{
	(void)head_add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, 0, 1));
	(void)head_add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* For each architecture: leave A as it is where it is one of ours, else go to libseccomp, which refuses it. */
static void head_arches(const struct seccomp_head *head, struct buf *program)
{
	for (unsigned i = 0; i < head->n_arches; i++)
		(void)head_add(program, (struct sock_filter)BPF_JUMP(
						BPF_JMP | BPF_JEQ | BPF_K, head->arches[i],
						(uint8_t)(head->n_arches - i), 0));
	(void)head_to_main(program);
}

static void head_guards(const struct seccomp_head *head, uint32_t nr, struct buf *program)
{
	unsigned n = 0;

	for (unsigned i = 0; i < head->n_guards; i++)
		n += head->guards[i].nr == nr;
	if (!n)
		return;
	(void)head_load(program, offsetof(struct seccomp_data, nr));
	(void)head_add(program,
		       (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0,
						    (uint8_t)(2 * n + 2 + (nr == HEAD_IPC))));
	(void)head_load(program, offsetof(struct seccomp_data, args[0]));
	if (nr == HEAD_IPC) /* the high half is a version */
		(void)head_add(program,
			       (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffff));
	for (unsigned i = 0; i < head->n_guards; i++) {
		if (head->guards[i].nr == nr)
			head_answer(program, head->guards[i].op, head->guard_action);
	}
	(void)head_to_main(program);
}

/* Only 32-bit x86 has the multiplexers; A is the architecture. */
static void head_guard_x86(const struct seccomp_head *head, struct buf *program)
{
	struct buf guards = { 0 };

	head_guards(head, HEAD_SOCKETCALL, &guards);
	head_guards(head, HEAD_IPC, &guards);
	size_t n = guards.len / sizeof(struct sock_filter);
	(void)head_add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							     AUDIT_ARCH_I386, 0, (uint8_t)n));
	if (guards.failed)
		program->failed = true;
	(void)buf_add(program, guards.data, guards.len);
	buf_fini(&guards);
}

static void head_new(const struct seccomp_head *head, struct buf *program)
{
	(void)head_load(program, offsetof(struct seccomp_data, nr));
	/* x32 has old calls above 511: libseccomp's business, as is everything it knows. */
	(void)head_add(program,
		       (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, HEAD_X32_BIT, 1, 0));
	(void)head_add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K,
							     head->first_new, 1, 0));
	(void)head_to_main(program);
	for (unsigned i = 0; i < head->n_calls; i++)
		head_answer(program, head->calls[i].nr, head->calls[i].action);
	if (head->deny_new)
		(void)head_add(program,
			       (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
							    SECCOMP_RET_ERRNO | (uint32_t)ENOSYS));
	else
		(void)head_to_main(program);
}

int seccomp_head_emit(const struct seccomp_head *head, struct buf *program)
{
	AUTO(buf_fini) struct buf own = { 0 };

	(void)head_load(&own, offsetof(struct seccomp_data, arch));
	head_arches(head, &own);
	if (head->x86 && head->n_guards)
		head_guard_x86(head, &own);
	head_new(head, &own);
	if (own.failed)
		return -ENOMEM;

	struct sock_filter *insns = (struct sock_filter *)(void *)own.data;
	size_t n = own.len / sizeof(*insns);
	for (size_t i = 0; i < n; i++) {
		if (insns[i].code == (BPF_JMP | BPF_JA) && insns[i].k == HEAD_MAIN)
			insns[i].k = (uint32_t)(n - i - 1);
	}
	return buf_add(program, own.data, own.len);
}
