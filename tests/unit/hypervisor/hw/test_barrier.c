/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hw/barrier.h"

#define BIT(n) (UINT64_C(1) << (n))
#define ALL    (BARRIER_BRANCHES | BARRIER_L1D | BARRIER_BUFFERS)
/* CPUID leaf 7, EDX: MD_CLEAR, IBRS and IBPB, STIBP, L1D_FLUSH, ARCH_CAPABILITIES */
#define LEAF7_EDX (uint32_t)(BIT(10) | BIT(26) | BIT(27) | BIT(28) | BIT(29))

static struct barriers chosen(struct barrier_facts facts)
{
	struct barriers b;

	barriers_choose(&facts, &b);
	return b;
}

static void a_cpu_that_says_nothing_is_told_nothing(void **state)
{
	struct barriers b = chosen((struct barrier_facts){ 0 });
	char text[BARRIERS_TEXT];

	(void)state;
	assert_int_equal(b.wanted, 0);
	assert_int_equal(b.spec_ctrl, 0);
	assert_false(b.auto_ibrs);
	assert_false(barriers_text(&b, text, sizeof(text)));
	assert_string_equal(text, "");
}

/* Skylake with the microcode of 2019: no ARCH_CAPABILITIES bit is set. */
static void an_affected_intel_cpu_is_told_all(void **state)
{
	struct barriers b =
		chosen((struct barrier_facts){ .is_vmx = true, .leaf7_edx = LEAF7_EDX });
	char text[BARRIERS_TEXT];

	(void)state;
	assert_int_equal(b.wanted, ALL);
	assert_int_equal(b.spec_ctrl, BIT(1)); /* IBRS for good is of CPUs that say IBRS_ALL */
	assert_true(barriers_text(&b, text, sizeof(text)));
	assert_string_equal(text, "branches (IBPB), L1D, buffers (VERW), STIBP for good");
}

/* Ice Lake: RDCL_NO, IBRS_ALL, SKIP_L1DFL, MDS_NO, TAA_NO. */
static void one_that_is_not_affected_forgets_branches_alone(void **state)
{
	struct barriers b = chosen((struct barrier_facts){
		.is_vmx = true,
		.leaf7_edx = LEAF7_EDX,
		.leaf7_ebx = BIT(11),
		.arch_capabilities = BIT(0) | BIT(1) | BIT(3) | BIT(5) | BIT(8) });

	(void)state;
	assert_int_equal(b.wanted, BARRIER_BRANCHES);
	assert_int_equal(b.spec_ctrl, BIT(0) | BIT(1));
}

static void each_of_the_reasons_by_itself(void **state)
{
	const uint64_t safe = BIT(0) | BIT(5) | BIT(8);
	const struct {
		uint64_t arch_capabilities;
		uint32_t leaf7_ebx;
		unsigned wanted;
	} cases[] = {
		{ safe, BIT(11), 0 },
		{ safe & ~BIT(0), 0, BARRIER_L1D },
		{ (safe & ~BIT(0)) | BIT(3), 0, 0 }, /* who is below us does it */
		{ safe & ~BIT(5), 0, BARRIER_BUFFERS },
		{ safe & ~BIT(8), BIT(11), BARRIER_BUFFERS }, /* TSX is there: TAA */
		{ safe & ~BIT(8), 0, 0 },
		{ safe | BIT(28), 0, BARRIER_BUFFERS }, /* RFDS */
		{ safe | BIT(28) | BIT(27), 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct barriers b = chosen(
			(struct barrier_facts){ .is_vmx = true,
						.leaf7_edx = LEAF7_EDX,
						.leaf7_ebx = cases[i].leaf7_ebx,
						.arch_capabilities = cases[i].arch_capabilities });
		assert_int_equal(b.wanted, cases[i].wanted | BARRIER_BRANCHES);
	}
}

static void amd_says_it_elsewhere(void **state)
{
	/* Zen 3: IBPB, STIBP; with the microcode of 2025, VERW for TSA. */
	struct barrier_facts facts = { .ext8_ebx = BIT(12) | BIT(15), .ext21_eax = BIT(5) };
	struct barriers b = chosen(facts);

	(void)state;
	assert_int_equal(b.wanted, BARRIER_BRANCHES | BARRIER_BUFFERS);
	assert_int_equal(b.spec_ctrl, BIT(1));
	facts.ext21_ecx = BIT(1);
	assert_int_equal(chosen(facts).wanted, BARRIER_BRANCHES | BARRIER_BUFFERS);
	facts.ext21_ecx = BIT(1) | BIT(2); /* TSA_SQ_NO, TSA_L1_NO */
	facts.ext21_eax |= BIT(8);
	b = chosen(facts);
	assert_int_equal(b.wanted, BARRIER_BRANCHES);
	assert_true(b.auto_ibrs);
	/* What is Intel's alone is not asked of it. */
	facts.leaf7_edx = LEAF7_EDX;
	assert_int_equal(chosen(facts).wanted, BARRIER_BRANCHES);
}

static void a_cpu_forgets_when_the_guest_is_another(void **state)
{
	struct barrier_past past = { 0 };

	(void)state;
	assert_int_equal(barrier_due(&past, ALL, 1), ALL); /* the firmware's, a loader's */
	assert_int_equal(barrier_due(&past, ALL, 1), 0);
	assert_int_equal(barrier_due(&past, ALL, 2), ALL);
	assert_int_equal(barrier_due(&past, ALL, 1), ALL);
	assert_int_equal(barrier_due(&past, ALL, 1), 0);
}

static void after_others_work_its_data_alone(void **state)
{
	struct barrier_past past = { 0 };

	(void)state;
	(void)barrier_due(&past, ALL, 7);
	past.data_of = 0; /* the keeper, the channel, a disk's interrupt */
	assert_int_equal(barrier_due(&past, ALL, 7), BARRIER_L1D | BARRIER_BUFFERS);
	assert_int_equal(barrier_due(&past, ALL, 7), 0);
	past.data_of = 0;
	assert_int_equal(barrier_due(&past, ALL, 8), ALL);
}

static void only_what_the_cpu_needs(void **state)
{
	struct barrier_past past = { 0 };

	(void)state;
	assert_int_equal(barrier_due(&past, BARRIER_BRANCHES, 1), BARRIER_BRANCHES);
	past.data_of = 0;
	assert_int_equal(barrier_due(&past, BARRIER_BRANCHES, 1), 0);
	assert_int_equal(barrier_due(&past, 0, 2), 0);
}

static void words_that_do_not_fit_are_cut(void **state)
{
	const struct barriers b = { .wanted = ALL, .spec_ctrl = 3, .auto_ibrs = true };
	char text[8];

	(void)state;
	assert_true(barriers_text(&b, text, sizeof(text)));
	assert_string_equal(text, "branche");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cpu_that_says_nothing_is_told_nothing),
		cmocka_unit_test(an_affected_intel_cpu_is_told_all),
		cmocka_unit_test(one_that_is_not_affected_forgets_branches_alone),
		cmocka_unit_test(each_of_the_reasons_by_itself),
		cmocka_unit_test(amd_says_it_elsewhere),
		cmocka_unit_test(a_cpu_forgets_when_the_guest_is_another),
		cmocka_unit_test(after_others_work_its_data_alone),
		cmocka_unit_test(only_what_the_cpu_needs),
		cmocka_unit_test(words_that_do_not_fit_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
