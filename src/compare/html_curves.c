/* SPDX-License-Identifier: Apache-2.0 */
/* Two drawings of lines: how start times are distributed, and what memory so many instances take. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "compare/html.h"

#define CURVE_SAMPLES 5	  /* fewer make no distribution */
#define CURVE_HEIGHT  240 /* pixels */
#define CURVE_LANE    17
#define MEMORY_SPREAD 40   /* times: how far apart lines may lie on a linear scale */
#define CURVE_CHAR    2.05 /* percent of a telephone's width that a label's character takes */

static int curve_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void start_line(const struct plot *plot, size_t column, const struct result_cell *cell)
{
	double *sorted = malloc(cell->n * sizeof(*sorted));

	if (!sorted) {
		plot->page->out.failed = true;
		return;
	}
	memcpy(sorted, cell->samples, cell->n * sizeof(*sorted));
	qsort(sorted, cell->n, sizeof(*sorted), curve_order);
	/* a curve of many samples is drawn through some hundreds of them */
	const size_t every = cell->n / 400 + 1;
	plot_line_begin(plot, column);
	plot_point(plot, sorted[0], 0, true, true);
	for (size_t i = 0; i < cell->n; i += every)
		plot_point(plot, sorted[i], 100.0 * (double)(i + 1) / (double)cell->n, false, true);
	plot_point(plot, sorted[cell->n - 1], 100, false, true);
	plot_line_end(plot);
	free(sorted);
}

/* A column's label above its curve, with the mark; lanes keep labels apart. */
struct label {
	size_t column;
	double x; /* percent: where its curve has its median */
	unsigned lane;
};

static int label_order(const void *a, const void *b)
{
	double x = ((const struct label *)a)->x, y = ((const struct label *)b)->x;

	return (x > y) - (x < y);
}

/* Lanes of labels, ordered by x. Return: how many. */
static unsigned label_lanes(const struct result *r, struct label *labels, size_t n)
{
	double ends[RESULT_COLUMNS_MAX];
	unsigned lanes = 0;

	qsort(labels, n, sizeof(*labels), label_order);
	for (size_t i = 0; i < n; i++) {
		double chars = (double)strlen(r->columns[labels[i].column].title);
		double width = 6 + CURVE_CHAR * fmin(chars, PLOT_TITLE);
		bool end = labels[i].x > 55; /* as plot_label() has it */
		double left = labels[i].x - (end ? width : 3);
		unsigned lane = 0;
		while (lane < lanes && ends[lane] > left)
			lane++;
		lanes += lane == lanes;
		ends[lane] = labels[i].x + (end ? 3 : width);
		labels[i].lane = lane;
	}
	return lanes;
}

static size_t start_columns(const struct view *view, size_t metric, struct plot *plot,
			    struct label ret[RESULT_COLUMNS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < view->n_shown; i++) {
		const struct summary *s = &view_figure(view, metric, view->shown[i])->s;
		if (s->n < CURVE_SAMPLES || s->min <= 0)
			continue;
		axis_grow(&plot->x, s->min);
		axis_grow(&plot->x, s->max);
		ret[n++].column = view->shown[i];
	}
	axis_round(&plot->x);
	for (size_t i = 0; i < n; i++)
		ret[i].x = plot_x(plot, view_figure(view, metric, ret[i].column)->s.median);
	return n;
}

static void start_curve(const struct plot *plot, size_t metric, const struct label *label)
{
	struct page *page = plot->page;
	double y = CURVE_LANE * (label->lane + 0.5);

	page_add(page, "<g><title>");
	page_figure(page, metric, label->column);
	page_printf(page,
		    "</title><line class=\"lead-line\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"%.1f\" "
		    "y2=\"%.1f\"/>",
		    label->x, label->x, y, plot_y(plot, 50));
	start_line(plot, label->column, result_cell(page->view->result, metric, label->column));
	page_mark(page, label->column, label->x, y, false);
	plot_label(plot, label->column, label->x, y + 4);
	page_add(page, "</g>");
}

/* The metric whose distribution is worth a drawing: starts, or the reader's own workload. */
static int start_metric(const struct result *r)
{
	int m = result_find_metric(r, "life.start");

	for (size_t i = 0; m < 0 && i < r->n_metrics; i++) {
		if (group_is(r->metrics[i].id, "workload"))
			m = (int)i;
	}
	return m;
}

void html_start(struct page *page)
{
	const struct view *view = page->view;
	struct label labels[RESULT_COLUMNS_MAX];
	int m = start_metric(view->result);
	struct plot plot = { .page = page,
			     .id = "start-plot",
			     .x = axis_empty(true),
			     .y = { 0, 100, false },
			     .height = CURVE_HEIGHT };

	if (m < 0)
		return;
	const struct result_metric *metric = &view->result->metrics[m];
	const char *title = *metric->title ? metric->title : metric->id;
	size_t n = start_columns(view, (size_t)m, &plot, labels);
	if (n == 0)
		return;
	plot.top = CURVE_LANE * label_lanes(view->result, labels, n) + 14;
	page_add(page, "<section id=\"distribution\"><h2>How it is distributed: ");
	page_text(page, title);
	page_add(
		page,
		"</h2><p class=\"lead\">The share of runs that took no longer. A steep line is a time to "
		"rely on; a long slope to the right is a tail.</p><figure>");
	plot_begin(
		&plot, title,
		"For each architecture the share of samples that is no greater than a value, on a "
		"logarithmic scale. The table of all figures has the quartiles.",
		metric->unit, "%");
	for (size_t i = 0; i < n; i++)
		start_curve(&plot, (size_t)m, &labels[i]);
	page_add(page, "</svg></figure></section>");
}

/* A point of a detail: [x, y], both numbers; false: it is none. */
static bool memory_point(const json_t *point, double *ret_x, double *ret_y)
{
	const json_t *x = json_array_get(point, 0), *y = json_array_get(point, 1);

	if (!json_is_number(x) || !json_is_number(y))
		return false;
	*ret_x = json_number_value(x);
	*ret_y = json_number_value(y);
	return fabs(*ret_x) <= RESULT_VALUE_MAX && fabs(*ret_y) <= RESULT_VALUE_MAX &&
	       *ret_x >= 0 && *ret_y >= 0;
}

/* Grows the axes by a column's points. Return: how many there are. */
static size_t memory_measure(struct plot *plot, const json_t *points)
{
	const json_t *point;
	double x, y;
	size_t i, n = 0;

	json_array_foreach(points, i, point)
	{
		if (!memory_point(point, &x, &y))
			continue;
		axis_grow(&plot->x, x);
		axis_grow(&plot->y, y);
		n++;
	}
	return n;
}

/* Where a label goes that must keep a line's height from those before it: up from y. */
static double memory_place(double taken[RESULT_COLUMNS_MAX], size_t n, double y)
{
	for (size_t tries = 0; tries <= n; tries++) {
		size_t i = 0;
		while (i < n && fabs(taken[i] - y) >= CURVE_LANE - 3)
			i++;
		if (i == n)
			break;
		y = taken[i] - (CURVE_LANE - 3);
	}
	taken[n] = y;
	return y;
}

static void memory_line(const struct plot *plot, size_t column, const json_t *points,
			double taken[RESULT_COLUMNS_MAX], size_t n)
{
	const json_t *point;
	double x = 0, y = 0, last_x = 0, last_y = 0;
	bool first = true;
	size_t i;

	page_add(plot->page, "<g><title>");
	page_title(plot->page, column);
	page_add(plot->page, "</title>");
	plot_line_begin(plot, column);
	json_array_foreach(points, i, point)
	{
		if (!memory_point(point, &x, &y))
			continue;
		plot_point(plot, x, y, first, false);
		first = false;
		last_x = x;
		last_y = y;
	}
	plot_line_end(plot);
	json_array_foreach(points, i, point)
	{
		if (memory_point(point, &x, &y) && json_array_size(points) < 40)
			page_mark(plot->page, column, plot_x(plot, x), plot_y(plot, y), false);
	}
	plot_label(plot, column, plot_x(plot, last_x),
		   memory_place(taken, n,
				plot_y(plot, last_y) + (plot_x(plot, last_x) > 55 ? -10 : 4)));
	page_add(plot->page, "</g>");
}

/*
 * Whether columns lie so far apart that one would flatten the others: then both axes are logarithmic, and what an instance takes
 * is how high its line lies.
 */
static bool memory_spread(const struct result *r, size_t metric)
{
	double least = INFINITY, most = 0;

	for (size_t c = 0; c < r->n_columns; c++) {
		const json_t *points = result_cell(r, metric, c)->detail, *point;
		double x, y, last = 0;
		size_t i;
		json_array_foreach(points, i, point)
		{
			if (memory_point(point, &x, &y) && x > 0 && y > 0)
				last = y / x;
		}
		if (last > 0) {
			least = fmin(least, last);
			most = fmax(most, last);
		}
	}
	return most > MEMORY_SPREAD * least;
}

void html_memory(struct page *page)
{
	const struct result *r = page->view->result;
	int m = result_find_metric(r, "memory.density");
	double taken[RESULT_COLUMNS_MAX];
	bool log = m >= 0 && memory_spread(r, (size_t)m);
	struct plot plot = { .page = page,
			     .id = "memory-plot",
			     .x = log ? axis_empty(true) : (struct axis){ 0, 0, false },
			     .y = log ? axis_empty(true) : (struct axis){ 0, 0, false },
			     .top = 26,
			     .height = CURVE_HEIGHT };
	size_t any = 0, n = 0;

	for (size_t i = 0; m >= 0 && i < page->view->n_shown; i++)
		any += memory_measure(&plot,
				      result_cell(r, (size_t)m, page->view->shown[i])->detail);
	if (!any)
		return;
	axis_round(&plot.x);
	axis_round(&plot.y);
	page_printf(
		page,
		"<section id=\"density\"><h2>Memory against the number of instances</h2><p class=\"lead\">"
		"Idle instances, one beside the other. %s</p><figure>",
		log ? "Both scales are logarithmic: the higher a line lies, the more each instance takes of the host."
		    : "The slope is what one more takes of the host.");
	plot_begin(
		&plot, "Memory against the number of instances",
		"For each architecture the host's memory in MiB that so many idle instances take.",
		"instances", "MiB");
	for (size_t i = 0; i < page->view->n_shown; i++) {
		const json_t *points = result_cell(r, (size_t)m, page->view->shown[i])->detail;
		struct plot none = plot;
		if (memory_measure(&none, points))
			memory_line(&plot, page->view->shown[i], points, taken, n++);
	}
	page_add(page, "</svg></figure></section>");
}
