/* SPDX-License-Identifier: Apache-2.0 */
/* Limits: those of `run`, and of `update`, where a limit can be lifted as well. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "cli/flags.h"
#include "cli/args.h"

#define LIMITS_MEMORY_MIN (INT64_C(6) << 20) /* bytes: docs/spec.md, memory_bytes */
#define LIMITS_RATE_MIN	  INT64_C(8000)	     /* bits a second: likewise, ingress_bits */
#define LIMITS_RATE_MAX	  INT64_C(1000000000000)

static int limits_set(json_t *limits, const char *key, int64_t value, bool lift, struct err *err)
{
	return flag_set(limits, key, lift ? json_null() : json_integer(value), err);
}

static int limits_size(const struct args *args, const char *opt, const char *member, bool update,
		       json_t *limits, struct err *err)
{
	const char *text = args_text(args, opt, NULL);
	char flag[32] = "--";
	int64_t bytes = -1;

	if (!text)
		return 0;
	strncat(flag, opt, sizeof(flag) - 3);
	const bool none = !strcmp(text, "-1");
	const bool swap = !strcmp(opt, "memory-swap");
	int r = none && (swap || update) ? 0 : args_size(text, flag, &bytes, err);
	/* No limit of swap is one to be set; of anything else, one that goes. */
	return r < 0 ? r : limits_set(limits, member, bytes, none && !swap, err);
}

static int limits_memory(const struct args *args, bool update, json_t *limits, struct err *err)
{
	static const char *const sizes[][2] = {
		{ "memory", "memory_bytes" },
		{ "memory-swap", "memory_swap_bytes" },
		{ "memory-reservation", "memory_reservation_bytes" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		int r = limits_size(args, sizes[i][0], sizes[i][1], update, limits, err);
		if (r < 0)
			return r;
	}
	const bool lifted = json_is_null(json_object_get(limits, "memory_bytes"));
	int64_t memory = json_int(limits, "memory_bytes", 0);
	int64_t swap = json_int(limits, "memory_swap_bytes", 0);
	if (swap > 0 && memory && swap < memory)
		return err_say(err, EINVAL,
			       "--memory-swap is memory and swap together: it cannot be less than "
			       "--memory");
	if (swap && !memory && (!update || lifted))
		return err_say(err, EINVAL, "--memory-swap needs --memory");
	if (memory && json_int(limits, "memory_reservation_bytes", 0) > memory)
		return err_say(err, EINVAL,
			       "--memory-reservation is a part of --memory: it cannot be more");
	if (memory && memory < LIMITS_MEMORY_MIN)
		return err_say(err, EINVAL, "--memory must be at least 6m, not %s",
			       args_text(args, "memory", ""));
	return lifted ? limits_set(limits, "memory_swap_bytes", 0, true, err) : 0;
}

static int limits_cpus(const struct args *args, bool update, json_t *limits, struct err *err)
{
	const char *cpus = args_text(args, "cpus", NULL);
	int64_t us = 0;

	if (!cpus)
		return 0;
	const bool lift = update && !strcmp(cpus, "0");
	int r = lift ? 0 : args_cpus_us(cpus, "--cpus", &us, err);
	r = r < 0 ? r : limits_set(limits, "cpu_quota_us", us, lift, err);
	return r < 0 ? r : limits_set(limits, "cpu_period_us", 100000, lift, err);
}

static int limits_cpu(const struct args *args, bool update, json_t *limits, struct err *err)
{
	const char *shares = args_text(args, "cpu-shares", NULL);
	const char *cpuset = args_text(args, "cpuset-cpus", NULL);
	int64_t n;
	int r = limits_cpus(args, update, limits, err);

	if (r == 0 && shares) {
		r = args_int(shares, "--cpu-shares", 2, 262144, &n, err);
		r = r < 0 ? r : flag_set(limits, "cpu_shares", json_integer(n), err);
	}
	if (r == 0 && cpuset) {
		if (!*cpuset || strspn(cpuset, "0123456789,-") != strlen(cpuset))
			return err_say(err, EINVAL,
				       "--cpuset-cpus: '%s' is not a list of CPUs; write 0-1,3",
				       cpuset);
		r = flag_set(limits, "cpuset", json_string(cpuset), err);
	}
	return r;
}

/* "/dev/sda:10m"; several flags may speak of one disk. */
static int limits_io_one(const char *text, const char *flag, const char *member, bool bytes,
			 json_t *list, struct err *err)
{
	AUTO(flag_text_p) char *copy = strdup(text);
	char *colon = copy ? strrchr(copy, ':') : NULL;
	json_t *one = NULL;
	int64_t rate;
	size_t i;

	if (!copy)
		return err_set(err, ENOMEM, "read the flags");
	if (copy[0] != '/' || !colon)
		return err_say(err, EINVAL, "%s: '%s' is not a limit; write /dev/DISK:%s", flag,
			       text, bytes ? "10m" : "1000");
	*colon = '\0';
	int r = bytes ? args_size(colon + 1, flag, &rate, err)
		      : args_int(colon + 1, flag, 0, INT64_MAX, &rate, err);
	if (r < 0)
		return r;
	json_array_foreach(list, i, one)
	{
		if (!strcmp(json_str(one, "device", ""), copy))
			return flag_set(one, member, json_integer(rate), err);
	}
	return flag_append(list, json_pack("{s:s,s:I}", "device", copy, member, (json_int_t)rate),
			   err);
}

static int limits_io(const struct args *args, json_t *limits, struct err *err)
{
	static const struct {
		const char *opt, *member;
		bool bytes;
	} rates[] = {
		{ "device-read-bps", "read_bps", true },
		{ "device-write-bps", "write_bps", true },
		{ "device-read-iops", "read_iops", false },
		{ "device-write-iops", "write_iops", false },
	};
	const char *weight = args_text(args, "blkio-weight", NULL);
	AUTO(json_decref_p) json_t *list = json_array();
	int64_t n;
	int r = weight ? args_int(weight, "--blkio-weight", 1, 1000, &n, err) : 0;

	if (r == 0 && weight)
		r = flag_set(limits, "io_weight", json_integer(n), err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rates); i++) {
		const struct args_value *value = args_list(args, rates[i].opt);
		char flag[32] = "--";
		strncat(flag, rates[i].opt, sizeof(flag) - 3);
		for (unsigned k = 0; r == 0 && k < value->count; k++)
			r = limits_io_one(value->texts[k], flag, rates[i].member, rates[i].bytes,
					  list, err);
	}
	return r < 0 || !json_array_size(list) ? r : flag_set(limits, "io", TAKE(list), err);
}

/* Of its network; 0 lifts it. */
static int limits_rates(const struct args *args, bool update, json_t *limits, struct err *err)
{
	static const char *const rates[][2] = { { "ingress-rate", "ingress_bits" },
						{ "egress-rate", "egress_bits" } };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rates); i++) {
		const char *text = args_text(args, rates[i][0], NULL);
		char flag[32] = "--";
		int64_t bits = 0;
		if (!text)
			continue;
		strncat(flag, rates[i][0], sizeof(flag) - 3);
		r = args_bit_rate(text, flag, &bits, err);
		if (r == 0 && bits && (bits < LIMITS_RATE_MIN || bits > LIMITS_RATE_MAX))
			return err_say(err, ERANGE,
				       "%s: %s is not between 8kbit and 1000gbit a second", flag,
				       text);
		if (r == 0 && (bits || update))
			r = limits_set(limits, rates[i][1], bits, !bits, err);
	}
	return r;
}

int flag_limits(const struct args *args, bool update, json_t *limits, struct err *err)
{
	const char *pids = args_text(args, "pids-limit", NULL);
	int64_t n;
	int r = limits_memory(args, update, limits, err);

	r = r < 0 ? r : limits_cpu(args, update, limits, err);
	r = r < 0 ? r : limits_io(args, limits, err);
	r = r < 0 ? r : limits_rates(args, update, limits, err);
	if (r < 0 || !pids)
		return r;
	r = args_int(pids, "--pids-limit", -1, 4194304, &n, err);
	return r < 0 ? r : limits_set(limits, "pids", n > 0 ? n : 0, update && n <= 0, err);
}
