/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is measured from outside, over a column's operations alone: the groups "life" and "memory". For suite.c. */
#include "compare/metric.h"

extern const struct metric *const life_metrics[]; /* NULL-ended */

extern const struct metric metric_start, metric_run, metric_exec, metric_pause, metric_resume,
	metric_stop, metric_overhead, metric_density;
/* The same, for inside the braces of a larger table. */
#define LIFE_METRICS                                                                               \
	&metric_start, &metric_run, &metric_exec, &metric_pause, &metric_resume, &metric_stop,     \
		&metric_overhead, &metric_density
