/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "engines/hybrid/kvm.h"

static const struct cpuid_leaf *leaf_of(const struct cpuid_leaf *leaves, unsigned n,
					uint32_t function)
{
	for (unsigned i = 0; i < n; i++) {
		if (leaves[i].function == function)
			return &leaves[i];
	}
	return NULL;
}

static void kvm_says_what_it_keeps(void **state)
{
	struct cpuid_leaf leaves[CPUID_LEAVES_MAX];
	unsigned n = 1;
	struct err err = { 0 };

	(void)state;
	if (tiny_missing())
		SKIP(tiny_missing());
	assert_int_equal(kvm_cpu_ops.cpuid_supported(leaves, &n, &err), -E2BIG);
	assert_in_range(n, 5, CPUID_LEAVES_MAX);
	n = CPUID_LEAVES_MAX;
	assert_int_equal(kvm_cpu_ops.cpuid_supported(leaves, &n, &err), 0);
	const struct cpuid_leaf *features = leaf_of(leaves, n, CPUID_FEATURES);
	assert_non_null(features);
	assert_true(features->edx & (1U << 25)); /* SSE */
	assert_non_null(leaf_of(leaves, n, CPUID_KVM));
	const struct cpuid_leaf *ext = leaf_of(leaves, n, (uint32_t)CPUID_EXT_FEATURES);
	assert_non_null(ext);
	assert_true(ext->edx & (1U << 29)); /* long mode */
	const struct cpuid_leaf *name = leaf_of(leaves, n, 0x80000002);
	assert_non_null(name);
	assert_true(name->eax != 0); /* the host's: no CPU is without */
}

GUEST16(asks, "mov $0x40000042, %eax; xor %ecx, %ecx; cpuid; mov %ebx, 0x2000\n"
	      "mov $0x40000043, %eax; mov $1, %ecx; cpuid; mov %ebx, 0x2004; hlt");

static void the_guest_sees_what_was_set(void **state)
{
	const struct cpuid_leaf leaves[] = {
		{ .function = 0, .eax = 0xd },
		{ .function = 0x40000000, .eax = 0x40000043 },
		{ .function = 0x40000042, .ebx = 0x61616161 },
		{ .function = 0x40000043, .index = 0, .indexed = true, .ebx = 1 },
		{ .function = 0x40000043, .index = 1, .indexed = true, .ebx = 0x62626262 },
	};
	struct err err = { 0 };

	(void)state;
	TINY_VM(vm, TINY_NONE);
	LOAD(&vm, asks);
	assert_int_equal(vm.vcpu->ops->cpuid_set(vm.vcpu, leaves, ARRAY_SIZE(leaves), &err), 0);
	assert_int_equal(tiny_run(&vm), VCPU_EXIT_HLT);
	assert_memory_equal(vm.ram + 0x2000, "aaaabbbb", 8);
}

static void too_many_leaves_are_refused(void **state)
{
	static const struct cpuid_leaf leaves[CPUID_LEAVES_MAX + 1];
	struct err err = { 0 };

	(void)state;
	TINY_VM(vm, TINY_NONE);
	assert_int_equal(vm.vcpu->ops->cpuid_set(vm.vcpu, leaves, ARRAY_SIZE(leaves), &err),
			 -E2BIG);
	assert_non_null(strstr(err.text, "257 CPUID leaves"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kvm_says_what_it_keeps),
		cmocka_unit_test(the_guest_sees_what_was_set),
		cmocka_unit_test(too_many_leaves_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
