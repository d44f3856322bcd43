/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>

#include "engines/limits_change.h"

static void what_is_the_same_is_left_alone(void **state)
{
	const struct spec_limits l = { .memory_bytes = 1 << 24,
				       .memory_swap_bytes = 1 << 25,
				       .cpu_quota_us = 5000,
				       .cpu_period_us = 10000,
				       .cpu_shares = 7,
				       .pids = 3,
				       .cpuset = "0",
				       .io_weight = 9 };
	struct spec_limits c;

	(void)state;
	assert_int_equal(limits_change(&l, &l, &c, NULL), 0);
	assert_true(!c.memory_bytes && !c.memory_swap_bytes && !c.cpu_quota_us &&
		    !c.cpu_period_us && !c.cpu_shares && !c.pids && !c.cpuset && !c.io_weight &&
		    !c.n_io);
	limits_change_fini(&c);
}

static void what_goes_is_lifted(void **state)
{
	const struct spec_limits from = { .memory_bytes = 1 << 24,
					  .cpu_quota_us = 5000,
					  .cpu_period_us = 10000,
					  .cpu_shares = 7,
					  .pids = 3,
					  .io_weight = 9,
					  .memory_reservation_bytes = 4096,
					  .ingress_bits = 9000 };
	const struct spec_limits none = { 0 }, set = { .cpuset = "0" };
	struct spec_limits c;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(limits_change(&from, &none, &c, NULL), 0);
	assert_true(c.memory_bytes == -1 && c.memory_swap_bytes == -1 && c.cpu_quota_us == -1 &&
		    c.cpu_shares == 1024 && c.pids == -1 && c.io_weight == 100 &&
		    c.memory_reservation_bytes == -1 && c.ingress_bits == -1 && !c.egress_bits);
	assert_int_equal(limits_change(&set, &none, &c, &err), -EINVAL);
}

static void pairs_go_together(void **state)
{
	const struct spec_limits from = { .memory_bytes = 1 << 24,
					  .memory_swap_bytes = 1 << 25,
					  .cpu_quota_us = 5000,
					  .cpu_period_us = 10000 };
	struct spec_limits to = from, c;

	(void)state;
	to.memory_bytes = 1 << 23;
	to.cpu_quota_us = 6000;
	assert_int_equal(limits_change(&from, &to, &c, NULL), 0);
	assert_true(c.memory_bytes == 1 << 23 && c.memory_swap_bytes == 1 << 25);
	assert_true(c.cpu_quota_us == 6000 && c.cpu_period_us == 10000);
}

static void disks_one_by_one(void **state)
{
	struct spec_io was[] = { { "/dev/a", { 1, 2, 0, 0 } }, { "/dev/b", { 5, 0, 0, 0 } } };
	struct spec_io is[] = { { "/dev/a", { 1, 0, 3, 0 } }, { "/dev/c", { 0, 0, 0, 4 } } };
	const struct spec_limits from = { .io = was, .n_io = 2 }, to = { .io = is, .n_io = 2 };
	struct spec_limits c;

	(void)state;
	assert_int_equal(limits_change(&from, &to, &c, NULL), 0);
	assert_int_equal(c.n_io, 3);
	assert_string_equal(c.io[0].device, "/dev/a");
	assert_true(!c.io[0].rates[0] && c.io[0].rates[1] == -1 && c.io[0].rates[2] == 3);
	assert_string_equal(c.io[1].device, "/dev/c");
	assert_true(c.io[1].rates[3] == 4);
	assert_string_equal(c.io[2].device, "/dev/b");
	assert_true(c.io[2].rates[0] == -1 && !c.io[2].rates[1]);
	limits_change_fini(&c);
	assert_null(c.io);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_the_same_is_left_alone),
		cmocka_unit_test(what_goes_is_lifted),
		cmocka_unit_test(pairs_go_together),
		cmocka_unit_test(disks_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
