/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of one VMM thread: a plain allow-list as classic BPF. A few dozen comparisons are written faster than
 * libseccomp builds them, and these threads make few system calls (docs/decisions.md).
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "engines/vmm/seal.h"

#define SECCOMP_MAX 512

struct seal_program {
	struct sock_filter code[SECCOMP_MAX];
	unsigned short len;
	bool full;
};

static void seal_emit(struct seal_program *p, struct sock_filter one)
{
	if (p->len == SECCOMP_MAX)
		p->full = true;
	else
		p->code[p->len++] = one;
}

static void seal_return(struct seal_program *p, uint32_t action)
{
	seal_emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static void seal_load(struct seal_program *p, size_t offset)
{
	seal_emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* If the loaded word is k, the next instruction; else over `skip` of them. */
static void seal_if(struct seal_program *p, uint32_t k, uint8_t skip)
{
	seal_emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, 0, skip));
}

/* Little endian: the low word of an argument comes first. What is checked here (requests of ioctl(2), protections, address families) has 32 bits. */
static void seal_argument(struct seal_program *p, const struct seal_call *call)
{
	seal_if(p, (uint32_t)call->nr, (uint8_t)(2 * call->n_values + 2));
	seal_load(p, offsetof(struct seccomp_data, args) + call->arg * sizeof(uint64_t));
	for (unsigned i = 0; i < call->n_values; i++) {
		seal_if(p, call->values[i], 1);
		seal_return(p, SECCOMP_RET_ALLOW);
	}
	seal_return(p, SECCOMP_RET_KILL_PROCESS);
}

static void seal_list(struct seal_program *p, const struct seal_call *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (calls[i].n_values) {
			seal_argument(p, &calls[i]);
			continue;
		}
		seal_if(p, (uint32_t)calls[i].nr, 1);
		seal_return(p, SECCOMP_RET_ALLOW);
	}
}

int vmm_seal_thread(const struct seal_call *const *lists, const size_t *counts, unsigned n,
		    struct err *err)
{
	struct seal_program p = { .len = 0 };

	seal_load(&p, offsetof(struct seccomp_data, arch));
	seal_emit(&p,
		  (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
	seal_return(&p, SECCOMP_RET_KILL_PROCESS);
	seal_load(&p, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < n; i++)
		seal_list(&p, lists[i], counts[i]);
	seal_return(&p, SECCOMP_RET_KILL_PROCESS);
	if (p.full)
		return err_say(err, E2BIG, "system call filter: too long");
	const struct sock_fprog program = { .len = p.len, .filter = p.code };
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return err_set(err, errno, "system call filter");
	return 0;
}
