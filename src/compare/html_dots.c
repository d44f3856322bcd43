/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dot plots: a drawing for each group, a row for each metric, a mark for each architecture at what it costs against its baseline,
 * on one logarithmic scale for all. To the right is worse, whichever way a metric is better. Marks that would cover each other
 * go to lanes below.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/html.h"
#include "compare/palette.h"

#define DOTS_LOW    1e-3 /* no scale goes beyond: what does stands at its end */
#define DOTS_HIGH   1e6
#define DOTS_TOP    30 /* the axis above the first row */
#define DOTS_LABEL  17
#define DOTS_LINE   15 /* a label's second line */
#define DOTS_CHARS  46 /* of a label, and what stands at the right of it: as wide as a telephone */
#define DOTS_TITLE  512
#define DOTS_BASE   160
#define DOTS_LANE   13
#define DOTS_ROW    9	/* between rows */
#define DOTS_NEAR   3.4 /* percent: 12 of 350 pixels, on a telephone */
#define DOTS_MARGIN 3.0 /* percent */

double html_cost(const struct view *view, size_t metric, size_t column, double value)
{
	const struct result_metric *m = &view->result->metrics[metric];
	int baseline = view->baselines[column];

	if (baseline < 0 || m->better == BETTER_NEITHER)
		return NAN;
	const struct summary *base = &view_figure(view, metric, (size_t)baseline)->s;
	if (!base->n || !(base->median > 0) || !(value > 0))
		return NAN;
	double cost = m->better == BETTER_LOW ? value / base->median : base->median / value;
	return isfinite(cost) && cost > 0 ? cost : NAN;
}

static double dots_cost(const struct view *view, size_t metric, size_t column)
{
	const struct figure *f = view_figure(view, metric, column);

	if (!f->s.n || view_is_baseline(view, column))
		return NAN;
	return html_cost(view, metric, column, f->s.median);
}

bool html_has_dots(const struct view *view, size_t metric)
{
	if (group_is(view->result->metrics[metric].id, "isolation"))
		return false; /* it has its matrix */
	for (size_t i = 0; i < view->n_shown; i++) {
		if (!isnan(dots_cost(view, metric, view->shown[i])))
			return true;
	}
	return false;
}

static struct axis dots_axis(const struct view *view)
{
	struct axis axis = axis_empty(true);

	axis_grow(&axis, 0.5);
	axis_grow(&axis, 2);
	for (size_t m = 0; m < view->result->n_metrics; m++) {
		for (size_t i = 0; i < view->n_shown && html_has_dots(view, m); i++)
			axis_grow(&axis, dots_cost(view, m, view->shown[i]));
	}
	axis.low = fmax(axis.low, DOTS_LOW);
	axis.high = fmin(axis.high, DOTS_HIGH);
	axis_round(&axis);
	return axis;
}

static double dots_x(const struct axis *axis, double cost)
{
	return DOTS_MARGIN + axis_at(axis, cost) * (100 - 2 * DOTS_MARGIN);
}

struct dot {
	size_t column;
	double x, from, to; /* percent: the median and the quartiles */
	unsigned lane;
};

/* Whether a mark or its whiskers would cover those of another of its lane. */
static bool dots_cover(const struct dot *a, const struct dot *b)
{
	double a_left = fmin(a->x, fmin(a->from, a->to)),
	       a_right = fmax(a->x, fmax(a->from, a->to));
	double b_left = fmin(b->x, fmin(b->from, b->to)),
	       b_right = fmax(b->x, fmax(b->from, b->to));

	return a->lane == b->lane && a_left < b_right + DOTS_NEAR && b_left < a_right + DOTS_NEAR;
}

/* The marks of a row in the columns' order, each in the first lane where it covers none. Return: how many. */
static size_t dots_row(const struct view *view, const struct axis *axis, size_t metric,
		       struct dot ret[RESULT_COLUMNS_MAX], unsigned *ret_lanes)
{
	unsigned lanes = 0;
	size_t n = 0;

	for (size_t i = 0; i < view->n_shown; i++) {
		size_t c = view->shown[i];
		const struct summary *s = &view_figure(view, metric, c)->s;
		double cost = dots_cost(view, metric, c);
		double q1 = html_cost(view, metric, c, s->q1);
		double q3 = html_cost(view, metric, c, s->q3);
		if (isnan(cost))
			continue;
		ret[n] = (struct dot){ .column = c,
				       .x = dots_x(axis, cost),
				       .from = dots_x(axis, isnan(q1) ? cost : q1),
				       .to = dots_x(axis, isnan(q3) ? cost : q3) };
		for (size_t other = 0; other < n; other++) {
			if (!dots_cover(&ret[n], &ret[other]))
				continue;
			ret[n].lane++; /* and again from the first: the lane below may be taken */
			other = (size_t)-1;
		}
		lanes = ret[n].lane >= lanes ? ret[n].lane + 1 : lanes;
		n++;
	}
	*ret_lanes = lanes;
	return n;
}

static void dots_draw(struct page *page, size_t metric, const struct dot *dot, double y)
{
	const struct summary *s = &view_figure(page->view, metric, dot->column)->s;

	page_add(page, "<g><title>");
	page_figure(page, metric, dot->column);
	page_printf(page,
		    "</title><line class=\"iqr a-%s%s\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"%.1f\" "
		    "y2=\"%.1f\"/>",
		    look_of(page->view->result, dot->column)->name, s->noisy ? " faint" : "",
		    dot->from, dot->to, y, y);
	page_mark(page, dot->column, dot->x, y, s->noisy);
	page_add(page, "</g>");
}

/* Bytes of a title that stand on its row's first line: all, or up to the last blank that fits. */
static size_t dots_break(const char *title)
{
	size_t chars = 0, at = 0;

	for (size_t i = 0; title[i]; i++) {
		if ((title[i] & 0xc0) != 0x80 && chars++ == DOTS_CHARS)
			return at;
		if (title[i] == ' ' && i)
			at = i;
	}
	return strlen(title);
}

/* A title as a drawing has it: without the backquotes that make code of a word elsewhere. */
static void dots_title(const struct result_metric *m, char ret[DOTS_TITLE])
{
	size_t n = 0;

	for (const char *c = *m->title ? m->title : m->id; *c && n < DOTS_TITLE - 1; c++) {
		if (*c != '`')
			ret[n++] = *c;
	}
	ret[n] = '\0';
}

/* What a ratio of 1 is, "host 1.11 ms"; "": nothing was measured. */
static void dots_base(const struct view *view, size_t metric, char ret[DOTS_BASE])
{
	const struct result *r = view->result;
	int base = view->baselines[view->shown[0]];
	char number[FIGURE_TEXT];

	ret[0] = '\0';
	if (base < 0 || !view_figure(view, metric, (size_t)base)->s.n)
		return;
	figure_text(view_figure(view, metric, (size_t)base)->s.median, number);
	(void)snprintf(ret, DOTS_BASE, "%.40s %s %.40s", r->columns[base].title, number,
		       r->metrics[metric].unit); /* cut: it is what fits */
}

static void dots_line(struct page *page, const char *text, double y)
{
	page_printf(page, "<text class=\"lab\" x=\"0\" y=\"%.1f\">", y);
	page_short(page, text, DOTS_CHARS);
	page_add(page, "</text>");
}

/*
 * The metric's title above its marks, in two lines where it is long, and at the right of the first line that has room on a telephone what the
 * ratios are to. Return: pixels it takes; draw: false only measures.
 */
static double dots_label(struct page *page, size_t metric, double y, bool draw)
{
	char title[DOTS_TITLE], base[DOTS_BASE], line[DOTS_TITLE];

	dots_title(&page->view->result->metrics[metric], title);
	dots_base(page->view, metric, base);
	size_t first = dots_break(title);
	const char *rest = first > 0 && title[first] ? title + first + 1 : "";
	(void)snprintf(line, sizeof(line), "%.*s", *rest ? (int)first : (int)strlen(title), title);
	unsigned lines = *rest ? 2 : 1, at = 0;
	if (*base && strlen(line) + strlen(base) > DOTS_CHARS + 2)
		at = *rest && strlen(rest) + strlen(base) <= DOTS_CHARS + 2 ? 1 : lines;
	if (draw) {
		dots_line(page, line, y + 12);
		if (*rest)
			dots_line(page, rest, y + 12 + DOTS_LINE);
		page_printf(page, "<text class=\"base\" x=\"100%%\" y=\"%.1f\">",
			    y + 12 + DOTS_LINE * at);
		page_text(page, base);
		page_add(page, "</text>");
	}
	return DOTS_LABEL + DOTS_LINE * ((at == lines ? at + 1 : lines) - 1);
}

/* A metric's row at y; the next one's. draw: false only measures. */
static double dots_metric(struct page *page, const struct axis *axis, size_t metric, double y,
			  bool draw)
{
	struct dot dots[RESULT_COLUMNS_MAX];
	unsigned lanes;
	size_t n = dots_row(page->view, axis, metric, dots, &lanes);

	double label = dots_label(page, metric, y, draw);
	if (draw) {
		for (size_t i = 0; i < n; i++)
			dots_draw(page, metric, &dots[i],
				  y + label + DOTS_LANE * (dots[i].lane + 0.5));
	}
	return y + label + DOTS_LANE * lanes + DOTS_ROW;
}

static void dots_scale(struct page *page, const struct axis *axis, double height)
{
	double ticks[AXIS_TICKS];
	size_t n = axis_ticks(axis, ticks);
	bool one = false;

	for (size_t i = 0; i <= n; i++) {
		char text[FIGURE_TEXT];
		double at = i < n ? ticks[i] : 1;
		bool is_one = fabs(at - 1) < 1e-9;
		if (is_one && one)
			continue;
		one |= is_one;
		axis_text(at, text);
		double x = dots_x(axis, at);
		page_printf(page,
			    "<line class=\"%s\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"20\" y2=\"%.0f\"/>"
			    "<text class=\"tick%s\" x=\"%.2f%%\" y=\"13\">%s×</text>",
			    is_one ? "one" : "grid", x, x, height, is_one ? " at-one" : "", x,
			    text);
	}
}

static void dots_group(struct page *page, const struct axis *axis, size_t first)
{
	const struct result *r = page->view->result;
	char id[32], name[GROUP_NAME];
	double y = DOTS_TOP;

	for (size_t m = first; m < r->n_metrics; m++) {
		if (group_same(r->metrics[m].id, r->metrics[first].id) &&
		    html_has_dots(page->view, m))
			y = dots_metric(page, axis, m, y, false);
	}
	const double height = y;
	(void)snprintf(id, sizeof(id), "dots-%zu", first); /* fits */
	page_add(page, "<figure class=\"chart\"><h3>");
	page_text(page, group_name(r->metrics[first].id, name));
	page_add(page, "</h3>");
	page_svg(
		page, id, (unsigned)height, group_name(r->metrics[first].id, name),
		"For each metric a mark for each architecture, at its median as a multiple of its "
		"baseline on a logarithmic scale; further right is worse. The table of all figures "
		"has the numbers.");
	dots_scale(page, axis, height);
	y = DOTS_TOP;
	for (size_t m = first; m < r->n_metrics; m++) {
		if (group_same(r->metrics[m].id, r->metrics[first].id) &&
		    html_has_dots(page->view, m))
			y = dots_metric(page, axis, m, y, true);
	}
	page_add(page, "</svg></figure>");
}

/* Whether an earlier metric of the same group has begun its drawing. */
static bool dots_begun(const struct view *view, size_t metric)
{
	for (size_t m = 0; m < metric; m++) {
		if (group_same(view->result->metrics[m].id, view->result->metrics[metric].id) &&
		    html_has_dots(view, m))
			return true;
	}
	return false;
}

static void dots_intro(struct page *page)
{
	page_add(
		page,
		"<section id=\"costs\"><h2>What it costs</h2><p class=\"lead\">Each mark is a median as "
		"a multiple of its baseline, on one logarithmic scale for all. <strong>Further right is "
		"worse</strong>, whichever way a metric is better: a quarter of the throughput stands at "
		"4×, as four times the time does. Whiskers span the quartiles; a pale mark is " WORDS_NOISY
		".</p>");
}

void html_dots(struct page *page)
{
	const struct view *view = page->view;
	struct axis axis = dots_axis(view);
	bool any = false;

	for (size_t m = 0; m < view->result->n_metrics; m++) {
		if (!html_has_dots(view, m) || dots_begun(view, m))
			continue;
		if (!any) {
			dots_intro(page);
			page_add(page, "<div class=\"groups\">");
		}
		any = true;
		dots_group(page, &axis, m);
	}
	if (any)
		page_add(page, "</div></section>");
}
