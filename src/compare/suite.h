/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The built-in suite's metrics by file, each for inside the braces of metrics[] in suite.c. docs/compare-suite.md tells of each. */
#include "compare/metric.h"

/* suite_cpu.c: what computes, and what enters the kernel */
extern const struct metric metric_cpu_sysbench, metric_cpu_7zip, metric_cpu_openssl,
	metric_memory_bandwidth, metric_memory_faults, metric_kernel_syscall, metric_kernel_switch,
	metric_kernel_fork, metric_kernel_exec, metric_latency_stall, metric_latency_timer,
	metric_latency_timer_max;
#define SUITE_CPU_METRICS                                                                          \
	&metric_memory_bandwidth, &metric_memory_faults, &metric_cpu_sysbench, &metric_cpu_7zip,   \
		&metric_cpu_openssl, &metric_kernel_syscall, &metric_kernel_switch,                \
		&metric_kernel_fork, &metric_kernel_exec, &metric_latency_stall,                   \
		&metric_latency_timer, &metric_latency_timer_max

/* suite_io.c: disk, network, services, and a whole job */
extern const struct metric metric_disk_read, metric_disk_write, metric_disk_random,
	metric_disk_random_p99, metric_disk_fsync, metric_network_stream, metric_network_latency,
	metric_network_p99, metric_service_http, metric_service_http_p99, metric_service_set,
	metric_service_get, metric_job_tcc, metric_job_gcc;
#define SUITE_IO_METRICS                                                                           \
	&metric_disk_read, &metric_disk_write, &metric_disk_random, &metric_disk_random_p99,       \
		&metric_disk_fsync, &metric_network_stream, &metric_network_latency,               \
		&metric_network_p99, &metric_service_http, &metric_service_http_p99,               \
		&metric_service_set, &metric_service_get, &metric_job_tcc, &metric_job_gcc

/* suite_isolation.c */
extern const struct metric metric_isolation_kernel, metric_isolation_syscalls,
	metric_isolation_filters, metric_isolation_root, metric_isolation_capabilities;
#define SUITE_ISOLATION_METRICS                                                                    \
	&metric_isolation_kernel, &metric_isolation_syscalls, &metric_isolation_filters,           \
		&metric_isolation_root, &metric_isolation_capabilities

/* suite_noise.c */
extern const struct metric metric_interference_none, metric_interference_cpu,
	metric_interference_memory, metric_interference_fork;
#define SUITE_NOISE_METRICS                                                                        \
	&metric_interference_none, &metric_interference_cpu, &metric_interference_memory,          \
		&metric_interference_fork

/* suite_exits.c */
extern const struct metric metric_exits_all, metric_exits_vmm, metric_exits_io, metric_exits_mmio,
	metric_exits_msr, metric_exits_cpuid, metric_exits_halt, metric_exits_interrupt,
	metric_exits_memory, metric_exits_instruction, metric_exits_code, metric_exits_exception,
	metric_exits_hypercall, metric_exits_start;
#define SUITE_EXITS_METRICS                                                                        \
	&metric_exits_all, &metric_exits_vmm, &metric_exits_io, &metric_exits_mmio,                \
		&metric_exits_msr, &metric_exits_cpuid, &metric_exits_halt,                        \
		&metric_exits_interrupt, &metric_exits_memory, &metric_exits_instruction,          \
		&metric_exits_code, &metric_exits_exception, &metric_exits_hypercall,              \
		&metric_exits_start
