/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <string.h>

#include "base/core/macros.h"
#include "engines/engine.h"
#include "engines/hybrid/kvm_kind.h"
#include "engines/hybrid/kvm_probe.h"

static void hardware_is_said(void **state)
{
	const struct kvm_kind kind = { .hardware = true, .instructions_per_s = 2100000000 };
	struct engine_report report;

	(void)state;
	kvm_probe_words(&kind, &report);
	assert_true(report.available);
	assert_string_equal(report.how, "KVM with hardware assistance, 2100 million supervisor "
					"instructions a second");
	assert_string_equal(report.why, "");
}

static void its_absence_is_said_with_what_it_means(void **state)
{
	const struct kvm_kind kind = { .hardware = false, .instructions_per_s = 1130000 };
	struct engine_report report;

	(void)state;
	kvm_probe_words(&kind, &report);
	assert_true(report.available);
	assert_string_equal(report.how, "KVM without hardware assistance, 1.1 million supervisor "
					"instructions a second");
	assert_non_null(strstr(report.why, "a distribution's kernel on the software CPU"));
}

static void the_probe_answers_in_any_case(void **state)
{
	struct engine_report report;

	(void)state;
	kvm_probe(&report);
	if (tiny_missing()) {
		assert_false(report.available);
		assert_non_null(strstr(report.why, "/dev/kvm"));
	} else {
		assert_true(report.available);
		assert_non_null(strstr(report.how, "hardware assistance"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hardware_is_said),
		cmocka_unit_test(its_absence_is_said_with_what_it_means),
		cmocka_unit_test(the_probe_answers_in_any_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
