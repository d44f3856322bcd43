/* SPDX-License-Identifier: Apache-2.0 */
#include "cpuid_hosts.h"

static void every_vcpu_has_its_apic_id(void **state)
{
	struct cpuid_config config = model_config(5);
	struct model model = { 0 };

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		MAKE(&model, &config, host_intel, i);
		assert_int_equal(model_leaf(&model, 1, 0)->ebx, i << 24 | 5 << 16 | 0x800);
		for (uint32_t level = 0; level < 3; level++)
			assert_int_equal(model_leaf(&model, 0xb, level)->edx, i);
	}
	MAKE(&model, &config, host_amd, 3);
	assert_int_equal(model_leaf(&model, 0x8000001e, 0)->eax, 3);
	assert_int_equal(model_leaf(&model, 0x8000001e, 0)->ebx, 3);
}

/* What Linux makes of it: threads by the first shift, packages by the second. */
static void levels_fit_the_number_of_vcpus(void **state)
{
	static const struct {
		unsigned vcpus, bits;
	} cases[] = { { 1, 0 }, { 2, 1 },  { 3, 2 },  { 4, 2 },
		      { 5, 3 }, { 64, 6 }, { 65, 7 }, { 255, 8 } };
	struct model model = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned vcpus = cases[i].vcpus;
		struct cpuid_config config = model_config(vcpus);
		MAKE(&model, &config, host_intel, vcpus - 1);
		assert_int_equal(model_leaf(&model, 0xb, 0)->eax, 0);
		assert_int_equal(model_leaf(&model, 0xb, 0)->ebx, 1);
		assert_int_equal(model_leaf(&model, 0xb, 0)->ecx, 0x100);
		assert_int_equal(model_leaf(&model, 0xb, 1)->eax, cases[i].bits);
		assert_int_equal(model_leaf(&model, 0xb, 1)->ebx, vcpus);
		assert_int_equal(model_leaf(&model, 0xb, 1)->ecx, 0x201);
		assert_int_equal(model_leaf(&model, 0xb, 2)->ebx, 0);
		assert_int_equal(model_leaf(&model, 0xb, 2)->ecx, 2);
		assert_int_equal(HAS(&model, "ht"), vcpus > 1);
		MAKE(&model, &config, host_amd, vcpus - 1);
		assert_int_equal(model_leaf(&model, 0x80000008, 0)->ecx,
				 cases[i].bits << 12 | (vcpus - 1));
		assert_int_equal(HAS(&model, "cmp_legacy"), vcpus > 1);
	}
}

static void cores_share_the_last_cache_only(void **state)
{
	struct cpuid_config config = model_config(6);
	struct model model = { 0 };

	(void)state;
	MAKE(&model, &config, host_intel, 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(model_leaf(&model, 4, i)->eax >> 14 & 0xfff, 0);
	assert_int_equal(model_leaf(&model, 4, 3)->eax, 7U << 26 | 7 << 14 | 0x163);
	assert_int_equal(model_leaf(&model, 4, 4)->eax, 0);
	MAKE(&model, &config, host_amd, 0);
	assert_int_equal(model_leaf(&model, 0x8000001d, 0)->eax, 0x121);
	assert_int_equal(model_leaf(&model, 0x8000001d, 1)->eax, 7 << 14 | 0x163);
	config.vcpus = 255;
	MAKE(&model, &config, host_intel, 0);
	assert_int_equal(model_leaf(&model, 4, 3)->eax, 63U << 26 | 255 << 14 | 0x163);
}

static void a_vendor_sees_its_own_leaves(void **state)
{
	struct cpuid_config config = model_config(2);
	struct model model = { 0 };

	(void)state;
	MAKE(&model, &config, host_amd, 0);
	assert_null(model_leaf(&model, 4, 0));
	assert_non_null(model_leaf(&model, 0xb, 0)); /* the engine did not list it */
	assert_null(model_leaf(&model, 0x1f, 0));
	assert_null(model_leaf(&model, 0x8000001b, 0));
	assert_null(model_leaf(&model, 0x8000001f, 0));
	assert_int_equal(model_leaf(&model, 0x80000000, 0)->eax, 0x8000001e);
	MAKE(&model, &config, host_intel, 0);
	assert_null(model_leaf(&model, 0x8000001d, 0));
	assert_int_equal(model_leaf(&model, 0x80000000, 0)->eax, 0x80000008);
	assert_int_equal(model_leaf(&model, 0x80000008, 0)->ecx, 0);
	assert_false(HAS(&model, "cmp_legacy"));
	MAKE(&model, &config, host_least, 1);
	assert_null(model_leaf(&model, 0xb, 0));
	assert_int_equal(model_leaf(&model, 0, 0)->eax, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_vcpu_has_its_apic_id),
		cmocka_unit_test(levels_fit_the_number_of_vcpus),
		cmocka_unit_test(cores_share_the_last_cache_only),
		cmocka_unit_test(a_vendor_sees_its_own_leaves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
