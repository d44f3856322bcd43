/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <errno.h>

#include "base/core/macros.h"
#include "engines/hybrid/private.h"

GUEST16(three_outs, "out %al, $0x10; out %al, $0x10; out %al, $0x10; hlt");

static void kvm_has_counted_what_came_out(void **state)
{
	struct exit_counts before = { { 0 } }, after = { { 0 } };

	(void)state;
	TINY_VM(vm, TINY_NONE);
	if (kvm_vcpu_of(vm.vcpu)->stats < 0)
		SKIP("this kernel's KVM has no KVM_GET_STATS_FD (Linux 5.14)");
	LOAD(&vm, three_outs);
	uint64_t has = vm.vm->ops->exits_read(vm.vcpu, &before);
	assert_true(has & EXIT_BIT(EXIT_ALL));
	assert_true(has & EXIT_BIT(EXIT_HALT));
	for (unsigned i = 0; i < 3; i++)
		tiny_expect_out(&vm, 0x10, 0);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_HLT);
	assert_int_equal(vm.vm->ops->exits_read(vm.vcpu, &after), has);
	assert_int_equal(after.n[EXIT_HALT], before.n[EXIT_HALT] + 1);
}

static void one_that_counts_nothing_says_so(void **state)
{
	struct exit_counts counts = { { 7 } };
	struct kvm_vcpu vcpu = { .fd = -EBADF };

	(void)state;
	kvm_stats_open(&vcpu);
	assert_true(vcpu.stats < 0);
	assert_int_equal(kvm_exits_read(&vcpu.base, &counts), 0);
	assert_int_equal(counts.n[0], 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kvm_has_counted_what_came_out),
		cmocka_unit_test(one_that_counts_nothing_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
