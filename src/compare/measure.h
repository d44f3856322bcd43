/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The measuring itself; what compare.c, measure.c, tasks.c and reader.c share. */
#include <regex.h>

#include "compare/column.h"
#include "compare/compare.h"
#include "compare/metric.h"
#include "compare/progress.h"
#include "compare/setup.h"

#define MEASURE_COLUMNS PROGRESS_COLUMNS

struct comparison {
	const struct compare_request *request;
	struct result *result;
	struct setup setup;
	struct column columns
		[MEASURE_COLUMNS]; /* by their place in the result; ops NULL: is not measured */
	struct progress progress;
	unsigned runs;
	bool interrupted;
	regex_t regex;
	bool has_regex;
};

/*
 * One thing to measure: a metric of the suite, or the reader's workload, whose one run gives several figures.
 * sample(): take one and, unless it only warms up, record it.
 * Return: 0; -EINTR: interrupted; -ETIMEDOUT, or another negative errno: there is no figure, and err has the words for the cell
 */
struct task {
	const struct metric *metric; /* NULL: the workload */
	const char *id;
	size_t index; /* the metric that counts the samples */
	double seconds;
	unsigned runs, warm_ups;
	int (*sample)(struct comparison *c, const struct task *task, size_t column, bool warm_up,
		      struct err *err);
};

/* measure_task() - all its rounds; what fails is noted in its cells. Return: 0, or an errno that ends the comparison. */
int measure_task(struct comparison *c, const struct task *task, struct err *err);
/* measure_expect() - for the time left, before the first task. */
void measure_expect(struct comparison *c, const struct task *task);
/* measure_save() - into the state's file. */
int measure_save(const struct comparison *c, struct err *err);

/* suite_sample() - task.sample of a metric of the suite   reader_sample() - of the reader's workload */
int suite_sample(struct comparison *c, const struct task *task, size_t column, bool warm_up,
		 struct err *err);
int reader_sample(struct comparison *c, const struct task *task, size_t column, bool warm_up,
		  struct err *err);
/* reader_metrics() - the metrics that every workload has; *ret_index: the one that counts. */
int reader_metrics(struct result *result, size_t *ret_index, struct err *err);
