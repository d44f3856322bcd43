/* SPDX-License-Identifier: Apache-2.0 */
#include "cpuid_hosts.h"

#include <string.h>

static void sizes_are_those_of_what_is_left(void **state)
{
	struct cpuid_config config = model_config(1);
	struct model model = { 0 };

	(void)state;
	MAKE(&model, &config, host_intel, 0);
	assert_int_equal(model_leaf(&model, 0xd, 0)->eax, 0x2e7); /* no MPX */
	assert_int_equal(model_leaf(&model, 0xd, 0)->ebx, 576);
	assert_int_equal(model_leaf(&model, 0xd, 0)->ecx, 0xa88);
	assert_int_equal(model_leaf(&model, 0xd, 1)->ebx, 576);
	assert_int_equal(model_leaf(&model, 0xd, 1)->ecx, 0); /* no trace */
	assert_null(model_leaf(&model, 0xd, 3));
	assert_null(model_leaf(&model, 0xd, 4));
	assert_null(model_leaf(&model, 0xd, 8));
	assert_non_null(model_leaf(&model, 0xd, 9));
	MAKE(&model, &config, host_amd, 0);
	assert_int_equal(model_leaf(&model, 0xd, 0)->eax, 7);
	assert_int_equal(model_leaf(&model, 0xd, 0)->ecx, 0x340);
}

static struct cpuid_leaf *leaf_at(struct cpuid_leaf *host, uint32_t function, uint32_t index)
{
	return cpuid_find(host, ARRAY_SIZE(host_intel), function, index);
}

static void without_a_state_its_features_go(void **state)
{
	struct cpuid_leaf host[ARRAY_SIZE(host_intel)];
	struct cpuid_config config = model_config(1);
	struct model model = { 0 };

	(void)state;
	memcpy(host, host_intel, sizeof(host));
	leaf_at(host, 0xd, 0)->eax = 0x67; /* half of AVX-512, no PKRU */
	MAKE(&model, &config, host, 0);
	assert_int_equal(model_leaf(&model, 0xd, 0)->eax, 7);
	assert_int_equal(model_leaf(&model, 0xd, 0)->ecx, 0x340);
	assert_true(HAS(&model, "avx2"));
	assert_false(HAS(&model, "avx512f") || HAS(&model, "avx512_bf16") ||
		     HAS(&model, "avx512_vnni"));
	assert_false(HAS(&model, "pku") || HAS(&model, "shstk") || HAS(&model, "ibt"));
	assert_false(HAS(&model, "amx_tile"));

	leaf_at(host, 0xd, 0)->eax = 0xe3; /* AVX-512 without AVX cannot be */
	MAKE(&model, &config, host, 0);
	assert_int_equal(model_leaf(&model, 0xd, 0)->eax, 3);
	assert_false(HAS(&model, "avx") || HAS(&model, "fma") || HAS(&model, "avx2") ||
		     HAS(&model, "avx512f"));
}

static void without_a_feature_its_state_goes(void **state)
{
	struct cpuid_leaf host[ARRAY_SIZE(host_intel)];
	struct cpuid_config config = model_config(1);
	struct model model = { 0 };

	(void)state;
	memcpy(host, host_intel, sizeof(host));
	leaf_at(host, 7, 0)->ebx &= ~(1U << 16);
	MAKE(&model, &config, host, 0);
	assert_int_equal(model_leaf(&model, 0xd, 0)->eax, 0x207);
	assert_null(model_leaf(&model, 0xd, 6));
	assert_false(HAS(&model, "avx512bw"));
}

static void control_flow_states_stay_with_their_feature(void **state)
{
	struct cpuid_leaf host[ARRAY_SIZE(host_intel)];
	struct cpuid_config config = model_config(1);
	struct model model = { 0 };

	(void)state;
	memcpy(host, host_intel, sizeof(host));
	leaf_at(host, 0xd, 1)->ecx = 0x1900;
	MAKE(&model, &config, host, 0);
	assert_int_equal(model_leaf(&model, 0xd, 1)->ecx, 0x1800);
	assert_true(HAS(&model, "shstk"));
	leaf_at(host, 0xd, 1)->eax = 7; /* no XSAVES */
	MAKE(&model, &config, host, 0);
	assert_int_equal(model_leaf(&model, 0xd, 1)->ecx, 0);
	assert_false(HAS(&model, "shstk") || HAS(&model, "ibt"));
}

static void without_xsave_there_is_no_leaf(void **state)
{
	struct cpuid_config config = model_config(1);
	struct model model = { 0 };

	(void)state;
	MAKE(&model, &config, host_least, 0);
	assert_null(model_leaf(&model, 0xd, 0));
	assert_false(HAS(&model, "avx") || HAS(&model, "f16c") || HAS(&model, "avx2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_those_of_what_is_left),
		cmocka_unit_test(without_a_state_its_features_go),
		cmocka_unit_test(without_a_feature_its_state_goes),
		cmocka_unit_test(control_flow_states_stay_with_their_feature),
		cmocka_unit_test(without_xsave_there_is_no_leaf),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
