/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/exits.h"

#include <string.h>
#include "scratch.h"

static void every_reason_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EXIT_REASONS; i++) {
		const char *name = exit_reason_name((enum exit_reason)i);
		assert_non_null(name);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(name, exit_reason_name((enum exit_reason)j));
	}
}

static void a_counter_counts_and_nobody_is_asked(void **state)
{
	struct exit_counts counts = { { 0 } };

	(void)state;
	exit_count(&counts, EXIT_IO);
	exit_count(&counts, EXIT_IO);
	exit_count(NULL, EXIT_IO);
	for (unsigned i = 0; i < EXIT_REASONS; i++)
		assert_int_equal(counts.n[i], i == EXIT_IO ? 2 : 0);
}

static void vcpus_share_no_cache_line(void **state)
{
	struct exit_counts two[2];

	(void)state;
	assert_int_equal((uintptr_t)&two[1] % 64, 0);
	assert_int_equal(sizeof(two[0]) % 64, 0);
}

static void what_kvm_counts_is_known_by_its_name(void **state)
{
	(void)state;
	assert_int_equal(exit_reason_of_kvm("exits"), EXIT_ALL);
	assert_int_equal(exit_reason_of_kvm("halt_exits"), EXIT_HALT);
	assert_int_equal(exit_reason_of_kvm("exit"), EXIT_REASONS);
	assert_int_equal(exit_reason_of_kvm(""), EXIT_REASONS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_a_name_of_its_own),
		cmocka_unit_test(a_counter_counts_and_nobody_is_asked),
		cmocka_unit_test(vcpus_share_no_cache_line),
		cmocka_unit_test(what_kvm_counts_is_known_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
