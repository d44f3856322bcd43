/* SPDX-License-Identifier: Apache-2.0 */
/* The reader's own workload: what every one has, and what it says of itself. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compare/measure.h"
#include "compare/workload.h"

enum reader_metric { READER_TIME, READER_CPU, READER_MEMORY, READER_STATUS, READER_METRICS };

#define READER_CLOCK  "strata's own clock"
#define READER_CGROUP "cgroup of all that runs it on the host"

/* Strings that result_metric_add() copies. */
#define READER_KNOWN(name, words, what, by, which)                                                 \
	{                                                                                          \
		.id = (char *)(uintptr_t)name, .title = (char *)(uintptr_t)words,                  \
		.unit = (char *)(uintptr_t)what, .source = (char *)(uintptr_t)by, .better = which  \
	}

static const struct result_metric reader_known[READER_METRICS] = {
	[READER_TIME] = READER_KNOWN("workload.time", "time from start to end", "ms", READER_CLOCK,
				     BETTER_LOW),
	[READER_CPU] = READER_KNOWN("workload.cpu", "CPU time taken of the host", "ms",
				    READER_CGROUP, BETTER_LOW),
	[READER_MEMORY] = READER_KNOWN("workload.memory", "memory taken of the host, at the peak",
				       "MiB", READER_CGROUP, BETTER_LOW),
	[READER_STATUS] = READER_KNOWN("workload.status", "exit status", "", "", BETTER_NEITHER),
};

int reader_metrics(struct result *result, size_t *ret_index, struct err *err)
{
	for (size_t i = 0; i < READER_METRICS; i++) {
		int r = result_metric_add(result, &reader_known[i]);
		if (r < 0)
			return err_set(err, -r, "%s", reader_known[i].id);
		if (i == READER_STATUS)
			*ret_index = (size_t)r;
	}
	return 0;
}

static int reader_known_index(const struct comparison *c, enum reader_metric metric)
{
	return result_find_metric(c->result, reader_known[metric].id);
}

/* A figure that is not there is no error of the workload's: it is said in its cell. */
static void reader_put(struct comparison *c, int metric, size_t column, double value,
		       const char *why)
{
	if (metric < 0)
		return;
	/* no memory, or a number past all bounds: a sample less */
	if (isfinite(value))
		(void)result_sample(c->result, (size_t)metric, column, value);
	else
		(void)result_why(c->result, (size_t)metric, column, why);
}

static int reader_number(struct comparison *c, const char *name)
{
	char id[sizeof("workload.") + WORKLOAD_NAME];
	struct result_metric metric = { .id = id,
					.title = (char *)(uintptr_t)name,
					.source = (char *)"the workload itself",
					.better = BETTER_NEITHER };

	(void)snprintf(id, sizeof(id), "workload.%s", name); /* fits */
	int found = result_find_metric(c->result, id);
	return found >= 0 ? found : result_metric_add(c->result, &metric);
}

static void reader_numbers(struct comparison *c, size_t column,
			   const struct workload_numbers *numbers, bool warm_up)
{
	for (size_t i = 0; i < numbers->n; i++) {
		int index = reader_number(c, numbers->list[i].name);
		if (!warm_up)
			reader_put(c, index, column, numbers->list[i].value, NULL);
	}
}

/* What the workload says elsewhere and not here is a failure of it here. */
static void reader_mute(struct comparison *c, size_t column, const char *why)
{
	for (size_t i = 0; i < c->result->n_metrics; i++) {
		const char *id = c->result->metrics[i].id;
		if (strncmp(id, "workload.", 9) != 0 || !strcmp(id, reader_known[READER_STATUS].id))
			continue;
		if (!result_cell(c->result, i, column)->n)
			(void)result_why(c->result, i, column, why); /* no memory: without words */
	}
}

static void reader_record(struct comparison *c, size_t column, const struct outcome *outcome)
{
	static const char uncounted[] =
		"needs a cgroup, which this user may not make: run it with sudo";
	char why[300];

	reader_put(c, reader_known_index(c, READER_STATUS), column, outcome->status, NULL);
	if (outcome->status) {
		(void)snprintf(why, sizeof(why), "exit status %d%s%.200s", outcome->status,
			       outcome->err_line && outcome->err_line[0] ? ": " : "",
			       outcome->err_line ? outcome->err_line : ""); /* cut: still telling */
		reader_mute(c, column, why);
		return;
	}
	reader_put(c, reader_known_index(c, READER_TIME), column, outcome->elapsed, NULL);
	reader_put(c, reader_known_index(c, READER_CPU), column, outcome->cpu, uncounted);
	reader_put(c, reader_known_index(c, READER_MEMORY), column, outcome->memory, uncounted);
}

static void reader_said(struct comparison *c, size_t column, const struct outcome *outcome,
			bool warm_up)
{
	struct workload_numbers numbers;
	int r = workload_parse(outcome->out, outcome->out_n, c->has_regex ? &c->regex : NULL,
			       &numbers);

	reader_numbers(c, column, &numbers, warm_up);
	if (warm_up)
		return;
	if (r < 0) {
		int index = reader_number(c, "parsed");
		reader_put(c, index, column, NAN,
			   r == -ETIMEDOUT ? "what it prints takes --parse too long"
					   : "prints nothing that --parse matches");
	}
	for (size_t i = 0; i < c->result->n_metrics; i++) {
		const char *id = c->result->metrics[i].id;
		bool known = false;
		for (size_t k = 0; k < READER_METRICS; k++)
			known |= !strcmp(id, reader_known[k].id);
		if (!known && !strncmp(id, "workload.", 9) && strcmp(id, "workload.parsed") != 0 &&
		    !workload_find(&numbers, id + 9))
			reader_put(c, (int)i, column, NAN, "is not in what it prints");
	}
}

int reader_sample(struct comparison *c, const struct task *task, size_t column, bool warm_up,
		  struct err *err)
{
	unsigned timeout = c->request->timeout ? c->request->timeout : COMPARE_WORKLOAD_S;
	struct outcome outcome = { 0 };
	struct column *where = &c->columns[column];
	int r = where->ops->run(where, c->setup.argv, timeout, &outcome, err);

	(void)task;
	if (r < 0) {
		if (r != -EINTR)
			reader_mute(c, column, err->text);
		return r;
	}
	if (outcome.timed_out) {
		r = err_say(err, ETIMEDOUT, "no end in %u s", timeout);
		reader_mute(c, column, err->text);
	} else {
		if (!warm_up)
			reader_record(c, column, &outcome);
		if (!outcome.status)
			reader_said(c, column, &outcome, warm_up);
	}
	outcome_fini(&outcome);
	return r;
}
