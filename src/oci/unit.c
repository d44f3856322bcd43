/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_ANNOTATION "org.systemd.property."
#define UNIT_INFINITY	(-1) /* systemd_main.c */

/* ---- names ---- */

/* systemd.unit(5): letters, digits, ":-_.\". */
static bool unit_is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789:-_.\\";
	const size_t len = strspn(name, allowed);

	return len && !name[len] && len < UNIT_NAME_MAX && name[0] != '.';
}

static bool unit_ends(const char *text, const char *end)
{
	const size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

/* Each part of "a-b.slice" is a slice in the one before: none may be empty. */
static bool unit_is_slice(const char *slice)
{
	if (!unit_is_name(slice) || !unit_ends(slice, ".slice") || slice[0] == '-')
		return !strcmp(slice, "-.slice");
	return !strstr(slice, "--") && !strstr(slice, "-.slice");
}

/* A '+' is fine in a container's name, and none of a unit's: systemd.unit(5), "String Escaping for Inclusion in Unit Names". */
static int unit_name(const char *prefix, const char *name, char ret[UNIT_NAME_MAX])
{
	const char *const parts[] = { prefix, *prefix ? "-" : "", name, ".scope" };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		for (const char *p = parts[i]; *p; p++) {
			if (n + 5 > UNIT_NAME_MAX)
				return -ENAMETOOLONG;
			if (*p == '+') {
				memcpy(ret + n, "\\x2b", 4);
				n += 4;
			} else {
				ret[n++] = *p;
			}
		}
	}
	ret[n] = '\0';
	return 0;
}

int unit_parse(const char *cgroups_path, const char *id, bool user, struct unit *ret,
	       struct err *err)
{
	const char *first = strchr(cgroups_path, ':');
	const char *second = first ? strchr(first + 1, ':') : NULL;
	char slice[UNIT_NAME_MAX] = "", prefix[UNIT_NAME_MAX] = "strata-oci";
	const char *name = id;

	if (*cgroups_path && (!second || strchr(second + 1, ':')))
		return err_say(err, EINVAL,
			       "linux.cgroupsPath '%.60s': systemd's form is slice:prefix:name",
			       cgroups_path);
	if (second) {
		(void)snprintf(slice, sizeof(slice), "%.*s", (int)(first - cgroups_path),
			       cgroups_path); /* cut: no slice any more */
		(void)snprintf(prefix, sizeof(prefix), "%.*s", (int)(second - first - 1),
			       first + 1); /* cut: the whole is too long */
		name = second + 1;
	}
	(void)snprintf(ret->slice, sizeof(ret->slice), "%s",
		       *slice ? slice
		       : user ? "user.slice"
			      : "system.slice"); /* fits */
	if (!unit_is_slice(ret->slice))
		return err_say(err, EINVAL, "linux.cgroupsPath: '%.60s' is no slice", ret->slice);
	if (unit_ends(name, ".slice"))
		return err_say(
			err, EINVAL,
			"linux.cgroupsPath: '%.60s' is a slice, and a container is a scope in "
			"one",
			name);
	if (!*name || unit_name(prefix, name, ret->name) < 0 || !unit_is_name(ret->name))
		return err_say(err, EINVAL, "linux.cgroupsPath: '%.60s' and '%.60s' make no unit",
			       prefix, name);
	return 0;
}

int unit_group(const struct unit *unit, char *ret, size_t size)
{
	const char *slice = strcmp(unit->slice, "-.slice") != 0 ? unit->slice : "";
	size_t n = 0;

	for (const char *p = slice; *p; p++) {
		if (*p != '-' && strcmp(p, ".slice") != 0)
			continue;
		int len = snprintf(ret + n, size - n, "%.*s.slice/", (int)(p - slice), slice);
		if (len < 0 || (size_t)len >= size - n)
			return -ENAMETOOLONG;
		n += (size_t)len;
	}
	int len = snprintf(ret + n, size - n, "%s", unit->name);
	return len < 0 || (size_t)len >= size - n ? -ENAMETOOLONG : 0;
}

/* ---- properties ---- */

/* Without memory the list is a NULL in the end, too: what it is handed to says so. */
static void put(json_t *list, const char *name, const char *type, json_t *value)
{
	(void)json_array_append_new(list, json_pack("[s, s, o]", name, type, value));
}

static void put_number(json_t *list, const char *name, int64_t value)
{
	put(list, name, "t", json_integer(value));
}

/* -1 is no limit, 0 was not asked for. */
static void put_limit(json_t *list, const char *name, int64_t value)
{
	if (value)
		put_number(list, name, value < 0 ? UNIT_INFINITY : value);
}

/* A set of CPUs or nodes is a number of bytes, the first of which has the lowest eight. */
static void put_set(json_t *list, const char *name, const char *text)
{
	json_t *bytes = json_array();
	cpu_set_t set;

	if (tune_cpus_parse(text, &set) < 0) {
		json_decref(bytes);
		return; /* whoever writes it into the cgroup says so */
	}
	for (size_t byte = 0; byte < CPU_SETSIZE / 8; byte++) {
		unsigned bits = 0;
		for (size_t bit = 0; bit < 8; bit++)
			bits |= CPU_ISSET(byte * 8 + bit, &set) ? 1U << bit : 0;
		(void)json_array_append_new(bytes, json_integer(bits));
	}
	while (json_array_size(bytes) > 1 &&
	       !json_integer_value(json_array_get(bytes, json_array_size(bytes) - 1)))
		(void)json_array_remove(bytes, json_array_size(bytes) - 1);
	put(list, name, "ay", bytes);
}

static void put_quota(json_t *list, const struct spec_limits *limits)
{
	const int64_t period = limits->cpu_period_us > 0 ? limits->cpu_period_us : 100000;
	const int64_t second = 1000000, percent = second / 100;

	if (limits->cpu_period_us > 0)
		put_number(list, "CPUQuotaPeriodUSec", period);
	if (limits->cpu_quota_us < 0)
		put_number(list, "CPUQuotaPerSecUSec", UNIT_INFINITY);
	if (limits->cpu_quota_us <= 0 || limits->cpu_quota_us > INT64_MAX / second)
		return;
	/* systemd keeps whole percents: rounded up, for the group has what was asked for. */
	const int64_t a_second = limits->cpu_quota_us * second / period;
	put_number(list, "CPUQuotaPerSecUSec", (a_second + percent - 1) / percent * percent);
}

/* Files of version 2 that systemd would write anew, with what it knows, whenever it is reloaded. */
static void put_setting(json_t *list, const struct cgroup_setting *setting)
{
	static const struct {
		const char *file, *name;
		bool set;
	} files[] = {
		{ "memory.max", "MemoryMax", false },
		{ "memory.high", "MemoryHigh", false },
		{ "memory.low", "MemoryLow", false },
		{ "memory.min", "MemoryMin", false },
		{ "memory.swap.max", "MemorySwapMax", false },
		{ "pids.max", "TasksMax", false },
		{ "cpu.weight", "CPUWeight", false },
		{ "cpuset.cpus", "AllowedCPUs", true },
		{ "cpuset.mems", "AllowedMemoryNodes", true },
	};

	for (size_t i = 0; setting->v2 && i < ARRAY_SIZE(files); i++) {
		char *end;
		if (strcmp(files[i].file, setting->v2) != 0)
			continue;
		const long long value = strtoll(setting->v2_value, &end, 10);
		if (files[i].set)
			put_set(list, files[i].name, setting->v2_value);
		else if (!strcmp(setting->v2_value, "max"))
			put_number(list, files[i].name, UNIT_INFINITY);
		else if (end != setting->v2_value && !*end)
			put_number(list, files[i].name, value);
	}
}

static void put_limits(json_t *list, const struct bundle *bundle)
{
	const struct spec_limits *limits = &bundle->limits;

	put_limit(list, "MemoryMax", limits->memory_bytes);
	put_limit(list, "MemoryLow", limits->memory_reservation_bytes);
	if (limits->memory_swap_bytes < 0)
		put_number(list, "MemorySwapMax", UNIT_INFINITY);
	else if (limits->memory_swap_bytes > 0 && limits->memory_bytes > 0)
		put_number(list, "MemorySwapMax", limits->memory_swap_bytes - limits->memory_bytes);
	if (limits->cpu_shares)
		put_number(list, "CPUWeight", cgroup_weight_of(limits->cpu_shares));
	put_quota(list, limits);
	put_limit(list, "TasksMax", limits->pids);
	if (limits->cpuset)
		put_set(list, "AllowedCPUs", limits->cpuset);
	for (size_t i = 0; i < bundle->n_settings; i++)
		put_setting(list, &bundle->settings[i]);
}

/* The program of ours that is there too has the exact rules: what systemd has no words for is wider in its list, never narrower. */
static void put_device(json_t *allowed, const struct device_rule *rule)
{
	const char *kind = rule->type == 'b' ? "block" : "char";
	char path[48], access[4];

	if (!rule->access || rule->deny)
		return;
	if (rule->major == DEVICE_ANY)
		(void)snprintf(path, sizeof(path), "%s-*", kind); /* fits, as the others */
	else if (rule->minor == DEVICE_ANY)
		(void)snprintf(path, sizeof(path), "%s-%u", kind, rule->major);
	else
		(void)snprintf(path, sizeof(path), "/dev/%s/%u:%u", kind, rule->major, rule->minor);
	(void)snprintf(access, sizeof(access), "%s%s%s",
		       rule->access & BPF_DEVCG_ACC_READ ? "r" : "",
		       rule->access & BPF_DEVCG_ACC_WRITE ? "w" : "",
		       rule->access & BPF_DEVCG_ACC_MKNOD ? "m" : "");
	(void)json_array_append_new(allowed, json_pack("[s, s]", path, access));
}

static void put_devices(json_t *list, const struct bundle *bundle)
{
	json_t *allowed = json_array();

	for (size_t i = 0; !bundle->all_devices && i < bundle->n_rules; i++)
		put_device(allowed, &bundle->rules[i]);
	put(list, "DevicePolicy", "s", json_string(bundle->all_devices ? "auto" : "strict"));
	put(list, "DeviceAllow", "a(ss)", allowed);
}

static int put_annotations(json_t *list, const json_t *annotations, struct err *err)
{
	const size_t len = strlen(UNIT_ANNOTATION);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)annotations, key, value)
	{
		if (strncmp(key, UNIT_ANNOTATION, len) != 0)
			continue;
		json_t *property = unit_annotation(key + len, json_string_value(value), err);
		if (!property)
			return -EINVAL;
		(void)json_array_append_new(list, property); /* memory: seen at the end */
	}
	return 0;
}

json_t *unit_start_properties(const char *id, pid_t pid, const struct config *config,
			      struct err *err)
{
	static const char *const counted[] = { "CPUAccounting", "MemoryAccounting", "IOAccounting",
					       "TasksAccounting" };
	char text[UNIT_NAME_MAX + 32];
	json_t *list = json_array();

	(void)snprintf(text, sizeof(text), "strata-oci container %.200s", id); /* fits */
	put(list, "Description", "s", json_string(text));
	put(list, "Slice", "s", json_string(config->unit_slice));
	put(list, "PIDs", "au", json_pack("[i]", (int)pid));
	/* What is in the group is the container's and ours; systemd looks after the group itself alone. */
	put(list, "Delegate", "b", json_true());
	put(list, "DefaultDependencies", "b", json_false());
	put(list, "CollectMode", "s", json_string("inactive-or-failed"));
	for (size_t i = 0; i < ARRAY_SIZE(counted); i++)
		put(list, counted[i], "b", json_true());
	put_limits(list, &config->bundle);
	put_devices(list, &config->bundle);
	if (list && put_annotations(list, config->annotations, err) == 0)
		return list;
	if (!list)
		(void)err_set(err, ENOMEM, "properties");
	json_decref(list);
	return NULL;
}

json_t *unit_limits(const struct bundle *bundle, struct err *err)
{
	json_t *list = json_array();

	if (!list)
		(void)err_set(err, ENOMEM, "properties");
	put_limits(list, bundle);
	return list;
}
