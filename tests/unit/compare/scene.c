/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"

#define SCENE_COLUMNS 9
#define SCENE_START   1795788000000000000LL /* 2026-11-27 */

static const struct result_column scene_columns[SCENE_COLUMNS] = {
	{ .id = "host", .title = "host", .baseline = "host", .how = "a plain process" },
	{ .id = "os-level",
	  .title = "os-level",
	  .baseline = "host",
	  .how = "native speed, the host's kernel" },
	{ .id = "hybrid",
	  .title = "hybrid",
	  .baseline = "host",
	  .how = "Linux 6.1 in a virtual machine over KVM, which executes the guest by software (PVM)" },
	{ .id = "hosted",
	  .title = "hosted",
	  .baseline = "host",
	  .how = "Linux 6.1 in a virtual machine, executed by software" },
	{ .id = "bare-linux",
	  .title = "bare Linux",
	  .baseline = "bare-linux",
	  .how = "Linux directly on the emulated server" },
	{ .id = "bare-metal",
	  .title = "bare-metal",
	  .baseline = "bare-linux",
	  .how = "our hypervisor on the same emulated server" },
	{ .id = "crun", .title = "crun", .baseline = "host", .how = "crun 1.8.1", .peer = true },
	{ .id = "qemu-kvm",
	  .title = "qemu-kvm",
	  .baseline = "host",
	  .peer = true,
	  .why = "/dev/kvm is not there: load the module kvm, or ask whoever runs this machine" },
	{ .id = "qemu-tcg",
	  .title = "qemu-tcg",
	  .baseline = "host",
	  .how = "QEMU 7.2.22",
	  .peer = true },
};

/* A median for each column; 0: see scene_whys(). spread: the quartiles' distance from it, in parts of a thousand */
struct scene_metric {
	const char *id, *title, *unit, *source;
	enum better better;
	bool once;
	double at[SCENE_COLUMNS];
	unsigned spread;
};

static const struct scene_metric scene_metrics[] = {
	{ "life.start",
	  "cold start to the first byte",
	  "ms",
	  "strata's own clock",
	  BETTER_LOW,
	  false,
	  { 1.1, 9.8, 212, 655, 1.3, 261, 24.1, 0, 2890 },
	  40 },
	{ "life.exec",
	  "a command in what runs",
	  "ms",
	  "strata's own clock",
	  BETTER_LOW,
	  false,
	  { 1.1, 6.2, 4.9, 18.3, 1.2, 5.6, 17.9, 0, 0 },
	  60 },
	{ "life.pause",
	  "pause",
	  "ms",
	  "strata's own clock",
	  BETTER_LOW,
	  false,
	  { 0, 2.31, 2.36, 2.4, 0, 2.2, 9.1, 0, 0 },
	  90 },
	{ "life.stop",
	  "stop",
	  "ms",
	  "strata's own clock",
	  BETTER_LOW,
	  false,
	  { 0.4, 12.7, 31.5, 35.2, 0.5, 29.4, 13.1, 0, 88 },
	  70 },
	{ "memory.overhead",
	  "memory beyond the workload's own",
	  "MiB",
	  "smaps_rollup",
	  BETTER_LOW,
	  false,
	  { 0.9, 1.8, 38.2, 61.7, 1.1, 35, 2.2, 0, 118.4 },
	  10 },
	{ "memory.density",
	  "instances until the start time doubles",
	  "",
	  "strata's own clock",
	  BETTER_HIGH,
	  true,
	  { 0, 410, 46, 28, 0, 44, 0, 0, 0 },
	  0 },
	{ "memory.bandwidth",
	  "triad",
	  "MB/s",
	  "stress-ng 0.15.06",
	  BETTER_HIGH,
	  false,
	  { 10433, 10398, 10112, 9870, 4120, 4080, 10391, 0, 1210 },
	  20 },
	{ "memory.faults",
	  "page faults",
	  "faults/s",
	  "stress-ng 0.15.06",
	  BETTER_HIGH,
	  false,
	  { 412345, 409876, 187654, 33456, 120000, 61000, 408000, 0, 9876 },
	  30 },
	{ "cpu.integer",
	  "prime numbers",
	  "events/s",
	  "sysbench 1.0.20",
	  BETTER_HIGH,
	  false,
	  { 1012.4, 1011.2, 1004, 512.9, 431, 428, 1010, 0, 82.4 },
	  8 },
	{ "cpu.compress",
	  "7-Zip's own benchmark",
	  "MIPS",
	  "7zz 22.01",
	  BETTER_HIGH,
	  false,
	  { 3120, 3112, 2987, 1104, 1310, 1260, 3109, 0, 204 },
	  12 },
	{ "cpu.crypto",
	  "AES-256-GCM",
	  "GB/s",
	  "openssl 3.0.17",
	  BETTER_HIGH,
	  false,
	  { 3.41, 3.41, 3.38, 3.2, 0.2, 0.199, 3.41, 0, 0.061 },
	  5 },
	{ "kernel.syscall",
	  "a system call",
	  "ns",
	  "perf bench 6.1",
	  BETTER_LOW,
	  false,
	  { 71.2, 118.9, 94.1, 1480, 402, 421, 119.2, 0, 3190 },
	  14 },
	{ "kernel.switch",
	  "a context switch through a pipe",
	  "µs",
	  "perf bench 6.1",
	  BETTER_LOW,
	  false,
	  { 4.21, 4.98, 6.02, 22.8, 19, 24.5, 5.01, 0, 61.9 },
	  240 },
	{ "kernel.fork",
	  "fork and wait",
	  "µs",
	  "stress-ng 0.15.06",
	  BETTER_LOW,
	  false,
	  { 98, 109, 466, 2310, 510, 1190, 110, 0, 7120 },
	  45 },
	{ "latency.timer",
	  "timer wake-up, 99th percentile",
	  "µs",
	  "cyclictest 2.4",
	  BETTER_LOW,
	  false,
	  { 61, 66, 188, 402, 340, 510, 64, 0, 1702 },
	  210 },
	{ "disk.random",
	  "random reads of 4 KiB",
	  "IOPS",
	  "fio 3.33",
	  BETTER_HIGH,
	  false,
	  { 12111, 12080, 8020, 5120, 3020, 2740, 12100, 0, 1890 },
	  60 },
	{ "disk.sync",
	  "fsync, 99th percentile",
	  "ms",
	  "fio 3.33",
	  BETTER_LOW,
	  false,
	  { 3.1, 3.12, 3.9, 5.2, 9.1, 10.4, 3.1, 0, 14.2 },
	  180 },
	{ "network.tcp",
	  "TCP throughput",
	  "Gbit/s",
	  "iperf3 3.12",
	  BETTER_HIGH,
	  false,
	  { 28.1, 22.4, 6.12, 1.21, 2.4, 1.9, 22.1, 0, 0.41 },
	  35 },
	{ "network.rtt",
	  "round trip",
	  "µs",
	  "sockperf 3.7",
	  BETTER_LOW,
	  false,
	  { 14.2, 19.8, 71, 240, 120, 190, 20.1, 0, 690 },
	  55 },
	{ "service.http",
	  "requests answered",
	  "req/s",
	  "nginx 1.22, wrk 4.1",
	  BETTER_HIGH,
	  false,
	  { 31200, 28900, 14100, 2890, 3100, 1800, 28700, 0, 702 },
	  33 },
	{ "service.redis",
	  "GET",
	  "req/s",
	  "redis-benchmark 7.0",
	  BETTER_HIGH,
	  false,
	  { 98000, 95000, 52000, 9100, 9900, 6200, 95100, 0, 2100 },
	  38 },
	{ "job.compile",
	  "compile a C tree",
	  "s",
	  "gcc 12.2",
	  BETTER_LOW,
	  false,
	  { 21.2, 21.6, 29.8, 88.1, 61, 79.2, 21.6, 0, 410 },
	  9 },
	{ "isolation.syscalls",
	  "host system calls the guest can reach",
	  "",
	  "strace 6.1",
	  BETTER_LOW,
	  true,
	  { 362, 311, 31, 27, 362, 4, 309, 0, 41 },
	  0 },
	{ "isolation.capabilities",
	  "capabilities held on the host",
	  "",
	  "/proc",
	  BETTER_LOW,
	  true,
	  { 41, 14, 0.0001, 0.0001, 41, 0.0001, 14, 0, 0.0001 },
	  0 },
	{ "isolation.kernel",
	  "a kernel of its own",
	  "",
	  "uname",
	  BETTER_HIGH,
	  true,
	  { 0.0001, 0.0001, 1, 1, 0.0001, 1, 0.0001, 0, 1 },
	  0 },
	{ "isolation.root",
	  "processes as root on the host",
	  "",
	  "/proc",
	  BETTER_LOW,
	  true,
	  { 1, 2, 1, 0.0001, 1, 0.0001, 2, 0, 1 },
	  0 },
	{ "isolation.filters",
	  "seccomp filters around it",
	  "",
	  "/proc",
	  BETTER_HIGH,
	  true,
	  { 0.0001, 1, 3, 3, 0.0001, 0.0001, 1, 0, 1 },
	  0 },
	{ "interference.p99",
	  "99th percentile beside a noisy neighbour",
	  "ms",
	  "wrk 4.1",
	  BETTER_LOW,
	  false,
	  { 8.2, 8.4, 11.2, 31, 22, 24, 8.3, 0, 71 },
	  260 },
	{ "exits.total",
	  "exits from the guest",
	  "1/s",
	  "strata's own counters",
	  BETTER_NEITHER,
	  false,
	  { 0, 0, 18211, 9120, 0, 7104, 0, 0, 0 },
	  25 },
};

static double scene_noise(unsigned *seed)
{
	*seed = *seed * 1103515245U + 12345U;		       /* ISO C's example of rand() */
	return ((double)(*seed >> 16 & 0x7fff) / 16384.0) - 1; /* -1 to 1 */
}

static void scene_points(struct result_cell *cell, double n, double each)
{
	cell->detail = json_array();
	for (double x = 1; x <= n; x = x * 1.6 + 1)
		(void)json_array_append_new(cell->detail,
					    json_pack("[f, f]", floor(x), floor(x) * each + 40));
}

static void scene_cell(struct result *r, size_t m, size_t c)
{
	static const double each[SCENE_COLUMNS] = { 0, 1.9, 39, 63, 0, 36, 0, 0, 0 };
	const struct scene_metric *metric = &scene_metrics[m];
	unsigned seed = (unsigned)(m * 131 + c * 17 + 7);
	double median = metric->at[c];

	if (median == 0.0)
		return;
	for (int i = 0; i < (metric->once ? 1 : !strcmp(metric->id, "life.start") ? 40 : 11); i++) {
		double value =
			metric->once
				? floor(median)
				: median * (1 + 2 * metric->spread / 1000.0 * scene_noise(&seed));
		/* no more digits than a file keeps */
		(void)result_sample(r, m, c, round(value * 1e6) / 1e6);
	}
	if (!strcmp(metric->id, "memory.density"))
		scene_points(result_cell(r, m, c), median, each[c]);
	if (!strcmp(metric->id, "exits.total"))
		result_cell(r, m, c)->detail =
			json_pack("{s:i, s:i, s:i}", "mmio", 9012, "pio", 801, "halt", 2201);
}

static void scene_whys(struct result *r)
{
	static const struct {
		const char *metric, *column, *why;
	} whys[] = {
		{ "life.exec", "qemu-tcg", "qemu has no way to run a command in what runs" },
		{ "life.pause", "host", "a plain process is not paused" },
		{ "life.pause", "bare-linux", "a plain process is not paused" },
		{ "life.pause", "qemu-tcg", "qemu has no way to run a command in what runs" },
		{ "memory.density", "host", "a plain process has no instances" },
		{ "memory.density", "crun", "left out: measured for our own" },
		{ "service.redis", "hosted", "exit status 3 in 2 of 13 runs" },
		{ "exits.total", "host", "no guest, no exits" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(whys); i++)
		(void)result_why(r, (size_t)result_find_metric(r, whys[i].metric),
				 (size_t)result_find_column(r, whys[i].column), whys[i].why);
}

void scene_full(struct result *ret)
{
	*ret = (struct result){
		.level = COMPARE_STANDARD,
		.image = strdup("strata-bench:latest"),
		.started_ns = SCENE_START,
		.ended_ns = SCENE_START + 581000000000,
		.host = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "cpu",
				  "AMD EPYC 7B13, 2 CPUs", "kernel", "Linux 6.1.0-49-amd64",
				  "nesting", "in a virtual machine (PVM)", "governor",
				  "not known: no cpufreq", "memory", "7.8 GiB", "strata", "0.1.0",
				  "crun", "1.8.1", "qemu", "7.2.22"),
	};
	for (size_t c = 0; c < SCENE_COLUMNS; c++)
		(void)result_column_add(ret, &scene_columns[c]);
	for (size_t m = 0; m < ARRAY_SIZE(scene_metrics); m++) {
		const struct scene_metric *s = &scene_metrics[m];
		const struct result_metric metric = { .id = (char *)s->id,
						      .title = (char *)s->title,
						      .unit = (char *)s->unit,
						      .source = (char *)s->source,
						      .better = s->better,
						      .once = s->once }; /* copied */
		(void)result_metric_add(ret, &metric);
		for (size_t c = 0; c < SCENE_COLUMNS; c++)
			scene_cell(ret, m, c);
	}
	scene_whys(ret);
}

#define SCENE_EVIL "<script>alert(1)</script>\"'&</title></style>-->]]>\x1b[31m\n\x01\xff\xc0\x80"

void scene_hostile(struct result *ret)
{
	static const char *const ids[] = { "life.start", ("cpu." SCENE_EVIL), SCENE_EVIL,
					   "isolation.<b>", "memory.density" };
	const double values[] = { 0, -3, 1e150, -1e150, 1e-150 };

	*ret = (struct result){
		.level = COMPARE_FULL,
		.image = result_utf8(SCENE_EVIL),
		.command = result_utf8(SCENE_EVIL),
		.host = json_pack("{s:s, s:s}", "cpu</script>",
				  "</script><img src=x onerror=alert(1)>", "kernel",
				  "\xf0\x9f\x92\xa9\x7f"),
		.started_ns = SCENE_START,
	};
	for (int c = 0; c < 12; c++) {
		char id[] = "x" SCENE_EVIL;
		id[0] = (char)('a' + c);
		const struct result_column column = {
			.id = id,
			.title = id,
			.baseline = c == 5 ? id : (char[]){ "a" SCENE_EVIL },
			.how = id,
			.why = c == 3 ? id : NULL,
			.peer = c & 1
		};
		(void)result_column_add(ret, &column);
	}
	for (size_t m = 0; m < ARRAY_SIZE(ids); m++) {
		const struct result_metric metric = { .id = (char *)ids[m],
						      .title = (char *)SCENE_EVIL,
						      .unit = (char *)SCENE_EVIL,
						      .source = (char *)SCENE_EVIL,
						      .better = (enum better)(m % 3) };
		(void)result_metric_add(ret, &metric);
		for (size_t c = 0; c < ret->n_columns; c++) {
			(void)result_why(ret, m, c, c & 1 ? SCENE_EVIL : NULL);
			for (size_t i = 0; i < (c == 3 ? 0 : c); i++)
				(void)result_sample(ret, m, c,
						    values[(i + c + m) % ARRAY_SIZE(values)]);
			result_cell(ret, m, c)->detail =
				c % 3 == 0   ? json_pack("[[f, f], [s, n], i, {}, [f, f]]", -1e150,
							 1e150, "<b>", 7, 3.0, 0.0)
				: c % 3 == 1 ? json_pack("{s:s, s:[i], s:f}", "<b>", "</script>",
							 "x", 1, "&", -2.5)
					     : NULL;
		}
	}
}

void scene_one(struct result *ret)
{
	const struct result_column column = { .id = "hosted",
					      .title = "hosted",
					      .baseline = "host" };
	const struct result_metric metric = { .id = "workload.time",
					      .title = "time",
					      .unit = "ms" };

	*ret = (struct result){ .command = strdup("sort /usr/share/dict/words"),
				.started_ns = SCENE_START };
	(void)result_column_add(ret, &column);
	(void)result_metric_add(ret, &metric);
	(void)result_sample(ret, 0, 0, 12.5);
}

bool scene_named(const char *name, struct result *ret)
{
	if (!strcmp(name, "full"))
		scene_full(ret);
	else if (!strcmp(name, "hostile"))
		scene_hostile(ret);
	else if (!strcmp(name, "one"))
		scene_one(ret);
	else if (!strcmp(name, "none"))
		*ret = (struct result){ 0 };
	else
		return false;
	return true;
}
