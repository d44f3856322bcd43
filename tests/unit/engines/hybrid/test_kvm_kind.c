/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_vm.h"

#include <dirent.h>
#include <signal.h>

#include "engines/hybrid/kvm_kind.h"

static unsigned open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

static void a_rate_is_measured_and_nothing_left(void **state)
{
	struct kvm_kind kind = { 0 };
	struct err err = { 0 };
	struct sigaction before, after;

	(void)state;
	if (tiny_missing())
		SKIP(tiny_missing());
	unsigned fds = open_fds();
	assert_int_equal(sigaction(SIGSTKFLT, NULL, &before), 0);
	if (kvm_kind_measure(&kind, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(sigaction(SIGSTKFLT, NULL, &after), 0);
	assert_int_equal(open_fds(), fds);
	assert_ptr_equal(before.sa_handler, after.sa_handler);
	/* No interpreter and no CPU is outside of this. */
	assert_true(kind.instructions_per_s > 1000);
	assert_true(kind.instructions_per_s < UINT64_C(1000000000000));
	assert_int_equal(kind.hardware, kind.instructions_per_s >= KVM_KIND_HARDWARE_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_is_measured_and_nothing_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
