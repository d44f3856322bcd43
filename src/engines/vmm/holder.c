/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/holder.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engines/vmm/seal.h"

#define HOLDER_STACK_BYTES ((size_t)32 << 10)

static const struct seal_call holder_calls[] = {
	{ .nr = SYS_pause },
	{ .nr = SYS_rt_sigreturn },
	{ .nr = SYS_exit },
	{ .nr = SYS_exit_group },
};

/* It shares this process's memory: only system calls here, nothing of the C library's that keeps state. */
static int holder_main(void *arg)
{
	const struct seal_call *const lists[] = { holder_calls };
	const size_t counts[] = { sizeof(holder_calls) / sizeof(holder_calls[0]) };
	pid_t parent = (pid_t)(intptr_t)arg;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || syscall(SYS_getppid) != parent ||
	    vmm_seal_thread(lists, counts, 1, NULL) < 0)
		(void)syscall(SYS_exit, 1);
	for (;;)
		(void)syscall(SYS_pause);
	return 0;
}

int vmm_holder_start(struct err *err)
{
	uint8_t *stack = mmap(NULL, HOLDER_STACK_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED)
		return err_set(err, errno, "holder's stack");
	sigset_t all, before;
	(void)sigfillset(&all); /* what is sent to the machine is not for the holder */
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	int pid = clone(holder_main, stack + HOLDER_STACK_BYTES, CLONE_VM | CLONE_FILES,
			(void *)(intptr_t)getpid());
	int code = errno;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return err_set(err, code, "start the holder of the virtual machine");
	return 0; /* its stack goes with the process */
}
