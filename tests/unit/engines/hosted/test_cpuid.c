/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engines/hosted/run.h"
#include "machine/cpuid.h"
#include "mmu_rig.h"

static struct cpuid_leaf supported[CPUID_LEAVES_MAX], leaves[CPUID_LEAVES_MAX];

/* What a vcpu of the machine would show. */
static unsigned model(void)
{
	struct cpuid_config config = { .vcpus = 2, .kvm = true, .x2apic = true };
	struct err err = { 0 };
	struct cpu_caps caps;
	unsigned n = CPUID_LEAVES_MAX, used = 0;

	assert_int_equal(hosted_caps(&caps, &err), 0);
	config.phys_bits = caps.phys_bits;
	assert_int_equal(hosted_cpuid_supported(supported, &n, &err), 0);
	assert_int_equal(cpuid_model(&config, supported, n, 1, leaves, &used, &err), 0);
	return used;
}

static void what_is_ours_is_there_on_any_host(void **state)
{
	static const char *const names[] = { "fpu",	"tsc",	   "msr",    "pae",	 "apic",
					     "pge",	"pat",	   "sse2",   "syscall",	 "nx",
					     "lm",	"pdpe1gb", "rdtscp", "pcid",	 "invpcid",
					     "smep",	"smap",	   "umip",   "fsgsbase", "x2apic",
					     "lahf_lm", "rdpid",   NULL };
	unsigned n = model();

	(void)state;
	for (const char *const *name = names; *name; name++) {
		print_message("# %s\n", *name);
		assert_true(cpuid_has(leaves, n, *name));
	}
}

static void what_cannot_be_kept_is_not(void **state)
{
	static const char *const names[] = { "vmx",	 "svm",	    "monitor", "mpx",
					     "pku",	 "ospke",   "shstk",   "ibt",
					     "amx_tile", "waitpkg", "la57",    "pdcm",
					     "intel_pt", "xop",	    "ibs",     "perfctr_core",
					     "mwaitx",	 "sgx",	    "osxsave", NULL };
	unsigned n = model();

	(void)state;
	for (const char *const *name = names; *name; name++) {
		print_message("# %s\n", *name);
		assert_false(cpuid_has(leaves, n, *name));
	}
	const struct cpuid_leaf *xsave = cpuid_find(leaves, n, 0xd, 0);
	assert_non_null(xsave);
	assert_int_equal(xsave->eax & ~0xe7U, 0);
	assert_int_equal(xsave->edx, 0);
	assert_null(cpuid_find(leaves, n, 0xa, 0)); /* no counters */
}

static void kvms_clock_is_shown_and_nothing_of_its_lapic(void **state)
{
	unsigned n = model();
	const struct cpuid_leaf *leaf = cpuid_find(leaves, n, CPUID_KVM_FEATURES, 0);

	(void)state;
	assert_non_null(leaf);
	assert_int_equal(leaf->eax, 1 << 0 | 1 << 1 | 1 << 3 | 1 << 12 | 1 << 24);
}

static void too_little_room_is_said(void **state)
{
	struct err err = { 0 };
	unsigned n = 3;

	(void)state;
	assert_int_equal(hosted_cpuid_supported(supported, &n, &err), -7);
	assert_true(n > 3 && n <= CPUID_LEAVES_MAX);
}

static void widths_decide_what_is_reserved(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = rig_boot(rig);
	struct err err = { 0 };
	struct cpuid_leaf leaf = { .function = 0x80000008, .eax = 0x3027 };

	assert_int_equal(hosted_cpuid_set(&cpu->vcpu, &leaf, 1, &err), 0);
	assert_int_equal(cpu->mmu->phys_bits, 0x27);
	leaf.eax = 0x3035;
	assert_int_equal(hosted_cpuid_set(&cpu->vcpu, &leaf, 1, &err), -22);
	assert_int_equal(hosted_cpuid_set(&cpu->vcpu, &leaf, CPUID_LEAVES_MAX + 1, &err), -7);
	assert_int_equal(cpu->mmu->phys_bits, 0x27);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_ours_is_there_on_any_host),
		cmocka_unit_test(what_cannot_be_kept_is_not),
		cmocka_unit_test(kvms_clock_is_shown_and_nothing_of_its_lapic),
		cmocka_unit_test(too_little_room_is_said),
		cmocka_unit_test_setup_teardown(widths_decide_what_is_reserved, rig_create,
						rig_destroy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
