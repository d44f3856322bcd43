/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/life.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "base/os/clock.h"
#include "compare/column.h"

#define LIFE_TIMEOUT_S 120
#define LIFE_CLOCK     "strata's own clock"

static const char *const life_echo[] = { "echo", "x", NULL };
static const char *const life_true[] = { "true", NULL };

typedef int (*life_fn)(struct column *column, const char *const *argv, unsigned timeout,
		       struct outcome *ret, struct err *err);

static int life_time(struct column *column, life_fn run, const char *const *argv, double *ret_first,
		     double *ret_all, struct err *err)
{
	struct outcome outcome = { 0 };
	int r = run(column, argv, LIFE_TIMEOUT_S, &outcome, err);

	if (r < 0)
		return r;
	r = outcome_check(&outcome, LIFE_TIMEOUT_S, err);
	*ret_first = outcome.first_byte;
	*ret_all = outcome.elapsed;
	outcome_fini(&outcome);
	return r;
}

static int life_start(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	double all;
	int r = life_time(column, column->ops->run, life_echo, ret, &all, err);

	(void)ret_detail;
	if (r == 0 && isnan(*ret))
		return err_say(err, ENODATA, "echo said nothing");
	return r;
}

static int life_run(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	double first;

	(void)ret_detail;
	return life_time(column, column->ops->run, life_true, &first, ret, err);
}

static int life_lacks(const struct column *column, const char *what, struct err *err)
{
	return err_say(err, ENOTSUP, "%s has no %s", column->ops->title, what);
}

static int life_exec(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	double first;

	(void)ret_detail;
	if (!column->ops->exec)
		return life_lacks(column, "exec", err);
	int r = column_session(column, err);
	return r < 0 ? r : life_time(column, column->ops->exec, life_true, &first, ret, err);
}

typedef int (*life_op)(struct column *column, struct err *err);

static int life_time_op(struct column *column, life_op op, double *ret, struct err *err)
{
	int64_t begin = clock_mono_ns();
	int r = op(column, err);

	*ret = (double)(clock_mono_ns() - begin) / NS_PER_MS;
	return r;
}

/* One cannot be without the other: both times, of one pause. */
static int life_pause_resume(struct column *column, double *ret_pause, double *ret_resume,
			     struct err *err)
{
	const struct column_ops *ops = column->ops;

	if (!ops->pause || !ops->resume)
		return life_lacks(column, "pause", err);
	int r = column_session(column, err);
	if (r == 0)
		r = life_time_op(column, ops->pause, ret_pause, err);
	if (r == 0)
		r = life_time_op(column, ops->resume, ret_resume, err);
	return r;
}

static int life_pause(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	double resume;

	(void)ret_detail;
	return life_pause_resume(column, ret, &resume, err);
}

static int life_resume(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	double pause;

	(void)ret_detail;
	return life_pause_resume(column, &pause, ret, err);
}

static int life_stop(struct column *column, double *ret, json_t **ret_detail, struct err *err)
{
	(void)ret_detail;
	if (!column->ops->stop)
		return life_lacks(column, "stop", err);
	int r = column_session(column, err);
	return r < 0 ? r : life_time_op(column, column_stop, ret, err);
}

const struct metric metric_start = {
	.id = "life.start",
	.title = "start to the first byte of output",
	.unit = "ms",
	.source = LIFE_CLOCK,
	.better = BETTER_LOW,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.measure = life_start,
};

const struct metric metric_run = {
	.id = "life.run",
	.title = "`true`, from start to end",
	.unit = "ms",
	.source = LIFE_CLOCK,
	.better = BETTER_LOW,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.measure = life_run,
};

const struct metric metric_exec = {
	.id = "life.exec",
	.title = "`true` in a running instance",
	.unit = "ms",
	.source = LIFE_CLOCK,
	.better = BETTER_LOW,
	.level = COMPARE_QUICK,
	.seconds = 1,
	.measure = life_exec,
};

const struct metric metric_pause = {
	.id = "life.pause",
	.title = "pause",
	.unit = "ms",
	.source = LIFE_CLOCK,
	.better = BETTER_LOW,
	.level = COMPARE_STANDARD,
	.seconds = 1,
	.measure = life_pause,
};

const struct metric metric_resume = {
	.id = "life.resume",
	.title = "resume",
	.unit = "ms",
	.source = LIFE_CLOCK,
	.better = BETTER_LOW,
	.level = COMPARE_STANDARD,
	.seconds = 1,
	.measure = life_resume,
};

const struct metric metric_stop = {
	.id = "life.stop",
	.title = "stop of an idle instance",
	.unit = "ms",
	.source = LIFE_CLOCK,
	.better = BETTER_LOW,
	.level = COMPARE_STANDARD,
	.seconds = 2,
	.measure = life_stop,
};

const struct metric *const life_metrics[] = { LIFE_METRICS, NULL };
