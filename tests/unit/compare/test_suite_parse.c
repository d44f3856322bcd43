/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs of Debian 12 said on the machine that this was written on, shortened where a line repeats. */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "compare/metric.h"
#include "compare/suite_parse.h"

typedef int (*parse_fn)(const char *text, size_t n, double *ret);

static void expect(parse_fn parse, const char *text, double figure)
{
	double value = -1;

	assert_int_equal(parse(text, strlen(text), &value), 0);
	assert_true(value > figure * 0.999999 && value < figure * 1.000001);
}

static void expect_none(parse_fn parse, const char *text)
{
	double value = -1;

	assert_int_equal(parse(text, strlen(text), &value), -ENODATA);
	assert_true(value == -1); /* written on success only */
}

static const char sysbench_cpu[] = "sysbench 1.0.20 (using system LuaJIT 2.1.0-beta3)\n"
				   "\n"
				   "Running the test with following options:\n"
				   "Number of threads: 1\n"
				   "\n"
				   "Prime numbers limit: 10000\n"
				   "\n"
				   "CPU speed:\n"
				   "    events per second:  1257.47\n"
				   "\n"
				   "General statistics:\n"
				   "    total time:                          1.1088s\n";

static const char sysbench_memory[] = "  total size: 104857600MiB\n"
				      "  operation: write\n"
				      "\n"
				      "Total operations: 15472 (15462.06 per second)\n"
				      "\n"
				      "15472.00 MiB transferred (15462.06 MiB/sec)\n";

static void sysbench_counts_events_and_mebibytes(void **state)
{
	(void)state;
	expect(parse_sysbench_cpu, sysbench_cpu, 1257.47);
	expect(parse_sysbench_memory, sysbench_memory, 15462.06);
	expect_none(parse_sysbench_cpu, sysbench_memory);
	expect_none(parse_sysbench_memory, sysbench_cpu);
}

static void seven_zip_is_rated_by_the_wall_clock(void **state)
{
	static const char text[] =
		"                       Compressing  |                  Decompressing\n"
		"Dict     Speed Usage    R/U Rating  |      Speed Usage    R/U Rating\n"
		"         KiB/s     %   MIPS   MIPS  |      KiB/s     %   MIPS   MIPS\n"
		"\n"
		"18:       1468    27   4903   1308  |      22159    38   4688   1792\n"
		"----------------------------------  | ------------------------------\n"
		"Avr:      1468    27   4903   1308  |      22159    38   4688   1792\n"
		"Tot:              32   4796   1550\n";

	(void)state;
	expect(parse_7zip, text, 1550);
	expect_none(parse_7zip, "Tot:              32   4796\n");
	expect_none(parse_7zip, "Total: 1 2 3\n");
}

static void openssl_counts_bytes(void **state)
{
	(void)state;
	expect(parse_openssl,
	       "+DT:AES-256-GCM:1:16384\n+R:101499:AES-256-GCM:1.010000\n+H:16384\n"
	       "+F:25:AES-256-GCM:1646494669.31\n",
	       1646.49466931);
	expect_none(parse_openssl, "+F:25:AES-256-GCM\n1646494669.31\n");
	expect_none(parse_openssl, "+F2:2:2048:1541.000000:23250.000000\n");
}

static void stress_ng_goes_by_the_wall_clock(void **state)
{
	static const char text[] = "---\nsystem-info:\n      stress-ng-version: 0.15.06\n"
				   "metrics:\n    - stressor: fork\n      bogo-ops: 500\n"
				   "      bogo-ops-per-second-usr-sys-time: 2402.263893\n"
				   "      bogo-ops-per-second-real-time: 1567.837513\n"
				   "      wall-clock-time: 0.318911\n...\n";

	(void)state;
	expect(parse_stress_ng, text, 1567.837513);
	/* a stressor that did nothing has no rate */
	expect_none(parse_stress_ng, "      bogo-ops-per-second-real-time: 0.000000\n");
	expect_none(parse_stress_ng, "---\nsystem-info:\n\n...\n");
}

static void perf_gives_microseconds(void **state)
{
	(void)state;
	expect(parse_perf,
	       "# Running 'syscall/basic' benchmark:\n# Executed 100000 getppid() calls\n"
	       "     Total time: 0.035 [sec]\n\n       0.350800 usecs/op\n        2850627 ops/sec\n",
	       0.3508);
	expect_none(parse_perf, "usecs/op");
	expect_none(parse_perf, "no usecs/op");
	expect_none(parse_perf, "\t");
}

static void cyclictest_has_a_histogram(void **state)
{
	static const char text[] =
		"# /dev/cpu_dma_latency set to 0us\n"
		"{\n  \"file_version\": 1,\n  \"cmdline:\": \"cyclictest -q\",\n  \"num_threads\": 1,\n"
		"  \"thread\": {\n    \"0\": {\n      \"histogram\": {\n"
		"        \"52\": 1,\n        \"63\": 96,\n        \"106\": 2,\n        \"176\": 1\n      },\n"
		"      \"cycles\": 100,\n      \"min\": 52,\n      \"max\": 176,\n      \"avg\": 70.38\n"
		"    }\n  }\n}\n";

	(void)state;
	expect(parse_cyclictest_p99, text, 106);
	expect(parse_cyclictest_max, text, 176);
}

static void wakes_beyond_the_histogram_count_as_the_worst(void **state)
{
	(void)state;
	expect(parse_cyclictest_p99,
	       "{\"thread\": {\"0\": {\"histogram\": {\"9\": 40, \"5\": 50}, \"cycles\": 100, "
	       "\"max\": 30000}}}",
	       30000);
	/* the order of the members is nobody's promise */
	expect(parse_cyclictest_p99,
	       "{\"thread\": {\"0\": {\"histogram\": {\"9\": 50, \"5\": 50}, \"cycles\": 100, "
	       "\"max\": 9}}}",
	       9);
}

static void a_histogram_of_nonsense_is_no_figure(void **state)
{
	(void)state;
	expect_none(
		parse_cyclictest_p99,
		"{\"thread\": {\"0\": {\"histogram\": {\"0\": 99}, \"cycles\": 99, \"max\": 1}}}");
	expect_none(parse_cyclictest_p99,
		    "{\"thread\": {\"0\": {\"histogram\": [], \"cycles\": 9, \"max\": 1}}}");
	expect_none(parse_cyclictest_p99, "{\"thread\": []}");
	expect_none(parse_cyclictest_max, "{\"thread\": {\"0\": {\"max\": \"12\"}}}");
	expect(parse_cyclictest_p99,
	       "{\"thread\": {\"0\": {\"histogram\": {\"x\": 99, \"7\": -3, \"8 \": 1, \"3\": 9}, "
	       "\"cycles\": 9, \"max\": 5}}}",
	       3);
}

static const char fio[] =
	"fio: this platform does not support process shared mutexes, forcing use of threads\n"
	"{\n  \"fio version\" : \"fio-3.33\",\n  \"jobs\" : [\n    {\n      \"jobname\" : \"x\",\n"
	"      \"read\" : { \"bw_bytes\" : 52470537, \"iops\" : 12810.189810,\n"
	"        \"clat_ns\" : { \"N\" : 12823, \"percentile\" : { \"99.000000\" : 214016 } } },\n"
	"      \"write\" : { \"bw_bytes\" : 0, \"iops\" : 0.000000 },\n"
	"      \"sync\" : { \"lat_ns\" : { \"N\" : 236, \"percentile\" : { \"50.000000\" : 1875968 } } }\n"
	"    }\n  ]\n}\n";

static void fio_says_remarks_before_its_json(void **state)
{
	(void)state;
	expect(parse_fio_read, fio, 52.470537);
	expect(parse_fio_iops, fio, 12810.18981);
	expect(parse_fio_p99, fio, 214.016);
	expect(parse_fio_fsync, fio, 1875.968);
	expect_none(parse_fio_write, fio); /* it wrote nothing */
	expect_none(parse_fio_read,
		    "fio: pid=0, err=28/file:filesetup.c, No space left on device\n");
	expect_none(parse_fio_read, "{ \"jobs\" : [ ] }");
	expect_none(parse_fio_read, "{ \"jobs\" : { \"#0\" : 1 } }");
}

static void iperf3_counts_what_was_received(void **state)
{
	(void)state;
	expect(parse_iperf3,
	       "{\n\t\"end\":\t{\n\t\t\"sum_sent\":\t{ \"bits_per_second\":\t19786252227.527088 },\n"
	       "\t\t\"sum_received\":\t{ \"bits_per_second\":\t19605036006.854675 }\n\t}\n}\n",
	       19.605036006854675);
	expect_none(parse_iperf3,
		    "{\n\t\"start\":\t{ },\n\t\"end\":\t{\n\t},\n"
		    "\t\"error\":\t\"unable to connect to server: Connection refused\"\n}\n");
}

static void sockperf_has_percentiles(void **state)
{
	static const char text[] =
		"sockperf: \033[2;35m====> avg-latency=11.167 (std-dev=67.148)\033[0m\n"
		"sockperf: ---> percentile 99.999 = 2641.229\n"
		"sockperf: ---> percentile 99.000 =   17.405\n"
		"sockperf: ---> percentile 50.000 =    7.876\n";

	(void)state;
	expect(parse_sockperf_median, text, 7.876);
	expect(parse_sockperf_p99, text, 17.405);
	expect_none(parse_sockperf_p99, "sockperf: ERROR: Can`t connect socket (errno=111)\n");
}

static const char wrk[] = "Running 1s test @ http://127.0.0.1:8080/\n"
			  "  1 threads and 8 connections\n"
			  "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n"
			  "    Latency   799.09us    1.16ms   7.83ms   85.35%\n"
			  "    Req/Sec    23.68k     1.56k   25.93k    70.00%\n"
			  "  Latency Distribution\n"
			  "     50%  146.00us\n"
			  "     99%    4.87ms\n"
			  "  23632 requests in 1.01s, 28.46MB read\n"
			  "Requests/sec:  23507.04\n"
			  "Transfer/sec:     28.31MB\n";

static void wrk_has_units_of_time(void **state)
{
	(void)state;
	expect(parse_wrk, wrk, 23507.04);
	expect(parse_wrk_p99, wrk, 4.87);
	expect(parse_wrk_p99, "     99%  146.00us\n", 0.146);
	expect(parse_wrk_p99, "     99%    1.50s\n", 1500);
	expect(parse_wrk_p99, "     99%    1.00m\n", 60000);
	expect_none(parse_wrk_p99, "     99%    1.50\n");
	expect_none(parse_wrk_p99, "     99%    1.50 ms\n");
	expect_none(parse_wrk, "Requests/sec:      0.00\n");
}

static void redis_has_both_kinds(void **state)
{
	static const char text[] =
		"PONG\n"
		"\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\"\n"
		"\"SET\",\"37878.79\",\"0.185\",\"0.040\",\"0.135\",\"0.239\",\"2.703\",\"5.287\"\n"
		"\"GET\",\"40650.41\",\"0.169\",\"0.040\",\"0.135\",\"0.199\",\"2.079\",\"4.927\"\n";

	(void)state;
	expect(parse_redis_set, text, 37878.79);
	expect(parse_redis_get, text, 40650.41);
	expect(parse_redis_get_p99, text, 2.079);
	expect_none(parse_redis_get_p99,
		    "\"GET\",\"1\",\"2\",\"3\"\n\"SET\",\"4\",\"5\",\"6\",\"7\"\n");
	expect_none(parse_redis_get, "\"GET\",\"-1\"\n");
	expect_none(parse_redis_get, "\"GET\",\"nan\"\n");
}

static void the_last_stall_is_the_worst(void **state)
{
	(void)state;
	expect(parse_redis_stall,
	       "Max latency so far: 1 microseconds.\nMax latency so far: 3579 microseconds.\n"
	       "Max latency so far: 19994 microseconds.\n\n9090116 total runs (avg latency: 0.1100 "
	       "microseconds / 110.01 nanoseconds per run).\n",
	       19994);
	expect_none(parse_redis_stall, "Max latency so far: \n");
}

static void time_is_what_posix_and_busybox_say(void **state)
{
	(void)state;
	expect(parse_time, "ar: `u' modifier ignored\nreal 15.32\nuser 6.04\nsys 0.59\n", 15.32);
	expect(parse_time, "real\t2m 0.80s\nuser\t0m 0.12s\n", 120.8);
	expect_none(parse_time, "realistic 3\n");
	expect_none(parse_time, "real 0.00\n");
	expect_none(parse_time, "real 1m\n");
}

static void status_has_capabilities_and_filters(void **state)
{
	static const char text[] = "Name:\tcat\nCapPrm:\t00000000a80425fb\n"
				   "CapEff:\t00000000a80425fb\nSeccomp:\t2\nSeccomp_filters:\t1\n";

	(void)state;
	expect(parse_capabilities, text, 14);
	expect(parse_capabilities, "CapEff:\t000001ffffffffff\n", 41);
	expect(parse_capabilities, "CapEff:\tffffffffffffffff", 64);
	expect(parse_filters, text, 1);
	expect_none(parse_capabilities, "CapEff:\n");
	expect_none(parse_capabilities, "CapEff:\t-1\n");
	expect_none(parse_capabilities, "CapEff:\t1ffffffffffffffff\n"); /* 65 bits */
	expect_none(parse_filters, "Seccomp_filters:\tmany\n");
}

static void a_figure_is_finite_and_plain(void **state)
{
	(void)state;
	expect_none(parse_sysbench_cpu, "events per second:  inf");
	expect_none(parse_sysbench_cpu, "events per second:  1e999");
	expect_none(parse_sysbench_cpu, "events per second:  0x10");
	expect_none(parse_sysbench_cpu, "events per second:  -3");
	expect_none(parse_sysbench_cpu, "events per second:");
	expect_none(parse_iperf3, "{\"end\": {\"sum_received\": {\"bits_per_second\": 1e999}}}");
	expect_none(parse_iperf3, "{\"end\": {\"sum_received\": {\"bits_per_second\": true}}}");
}

static void text_after_a_nul_is_not_looked_at(void **state)
{
	static const char text[] = "events per\0 second: 3\nevents per second: 4";
	double value = -1;

	(void)state;
	assert_int_equal(parse_sysbench_cpu(text, sizeof(text) - 1, &value), -ENODATA);
	assert_int_equal(parse_iperf3("{\"end\": \0{}}", 12, &value), -ENODATA);
}

/* Also of a table made by hand. */
static void each_metric_is_whole_and_has_its_own_name(void **state)
{
	(void)state;
	for (size_t i = 0; metrics[i]; i++) {
		const struct metric *m = metrics[i];
		assert_true(strchr(m->id, '.') && m->title[0] && m->source[0] && m->unit);
		assert_true(m->seconds > 0);
		assert_true(m->command ? m->parse && !m->measure : m->measure && !m->parse);
		assert_ptr_equal(metric_find(m->id), m);
	}
	assert_null(metric_find("cpu"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sysbench_counts_events_and_mebibytes),
		cmocka_unit_test(seven_zip_is_rated_by_the_wall_clock),
		cmocka_unit_test(openssl_counts_bytes),
		cmocka_unit_test(stress_ng_goes_by_the_wall_clock),
		cmocka_unit_test(perf_gives_microseconds),
		cmocka_unit_test(cyclictest_has_a_histogram),
		cmocka_unit_test(wakes_beyond_the_histogram_count_as_the_worst),
		cmocka_unit_test(a_histogram_of_nonsense_is_no_figure),
		cmocka_unit_test(fio_says_remarks_before_its_json),
		cmocka_unit_test(iperf3_counts_what_was_received),
		cmocka_unit_test(sockperf_has_percentiles),
		cmocka_unit_test(wrk_has_units_of_time),
		cmocka_unit_test(redis_has_both_kinds),
		cmocka_unit_test(the_last_stall_is_the_worst),
		cmocka_unit_test(time_is_what_posix_and_busybox_say),
		cmocka_unit_test(status_has_capabilities_and_filters),
		cmocka_unit_test(a_figure_is_finite_and_plain),
		cmocka_unit_test(text_after_a_nul_is_not_looked_at),
		cmocka_unit_test(each_metric_is_whole_and_has_its_own_name),
	};

	return cmocka_run_group_tests_name("compare/suite_parse", tests, NULL, NULL);
}
