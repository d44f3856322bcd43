/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The parts of the page that report_html() puts together. A drawing has no view box: places across are percentages of its width,
 * places down are pixels, so that it fills whatever room there is while its text and marks keep their size.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/core/buf.h"
#include "compare/cells.h"
#include "compare/view.h"

struct page {
	const struct view *view;
	struct buf out;
	struct notes notes;
};

/* html_text() - escaped; what a page must not hold, or what turns text around, is U+FFFD. */
void html_text(struct buf *out, const char *text);
/* page_add(), page_text(), page_printf() - onto the page: markup, escaped text, markup. A failure to allocate is sticky. */
void page_add(struct page *page, const char *markup);
void page_text(struct page *page, const char *text);
/* page_code() - the same, and what stands between two backquotes is code. */
void page_code(struct page *page, const char *text);
void page_printf(struct page *page, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* page_short() - so many of its characters at most (80), the rest as "…": for drawings, which cut what does not fit. */
void page_short(struct page *page, const char *text, size_t chars);
/* page_title() - a column's title, escaped. */
void page_title(struct page *page, size_t column);
/* page_icon() - the column's mark among words. */
void page_icon(struct page *page, size_t column);
/* page_mark() - the column's mark in a drawing, at x percent and y pixels; @faint: not to be relied on */
void page_mark(struct page *page, size_t column, double x, double y, bool faint);
/* page_figure() - the figure, its unit, its ratio as a sentence for who points at it: "hosted: 658 ms, 593× host". */
void page_figure(struct page *page, size_t metric, size_t column);
/* page_svg() - opens a drawing that says what it is: title and description are markup-free and escaped here. */
void page_svg(struct page *page, const char *id, unsigned height, const char *title,
	      const char *about);

/* From numbers to places across or down. */
struct axis {
	double low, high; /* low > high: nothing yet */
	bool log;
};
struct axis axis_empty(bool log);
/* axis_grow() - to hold a value; a logarithmic one leaves out what is not above 0. */
void axis_grow(struct axis *axis, double value);
/* axis_round() - out to round numbers: the ends of its ticks. */
void axis_round(struct axis *axis);
/* axis_at() - the value's place: 0 to 1; what lies outside is at the end. */
double axis_at(const struct axis *axis, double value);
/* axis_ticks() - at each decade, or 1, 2 and 5 of each where there are few; else at round steps. Return: how many. */
#define AXIS_TICKS 12
size_t axis_ticks(const struct axis *axis, double ret[AXIS_TICKS]);
/* axis_text() - a tick's number, with no more digits than it needs: "0.1", "20", "100k". */
void axis_text(double tick, char ret[FIGURE_TEXT]);

/*
 * A drawing of lines over two axes. What a line is stands at its end or above it, not in a legend.
 * @x, @y: rounded already
 */
struct plot {
	struct page *page;
	const char *id;
	struct axis x, y;
	double top, height; /* pixels: above the area, and its own */
};
#define PLOT_TITLE  20	/* characters of a column's title in a drawing */
#define PLOT_MARGIN 2.0 /* percent, left and right */
double plot_x(const struct plot *plot, double value); /* percent */
double plot_y(const struct plot *plot, double value); /* pixels */
/* plot_begin() - the drawing and its axes; @x_unit, @y_unit: after the ticks' numbers */
void plot_begin(const struct plot *plot, const char *title, const char *about, const char *x_unit,
		const char *y_unit);
/* plot_line_begin(), plot_point(), plot_line_end() - a line through points; step: first across, then up */
void plot_line_begin(const struct plot *plot, size_t column);
void plot_point(const struct plot *plot, double x, double y, bool first, bool step);
void plot_line_end(const struct plot *plot);
/* plot_label() - the column's title at a place, towards the middle of the drawing. */
void plot_label(const struct plot *plot, size_t column, double x_percent, double y);

/* Sections, in the page's order; each leaves itself out where there is nothing to show. */
void html_cards(struct page *page);
void html_changes(struct page *page);
void html_dots(struct page *page);
void html_start(struct page *page);
void html_memory(struct page *page);
void html_isolation(struct page *page);
void html_table(struct page *page);
void html_details(struct page *page);
void html_method(struct page *page);

/* html_cost() - what a figure costs against its baseline, 1 being as much: turned so that more is worse; NAN: not to be said. */
double html_cost(const struct view *view, size_t metric, size_t column, double value);
/* html_has_dots() - whether a metric stands in the plot of its group. */
bool html_has_dots(const struct view *view, size_t metric);
