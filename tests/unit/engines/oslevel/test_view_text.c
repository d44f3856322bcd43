/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "engines/oslevel/views.h"

static const struct view_numbers numbers = {
	.cpus = 2,
	.cpu_ns = 30000000000,
	.cpu_system_ns = 10000000000,
	.up_ns = 100250000000,
	.begun_s = 1700000000,
	.memory = 64 << 20,
	.memory_used = 24 << 20,
	.cache = 10 << 20,
	.shmem = 1 << 20,
	.reclaimable = 8 << 20,
	.swap = 16 << 20,
	.swap_used = 4 << 20,
	.pids = 9,
	.boot_id = "01234567-89ab-4def-8123-456789abcdef",
	.loads = { 2048 + 1024, 20, 0 },
};

static void is(enum view view, const struct view_numbers *n, const char *cpuinfo, const char *want)
{
	AUTO(buf_fini) struct buf text = { 0 };

	assert_int_equal(view_text(view, n, cpuinfo, &text), 0);
	assert_string_equal(buf_str(&text), want);
}

static void has(enum view view, const struct view_numbers *n, const char *line)
{
	AUTO(buf_fini) struct buf text = { 0 };

	assert_int_equal(view_text(view, n, "", &text), 0);
	if (!strstr(buf_str(&text), line))
		fail_msg("no '%s' in '%s'", line, buf_str(&text));
}

static void each_has_the_kernels_format(void **state)
{
	struct view_numbers one = numbers;

	(void)state;
	is(VIEW_LOADAVG, &numbers, "", "1.50 0.00 0.00 1/9 9\n");
	is(VIEW_UPTIME, &numbers, "", "100.25 170.50\n");
	is(VIEW_ONLINE, &numbers, "", "0-1\n");
	is(VIEW_SWAPS, &numbers, "",
	   "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\nnone\t\t\t\t\tvirtual\t\t16384\t\t4096\t\t0\n");
	has(VIEW_MEMINFO, &numbers, "MemTotal:          65536 kB\nMemFree:           40960 kB\n");
	has(VIEW_MEMINFO, &numbers, "MemAvailable:      49152 kB\n");
	has(VIEW_MEMINFO, &numbers, "\nSwapTotal:         16384 kB\nSwapFree:          12288 kB\n");
	has(VIEW_STAT, &numbers,
	    "cpu  2000 0 1000 17050 0 0 0 0 0 0\ncpu0 1000 0 500 8525 0 0 0 0 0 0\ncpu1 1000 0 500 8525 ");
	has(VIEW_STAT, &numbers, "\nbtime 1700000000\nprocesses 9\n");
	is(VIEW_BOOT_ID, &numbers, "", "01234567-89ab-4def-8123-456789abcdef\n");
	one.cpus = 1;
	one.swap = 0;
	is(VIEW_ONLINE, &one, "", "0\n");
	is(VIEW_SWAPS, &one, "", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
}

/* More in use than there is, or than time has passed: a limit was lowered, a clock was coarse. */
static void nothing_is_below_zero(void **state)
{
	struct view_numbers n = numbers;

	(void)state;
	n.memory = 1 << 20;
	n.swap = 1;
	n.up_ns = 0;
	has(VIEW_MEMINFO, &n, "MemFree:               0 kB\nMemAvailable:       1024 kB\n");
	has(VIEW_MEMINFO, &n, "SwapFree:              0 kB\n");
	is(VIEW_UPTIME, &n, "", "0.00 0.00\n");
}

static void as_many_processors_as_it_may_use(void **state)
{
	static const char host[] = "processor\t: 4\nflags\t: a\n\nprocessor\t: 7\nflags\t: b\n\n"
				   "processor\t: 9\nflags\t: c\n\n";
	struct view_numbers n = numbers;

	(void)state;
	is(VIEW_CPUINFO, &n, host, "processor\t: 0\nflags\t: a\n\nprocessor\t: 1\nflags\t: b\n\n");
	n.cpus = 9;
	is(VIEW_CPUINFO, &n, "processor\t: 4\nflags\t: a", "processor\t: 0\nflags\t: a");
	is(VIEW_CPUINFO, &n, "", "");
	is(VIEW_CPUINFO, &n, "vendor: x\n\nprocessor", "vendor: x\n\nprocessor");
}

/* In a minute at two CPUs the first load is 2 x (1 - 1/e). */
static void load_grows_and_decays(void **state)
{
	uint64_t loads[VIEW_LOADS] = { 0 };

	(void)state;
	for (int i = 0; i < 12; i++)
		view_load(loads, 2 * VIEW_ONE);
	assert_in_range(loads[0], 2 * VIEW_ONE * 62 / 100, 2 * VIEW_ONE * 65 / 100);
	assert_true(loads[1] < loads[0] && loads[2] < loads[1] && loads[2] > 0);
	for (int i = 0; i < 1000; i++)
		view_load(loads, VIEW_ONE);
	assert_int_equal(loads[0], VIEW_ONE);
	for (int i = 0; i < 5000; i++)
		view_load(loads, 0);
	assert_true(!loads[0] && !loads[1] && !loads[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_has_the_kernels_format),
		cmocka_unit_test(nothing_is_below_zero),
		cmocka_unit_test(as_many_processors_as_it_may_use),
		cmocka_unit_test(load_grows_and_decays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
