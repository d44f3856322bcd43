/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a neighbour does to it: Redis in the session, asked by redis-benchmark beside it, while another instance of the same column, with
 * the same limits on the same CPUs, keeps something busy.
 */
#include <errno.h>
#include <stdio.h>

#include "compare/column.h"
#include "compare/suite.h"
#include "compare/suite_parse.h"

#define NOISE_TIMEOUT_S 120
#define VICTIM		"Redis 7.0.15, redis-benchmark"
#define NOISE(what)                                                                                \
	{                                                                                          \
		"sh", "-c", "echo busy; exec stress-ng -q -t 0 " what, NULL                        \
	}

/* As long as it takes to be disturbed: 3,000 requests, as service.get has, may come in between two time slices. */
static const char victim_command[] =
	"redis-server --port 6399 --save '' --daemonize yes >/dev/null; "
	"for i in $(seq 100); do redis-cli -p 6399 ping >/tmp/redis 2>/dev/null && break; sleep 0.1; done; "
	"redis-benchmark -p 6399 -t get -n 30000 -c 10 --csv 2>/dev/null; redis-cli -p 6399 shutdown nosave";

static int victim(struct column *column, const char *command, double *ret, struct err *err)
{
	const char *const argv[] = { "sh", "-c", command, NULL };
	struct outcome outcome = { 0 };
	int r = column_inside(column, argv, NOISE_TIMEOUT_S, &outcome, err);

	if (r < 0)
		return r;
	r = outcome_check(&outcome, NOISE_TIMEOUT_S, err);
	if (r == 0 && parse_redis_get_p99(outcome.out, outcome.out_n, ret) < 0)
		r = err_say(err, ENODATA, "redis-benchmark prints no number");
	outcome_fini(&outcome);
	return r;
}

/* Once for nothing: by its end the neighbour is at work, also where its machine had to start first. */
static int disturbed(struct column *column, const char *const *noise, double *ret, struct err *err)
{
	double unused;

	if (!column->ops->add)
		return err_say(err, ENOTSUP, "it has no second instance");
	int r = column_session(column, err);
	r = r < 0 ? r : column->ops->add(column, noise, err);
	if (r < 0)
		return r;
	r = victim(column, metric_service_get.command, &unused, err);
	r = r < 0 ? r : victim(column, victim_command, ret, err);
	column->ops->clear(column);
	return r;
}

static int noise_none(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	(void)ret_detail;
	return victim(column, victim_command, ret, err);
}

static int noise_cpu(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	static const char *const noise[] = NOISE("--cpu 2");

	(void)ret_detail;
	return disturbed(column, noise, ret, err);
}

static int noise_memory(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	static const char *const noise[] = NOISE("--stream 2 --stream-l3-size 4M");

	(void)ret_detail;
	return disturbed(column, noise, ret, err);
}

static int noise_fork(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	static const char *const noise[] = NOISE("--fork 2");

	(void)ret_detail;
	return disturbed(column, noise, ret, err);
}

const struct metric metric_interference_none = {
	.id = "interference.none",
	.title = "Redis: p99 of GET, with no neighbour",
	.unit = "ms",
	.source = VICTIM,
	.better = BETTER_LOW,
	.level = COMPARE_STANDARD,
	.seconds = 2,
	.measure = noise_none,
};

const struct metric metric_interference_cpu = {
	.id = "interference.cpu",
	.title = "Redis: p99 of GET, beside a neighbour that computes on two CPUs",
	.unit = "ms",
	.source = VICTIM ", stress-ng 0.15.06 --cpu",
	.better = BETTER_LOW,
	.level = COMPARE_STANDARD,
	.seconds = 6,
	.measure = noise_cpu,
};

const struct metric metric_interference_memory = {
	.id = "interference.memory",
	.title = "Redis: p99 of GET, beside a neighbour that streams through memory",
	.unit = "ms",
	.source = VICTIM ", stress-ng 0.15.06 --stream",
	.better = BETTER_LOW,
	.level = COMPARE_FULL,
	.seconds = 6,
	.measure = noise_memory,
};

const struct metric metric_interference_fork = {
	.id = "interference.fork",
	.title = "Redis: p99 of GET, beside a neighbour that makes processes",
	.unit = "ms",
	.source = VICTIM ", stress-ng 0.15.06 --fork",
	.better = BETTER_LOW,
	.level = COMPARE_FULL,
	.seconds = 6,
	.measure = noise_fork,
};
