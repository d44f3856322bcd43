/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "oci/oci.h"
#include "oci/scope.h"
#include "oci/vm.h"

#define UPDATE_BYTES_MAX ((size_t)1 << 20)

static const struct opt update_opts[] = {
	{ 'r', OPT_TEXT, "resources", "FILE",
	  "linux.resources as JSON; - for standard input; then no other flag" },
	{ 0, OPT_TEXT, "blkio-weight", "N", "weight of block I/O" },
	{ 0, OPT_TEXT, "cpu-period", "US", "period of the CPU quota, in microseconds" },
	{ 0, OPT_TEXT, "cpu-quota", "US", "CPU time in each period, in microseconds" },
	{ 0, OPT_TEXT, "cpu-burst", "US", "what it may save up, in microseconds" },
	{ 0, OPT_TEXT, "cpu-share", "N", "share of CPU time" },
	{ 0, OPT_TEXT, "cpu-rt-period", "US", "period of real-time CPU time, in microseconds" },
	{ 0, OPT_TEXT, "cpu-rt-runtime", "US", "real-time CPU time in it, in microseconds" },
	{ 0, OPT_TEXT, "cpu-idle", "N", "1: only time that nobody else wants" },
	{ 0, OPT_TEXT, "cpuset-cpus", "LIST", "CPUs" },
	{ 0, OPT_TEXT, "cpuset-mems", "LIST", "memory nodes" },
	{ 0, OPT_TEXT, "memory", "SIZE", "memory limit" },
	{ 0, OPT_TEXT, "memory-reservation", "SIZE", "what it keeps when memory is short" },
	{ 0, OPT_TEXT, "memory-swap", "SIZE", "limit of memory and swap together; -1: none" },
	{ 0, OPT_TEXT, "pids-limit", "N", "processes" },
	{ 0 },
};

/* What each flag is in linux.resources. */
static const struct update_flag {
	const char *flag, *part, *member;
	enum { UPDATE_NUMBER, UPDATE_SIZE, UPDATE_LIST } kind;
} update_flags[] = {
	{ "blkio-weight", "blockIO", "weight", UPDATE_NUMBER },
	{ "cpu-period", "cpu", "period", UPDATE_NUMBER },
	{ "cpu-quota", "cpu", "quota", UPDATE_NUMBER },
	{ "cpu-burst", "cpu", "burst", UPDATE_NUMBER },
	{ "cpu-share", "cpu", "shares", UPDATE_NUMBER },
	{ "cpu-rt-period", "cpu", "realtimePeriod", UPDATE_NUMBER },
	{ "cpu-rt-runtime", "cpu", "realtimeRuntime", UPDATE_NUMBER },
	{ "cpu-idle", "cpu", "idle", UPDATE_NUMBER },
	{ "cpuset-cpus", "cpu", "cpus", UPDATE_LIST },
	{ "cpuset-mems", "cpu", "mems", UPDATE_LIST },
	{ "memory", "memory", "limit", UPDATE_SIZE },
	{ "memory-reservation", "memory", "reservation", UPDATE_SIZE },
	{ "memory-swap", "memory", "swap", UPDATE_SIZE },
	{ "pids-limit", "pids", "limit", UPDATE_NUMBER },
};

/* *ret is NULL on ENOMEM, too: what it is put into says so. */
static int update_value(const struct update_flag *flag, const char *text, json_t **ret,
			struct err *err)
{
	char name[32];
	int64_t value = -1;
	int r = 0;

	(void)snprintf(name, sizeof(name), "--%s", flag->flag); /* fits */
	if (flag->kind == UPDATE_NUMBER)
		r = args_int(text, name, -1, INT64_MAX, &value, err);
	else if (flag->kind == UPDATE_SIZE && strcmp(text, "-1") != 0)
		r = args_size(text, name, &value, err);
	if (r == 0)
		*ret = flag->kind == UPDATE_LIST ? json_string(text) : json_integer(value);
	return r;
}

static int update_flags_read(const struct args *args, json_t *resources, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(update_flags); i++) {
		const struct update_flag *flag = &update_flags[i];
		const char *text = args_text(args, flag->flag, NULL);
		json_t *value = NULL, *part = json_object_get(resources, flag->part);
		if (!text)
			continue;
		int r = update_value(flag, text, &value, err);
		if (r < 0)
			return r;
		if (!part) {
			part = json_object();
			(void)json_object_set_new(resources, flag->part, part); /* the next tells */
		}
		if (json_object_set_new(part, flag->member, value) < 0)
			return err_set(err, ENOMEM, "resources");
	}
	return json_object_size(resources)
		       ? 0
		       : err_say(err, EINVAL, "update takes --resources, or the flag of a limit");
}

static int update_read(const struct args *args, struct config *config, struct err *err)
{
	const char *path = args_text(args, "resources", NULL);
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;

	if (!path) {
		json = json_object();
		int r = update_flags_read(args, json, err);
		return r < 0 ? r : config_update(config, json, err);
	}
	int r = strcmp(path, "-") != 0 ? file_read(AT_FDCWD, path, UPDATE_BYTES_MAX, &text)
				       : fd_read_all(STDIN_FILENO, UPDATE_BYTES_MAX, &text);
	if (r < 0)
		return err_set(err, -r, "read --resources %s", path);
	r = json_parse(buf_str(&text), text.len, "resources", &json, err);
	return r < 0 ? r : config_update(config, json, err);
}

/* memory.checkBeforeUpdate: version 2 would kill where version 1 says no. */
static int update_check_memory(const struct cgroup *cgroup, const struct spec_limits *limits,
			       struct err *err)
{
	char text[32];
	int n = cgroup_read_file(cgroup, CGROUP_MEMORY, "memory.usage_in_bytes", "memory.current",
				 text, sizeof(text));

	if (n < 0 || limits->memory_bytes <= 0)
		return n < 0 && limits->memory_bytes > 0
			       ? err_set(err, -n, "read the memory in use")
			       : 0;
	const unsigned long long used = strtoull(text, NULL, 10);
	return used > (unsigned long long)limits->memory_bytes
		       ? err_say(err, EBUSY,
				 "memory.limit %" PRId64 ": %llu bytes are in use "
				 "(checkBeforeUpdate)",
				 limits->memory_bytes, used)
		       : 0;
}

/* Device rules of a container that runs stay: managers send them along with every limit, the same as before. */
static int update(const struct oci *oci, const struct args *args, struct err *err)
{
	AUTO(oci_close) struct subject subject;
	struct cgroup_layout layout;
	struct cgroup cgroup;
	int r = oci_open(oci, args->argv[0], &subject, err);

	if (r < 0)
		return r;
	if (subject.status == CONTAINER_STOPPED || subject.status == CONTAINER_CREATING)
		return err_say(err, ESRCH, "container not running: '%s' is %s",
			       subject.container.id, container_status_names[subject.status]);
	const struct spec_limits before = subject.config.bundle.limits;
	r = update_read(args, &subject.config, err);
	if (r == 0 && subject.container.virt[0])
		r = vm_update(&before, &subject.config.bundle.limits, err);
	if (r == 0)
		r = oci_cgroup(&subject, &layout, &cgroup, err);
	if (r < 0)
		return r;
	layout.also = cgroup_settings_need(subject.config.bundle.settings,
					   subject.config.bundle.n_settings);
	if (subject.config.bundle.check_memory)
		r = update_check_memory(&cgroup, &subject.config.bundle.limits, err);
	if (r == 0)
		r = scope_update(&subject.config, err);
	if (r == 0)
		r = cgroup_update(&cgroup, &subject.config.bundle.limits, err);
	cgroup_close(&cgroup);
	/* Again: it may be in more hierarchies now. */
	if (r == 0)
		r = oci_cgroup(&subject, &layout, &cgroup, err);
	if (r < 0)
		return r;
	r = cgroup_settings_set(&cgroup, subject.config.bundle.settings,
				subject.config.bundle.n_settings, err);
	cgroup_close(&cgroup);
	return r;
}

const struct verb oci_verb_update = {
	.name = "update",
	.operands = "ID",
	.summary = "change the limits of a container",
	.opts = update_opts,
	.min_operands = 1,
	.max_operands = 1,
	.run = update,
};
