/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/threads.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

#include "engines/vmm/private.h"
#include "engines/vmm/seal.h"

#define THREAD_STACK_BYTES ((size_t)128 << 10)
#define THREAD_IOCTLS	   64U

/* What the C library does for any thread: locks, memory, signals, its end. */
static const struct seal_call thread_calls[] = {
	{ SYS_futex, NULL, 0 },
	{ SYS_read, NULL, 0 },
	{ SYS_write, NULL, 0 },
	{ SYS_writev, NULL, 0 },
	{ SYS_clock_gettime, NULL, 0 },
	{ SYS_timerfd_settime, NULL, 0 },
	{ SYS_epoll_ctl, NULL, 0 },
	{ SYS_rt_sigreturn, NULL, 0 },
	{ SYS_rt_sigprocmask, NULL, 0 },
	{ SYS_sched_yield, NULL, 0 },
	{ SYS_tgkill, NULL, 0 },
	{ SYS_getpid, NULL, 0 },
	{ SYS_gettid, NULL, 0 },
	{ SYS_brk, NULL, 0 },
	{ SYS_mmap, NULL, 0 },
	{ SYS_munmap, NULL, 0 },
	{ SYS_madvise, NULL, 0 },
	{ SYS_mprotect, NULL, 0 },
	{ SYS_exit, NULL, 0 },
	{ SYS_exit_group, NULL, 0 },
	{ SYS_restart_syscall, NULL, 0 },
};

/* The loop's: waiting, streams, disks, sockets that are there already. */
static const struct seal_call loop_calls[] = {
	{ SYS_epoll_wait, NULL, 0 }, { SYS_epoll_pwait, NULL, 0 },    { SYS_close, NULL, 0 },
	{ SYS_readv, NULL, 0 },	     { SYS_preadv, NULL, 0 },	      { SYS_pwritev, NULL, 0 },
	{ SYS_pread64, NULL, 0 },    { SYS_pwrite64, NULL, 0 },	      { SYS_fdatasync, NULL, 0 },
	{ SYS_fallocate, NULL, 0 },  { SYS_io_uring_enter, NULL, 0 }, { SYS_accept4, NULL, 0 },
	{ SYS_recvfrom, NULL, 0 },   { SYS_sendto, NULL, 0 },	      { SYS_recvmsg, NULL, 0 },
	{ SYS_sendmsg, NULL, 0 },    { SYS_shutdown, NULL, 0 },	      { SYS_getrandom, NULL, 0 },
	{ SYS_ftruncate, NULL, 0 },  { SYS_fstat, NULL, 0 },	      { SYS_fcntl, NULL, 0 },
};

int vmm_thread_start(pthread_t *ret, void *(*fn)(void *), void *arg, struct err *err)
{
	pthread_attr_t attr;
	sigset_t all, before;

	(void)pthread_attr_init(&attr); /* cannot fail on Linux */
	(void)pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* valid arguments */
	int r = pthread_create(ret, &attr, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	return r ? err_set(err, r, "start a thread") : 0;
}

int vmm_thread_seal(const struct vmm *vmm, enum vmm_thread kind, struct err *err)
{
	const struct vmm_ioctls *vcpu = &vmm->engine->vcpu_ioctls;
	const struct vmm_ioctls *loop = &vmm->engine->loop_ioctls;
	const bool is_loop = kind == VMM_THREAD_LOOP;
	uint32_t requests[THREAD_IOCTLS];
	size_t n = 0;

	if (vcpu->n + loop->n > THREAD_IOCTLS)
		return err_say(err, E2BIG, "system call filter: too many requests");
	for (size_t i = 0; i < loop->n; i++)
		requests[n++] = loop->requests[i];
	for (size_t i = 0; !is_loop && i < vcpu->n; i++)
		requests[n++] = vcpu->requests[i];
	const struct seal_call engine = { SYS_ioctl, requests, (unsigned)n };
	const struct seal_call *lists[] = { &engine, thread_calls, loop_calls };
	const size_t counts[] = { n ? 1 : 0, ARRAY_SIZE(thread_calls), ARRAY_SIZE(loop_calls) };

	return vmm_seal_thread(lists, counts, is_loop ? 3 : 2, err);
}
