/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/cgroup/instance.h"

#define HOLDER_STACK_BYTES ((size_t)32 << 10)

/* What it is told; on its own stack's far end, since that lives as long as it does. */
struct holder_start {
	pid_t parent;
	int ask, answer, follow; /* ask negative: it is sealed already */
};

static const struct seal_call holder_calls[] = {
	{ .nr = SYS_pause },
	{ .nr = SYS_rt_sigreturn },
	{ .nr = SYS_exit },
	{ .nr = SYS_exit_group },
};

/* A machine's holder dies with it; becoming somebody else takes that back. */
static int holder_bind(const struct holder_start *start)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || syscall(SYS_getppid) != start->parent
		       ? -ECHILD
		       : 0;
}

/* The user namespace denies setgroups(2) and makes whoever enters it its root; both ids are mapped there (seal.c). */
static int holder_follow(const struct holder_start *start)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };
	const struct rlimit no_core = { 0, 0 };
	const int spaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
			   CLONE_NEWUTS | CLONE_NEWCGROUP;
	const long nobody = SEAL_NOBODY;

	if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setns, start->follow, spaces) < 0 ||
	    syscall(SYS_setresgid, nobody, nobody, nobody) < 0 ||
	    syscall(SYS_setresuid, nobody, nobody, nobody) < 0 ||
	    syscall(SYS_capset, &head, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	(void)syscall(SYS_prlimit64, 0, RLIMIT_CORE, &no_core,
		      NULL); /* lowering is always allowed */
	return holder_bind(start);
}

/*
 * Asleep until the machine's process is sealed, which then waits for the answer: neither is in the other's way. Nobody as
 * it is by then, that one's death may not kill us as long as we are root: so it is looked for.
 */
static int holder_obey(const struct holder_start *start)
{
	struct pollfd polls[] = { { start->ask, POLLIN, 0 }, { start->follow, POLLIN, 0 } };

	if (syscall(SYS_poll, polls, 2, -1) < 1 || polls[1].revents)
		return -ECHILD;
	int32_t code = holder_follow(start);
	return syscall(SYS_write, start->answer, &code, sizeof(code)) == sizeof(code) ? code
										      : -EPIPE;
}

/* It shares this process's memory: only system calls here, nothing of the C library's that keeps state. */
static int holder_main(void *arg)
{
	const struct holder_start *start = arg;
	const struct seal_call *const lists[] = { holder_calls };
	const size_t counts[] = { sizeof(holder_calls) / sizeof(holder_calls[0]) };

	if (holder_bind(start) < 0 || (start->ask >= 0 && holder_obey(start) < 0) ||
	    vmm_seal_thread(lists, counts, 1, NULL) < 0)
		return 1;
	for (;;)
		(void)syscall(SYS_pause);
	return 0;
}

/*
 * clone3(2), for CLONE_INTO_CGROUP, with a stack of the child's own: the C library has no such call. The child calls
 * fn(arg) and never returns here. clobbers: syscall(2), "Architecture calling conventions", x86-64.
 */
static long holder_clone3(const struct clone_args *args, int (*fn)(void *), void *arg)
{
	long ret = SYS_clone3;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "mov %[arg], %%rdi\n\t"
			 "call *%[fn]\n\t"
			 "mov %%eax, %%edi\n\t"
			 "mov %[exit], %%eax\n\t"
			 "syscall\n\t"
			 "hlt\n"
			 "1:"
			 : "+a"(ret)
			 : "D"(args),
			   "S"(sizeof(*args)), [fn] "r"(fn), [arg] "r"(arg), [exit] "i"(SYS_exit)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}

/* Its stack goes with the process. What is sent to the machine is not for the holder. */
static int holder_start(struct vmm_holder *h, int home, struct err *err)
{
	uint8_t *stack = mmap(NULL, HOLDER_STACK_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED)
		return err_set(err, errno, "holder's stack");
	struct holder_start *start = (struct holder_start *)(void *)stack;
	*start = (struct holder_start){ getpid(), h->its_ask, h->its_answer, h->self };
	int process = -EBADF;
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_FILES | CLONE_PIDFD | (home >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)&process,
		.stack = (uint64_t)(uintptr_t)stack,
		.stack_size = HOLDER_STACK_BYTES,
		.cgroup = home >= 0 ? (uint64_t)(unsigned)home : 0,
	};
	sigset_t all, before;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	long pid = holder_clone3(&args, holder_main, start);
	if (pid < 0 && home >= 0) { /* a group that takes no process: then the one we are in */
		args.flags &= ~(uint64_t)CLONE_INTO_CGROUP;
		args.cgroup = 0;
		pid = holder_clone3(&args, holder_main, start);
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return err_set(err, (int)-pid, "start the holder of the virtual machine");
	h->process = process;
	return 0;
}

int vmm_holder_begin(int home, struct vmm_holder *ret, struct err *err)
{
	int ask[2], answer[2];

	*ret = (struct vmm_holder){ -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF };
	if (geteuid() != 0)
		return 0;
	if (pipe2(ask, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe");
	ret->ask = ask[1];
	ret->its_ask = ask[0];
	if (pipe2(answer, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe");
	ret->answer = answer[0];
	ret->its_answer = answer[1];
	ret->self = pidfd_of(getpid());
	return ret->self < 0 ? err_set(err, -ret->self, "pidfd") : holder_start(ret, home, err);
}

/* Both ends of the pipes are everybody's, so that their end is never seen: its own end is. */
static int holder_answer(const struct vmm_holder *h, struct err *err)
{
	struct pollfd polls[] = { { h->answer, POLLIN, 0 }, { h->process, POLLIN, 0 } };
	int32_t code = -ECHILD;

	if (write(h->ask, "", 1) != 1)
		return err_set(err, errno, "ask the holder of the virtual machine");
	while (poll(polls, 2, -1) < 0) {
		if (errno != EINTR)
			return err_set(err, errno, "wait for the holder of the virtual machine");
	}
	if ((polls[0].revents & POLLIN) && read(h->answer, &code, sizeof(code)) != sizeof(code))
		code = -EPROTO;
	return code < 0 ? err_set(err, -code, "seal the holder of the virtual machine") : 0;
}

static void holder_close(struct vmm_holder *h)
{
	fd_close(h->process);
	fd_close(h->self);
	fd_close(h->ask);
	fd_close(h->answer);
	fd_close(h->its_ask);
	fd_close(h->its_answer);
	*h = (struct vmm_holder){ -EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF };
}

int vmm_holder_seal(struct vmm_holder *h, struct err *err)
{
	int r = h->process >= 0 ? holder_answer(h, err) : holder_start(h, -EBADF, err);

	holder_close(h);
	return r;
}
