/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <linux/kvm.h>
#include <string.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_slot_of_the_table_is_filled),
		cmocka_unit_test(a_sealed_thread_runs_but_builds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
