/* SPDX-License-Identifier: Apache-2.0 */
/* What may have rates; tests/unit/network/test_rate.c and tests/system/rates.bats are about their effect. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "engines/rates.h"

static void only_a_bridge_has_them(void **state)
{
	static const struct {
		enum spec_network network;
		const char *why; /* NULL: it has */
	} cases[] = {
		{ SPEC_NETWORK_BRIDGE, NULL },
		{ SPEC_NETWORK_NONE, "--network none" },
		{ SPEC_NETWORK_HOST, "--network host" },
		{ SPEC_NETWORK_PASST, "passt" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct spec none = { .network = cases[i].network };
		const struct spec in = { .network = cases[i].network,
					 .limits = { .ingress_bits = 9000 } };
		const struct spec out = { .network = cases[i].network,
					  .limits = { .egress_bits = 9000 } };
		const int r = cases[i].why ? -ENOTSUP : 0;
		struct err err = { 0 };
		assert_int_equal(rates_check(&none, NULL), 0);
		assert_int_equal(rates_check(&in, &err), r);
		assert_true(!r ||
			    (strstr(err.text, "--ingress-rate") && strstr(err.text, cases[i].why)));
		assert_int_equal(rates_check(&out, &err), r);
		assert_true(!r || strstr(err.text, "--egress-rate"));
	}
}

static void without_any_nothing_is_asked_of_the_kernel(void **state)
{
	const struct spec spec = { .id = "no link of this name is anywhere" };
	const struct spec_limits lift = { .egress_bits = -1 };

	(void)state;
	assert_int_equal(rates_start(&spec, NULL), 0);
	assert_int_equal(rates_change(&spec, &spec.limits, NULL), 0);
	assert_int_equal(rates_change(&spec, &lift, NULL), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_bridge_has_them),
		cmocka_unit_test(without_any_nothing_is_asked_of_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
