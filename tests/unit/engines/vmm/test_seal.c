/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <asm/prctl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "engines/hosted/hosted_cpu.h"
#include "engines/vmm/seal.h"

static const uint32_t allowed_requests[] = { FIONREAD };
static const struct seal_call first[] = { { .nr = SYS_write }, { .nr = SYS_exit_group } };
static const struct seal_call second[] = { { SYS_ioctl, 1, allowed_requests, 1 } };

static int sealed(long nr, long a, long b, long c)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		const struct seal_call *const lists[] = { first, second };
		const size_t counts[] = { ARRAY_SIZE(first), ARRAY_SIZE(second) };
		if (vmm_seal_thread(lists, counts, 2, NULL) < 0)
			_exit(99);
		(void)syscall(nr, a, b, c);
		syscall(SYS_exit_group, 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void what_is_listed_goes_through(void **state)
{
	int n = 0;

	(void)state;
	assert_int_equal(sealed(SYS_write, 1, (long)"", 0), 0);
	assert_int_equal(sealed(SYS_ioctl, 0, FIONREAD, (long)&n), 0);
}

static void anything_else_kills(void **state)
{
	int status = sealed(SYS_getppid, 0, 0, 0);

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = sealed(SYS_ioctl, 0, TIOCSTI, 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

/* The software CPU's vcpus were killed where the kernel has no FSGSBASE. */
static int sealed_vcpu(long code)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		const struct seal_call *const lists[] = { first, hosted_vcpu_calls };
		const size_t counts[] = { ARRAY_SIZE(first), HOSTED_VCPU_CALLS };
		if (vmm_seal_thread(lists, counts, 2, NULL) < 0)
			_exit(99);
		long r = syscall(SYS_arch_prctl, code, 0x1000);
		syscall(SYS_exit_group, r == 0 ? 0 : 98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void a_vcpu_may_set_its_gs_and_nothing_else_of_it(void **state)
{
	int status = sealed_vcpu(ARCH_SET_FS);

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	assert_int_equal(sealed_vcpu(ARCH_SET_GS), 0);
}

#define SEALED_BITS                                                                                \
	((int)(SECURE_ALL_LOCKS | SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP |                         \
	       SECBIT_NO_CAP_AMBIENT_RAISE))

static int sealed_process(void)
{
	struct seal_report report = { 0 };
	struct err err = { 0 };

	if (vmm_seal_process(false, &report, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 10;
	}
	if (!report.namespaces || !report.user || geteuid() == 0)
		return 11;
	if (open("/etc/passwd", O_RDONLY) >= 0 || access("/proc", F_OK) == 0)
		return 12;
	if (setuid(0) == 0 || chroot("/") == 0)
		return 13;
	if (socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0)
		return 14; /* a raw socket */
	for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (prctl(PR_CAPBSET_READ, cap) == 1)
			return 15;
	}
	if (prctl(PR_GET_SECUREBITS) != SEALED_BITS || prctl(PR_SET_SECUREBITS, 0) == 0)
		return 16;
	return 0;
}

static void a_sealed_root_process_has_nothing_left(void **state)
{
	int status;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid_t pid = fork();
	if (pid == 0)
		_exit(sealed_process());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_listed_goes_through),
		cmocka_unit_test(anything_else_kills),
		cmocka_unit_test(a_vcpu_may_set_its_gs_and_nothing_else_of_it),
		cmocka_unit_test(a_sealed_root_process_has_nothing_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
