/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What computes, and what enters the kernel. One thread each: what is compared is one CPU under another's care. Quick ones take a
 * second at most on the host; where a fixed amount of work is asked for, it is so little that a software CPU does it in seconds.
 */
#include "compare/suite.h"
#include "compare/suite_parse.h"

#define STRESS_NG "stress-ng 0.15.06"
/* -q still lets the table through, and the file has one figure with its name. */
#define STRESS(what)                                                                               \
	"stress-ng -q --metrics --yaml /tmp/stress.yaml " what " >/dev/null && cat /tmp/stress.yaml"
/* cyclictest asks for a real-time policy before it does anything, also when none is wanted (-p 0, the default): CAP_SYS_NICE. */
#define CYCLES "cyclictest -q -i 1000 -h 20000 --json=/tmp/cycles.json "

const struct metric metric_cpu_sysbench = {
	.id = "cpu.sysbench",
	.title = "prime numbers up to 10,000, one thread",
	.unit = "events/s",
	.source = "sysbench 1.0.20 cpu",
	.better = BETTER_HIGH,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.command = "sysbench cpu --threads=1 --time=0 --events=500 run",
	.parse = parse_sysbench_cpu,
};

const struct metric metric_cpu_7zip = {
	.id = "cpu.7zip",
	.title = "LZMA compression and decompression, one thread",
	.unit = "MIPS",
	.source = "7-Zip 26.02 b",
	.better = BETTER_HIGH,
	.level = COMPARE_STANDARD,
	.seconds = 4,
	.command = "7zz b 1 -mmt1 -md18 -mtime=1",
	.parse = parse_7zip,
};

const struct metric metric_cpu_openssl = {
	.id = "cpu.openssl",
	.title = "AES-256-GCM in blocks of 16 KiB, one thread",
	.unit = "MB/s",
	.source = "OpenSSL 3.0.22 speed",
	.better = BETTER_HIGH,
	.level = COMPARE_STANDARD,
	.seconds = 3,
	.command = "openssl speed -elapsed -mr -seconds 3 -bytes 16384 -evp aes-256-gcm",
	.parse = parse_openssl,
};

const struct metric metric_memory_bandwidth = {
	.id = "memory.bandwidth",
	.title = "writing 64 MiB over and over, one thread",
	.unit = "MiB/s",
	.source = "sysbench 1.0.20 memory",
	.better = BETTER_HIGH,
	.level = COMPARE_STANDARD,
	.seconds = 2,
	.command =
		"sysbench memory --threads=1 --time=1 --memory-block-size=64M --memory-total-size=100T run",
	.parse = parse_sysbench_memory,
};

const struct metric metric_memory_faults = {
	.id = "memory.faults",
	.title = "heap pages asked for, touched and given back",
	.unit = "pages/s",
	.source = STRESS_NG " --brk",
	.better = BETTER_HIGH,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.command = STRESS("--brk 1 --brk-ops 20000"),
	.parse = parse_stress_ng,
};

const struct metric metric_kernel_syscall = {
	.id = "kernel.syscall",
	.title = "the cheapest system call",
	.unit = "us",
	.source = "perf 6.1 bench syscall basic",
	.better = BETTER_LOW,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.command = "perf bench syscall basic -l 200000",
	.parse = parse_perf,
};

const struct metric metric_kernel_switch = {
	.id = "kernel.switch",
	.title = "a message to another process through a pipe",
	.unit = "us",
	.source = "perf 6.1 bench sched pipe",
	.better = BETTER_LOW,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.command = "perf bench sched pipe -l 5000",
	.parse = parse_perf,
};

const struct metric metric_kernel_fork = {
	.id = "kernel.fork",
	.title = "processes made and ended",
	.unit = "processes/s",
	.source = STRESS_NG " --fork",
	.better = BETTER_HIGH,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.command = STRESS("--fork 1 --fork-ops 400"),
	.parse = parse_stress_ng,
};

const struct metric metric_kernel_exec = {
	.id = "kernel.exec",
	.title = "programs started",
	.unit = "programs/s",
	.source = STRESS_NG " --exec",
	.better = BETTER_HIGH,
	.level = COMPARE_STANDARD,
	.seconds = 3,
	/* It refuses to run as root. */
	.command =
		"cd /tmp && chroot --userspec=65534:65534 --skip-chdir / stress-ng -q --metrics --yaml /tmp/exec.yaml "
		"--temp-path /tmp --exec 1 -t 2 >/dev/null && cat /tmp/exec.yaml && rm /tmp/exec.yaml",
	.parse = parse_stress_ng,
};

const struct metric metric_latency_stall = {
	.id = "latency.stall",
	.title = "how long a busy thread is kept from running: the worst of 1 s",
	.unit = "us",
	.source = "Redis 7.0.15, redis-cli --intrinsic-latency",
	.better = BETTER_LOW,
	.level = COMPARE_STANDARD,
	.seconds = 1,
	.command = "redis-cli --intrinsic-latency 1",
	.parse = parse_redis_stall,
};

const struct metric metric_latency_timer = {
	.id = "latency.timer",
	.title = "how late a sleeping thread wakes: p99 of 1,000 times 1 ms",
	.unit = "us",
	.source = "cyclictest 2.4",
	.better = BETTER_LOW,
	.level = COMPARE_STANDARD,
	.seconds = 1,
	.command = CYCLES "-l 1000 >/dev/null && cat /tmp/cycles.json",
	.parse = parse_cyclictest_p99,
};

const struct metric metric_latency_timer_max = {
	.id = "latency.timer-max",
	.title = "how late a sleeping thread wakes: the worst of 3,000 times 1 ms",
	.unit = "us",
	.source = "cyclictest 2.4",
	.better = BETTER_LOW,
	.level = COMPARE_STANDARD,
	.seconds = 4,
	.command = CYCLES "-l 3000 >/dev/null && cat /tmp/cycles.json",
	.parse = parse_cyclictest_max,
};
