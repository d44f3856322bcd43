/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARY_STACK 128 /* samples that need no allocation */

static int summary_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double summary_quantile(const double *sorted, size_t n, double p)
{
	double at = (double)(n - 1) * p;
	size_t low = (size_t)at;

	if (low + 1 >= n)
		return sorted[n - 1];
	return sorted[low] + (at - (double)low) * (sorted[low + 1] - sorted[low]);
}

/* Standard deviation of a sample (n - 1) over the mean's size. */
static double summary_cv(const double *values, size_t n, double mean)
{
	double sum = 0;

	if (n < 2 || mean == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		sum += (values[i] - mean) * (values[i] - mean);
	double cv = sqrt(sum / (double)(n - 1)) / fabs(mean);
	return isfinite(cv) ? cv : 0;
}

static struct summary summary_of(double *values, size_t n)
{
	struct summary s = { .n = n };

	qsort(values, n, sizeof(*values), summary_order);
	for (size_t i = 0; i < n; i++)
		s.mean += values[i] / (double)n; /* the sum itself might not fit */
	s.min = values[0];
	s.max = values[n - 1];
	s.q1 = summary_quantile(values, n, 0.25);
	s.median = summary_quantile(values, n, 0.5);
	s.q3 = summary_quantile(values, n, 0.75);
	s.cv = summary_cv(values, n, s.mean);
	s.noisy = s.q3 - s.q1 > SUMMARY_NOISY * fabs(s.median);
	return s;
}

struct summary summarise(const struct result_cell *cell)
{
	double stack[SUMMARY_STACK];
	double *values = stack;

	if (cell->n == 0)
		return (struct summary){ 0 };
	if (cell->n > SUMMARY_STACK)
		values = malloc(cell->n * sizeof(*values));
	if (!values)
		return (struct summary){ 0 };
	memcpy(values, cell->samples, cell->n * sizeof(*values));
	struct summary s = summary_of(values, cell->n);
	if (values != stack)
		free(values);
	return s;
}

enum difference summary_differ(const struct summary *a, const struct summary *b, enum better better)
{
	if (a->n < SUMMARY_SAMPLES || b->n < SUMMARY_SAMPLES || better == BETTER_NEITHER)
		return DIFFER_UNKNOWN;
	if (a->q1 > b->q3)
		return better == BETTER_HIGH ? DIFFER_BETTER : DIFFER_WORSE;
	if (a->q3 < b->q1)
		return better == BETTER_HIGH ? DIFFER_WORSE : DIFFER_BETTER;
	return DIFFER_NO;
}

double summary_ratio(const struct summary *a, const struct summary *b)
{
	if (!a->n || !b->n || b->median <= 0 || a->median < 0)
		return NAN;
	double ratio = a->median / b->median;
	return isfinite(ratio) ? ratio : NAN;
}
