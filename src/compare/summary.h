/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A cell's samples in a few numbers. Quartiles by linear interpolation between closest ranks (R's type 7, which numpy and
 * spreadsheets use too).
 */
#include <stdbool.h>
#include <stddef.h>

#include "compare/result.h"

struct summary {
	size_t n; /* 0: nothing else counts */
	double min, max, q1, median, q3, mean;
	double cv; /* standard deviation over mean, of n >= 2; else 0 */
	bool noisy; /* quartiles further apart than 15 % of the median: the figure is not to be used */
};

#define SUMMARY_NOISY	0.15
#define SUMMARY_SAMPLES 5 /* fewer, and no difference is claimed */

/* summarise() - n is 0 also where memory ran out. */
struct summary summarise(const struct result_cell *cell);
/* summary_quantile() - of sorted values, n > 0; @p: 0 to 1. */
double summary_quantile(const double *sorted, size_t n, double p);

enum difference {
	DIFFER_UNKNOWN, /* too few samples (under 5 of either), or none; or neither is better */
	DIFFER_NO,	/* the quartiles overlap: no difference is claimed */
	DIFFER_BETTER,
	DIFFER_WORSE,
};
/* summary_differ() - of a to b, the baseline: a difference is called one only when the quartiles part. */
enum difference summary_differ(const struct summary *a, const struct summary *b,
			       enum better better);
/* summary_ratio() - a's median over b's; NAN where there is none: no samples, b's not above 0, a's below it. */
double summary_ratio(const struct summary *a, const struct summary *b);
