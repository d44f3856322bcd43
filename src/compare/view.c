/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/view.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

void view_fini(struct view *view)
{
	free(view->figures);
	free(view->baselines);
	free(view->shown);
	*view = (struct view){ 0 };
}

static struct figure *view_at(const struct view *view, size_t metric, size_t column)
{
	return &view->figures[metric * view->result->n_columns + column];
}

const struct figure *view_figure(const struct view *view, size_t metric, size_t column)
{
	return view_at(view, metric, column);
}

bool view_is_baseline(const struct view *view, size_t column)
{
	return view->baselines[column] == (int)column;
}

double view_largest(const struct view *view, size_t metric)
{
	double largest = 0;

	for (size_t i = 0; i < view->n_shown; i++) {
		const struct figure *f = view_at(view, metric, view->shown[i]);
		if (f->s.n && f->s.median > largest)
			largest = f->s.median;
	}
	return largest;
}

/* A fact needs no samples to be told from another. */
static enum difference view_differ(const struct result_metric *metric, const struct summary *a,
				   const struct summary *b)
{
	if (!metric->once || !a->n || !b->n || metric->better == BETTER_NEITHER)
		return summary_differ(a, b, metric->better);
	if (a->median == b->median)
		return DIFFER_NO;
	return (a->median < b->median) == (metric->better == BETTER_LOW) ? DIFFER_BETTER
									 : DIFFER_WORSE;
}

static void view_since(const struct view *view, size_t metric, size_t column)
{
	const struct result *old = view->old;
	struct figure *f = view_at(view, metric, column);
	int m = old ? result_find_metric(old, view->result->metrics[metric].id) : -ENOENT;
	int c = old ? result_find_column(old, view->result->columns[column].id) : -ENOENT;

	if (m < 0 || c < 0)
		return;
	const struct summary was = summarise(result_cell(old, (size_t)m, (size_t)c));
	f->since = view_differ(&view->result->metrics[metric], &f->s, &was);
	f->was = was.median;
	f->change = 100 * fabs(f->s.median - was.median) / fabs(was.median);
	if (isnan(f->change)) /* from 0 to 0 */
		f->change = 0;
}

/* Figures that can be the best: measured often enough, quiet, and against the same baseline as most. */
static bool view_competes(const struct view *view, size_t metric, size_t column)
{
	const struct result_metric *m = &view->result->metrics[metric];
	const struct figure *f = view_at(view, metric, column);
	int first = view->baselines[view->shown[0]];

	return f->s.n && !f->s.noisy && (m->once || f->s.n >= SUMMARY_SAMPLES) &&
	       m->better != BETTER_NEITHER && first >= 0 && view->baselines[column] == first &&
	       !view_is_baseline(view, column);
}

static void view_best(const struct view *view, size_t metric)
{
	const struct result_metric *m = &view->result->metrics[metric];
	const struct figure *best = NULL;
	size_t n = 0, n_best = 0;

	for (size_t i = 0; i < view->n_shown; i++) {
		const struct figure *f = view_at(view, metric, view->shown[i]);
		if (!view_competes(view, metric, view->shown[i]))
			continue;
		n++;
		if (!best || (m->better == BETTER_LOW ? f->s.median < best->s.median
						      : f->s.median > best->s.median))
			best = f;
	}
	for (int set = 0; set < 2; set++) {
		for (size_t i = 0; i < view->n_shown; i++) {
			struct figure *f = view_at(view, metric, view->shown[i]);
			if (!view_competes(view, metric, view->shown[i]) ||
			    (f != best && view_differ(m, &f->s, &best->s) != DIFFER_NO))
				continue;
			n_best += !set;
			f->best = set && n_best < n; /* where all are alike, none is */
		}
	}
}

static void view_columns(struct view *view)
{
	const struct result *r = view->result;

	for (size_t c = 0; c < r->n_columns; c++) {
		view->baselines[c] = result_find_column(r, r->columns[c].baseline);
		if (!result_column_empty(r, c))
			view->shown[view->n_shown++] = c;
	}
}

static void view_figures(const struct view *view)
{
	const struct result *r = view->result;

	for (size_t m = 0; m < r->n_metrics; m++) {
		for (size_t c = 0; c < r->n_columns; c++)
			view_at(view, m, c)->s = summarise(result_cell(r, m, c));
		for (size_t c = 0; c < r->n_columns; c++) {
			struct figure *f = view_at(view, m, c);
			f->ratio = NAN;
			view_since(view, m, c);
			if (view->baselines[c] < 0)
				continue;
			const struct figure *base = view_at(view, m, (size_t)view->baselines[c]);
			f->ratio = summary_ratio(&f->s, &base->s);
			f->differs = view_differ(&r->metrics[m], &f->s, &base->s);
		}
		if (view->n_shown)
			view_best(view, m);
	}
}

int view_init(struct view *view, const struct result *result, const struct result *old)
{
	size_t n = result->n_metrics * result->n_columns;

	*view = (struct view){
		.result = result,
		.old = old,
		.figures = calloc(n ? n : 1, sizeof(*view->figures)),
		.baselines = calloc(result->n_columns + 1, sizeof(*view->baselines)),
		.shown = calloc(result->n_columns + 1, sizeof(*view->shown)),
	};
	if (!view->figures || !view->baselines || !view->shown) {
		view_fini(view);
		return -ENOMEM;
	}
	view_columns(view);
	view_figures(view);
	return 0;
}
