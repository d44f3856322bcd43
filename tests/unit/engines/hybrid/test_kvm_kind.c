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

/* A CPU of 200 million instructions a second, whose host was busy during the first runs. */
struct starved {
	unsigned runs, slow;
};

static int starved_time(void *arg, uint32_t rounds, uint64_t *ret_ns, struct err *err)
{
	struct starved *s = arg;

	(void)err;
	*ret_ns = (uint64_t)rounds * 10 + (s->runs++ < s->slow ? 4000000 + rounds * 20ULL : 0);
	return 0;
}

/* A machine whose first runs were slow went to the software CPU, for which its host had no XSAVE. */
static void a_loaded_host_is_not_taken_for_an_interpreter(void **state)
{
	(void)state;
	for (unsigned slow = 0; slow <= 8; slow++) {
		struct starved s = { .slow = slow };
		uint64_t per_s = 0;
		assert_int_equal(kvm_kind_rate(starved_time, &s, 250000000, &per_s, NULL), 0);
		assert_true(per_s >= KVM_KIND_HARDWARE_PER_S);
	}
}

static int interpreter_time(void *arg, uint32_t rounds, uint64_t *ret_ns, struct err *err)
{
	uint64_t *spent_ns = arg;

	(void)err;
	*ret_ns = (uint64_t)rounds * 2000; /* a million instructions a second */
	*spent_ns += *ret_ns;
	return 0;
}

static void an_interpreter_is_known_soon(void **state)
{
	uint64_t spent_ns = 0, per_s = 0;

	(void)state;
	assert_int_equal(kvm_kind_rate(interpreter_time, &spent_ns, 0, &per_s, NULL), 0);
	assert_int_equal(per_s, 1000000);
	assert_int_equal(spent_ns, 6000000);
	spent_ns = 0;
	assert_int_equal(kvm_kind_rate(interpreter_time, &spent_ns, 250000000, &per_s, NULL), 0);
	assert_int_equal(per_s, 1000000);
	assert_true(spent_ns < 500000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_is_measured_and_nothing_left),
		cmocka_unit_test(a_loaded_host_is_not_taken_for_an_interpreter),
		cmocka_unit_test(an_interpreter_is_known_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
