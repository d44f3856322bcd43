/* SPDX-License-Identifier: Apache-2.0 */
/* One sample of a metric of the suite. */
#include <errno.h>

#include "compare/measure.h"

#define SUITE_TIMES   20  /* of what a sample should take */
#define SUITE_LEAST_S 60  /* a machine may have to start first */
#define SUITE_OURS    125 /* exit status of a program of ours that could not do its part */

static unsigned suite_timeout(const struct comparison *c, const struct metric *metric)
{
	unsigned limit = SUITE_TIMES * metric->seconds;

	if (c->request->timeout)
		return c->request->timeout;
	return limit < SUITE_LEAST_S ? SUITE_LEAST_S : limit;
}

static int suite_figure(const struct metric *metric, const struct outcome *outcome,
			unsigned timeout, double *ret, struct err *err)
{
	int r = outcome_check(outcome, timeout, err);

	if (r < 0)
		return r;
	r = metric->parse(outcome->out, outcome->out_n, ret);
	return r < 0 ? err_say(err, -r, "prints no number") : 0;
}

static int suite_inside(struct comparison *c, const struct metric *metric, size_t column,
			double *ret, struct err *err)
{
	const char *const argv[] = { "sh", "-c", metric->command, NULL };
	unsigned timeout = suite_timeout(c, metric);
	struct outcome outcome = { 0 };
	int r = column_inside(&c->columns[column], argv, timeout, &outcome, err);

	if (r < 0)
		return r;
	r = suite_figure(metric, &outcome, timeout, ret, err);
	/* The instance may be what is broken: the next sample gets a new one. */
	if (outcome.timed_out || outcome.status >= SUITE_OURS)
		(void)column_stop(&c->columns[column], NULL); /* start() removes what is left */
	outcome_fini(&outcome);
	return r;
}

static void suite_end_others(struct comparison *c, size_t column)
{
	for (size_t i = 0; i < c->result->n_columns; i++) {
		if (i != column && c->columns[i].ops)
			(void)column_stop(&c->columns[i], NULL); /* start() removes what is left */
	}
}

int suite_sample(struct comparison *c, const struct task *task, size_t column, bool warm_up,
		 struct err *err)
{
	const struct metric *metric = task->metric;
	json_t *detail = NULL;
	double value = 0;

	if (metric->alone)
		suite_end_others(c, column);
	int r = metric->command ? suite_inside(c, metric, column, &value, err)
				: metric->measure(&c->columns[column], &value, &detail, err);

	if (r == 0 && !warm_up) {
		struct result_cell *cell = result_cell(c->result, task->index, column);
		r = result_sample(c->result, task->index, column, value);
		if (r < 0)
			r = err_set(err, -r, "%s", metric->id);
		if (detail) {
			json_decref(cell->detail);
			cell->detail = json_incref(detail);
		}
	}
	json_decref(detail);
	return r;
}
