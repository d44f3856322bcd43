/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk, network, services, and a whole job. Servers and their clients run in the same instance, over its own loopback: what is measured
 * is the network stack of the kernel that the workload sees, not the way out of the instance.
 */
#include "compare/suite.h"
#include "compare/suite_parse.h"

/* On the instance's own root file system. The file is laid out by the first sample and kept for the others. */
#define FIO(what)                                                                                  \
	"fio --output-format=json --eta=never --thread --name=x --filename=/var/tmp/fio.dat "      \
	"--size=32M --time_based " what
/*
 * A server that goes into the background listens a moment later: its client is tried until its file holds what comes of success,
 * 10 s at least. Its exit status does not tell: iperf3 -J and sockperf leave with 0 where nobody listens.
 */
#define TRY(client, file, success)                                                                 \
	"for i in $(seq 100); do " client " >" file " 2>/dev/null; grep -q " success " " file      \
	" && break; sleep 0.1; done; cat " file
/* Its server serves one client, also one that then fails: each try has another, which cannot be where the last one still is. */
#define IPERF3                                                                                     \
	TRY("iperf3 -s -1 -D -p 5299 >/dev/null 2>&1; iperf3 -c 127.0.0.1 -p 5299 -t 1 -J",        \
	    "/tmp/iperf3.json", "sum_received")
#define SOCKPERF                                                                                   \
	"sockperf server --tcp -i 127.0.0.1 -p 5298 >/dev/null 2>&1 & " TRY(                       \
		"sockperf ping-pong --tcp -i 127.0.0.1 -p 5298 -t 1", "/tmp/sockperf",             \
		"percentile") "; kill $!"
/* nginx listens before it leaves for the background. */
#define HTTP                                                                                       \
	"nginx -c /etc/bench-nginx.conf && wrk -t1 -c8 -d1 --latency http://127.0.0.1:8080/; "     \
	"kill $(cat /run/nginx.pid)"
#define REDIS                                                                                      \
	"redis-server --port 6399 --save '' --daemonize yes >/dev/null; " TRY(                     \
		"redis-cli -p 6399 ping", "/tmp/redis",                                            \
		"PONG") "; redis-benchmark -p 6399 -t set,get -n 3000 -c 10 --csv 2>/dev/null; redis-cli -p 6399 shutdown nosave"

const struct metric metric_disk_read = {
	.id = "disk.read",
	.title = "reading a file in order, 1 MiB at a time, past the page cache",
	.unit = "MB/s",
	.source = "fio 3.33",
	.better = BETTER_HIGH,
	.level = COMPARE_STANDARD,
	.seconds = 2,
	.command = FIO("--rw=read --bs=1M --direct=1 --runtime=1"),
	.parse = parse_fio_read,
};

const struct metric metric_disk_write = {
	.id = "disk.write",
	.title = "writing a file in order, 1 MiB at a time, past the page cache",
	.unit = "MB/s",
	.source = "fio 3.33",
	.better = BETTER_HIGH,
	.level = COMPARE_STANDARD,
	.seconds = 2,
	.command = FIO("--rw=write --bs=1M --direct=1 --runtime=1"),
	.parse = parse_fio_write,
};

const struct metric metric_disk_random = {
	.id = "disk.random",
	.title = "reading 4 KiB here and there, one at a time, past the page cache",
	.unit = "reads/s",
	.source = "fio 3.33",
	.better = BETTER_HIGH,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.command = FIO("--rw=randread --bs=4k --direct=1 --runtime=200ms"),
	.parse = parse_fio_iops,
};

const struct metric metric_disk_random_p99 = {
	.id = "disk.random-p99",
	.title = "reading 4 KiB here and there: p99",
	.unit = "us",
	.source = "fio 3.33",
	.better = BETTER_LOW,
	.level = COMPARE_STANDARD,
	.seconds = 2,
	.command = FIO("--rw=randread --bs=4k --direct=1 --runtime=1"),
	.parse = parse_fio_p99,
};

const struct metric metric_disk_fsync = {
	.id = "disk.fsync",
	.title = "fsync after a write of 4 KiB: median",
	.unit = "us",
	.source = "fio 3.33",
	.better = BETTER_LOW,
	.level = COMPARE_STANDARD,
	.seconds = 2,
	.command = FIO("--rw=write --bs=4k --fsync=1 --runtime=1"),
	.parse = parse_fio_fsync,
};

const struct metric metric_network_stream = {
	.id = "network.stream",
	.title = "one TCP stream over the instance's own loopback",
	.unit = "Gbit/s",
	.source = "iperf3 3.12",
	.better = BETTER_HIGH,
	.level = COMPARE_STANDARD,
	.seconds = 2,
	.command = IPERF3,
	.parse = parse_iperf3,
};

const struct metric metric_network_latency = {
	.id = "network.latency",
	.title = "half a TCP round trip over the instance's own loopback: median",
	.unit = "us",
	.source = "sockperf 3.7",
	.better = BETTER_LOW,
	.level = COMPARE_STANDARD,
	.seconds = 3,
	.command = SOCKPERF,
	.parse = parse_sockperf_median,
};

const struct metric metric_network_p99 = {
	.id = "network.p99",
	.title = "half a TCP round trip over the instance's own loopback: p99",
	.unit = "us",
	.source = "sockperf 3.7",
	.better = BETTER_LOW,
	.level = COMPARE_FULL,
	.seconds = 3,
	.command = SOCKPERF,
	.parse = parse_sockperf_p99,
};

const struct metric metric_service_http = {
	.id = "service.http",
	.title = "nginx: pages of 1 KiB over 8 connections, client beside it",
	.unit = "requests/s",
	.source = "nginx 1.22.1, wrk 4.1.0",
	.better = BETTER_HIGH,
	.level = COMPARE_STANDARD,
	.seconds = 2,
	.command = HTTP,
	.parse = parse_wrk,
};

const struct metric metric_service_http_p99 = {
	.id = "service.http-p99",
	.title = "nginx: pages of 1 KiB over 8 connections, client beside it: p99",
	.unit = "ms",
	.source = "nginx 1.22.1, wrk 4.1.0",
	.better = BETTER_LOW,
	.level = COMPARE_FULL,
	.seconds = 2,
	.command = HTTP,
	.parse = parse_wrk_p99,
};

const struct metric metric_service_set = {
	.id = "service.set",
	.title = "Redis: SET over 10 connections, client beside it",
	.unit = "requests/s",
	.source = "Redis 7.0.15, redis-benchmark",
	.better = BETTER_HIGH,
	.level = COMPARE_STANDARD,
	.seconds = 1,
	.command = REDIS,
	.parse = parse_redis_set,
};

const struct metric metric_service_get = {
	.id = "service.get",
	.title = "Redis: GET over 10 connections, client beside it",
	.unit = "requests/s",
	.source = "Redis 7.0.15, redis-benchmark",
	.better = BETTER_HIGH,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.command = REDIS,
	.parse = parse_redis_get,
};

#define COMPILE(how)                                                                               \
	"cd /var/tmp && rm -rf lua && mkdir lua && tar -xzf /usr/share/strata-bench/lua.tar.gz "   \
	"-C lua --strip-components 1 && cd lua/src && exec 2>&1 && time -p make -s -j2 generic " how

const struct metric metric_job_tcc = {
	.id = "job.tcc",
	.title = "compiling Lua 5.4.4 from source, two jobs at a time, with a small compiler",
	.unit = "s",
	.source = "tcc 0.9.27, make 4.3",
	.better = BETTER_LOW,
	.level = COMPARE_STANDARD,
	.seconds = 1,
	.command = COMPILE("CC='tcc -w' CFLAGS='-DLUA_COMPAT_5_3'"),
	.parse = parse_time,
};

const struct metric metric_job_gcc = {
	.id = "job.gcc",
	.title = "compiling Lua 5.4.4 from source, two jobs at a time, with a large compiler",
	.unit = "s",
	.source = "GCC 12.2.0, make 4.3",
	.better = BETTER_LOW,
	.level = COMPARE_FULL,
	.seconds = 15,
	.command = COMPILE("CFLAGS='-O1 -w -std=gnu99 -DLUA_COMPAT_5_3'"),
	.parse = parse_time,
};
