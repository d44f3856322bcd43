/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"

static void free_p(uint8_t **p)
{
	free(*p);
}

static void image_goes_round(void **state)
{
	uint64_t xcr0 = 0;
	size_t n = 0;

	(void)state;
	TINY_VM(vm, TINY_FULL);
	assert_int_equal(vm.vcpu->ops->xsave_get(vm.vcpu, &xcr0, NULL, &n), -E2BIG);
	assert_true(n >= 576); /* legacy area and header: SDM 1, XSAVE Area */
	AUTO(free_p) uint8_t *image = calloc(1, n);
	AUTO(free_p) uint8_t *again = calloc(1, n);
	assert_non_null(image);
	assert_non_null(again);
	assert_int_equal(vm.vcpu->ops->xsave_get(vm.vcpu, &xcr0, image, &n), 0);
	assert_true(xcr0 & 1);

	memcpy(image + 160, "sixteen bytes XMM", 16); /* XMM0 */
	image[512] |= 3;			      /* XSTATE_BV: x87 and SSE are not initial */
	assert_int_equal(vm.vcpu->ops->xsave_set(vm.vcpu, xcr0, image, n), 0);
	assert_int_equal(vm.vcpu->ops->xsave_get(vm.vcpu, &xcr0, again, &n), 0);
	assert_memory_equal(again + 160, "sixteen bytes XMM", 16);
}

static void short_image_is_refused(void **state)
{
	uint8_t image[512] = { 0 };

	(void)state;
	TINY_VM(vm, TINY_FULL);
	assert_int_equal(vm.vcpu->ops->xsave_set(vm.vcpu, 1, image, sizeof(image)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_goes_round),
		cmocka_unit_test(short_image_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
