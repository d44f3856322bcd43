/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <errno.h>
#include <grp.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "engines/hybrid/kvm.h"

static void every_slot_of_the_table_is_filled(void **state)
{
	const struct cpu_ops *ops = &kvm_cpu_ops;
	void *slots[(sizeof(*ops) - offsetof(struct cpu_ops, caps)) / sizeof(void *)];

	(void)state;
	memcpy(slots, &ops->caps, sizeof(slots));
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
		assert_non_null(slots[i]);
}

static bool listed(enum kvm_thread thread, uint32_t request)
{
	struct kvm_requests list = kvm_sealed_requests(thread);

	for (size_t i = 0; i < list.n; i++) {
		if (list.requests[i] == request)
			return true;
	}
	return false;
}

static void a_sealed_thread_runs_but_builds_nothing(void **state)
{
	(void)state;
	assert_true(listed(KVM_THREAD_VCPU, (uint32_t)KVM_RUN));
	assert_true(listed(KVM_THREAD_IO, (uint32_t)KVM_SIGNAL_MSI));
	assert_false(listed(KVM_THREAD_IO, (uint32_t)KVM_RUN));
	for (unsigned thread = 0; thread < KVM_THREADS; thread++) {
		assert_false(listed(thread, (uint32_t)KVM_CREATE_VM));
		assert_false(listed(thread, (uint32_t)KVM_CREATE_VCPU));
		assert_false(listed(thread, (uint32_t)KVM_SET_USER_MEMORY_REGION));
	}
}

/* In a child that is nobody: what the user reads must say what to do. */
static int refused_as_nobody(void)
{
	struct cpu_caps caps;
	struct err err = { 0 };

	if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
		return 2;
	if (kvm_cpu_ops.caps(&caps, &err) == 0)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_slot_of_the_table_is_filled),
		cmocka_unit_test(a_sealed_thread_runs_but_builds_nothing),
		cmocka_unit_test(refused_permission_says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
