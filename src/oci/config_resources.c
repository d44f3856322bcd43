/* SPDX-License-Identifier: Apache-2.0 */
/* config-linux.md, "Control groups": what becomes of it in either version. */
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <string.h>

#include "oci/config.h"

#define RESOURCE_RULES_MAX    1024
#define RESOURCE_SETTINGS_MAX 256

static const char *resource_number(const struct reader *rd, int64_t value)
{
	const char *text = pool_text(rd->all->pool, "%" PRId64, value);

	if (!text)
		reader_fail(rd, "", ENOMEM, "takes more memory than there is");
	return text;
}

void config_add_setting(const struct reader *rd, const char *key, struct bundle *bundle,
			struct cgroup_setting setting)
{
	if (bundle->n_settings == RESOURCE_SETTINGS_MAX) {
		reader_fail(rd, key, E2BIG, "is one setting too many");
		return;
	}
	setting.what = pool_text(rd->all->pool, "resources: %s%s", rd->at, key);
	if (!setting.what)
		reader_fail(rd, key, ENOMEM, "takes more memory than there is");
	bundle->settings[bundle->n_settings++] = setting;
}

/* A number that goes into one file as it is. */
struct resource_file {
	const char *key;
	enum cgroup_controller controller;
	const char *v1, *v2; /* NULL: that version has none */
	int64_t min, max;
};

static void resource_file(const struct reader *rd, const struct resource_file *file,
			  struct bundle *bundle)
{
	if (!reader_member(rd, file->key))
		return;
	const int64_t value = reader_int(rd, file->key, file->min, file->max, 0);
	const char *text = resource_number(rd, value);
	config_add_setting(rd, file->key, bundle,
			   (struct cgroup_setting){ .controller = file->controller,
						    .v1 = file->v1,
						    .v2 = file->v2,
						    .v1_value = text,
						    .v2_value = text });
}

static void resource_memory(const struct reader *rd, struct bundle *bundle)
{
	static const struct resource_file swappiness = {
		"swappiness", CGROUP_MEMORY, "memory.swappiness", NULL, 0, 100
	};
	const struct reader in = reader_enter(rd, "memory");
	struct spec_limits *limits = &bundle->limits;

	/* 0 is how some writers say "nothing". */
	limits->memory_bytes = reader_int(&in, "limit", -1, INT64_MAX, 0);
	limits->memory_swap_bytes = reader_int(&in, "swap", -1, INT64_MAX, 0);
	limits->memory_reservation_bytes = reader_int(&in, "reservation", -1, INT64_MAX, 0);
	limits->memory_alone = true;
	if (limits->memory_swap_bytes > 0 && limits->memory_bytes > limits->memory_swap_bytes)
		reader_fail(&in, "swap", EINVAL,
			    "must not be less than limit: it is memory and swap");
	bundle->check_memory = reader_bool(&in, "checkBeforeUpdate", false);
	resource_file(&in, &swappiness, bundle);
	if (reader_bool(&in, "disableOOMKiller", false))
		config_add_setting(&in, "disableOOMKiller", bundle,
				   (struct cgroup_setting){ .controller = CGROUP_MEMORY,
							    .v1 = "memory.oom_control",
							    .v1_value = "1" });
	/* "kernel", "kernelTCP", "useHierarchy": of kernels long gone; the specification advises against them. */
}

static void resource_cpu(const struct reader *rd, struct bundle *bundle)
{
	static const struct resource_file files[] = {
		{ "realtimePeriod", CGROUP_CPU, "cpu.rt_period_us", NULL, 1, 1000000000 },
		{ "realtimeRuntime", CGROUP_CPU, "cpu.rt_runtime_us", NULL, -1, 1000000000 },
		{ "burst", CGROUP_CPU, "cpu.cfs_burst_us", "cpu.max.burst", 0, INT64_MAX },
		{ "idle", CGROUP_CPU, "cpu.idle", "cpu.idle", 0, 1 },
	};
	const struct reader in = reader_enter(rd, "cpu");
	struct spec_limits *limits = &bundle->limits;
	const char *mems = reader_str(&in, "mems", "");

	limits->cpu_shares = reader_int(&in, "shares", 0, 262144, 0);
	if (limits->cpu_shares == 1)
		limits->cpu_shares = 2; /* the kernel's least, which it rounds up to */
	limits->cpu_quota_us = reader_int(&in, "quota", -1, INT64_MAX, 0);
	limits->cpu_period_us = reader_int(&in, "period", 0, 1000000, 0);
	limits->cpuset = reader_str(&in, "cpus", "");
	if (!*limits->cpuset)
		limits->cpuset = NULL;
	if (*mems)
		config_add_setting(&in, "mems", bundle,
				   (struct cgroup_setting){ CGROUP_CPUSET, "cpuset.mems",
							    "cpuset.mems", mems, mems, NULL, NULL,
							    NULL });
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		resource_file(&in, &files[i], bundle);
}

static void resource_throttle(const struct reader *rd, const char *key, const char *v1,
			      const char *v2_word, struct bundle *bundle)
{
	size_t n;
	const json_t *list = reader_list(rd, key, &n);

	for (size_t i = 0; i < n && !rd->all->failed; i++) {
		const struct reader in = reader_item(rd, key, list, i);
		const unsigned device_major = (unsigned)reader_int(&in, "major", 0, 4095, 0);
		const unsigned device_minor = (unsigned)reader_int(&in, "minor", 0, 1048575, 0);
		const int64_t rate = reader_int(&in, "rate", 0, INT64_MAX, 0);
		const char *old = pool_text(rd->all->pool, "%u:%u %" PRId64, device_major,
					    device_minor, rate);
		/* 0 is no limit in version 1, and out of range in 2. */
		const char *new = rate ? pool_text(rd->all->pool, "%u:%u %s=%" PRId64, device_major,
						   device_minor, v2_word, rate)
				       : pool_text(rd->all->pool, "%u:%u %s=max", device_major,
						   device_minor, v2_word);
		if (!old || !new)
			reader_fail(&in, "rate", ENOMEM, "takes more memory than there is");
		config_add_setting(rd, key, bundle,
				   (struct cgroup_setting){ CGROUP_BLKIO, v1, "io.max", old, new,
							    NULL, NULL, NULL });
	}
}

static void resource_block(const struct reader *rd, struct bundle *bundle)
{
	static const struct {
		const char *key, *v1, *v2_word;
	} rates[] = {
		{ "throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps" },
		{ "throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps" },
		{ "throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops" },
		{ "throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops" },
	};
	const struct reader in = reader_enter(rd, "blockIO");

	config_read_weights(&in, bundle);
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
		resource_throttle(&in, rates[i].key, rates[i].v1, rates[i].v2_word, bundle);
}

/* "memory.high": a file of version 2, whose controller its first part names. */
static void resource_unified(const struct reader *rd, struct bundle *bundle)
{
	static const struct {
		const char *prefix;
		enum cgroup_controller controller;
	} kinds[] = { { "cpu.", CGROUP_CPU },	    { "cpuset.", CGROUP_CPUSET },
		      { "memory.", CGROUP_MEMORY }, { "pids.", CGROUP_PIDS },
		      { "io.", CGROUP_BLKIO },	    { "hugetlb.", CGROUP_HUGETLB },
		      { "rdma.", CGROUP_RDMA },	    { "misc.", CGROUP_MISC } };
	const struct reader in = reader_enter(rd, "unified");
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)in.obj, key, value)
	{
		const char *text = reader_str(&in, key, "");
		size_t kind = 0;
		while (kind < ARRAY_SIZE(kinds) &&
		       strncmp(key, kinds[kind].prefix, strlen(kinds[kind].prefix)) != 0)
			kind++;
		if (strchr(key, '/'))
			reader_fail(&in, key, EINVAL, "is no file of a cgroup");
		else if (kind == ARRAY_SIZE(kinds))
			reader_fail(&in, key, ENOTSUP, "is not supported");
		else
			config_add_setting(
				&in, key, bundle,
				(struct cgroup_setting){ .controller = kinds[kind].controller,
							 .v2 = key,
							 .v2_value = text });
	}
}

static uint32_t rule_access(const struct reader *rd)
{
	const char *text = reader_str(rd, "access", "rwm");
	uint32_t access = 0;

	for (const char *p = text; *p; p++) {
		access |= *p == 'r'   ? BPF_DEVCG_ACC_READ
			  : *p == 'w' ? BPF_DEVCG_ACC_WRITE
			  : *p == 'm' ? BPF_DEVCG_ACC_MKNOD
				      : 0;
		if (!strchr("rwm", *p))
			reader_fail(rd, "access", EINVAL, "must be of r, w and m");
	}
	return *text ? access : DEVICE_ALL;
}

static uint32_t rule_number(const struct reader *rd, const char *key, int64_t max)
{
	const int64_t value = reader_int(rd, key, -1, max, -1);

	return value < 0 ? DEVICE_ANY : (uint32_t)value;
}

static bool rule_meets(uint32_t a, uint32_t b)
{
	return a == DEVICE_ANY || b == DEVICE_ANY || a == b;
}

static bool rule_holds(uint32_t wide, uint32_t narrow)
{
	return wide == DEVICE_ANY || wide == narrow;
}

/* What is wholly within a denial is not allowed any more; whether something that is allowed reaches beyond it. */
static bool rule_strip(const struct device_rule *deny, struct bundle *bundle)
{
	bool partly = false;

	for (size_t i = 0; i < bundle->n_rules; i++) {
		struct device_rule *old = &bundle->rules[i];
		if (old->type != deny->type || old->deny)
			continue;
		if (rule_holds(deny->major, old->major) && rule_holds(deny->minor, old->minor))
			old->access &= ~deny->access;
		else if (old->access & deny->access && rule_meets(deny->major, old->major) &&
			 rule_meets(deny->minor, old->minor))
			partly = true;
	}
	return partly;
}

static void rule_add(struct device_rule rule, struct bundle *bundle)
{
	if (!rule.deny || rule_strip(&rule, bundle))
		bundle->rules[bundle->n_rules++] = rule;
}

/* In their order, as the specification has it: a list of what is allowed, and of what of that is denied after all. */
static void resource_rule(const struct reader *rd, struct bundle *bundle)
{
	static const char *const types[] = { "a", "c", "b", "u", NULL };
	static const char both[] = { 'c', 'b' };
	const bool allow = reader_bool(rd, "allow", false);
	const int type = reader_word(rd, "type", types, 0);
	struct device_rule rule = { .major = rule_number(rd, "major", 4095),
				    .minor = rule_number(rd, "minor", 1048575),
				    .access = rule_access(rd),
				    .deny = !allow };
	const bool any = rule.major == DEVICE_ANY && rule.minor == DEVICE_ANY;

	if (type == 0 && any && rule.access == DEVICE_ALL) {
		bundle->all_devices = allow;
		bundle->n_rules = 0;
		return;
	}
	if (allow && bundle->all_devices)
		return;
	if (bundle->all_devices) {
		bundle->all_devices = false;
		for (size_t i = 0; i < sizeof(both); i++)
			rule_add((struct device_rule){ both[i], DEVICE_ANY, DEVICE_ANY, DEVICE_ALL,
						       false },
				 bundle);
	}
	for (size_t i = 0; i < sizeof(both); i++) {
		rule.type = both[i];
		if (type == 0 || (type == 2) == (rule.type == 'b'))
			rule_add(rule, bundle);
	}
}

static void resource_devices(const struct reader *rd, struct bundle *bundle)
{
	size_t n;
	const json_t *list = reader_list(rd, "devices", &n);

	if (n > RESOURCE_RULES_MAX)
		reader_fail(rd, "devices", E2BIG, "must have %d members at most",
			    RESOURCE_RULES_MAX);
	bundle->rules = reader_get(rd, n * 4 + DEVICES_DEFAULT, sizeof(*bundle->rules));
	bundle->n_rules = 0;
	for (size_t i = 0; bundle->rules && i < n && !rd->all->failed; i++) {
		const struct reader in = reader_item(rd, "devices", list, i);
		resource_rule(&in, bundle);
	}
	if (!bundle->rules || rd->all->failed)
		return;
	/* Those that every container has, whatever the rules: config-linux.md, "Default Devices". */
	memcpy(bundle->rules + bundle->n_rules, devices_default, sizeof(devices_default));
	bundle->n_rules += DEVICES_DEFAULT;
}

void config_read_resources(const struct reader *rd, struct bundle *bundle)
{
	const struct reader pids = reader_enter(rd, "pids");

	bundle->limits = (struct spec_limits){ 0 };
	bundle->n_settings = 0;
	bundle->settings = reader_get(rd, RESOURCE_SETTINGS_MAX, sizeof(*bundle->settings));
	if (!bundle->settings)
		return;
	resource_memory(rd, bundle);
	resource_cpu(rd, bundle);
	resource_block(rd, bundle);
	bundle->limits.pids = reader_int(&pids, "limit", -1, INT64_MAX, 0);
	resource_unified(rd, bundle);
	resource_devices(rd, bundle);
	config_read_seldom(rd, bundle);
}
