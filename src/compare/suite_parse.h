/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The figures out of what the suite's programs print: each is a parse() of struct metric (metric.h). The formats are those of Debian 12's
 * versions, taken from their output; docs/compare-suite.md names program and version.
 * @text: hostile, @n bytes, with a NUL behind them; text after a NUL within is not looked at, but in JSON, where a NUL is an error
 * Return: 0; -ENODATA: there is no such figure, or it is negative, not a number or infinite, or 0 where only more makes sense.
 */
#include <stddef.h>

/* sysbench 1.0 cpu: events per second; memory: MiB per second */
int parse_sysbench_cpu(const char *text, size_t n, double *ret);
int parse_sysbench_memory(const char *text, size_t n, double *ret);
/* 7zz b: the total's rating, MIPS by the wall clock */
int parse_7zip(const char *text, size_t n, double *ret);
/* openssl speed -mr of one cipher at one size: bytes per second, given as MB/s */
int parse_openssl(const char *text, size_t n, double *ret);
/* stress-ng --metrics --yaml FILE of one stressor: operations per second by the wall clock */
int parse_stress_ng(const char *text, size_t n, double *ret);
/* perf bench: microseconds per operation */
int parse_perf(const char *text, size_t n, double *ret);
/* cyclictest -h US --json=FILE: microseconds; what lies beyond the histogram counts as the maximum */
int parse_cyclictest_p99(const char *text, size_t n, double *ret);
int parse_cyclictest_max(const char *text, size_t n, double *ret);
/* fio --output-format=json, its first job: read or write MB/s, read operations per second, read p99 and fsync median in microseconds */
int parse_fio_read(const char *text, size_t n, double *ret);
int parse_fio_write(const char *text, size_t n, double *ret);
int parse_fio_iops(const char *text, size_t n, double *ret);
int parse_fio_p99(const char *text, size_t n, double *ret);
int parse_fio_fsync(const char *text, size_t n, double *ret);
/* iperf3 -J: Gbit/s received */
int parse_iperf3(const char *text, size_t n, double *ret);
/* sockperf ping-pong: half a round trip, median and p99, microseconds */
int parse_sockperf_median(const char *text, size_t n, double *ret);
int parse_sockperf_p99(const char *text, size_t n, double *ret);
/* wrk --latency: requests per second; p99 in milliseconds */
int parse_wrk(const char *text, size_t n, double *ret);
int parse_wrk_p99(const char *text, size_t n, double *ret);
/* redis-benchmark -t set,get --csv: requests per second; GET's p99 in milliseconds */
int parse_redis_set(const char *text, size_t n, double *ret);
int parse_redis_get(const char *text, size_t n, double *ret);
int parse_redis_get_p99(const char *text, size_t n, double *ret);
/* redis-cli --intrinsic-latency: the worst, microseconds */
int parse_redis_stall(const char *text, size_t n, double *ret);
/* time -p, of POSIX: seconds by the wall clock */
int parse_time(const char *text, size_t n, double *ret);
/* /proc/PID/status: how many capabilities are effective; how many filters it has */
int parse_capabilities(const char *text, size_t n, double *ret);
int parse_filters(const char *text, size_t n, double *ret);
