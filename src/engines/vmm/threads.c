/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/threads.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "engines/vmm/private.h"
#include "engines/vmm/seal.h"
#include "network/tap.h"

#define THREAD_STACK_BYTES ((size_t)128 << 10)
#define THREAD_IOCTLS	   64U

/* Nothing becomes code that was not. */
static const uint32_t thread_protections[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };

/* What the C library does for any thread: locks, memory, signals, its end. */
static const struct seal_call thread_calls[] = {
	{ .nr = SYS_futex },
	{ .nr = SYS_read },
	{ .nr = SYS_write },
	{ .nr = SYS_writev },
	{ .nr = SYS_clock_gettime },
	{ .nr = SYS_timerfd_settime },
	{ .nr = SYS_epoll_ctl },
	{ .nr = SYS_rt_sigreturn },
	{ .nr = SYS_rt_sigprocmask },
	{ .nr = SYS_sched_yield },
	{ .nr = SYS_tgkill },
	{ .nr = SYS_getpid },
	{ .nr = SYS_gettid },
	{ .nr = SYS_brk },
	{ SYS_mmap, 2, thread_protections, ARRAY_SIZE(thread_protections) },
	{ .nr = SYS_munmap },
	{ .nr = SYS_madvise },
	{ SYS_mprotect, 2, thread_protections, ARRAY_SIZE(thread_protections) },
	{ .nr = SYS_exit },
	{ .nr = SYS_exit_group },
	{ .nr = SYS_restart_syscall },
};

static const uint32_t loop_families[] = { AF_UNIX };

/* The loop's: waiting, streams, disks, sockets. What a guest connects to on the host is looked up in an empty root. */
static const struct seal_call loop_calls[] = {
	{ .nr = SYS_epoll_wait },     { .nr = SYS_epoll_pwait },
	{ .nr = SYS_close },	      { .nr = SYS_readv },
	{ .nr = SYS_preadv },	      { .nr = SYS_pwritev },
	{ .nr = SYS_pread64 },	      { .nr = SYS_pwrite64 },
	{ .nr = SYS_fdatasync },      { .nr = SYS_fallocate },
	{ .nr = SYS_io_uring_enter }, { .nr = SYS_accept4 },
	{ .nr = SYS_recvfrom },	      { .nr = SYS_sendto },
	{ .nr = SYS_recvmsg },	      { .nr = SYS_sendmsg },
	{ .nr = SYS_shutdown },	      { .nr = SYS_getrandom },
	{ .nr = SYS_ftruncate },      { .nr = SYS_fstat },
	{ .nr = SYS_fcntl },	      { SYS_socket, 0, loop_families, ARRAY_SIZE(loop_families) },
	{ .nr = SYS_connect },	      { .nr = SYS_getsockopt },
	{ .nr = SYS_setsockopt },     { .nr = SYS_unlink },
	{ .nr = SYS_eventfd2 },
};

/* A terminal's size, a tap's offloads. */
static const uint32_t loop_requests[] = { TIOCGWINSZ, NET_TAP_IOCTL };

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

	if (vcpu->n + loop->n + ARRAY_SIZE(loop_requests) > THREAD_IOCTLS)
		return err_say(err, E2BIG, "system call filter: too many requests");
	for (size_t i = 0; i < loop->n; i++)
		requests[n++] = loop->requests[i];
	for (size_t i = 0; is_loop && i < ARRAY_SIZE(loop_requests); i++)
		requests[n++] = loop_requests[i];
	for (size_t i = 0; !is_loop && i < vcpu->n; i++)
		requests[n++] = vcpu->requests[i];
	const struct seal_call engine = { SYS_ioctl, 1, requests, (unsigned)n };
	const struct seal_call *lists[] = { &engine, thread_calls,
					    is_loop ? loop_calls : vmm->engine->vcpu_calls };
	const size_t counts[] = { n ? 1 : 0, ARRAY_SIZE(thread_calls),
				  is_loop ? ARRAY_SIZE(loop_calls) : vmm->engine->n_vcpu_calls };

	return vmm_seal_thread(lists, counts, ARRAY_SIZE(lists), err);
}
