/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"

static void more_vcpus_than_said_are_refused(void **state)
{
	struct vcpu *second = NULL;
	struct err err = { 0 };

	(void)state;
	TINY_VM(vm, TINY_FULL);
	assert_int_equal(vm.vm->ops->vcpu_create(vm.vm, 1, &second, &err), -EINVAL);
	assert_string_equal(err.text, "vcpu 1 of a VM of 1");
	assert_null(second);
}

static void a_vcpu_is_made_once(void **state)
{
	struct vcpu *again = NULL;
	struct err err = { 0 };

	(void)state;
	TINY_VM(vm, TINY_FULL);
	assert_int_equal(vm.vm->ops->vcpu_create(vm.vm, 0, &again, &err), -EEXIST);
	assert_non_null(strstr(err.text, "create vcpu 0"));
	assert_null(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_vcpus_than_said_are_refused),
		cmocka_unit_test(a_vcpu_is_made_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
