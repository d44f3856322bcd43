/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/hybrid/private.h"

/* In a child that is nobody: what the user reads must say what to do. */
static int refused_as_nobody(void)
{
	struct err err = { 0 };
	int fd;

	if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
		return 2;
	if (kvm_dev_open(&fd, &err) == 0)
		return 3; /* open to everyone here */
	return err.code == EACCES && strstr(err.text, "group that owns the file") ? 0 : 1;
}

static void refused_permission_says_what_to_do(void **state)
{
	int status;

	(void)state;
	if (tiny_missing() || geteuid() != 0)
		SKIP("takes /dev/kvm, and root to become nobody");
	pid_t pid = fork();
	if (pid == 0)
		_exit(refused_as_nobody());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 3)
		SKIP("/dev/kvm is open to everyone here");
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void opens_and_asks(void **state)
{
	struct err err = { 0 };
	AUTO(fd_close_p) int fd = -EBADF;

	(void)state;
	if (tiny_missing())
		SKIP(tiny_missing());
	assert_int_equal(kvm_dev_open(&fd, &err), 0);
	assert_true(kvm_cap(fd, KVM_CAP_USER_MEMORY) > 0);
	assert_int_equal(kvm_cap(fd, 1U << 30), 0); /* there is no such thing */
}

static void errors_are_negative(void **state)
{
	(void)state;
	assert_int_equal(kvm_ioctl_nr(-1, KVM_CREATE_VM, 0), -EBADF);
	assert_int_equal(kvm_ioctl(-1, KVM_GET_REGS, NULL), -EBADF);
	assert_int_equal(kvm_cap(-1, KVM_CAP_USER_MEMORY), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_permission_says_what_to_do),
		cmocka_unit_test(opens_and_asks),
		cmocka_unit_test(errors_are_negative),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
