/* SPDX-License-Identifier: Apache-2.0 */
#include "cpuid_hosts.h"

#include <errno.h>
#include <string.h>

static void what_the_machine_lacks_is_not_shown(void **state)
{
	static const char *const gone[] = {
		"monitor", "vmx",      "smx",	    "est",	 "tm2",	    "pdcm",	"osxsave",
		"ospke",   "dts",      "acpi",	    "tm",	 "pbe",	    "sgx",	"sgx_lc",
		"mpx",	   "intel_pt", "cqm",	    "rdt_a",	 "pconfig", "arch_lbr", "tme",
		"enqcmd",  "avx10",    "keylocker", "hybrid_cpu"
	};
	static const char *const kept[] = { "avx512f",	  "x2apic",  "tsc_deadline_timer",
					    "pcid",	  "smap",    "umip",
					    "hypervisor", "pdpe1gb", "constant_tsc",
					    "aes",	  "pku" };
	static const uint32_t leaves[] = { 0x3, 0x5, 0xa, 0x10, 0x12, 0x14, 0x20 };
	struct cpuid_config config = model_config(4);
	struct model model = { 0 };

	(void)state;
	MAKE(&model, &config, host_intel, 0);
	for (size_t i = 0; i < ARRAY_SIZE(gone); i++) {
		assert_non_null(cpuid_flag(gone[i]));
		if (HAS(&model, gone[i]))
			fail_msg("%s is shown", gone[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (!HAS(&model, kept[i]))
			fail_msg("%s is not shown", kept[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
		assert_null(model_leaf(&model, leaves[i], 0));
	assert_int_equal(model_leaf(&model, 6, 0)->eax, 0x4);
	assert_int_equal(model_leaf(&model, 6, 0)->ecx, 0);
	assert_int_equal(model_leaf(&model, 0, 0)->eax, 0x15);
}

static void the_brand_is_the_hosts(void **state)
{
	struct cpuid_config config = model_config(1);
	struct model model = { 0 };
	char brand[49] = { 0 };

	(void)state;
	MAKE(&model, &config, host_intel, 0);
	for (uint32_t i = 0; i < 3; i++)
		memcpy(brand + 16 * i, &model_leaf(&model, 0x80000002 + i, 0)->eax, 16);
	assert_string_equal(brand, "Intel(R) Xeon(R) Gold 6160 CPU @ 2.10GHz");
}

static void nested_virtualization_is_shown_on_request(void **state)
{
	struct cpuid_config config = model_config(1);
	struct model model = { 0 };

	(void)state;
	MAKE(&model, &config, host_amd, 0);
	assert_false(HAS(&model, "svm"));
	assert_null(model_leaf(&model, 0x8000000a, 0));
	config.nested = true;
	MAKE(&model, &config, host_amd, 0);
	assert_true(HAS(&model, "svm"));
	assert_int_equal(model_leaf(&model, 0x8000000a, 0)->ebx, 0x8000);
	MAKE(&model, &config, host_intel, 0);
	assert_true(HAS(&model, "vmx"));
	assert_null(model_leaf(&model, 0x8000000a, 0));
}

static void interrupt_features_follow_the_controller(void **state)
{
	struct cpuid_config config = model_config(1);
	struct model model = { 0 };

	(void)state;
	MAKE(&model, &config, host_intel, 0);
	assert_int_equal(model_leaf(&model, 0x40000001, 0)->eax, 0x1007afb);
	config.own_irqchip = config.x2apic = config.tsc_deadline = false;
	MAKE(&model, &config, host_intel, 0);
	assert_false(HAS(&model, "x2apic") || HAS(&model, "tsc_deadline_timer"));
	assert_int_equal(model_leaf(&model, 0x40000001, 0)->eax, 0x100122b);
	config.x2apic = config.tsc_deadline = true;
	MAKE(&model, &config, host_least, 0);
	assert_false(HAS(&model, "x2apic") || HAS(&model, "tsc_deadline_timer"));
}

static void the_hypervisor_says_its_name(void **state)
{
	struct cpuid_config config = model_config(1);
	struct model model = { 0 };
	const struct cpuid_leaf *leaf;

	(void)state;
	MAKE(&model, &config, host_intel, 0);
	leaf = model_leaf(&model, 0x40000000, 0);
	assert_int_equal(leaf->eax, 0x40000001);
	assert_memory_equal(&leaf->ebx, "KVMKVMKVM\0\0", 12);
	config.kvm = false;
	MAKE(&model, &config, host_intel, 0);
	leaf = model_leaf(&model, 0x40000000, 0);
	assert_int_equal(leaf->eax, 0x40000000);
	assert_memory_equal(&leaf->ebx, "StrataStrata", 12);
	assert_null(model_leaf(&model, 0x40000001, 0));
}

static void address_width_is_the_smaller_one(void **state)
{
	struct cpuid_config config = model_config(1);
	struct model model = { 0 };

	(void)state;
	config.phys_bits = 39;
	MAKE(&model, &config, host_amd, 0);
	assert_int_equal(model_leaf(&model, 0x80000008, 0)->eax, 0x3027);
	config.phys_bits = 52;
	MAKE(&model, &config, host_amd, 0);
	assert_int_equal(model_leaf(&model, 0x80000008, 0)->eax, 0x3030);
	assert_int_equal(model_leaf(&model, 0x80000008, 0)->ebx, 0x1007);
	config.phys_bits = 0;
	MAKE(&model, &config, host_intel, 0);
	assert_int_equal(model_leaf(&model, 0x80000008, 0)->eax, 0x302e);
	assert_int_equal(model_leaf(&model, 0x80000007, 0)->edx, 0x100);
}

static void an_engine_that_lacks_the_needful_is_named(void **state)
{
	struct cpuid_leaf host[ARRAY_SIZE(host_least)];
	struct cpuid_config config = model_config(1);
	struct model model = { 0 };

	(void)state;
	memcpy(host, host_least, sizeof(host));
	host[4].edx &= ~(1U << 29);
	assert_int_equal(
		cpuid_model(&config, host, ARRAY_SIZE(host), 0, model.leaves, &model.n, &model.err),
		-ENOTSUP);
	assert_non_null(strstr(model.err.text, "\"lm\""));
	assert_int_equal(cpuid_model(&config, host, 0, 0, model.leaves, &model.n, &model.err),
			 -ENOTSUP);
	assert_int_equal(model.n, 0);
}

static void too_many_vcpus_or_leaves_are_refused(void **state)
{
	static struct cpuid_leaf host[CPUID_LEAVES_MAX + 64];
	struct cpuid_config config = model_config(256);
	struct model model = { 0 };

	(void)state;
	memcpy(host, host_intel, sizeof(host_intel));
	assert_int_equal(cpuid_model(&config, host, 4, 0, model.leaves, &model.n, &model.err),
			 -EINVAL);
	config.vcpus = 2;
	assert_int_equal(cpuid_model(&config, host, 4, 2, model.leaves, &model.n, &model.err),
			 -EINVAL);
	for (unsigned i = ARRAY_SIZE(host_intel); i < ARRAY_SIZE(host); i++)
		host[i] = (struct cpuid_leaf){ .function = 0x7, .index = i, .indexed = true };
	assert_int_equal(
		cpuid_model(&config, host, ARRAY_SIZE(host), 0, model.leaves, &model.n, &model.err),
		-E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_machine_lacks_is_not_shown),
		cmocka_unit_test(the_brand_is_the_hosts),
		cmocka_unit_test(nested_virtualization_is_shown_on_request),
		cmocka_unit_test(interrupt_features_follow_the_controller),
		cmocka_unit_test(the_hypervisor_says_its_name),
		cmocka_unit_test(address_width_is_the_smaller_one),
		cmocka_unit_test(an_engine_that_lacks_the_needful_is_named),
		cmocka_unit_test(too_many_vcpus_or_leaves_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
