/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "compare/html.h"
#include "compare/palette.h"

#define PLOT_BELOW 26	 /* pixels: the ticks' numbers */
#define PLOT_GRAIN 10000 /* units of the lines' own coordinates, across and down */

double plot_x(const struct plot *plot, double value)
{
	return PLOT_MARGIN + axis_at(&plot->x, value) * (100 - 2 * PLOT_MARGIN);
}

double plot_y(const struct plot *plot, double value)
{
	return plot->top + (1 - axis_at(&plot->y, value)) * plot->height;
}

static void plot_ticks_x(const struct plot *plot, const char *unit)
{
	double ticks[AXIS_TICKS];
	size_t n = axis_ticks(&plot->x, ticks);
	const double bottom = plot->top + plot->height;

	for (size_t i = 0; i < n; i++) {
		char text[FIGURE_TEXT];
		double x = plot_x(plot, ticks[i]);
		axis_text(ticks[i], text);
		page_printf(
			plot->page,
			"<line class=\"grid\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"%.1f\" y2=\"%.1f\"/>"
			"<text class=\"tick%s\" x=\"%.2f%%\" y=\"%.1f\">%s",
			x, x, plot->top, bottom + 5,
			i + 1 == n && x > 90 ? " end"
			: i == 0 && x < 6    ? " start"
					     : "",
			x, bottom + 18, text);
		if (i + 1 == n) {
			page_add(plot->page, " ");
			page_short(plot->page, unit, 12);
		}
		page_add(plot->page, "</text>");
	}
}

static void plot_ticks_y(const struct plot *plot, const char *unit)
{
	double ticks[AXIS_TICKS];
	size_t n = axis_ticks(&plot->y, ticks);

	for (size_t i = 0; i < n; i++) {
		char text[FIGURE_TEXT];
		double y = plot_y(plot, ticks[i]);
		axis_text(ticks[i], text);
		page_printf(plot->page,
			    "<line class=\"%s\" x1=\"0\" x2=\"100%%\" y1=\"%.1f\" y2=\"%.1f\"/>",
			    i ? "grid" : "floor", y, y);
		if (i == 0)
			continue; /* its number would stand on the other axis */
		page_printf(plot->page, "<text class=\"tick start\" x=\"0\" y=\"%.1f\">%s%s", y - 4,
			    text, *unit ? " " : "");
		page_short(plot->page, unit, 12);
		page_add(plot->page, "</text>");
	}
}

void plot_begin(const struct plot *plot, const char *title, const char *about, const char *x_unit,
		const char *y_unit)
{
	page_svg(plot->page, plot->id, (unsigned)(plot->top + plot->height + PLOT_BELOW), title,
		 about);
	plot_ticks_x(plot, x_unit);
	plot_ticks_y(plot, y_unit);
}

/* Lines have coordinates of their own, stretched over the area; their strokes are not. */
void plot_line_begin(const struct plot *plot, size_t column)
{
	page_printf(plot->page,
		    "<svg x=\"0\" y=\"%.1f\" width=\"100%%\" height=\"%.1f\" viewBox=\"0 0 %d %d\" "
		    "preserveAspectRatio=\"none\" class=\"lines\"><path class=\"line a-%s\" d=\"",
		    plot->top, plot->height, PLOT_GRAIN, PLOT_GRAIN,
		    look_of(plot->page->view->result, column)->name);
}

void plot_point(const struct plot *plot, double x, double y, bool first, bool step)
{
	double across = plot_x(plot, x) / 100 * PLOT_GRAIN;
	double down = (1 - axis_at(&plot->y, y)) * PLOT_GRAIN;

	if (step && !first)
		page_printf(plot->page, "H%.0fV%.0f", across, down);
	else
		page_printf(plot->page, "%c%.0f %.0f", first ? 'M' : 'L', across, down);
}

void plot_line_end(const struct plot *plot)
{
	page_add(plot->page, "\"/></svg>");
}

void plot_label(const struct plot *plot, size_t column, double x_percent, double y)
{
	bool end = x_percent > 55;

	page_printf(plot->page, "<text class=\"direct%s\" x=\"%.2f%%\" dx=\"%d\" y=\"%.1f\">",
		    end ? " end" : "", x_percent, end ? -9 : 9, y);
	page_short(plot->page, plot->page->view->result->columns[column].title, PLOT_TITLE);
	page_add(plot->page, "</text>");
}
