/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/oslevel/bundle_tune.h"

#define STATS_TEXT_MAX 16384

/* A line and what follows it. */
static const char *stats_next(const char *line)
{
	line += strcspn(line, "\n");
	return line + (*line == '\n');
}

json_t *stats_raw(const char *text)
{
	json_t *raw = json_object();

	for (const char *line = text; *line; line = stats_next(line)) {
		char key[64];
		uint64_t value;
		if (sscanf(line, "%63[^ \n] %" SCNu64, key, &value) == 2)
			(void)json_object_set_new(raw, key, json_integer((json_int_t)value));
	}
	return raw;
}

json_t *stats_numbers(const char *text)
{
	json_t *list = json_array();
	char *end;

	for (;;) {
		const unsigned long long value = strtoull(text, &end, 10);
		if (end == text)
			return list;
		(void)json_array_append_new(list, json_integer((json_int_t)value));
		text = end;
	}
}

json_t *stats_cpus(const char *text)
{
	json_t *list = json_array();
	char line[1024];
	cpu_set_t cpus;

	(void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"),
		       text); /* cut: no list */
	if (tune_cpus_parse(line, &cpus) < 0)
		return list;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET((size_t)cpu, &cpus))
			(void)json_array_append_new(list, json_integer(cpu));
	}
	return list;
}

static void stats_block_add(json_t *list, unsigned device_major, unsigned device_minor,
			    const char *op, uint64_t value)
{
	(void)json_array_append_new(list, json_pack("{s:i, s:i, s:s, s:I}", "major",
						    (int)device_major, "minor", (int)device_minor,
						    "op", op, "value", (json_int_t)value));
}

json_t *stats_block_v1(const char *text)
{
	json_t *list = json_array();

	for (const char *line = text; *line; line = stats_next(line)) {
		unsigned device_major, device_minor;
		char op[16];
		uint64_t value;
		if (sscanf(line, "%u:%u %15s %" SCNu64, &device_major, &device_minor, op, &value) ==
		    4)
			stats_block_add(list, device_major, device_minor, op, value);
	}
	return list;
}

json_t *stats_block_v2(const char *text, bool ops)
{
	static const struct {
		const char *key, *op;
	} kinds[2][2] = { { { " rbytes=", "Read" }, { " wbytes=", "Write" } },
			  { { " rios=", "Read" }, { " wios=", "Write" } } };
	json_t *list = json_array();

	for (const char *line = text; *line; line = stats_next(line)) {
		char one[512];
		unsigned device_major, device_minor;
		(void)snprintf(one, sizeof(one), "%.*s", (int)strcspn(line, "\n"),
			       line); /* cut: a field less */
		if (sscanf(one, "%u:%u ", &device_major, &device_minor) != 2)
			continue;
		for (size_t i = 0; i < 2; i++) {
			const char *at = strstr(one, kinds[ops][i].key);
			if (at)
				stats_block_add(list, device_major, device_minor, kinds[ops][i].op,
						strtoull(at + strlen(kinds[ops][i].key), NULL, 10));
		}
	}
	return list;
}

/* A file's text; "" where there is none. */
struct stats_text {
	char of[STATS_TEXT_MAX];
};

static const char *stats_file(const struct cgroup *cgroup, enum cgroup_controller controller,
			      const char *v1, const char *v2, struct stats_text *text)
{
	int n = cgroup_read_file(cgroup, controller, v1, v2, text->of, sizeof(text->of));

	if (n < 0)
		text->of[0] = '\0';
	return text->of;
}

/* One number; "max" and none are 0. */
static json_int_t stats_number(const struct cgroup *cgroup, enum cgroup_controller controller,
			       const char *v1, const char *v2)
{
	struct stats_text text;
	const uint64_t value = strtoull(stats_file(cgroup, controller, v1, v2, &text), NULL, 10);

	return value > INT64_MAX ? INT64_MAX : (json_int_t)value;
}

static json_int_t stats_member(const json_t *raw, const char *key)
{
	return json_integer_value(json_object_get(raw, key));
}

/* Nanoseconds; version 1 has them in jiffies, a hundredth of a second each: cpuacct.stat. */
static json_t *stats_cpu(const struct cgroup *cgroup)
{
	struct stats_text text;
	json_t *v2 = NULL, *usage;
	const int fd = cgroup_v2_fd(cgroup);
	json_t *v1 = stats_raw(stats_file(cgroup, CGROUP_CPUACCT, "cpuacct.stat", NULL, &text));

	json_t *percpu = stats_numbers(
		stats_file(cgroup, CGROUP_CPUACCT, "cpuacct.usage_percpu", NULL, &text));
	if (json_object_size(v1) || fd < 0) {
		usage = json_pack("{s:I, s:o, s:I, s:I}", "total",
				  stats_number(cgroup, CGROUP_CPUACCT, "cpuacct.usage", NULL),
				  "percpu", percpu, "kernel", stats_member(v1, "system") * 10000000,
				  "user", stats_member(v1, "user") * 10000000);
	} else {
		/* Of version 2 the time is counted in every group, whoever holds the controller. */
		v2 = stats_raw(cgroup_read_v2(cgroup, "cpu.stat", text.of, sizeof(text.of)) < 0
				       ? ""
				       : text.of);
		usage = json_pack("{s:I, s:o, s:I, s:I}", "total",
				  stats_member(v2, "usage_usec") * 1000, "percpu", percpu, "kernel",
				  stats_member(v2, "system_usec") * 1000, "user",
				  stats_member(v2, "user_usec") * 1000);
	}
	json_t *stat = stats_raw(stats_file(cgroup, CGROUP_CPU, "cpu.stat", "cpu.stat", &text));
	const json_int_t throttled = json_object_get(stat, "throttled_usec")
					     ? stats_member(stat, "throttled_usec") * 1000
					     : stats_member(stat, "throttled_time");
	json_t *cpu = json_pack("{s:o, s:{s:I, s:I, s:I}}", "usage", usage, "throttling", "periods",
				stats_member(stat, "nr_periods"), "throttledPeriods",
				stats_member(stat, "nr_throttled"), "throttledTime", throttled);
	json_decref(stat);
	json_decref(v1);
	json_decref(v2);
	return cpu;
}

struct stats_memory {
	const char *name;
	const char *limit[2], *usage[2], *max[2], *failed[2]; /* version 1's file, version 2's */
};

static json_t *stats_memory_part(const struct cgroup *cgroup, const struct stats_memory *m)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "limit",
			 stats_number(cgroup, CGROUP_MEMORY, m->limit[0], m->limit[1]), "usage",
			 stats_number(cgroup, CGROUP_MEMORY, m->usage[0], m->usage[1]), "max",
			 stats_number(cgroup, CGROUP_MEMORY, m->max[0], m->max[1]), "failcnt",
			 stats_number(cgroup, CGROUP_MEMORY, m->failed[0], m->failed[1]));
}

static json_t *stats_memory(const struct cgroup *cgroup)
{
	static const struct stats_memory parts[] = {
		{ "usage",
		  { "memory.limit_in_bytes", "memory.max" },
		  { "memory.usage_in_bytes", "memory.current" },
		  { "memory.max_usage_in_bytes", "memory.peak" },
		  { "memory.failcnt", NULL } },
		{ "swap",
		  { "memory.memsw.limit_in_bytes", "memory.swap.max" },
		  { "memory.memsw.usage_in_bytes", "memory.swap.current" },
		  { "memory.memsw.max_usage_in_bytes", "memory.swap.peak" },
		  { "memory.memsw.failcnt", NULL } },
		{ "kernel",
		  { "memory.kmem.limit_in_bytes", NULL },
		  { "memory.kmem.usage_in_bytes", NULL },
		  { "memory.kmem.max_usage_in_bytes", NULL },
		  { "memory.kmem.failcnt", NULL } },
		{ "kernelTCP",
		  { "memory.kmem.tcp.limit_in_bytes", NULL },
		  { "memory.kmem.tcp.usage_in_bytes", NULL },
		  { "memory.kmem.tcp.max_usage_in_bytes", NULL },
		  { "memory.kmem.tcp.failcnt", NULL } },
	};
	struct stats_text text;
	json_t *memory = json_object();
	json_t *raw =
		stats_raw(stats_file(cgroup, CGROUP_MEMORY, "memory.stat", "memory.stat", &text));
	const json_int_t cache = json_object_get(raw, "cache") ? stats_member(raw, "cache")
							       : stats_member(raw, "file");

	(void)json_object_set_new(memory, "cache", json_integer(cache));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		(void)json_object_set_new(memory, parts[i].name,
					  stats_memory_part(cgroup, &parts[i]));
	(void)json_object_set_new(memory, "raw", raw);
	return memory;
}

static json_t *stats_block(const struct cgroup *cgroup)
{
	struct stats_text text;
	const char *v2 = stats_file(cgroup, CGROUP_BLKIO, NULL, "io.stat", &text);

	if (*v2)
		return json_pack("{s:o, s:o}", "ioServiceBytesRecursive", stats_block_v2(v2, false),
				 "ioServicedRecursive", stats_block_v2(v2, true));
	json_t *bytes = stats_block_v1(stats_file(
		cgroup, CGROUP_BLKIO, "blkio.throttle.io_service_bytes_recursive", NULL, &text));
	json_t *ops = stats_block_v1(stats_file(
		cgroup, CGROUP_BLKIO, "blkio.throttle.io_serviced_recursive", NULL, &text));
	return json_pack("{s:o, s:o}", "ioServiceBytesRecursive", bytes, "ioServicedRecursive",
			 ops);
}

json_t *stats_json(const struct cgroup *cgroup)
{
	struct stats_text text;
	json_t *cpus = stats_cpus(stats_file(cgroup, CGROUP_CPUSET, "cpuset.effective_cpus",
					     "cpuset.cpus.effective", &text));
	json_t *mems = stats_cpus(stats_file(cgroup, CGROUP_CPUSET, "cpuset.effective_mems",
					     "cpuset.mems.effective", &text));

	return json_pack("{s:o, s:{s:o, s:o}, s:o, s:{s:I, s:I}, s:o}", "cpu", stats_cpu(cgroup),
			 "cpuset", "cpus", cpus, "mems", mems, "memory", stats_memory(cgroup),
			 "pids", "current",
			 stats_number(cgroup, CGROUP_PIDS, "pids.current", "pids.current"), "limit",
			 stats_number(cgroup, CGROUP_PIDS, "pids.max", "pids.max"), "blkio",
			 stats_block(cgroup));
}
