/* SPDX-License-Identifier: Apache-2.0 */
/*
 * v2 controllers that this host's kernel gives to v1 cannot be had in v2: plain files stand in for them, so what
 * is written and read is tested, not what the kernel makes of it.
 */
#include "cgroup_paper.h"

#include <sys/stat.h>

static void paper_says(const struct paper *p, const char *name, const char *text)
{
	char now[128];

	assert_true(cgroup_read(p->group.fds[0], name, now, sizeof(now)) >= 0);
	assert_string_equal(now, text);
}

static void paper_make(struct paper *p)
{
	static const char *const files[] = { "memory.max", "memory.swap.max", "memory.low",
					     "cpu.weight", "pids.max",	      "cpuset.cpus" };

	paper_open(p, "cpuset cpu io memory pids");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		paper_write(p, files[i], "");
	paper_write(p, "cpu.max", "max 100000\n");
}

static void v2_limits_are_written_in_v2_terms(void **state)
{
	AUTO(paper_fini) struct paper p = { 0 };
	struct spec_limits limits = { .memory_bytes = 1000000,
				      .memory_swap_bytes = 1500000,
				      .memory_reservation_bytes = 5000,
				      .cpu_period_us = 200000,
				      .cpu_shares = 1024,
				      .cpuset = "0-1",
				      .pids = 7 };
	struct err err = { 0 };

	(void)state;
	paper_make(&p);
	assert_int_equal(cgroup_limits_set(&p.group, &limits, &err), 0);
	paper_says(&p, "memory.max", "1000000");
	paper_says(&p, "memory.swap.max", "500000");
	paper_says(&p, "memory.low", "5000");
	paper_says(&p, "cpu.max", "max 200000\n"); /* a period alone keeps the quota */
	paper_says(&p, "cpu.weight", "100");
	paper_says(&p, "cpuset.cpus", "0-1");
	paper_says(&p, "pids.max", "7");

	paper_write(&p, "memory.swap.max", "");
	struct spec_limits half = { .memory_bytes = 2000000, .cpu_quota_us = 150000 };
	assert_int_equal(cgroup_limits_set(&p.group, &half, &err), 0);
	paper_says(&p, "memory.swap.max", "2000000"); /* twice the memory in all */
	paper_says(&p, "cpu.max", "150000 200000");   /* the period stays */

	paper_write(&p, "memory.swap.max", "");
	struct spec_limits swap = { .memory_swap_bytes = 2500000 };
	assert_int_equal(cgroup_limits_set(&p.group, &swap, &err), 0);
	paper_says(&p, "memory.swap.max", "500000");
	swap.memory_swap_bytes = -1;
	paper_write(&p, "memory.swap.max", "");
	assert_int_equal(cgroup_limits_set(&p.group, &swap, &err), 0);
	paper_says(&p, "memory.swap.max", "max");
}

static void swap_limit_without_accounting_is_an_error_only_if_asked(void **state)
{
	AUTO(paper_fini) struct paper p = { 0 };
	struct spec_limits limits = { .memory_bytes = 1000000 };
	struct err err = { 0 };

	(void)state;
	paper_make(&p);
	assert_int_equal(unlinkat(p.group.fds[0], "memory.swap.max", 0), 0);
	assert_int_equal(cgroup_limits_set(&p.group, &limits, &err), 0);
	limits.memory_swap_bytes = -1;
	assert_int_equal(cgroup_limits_set(&p.group, &limits, &err), 0);
	limits.memory_swap_bytes = 1500000;
	assert_int_equal(cgroup_limits_set(&p.group, &limits, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "memory-swap"));
}

static void v2_statistics(void **state)
{
	AUTO(paper_fini) struct paper p = { 0 };
	struct cgroup_stats stats;
	struct err err = { 0 };

	(void)state;
	paper_make(&p);
	paper_write(&p, "cpu.stat", "usage_usec 1234\nuser_usec 1\n");
	paper_write(&p, "memory.current", "9000\n");
	paper_write(&p, "memory.max", "max\n");
	paper_write(&p, "memory.stat", "anon 1\ninactive_file 1000\n");
	paper_write(&p, "memory.events", "low 0\noom 3\noom_kill 2\n");
	paper_write(&p, "pids.current", "4\n");
	paper_write(&p, "pids.max", "max\n");
	paper_write(&p, "io.stat",
		    "8:0 rbytes=100 wbytes=20 rios=1 wios=1 dbytes=7 dios=0\n"
		    "8:16 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=0 dios=0\n");
	p.layout.v2 = 0;
	if (cgroup_stats_read(&p.group, &stats, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(stats.cpu_ns, 1234000);
	assert_int_equal(stats.memory_bytes, 8000);
	assert_int_equal(stats.memory_limit_bytes, 0);
	assert_int_equal(stats.oom_kills, 2);
	assert_int_equal(stats.pids, 4);
	assert_int_equal(stats.pids_limit, 0);
	assert_int_equal(stats.io_read_bytes, 101);
	assert_int_equal(stats.io_write_bytes, 22);
}

static void v2_controllers_are_enabled_down_the_chain(void **state)
{
	AUTO(paper_fini) struct paper p = { 0 };
	const struct cgroup_hierarchy *h = &p.layout.hierarchies[0];
	uint32_t memory = CGROUP_BIT(CGROUP_MEMORY), got = 0;

	(void)state;
	paper_make(&p);
	paper_write(&p, "cgroup.subtree_control", "");
	assert_int_equal(mkdirat(p.group.fds[0], "parent", 0700), 0);
	paper_write(&p, "parent/cgroup.subtree_control", "");
	assert_int_equal(cgroup_v2_enable(h, "parent/one", memory, &got), 0);
	assert_int_equal(got, memory);
	paper_says(&p, "cgroup.subtree_control", "+memory");
	paper_says(&p, "parent/cgroup.subtree_control", "+memory");

	/* all there already: nothing is written */
	paper_write(&p, "parent/cgroup.subtree_control", "cpu memory pids\n");
	assert_int_equal(cgroup_v2_enable(h, "parent/one", memory, &got), 0);
	paper_says(&p, "parent/cgroup.subtree_control", "cpu memory pids\n");
}

/* exec was let into a paused container while another process was on its way in. */
static void a_group_that_is_to_freeze_is_frozen_whoever_does_not_rest_yet(void **state)
{
	AUTO(paper_fini) struct paper p = { 0 };

	(void)state;
	paper_make(&p);
	p.layout.v2 = 0;
	paper_write(&p, "cgroup.freeze", "1\n");
	paper_write(&p, "cgroup.events", "populated 1\nfrozen 0\n");
	assert_int_equal(cgroup_is_frozen(&p.group), 1);
	paper_write(&p, "cgroup.freeze", "0\n");
	assert_int_equal(cgroup_is_frozen(&p.group), 0);
	paper_write(&p, "cgroup.events", "populated 1\nfrozen 1\n"); /* with one above it */
	assert_int_equal(cgroup_is_frozen(&p.group), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(v2_limits_are_written_in_v2_terms),
		cmocka_unit_test(swap_limit_without_accounting_is_an_error_only_if_asked),
		cmocka_unit_test(v2_statistics),
		cmocka_unit_test(v2_controllers_are_enabled_down_the_chain),
		cmocka_unit_test(a_group_that_is_to_freeze_is_frozen_whoever_does_not_rest_yet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
