/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/json.h"
#include "cli/args.h"
#include "cli/flags.h"

static int health_times(const struct args *args, json_t *health, struct err *err)
{
	static const struct {
		const char *opt, *flag, *member;
		int64_t min_ms;
	} times[] = {
		{ "health-interval", "--health-interval", "interval_ms", 1 },
		{ "health-timeout", "--health-timeout", "timeout_ms", 1 },
		{ "health-start-period", "--health-start-period", "start_period_ms", 0 },
		{ "health-start-interval", "--health-start-interval", "start_interval_ms", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		const char *text = args_text(args, times[i].opt, NULL);
		int64_t ns;
		if (!text)
			continue;
		int r = args_duration_ns(text, times[i].flag, &ns, err);
		if (r < 0)
			return r;
		if (ns / NS_PER_MS < times[i].min_ms || ns / NS_PER_MS > INT32_MAX)
			return err_say(err, ERANGE, "%s %s: from %s to 24 days", times[i].flag,
				       text, times[i].min_ms ? "1ms" : "0");
		r = flag_set(health, times[i].member, json_integer(ns / NS_PER_MS), err);
		if (r < 0)
			return r;
	}
	return 0;
}

int flag_health(const struct args *args, json_t *config, struct err *err)
{
	const char *command = args_text(args, "health-cmd", NULL);
	const char *retries = args_text(args, "health-retries", NULL);
	bool none = args_on(args, "no-healthcheck");
	AUTO(json_decref_p) json_t *health = json_object();
	int64_t n;
	int r = health ? health_times(args, health, err) : err_set(err, ENOMEM, "read the flags");

	if (r == 0 && retries) {
		r = args_int(retries, "--health-retries", 1, INT32_MAX, &n, err);
		r = r < 0 ? r : flag_set(health, "retries", json_integer(n), err);
	}
	if (r == 0 && command && !*command)
		r = err_say(
			err, EINVAL,
			"--health-cmd: the command is empty; --no-healthcheck drops the image's");
	if (r == 0 && command)
		r = flag_set(health, "args", json_pack("[s,s,s]", "/bin/sh", "-c", command), err);
	if (r == 0 && none && json_object_size(health))
		r = err_say(err, EINVAL,
			    "--no-healthcheck and the other --health flags exclude each other");
	if (r == 0 && none)
		r = flag_set(health, "none", json_true(), err);
	if (r < 0 || !json_object_size(health))
		return r;
	return flag_set(config, "health", TAKE(health), err);
}
