/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block is the metrics' names and as many columns as fit beside them; what does not fit makes another block below. A column is
 * as wide as what stands in it: value, ratio, bar. Bars take the room that is left over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/text.h"
#include "compare/cells.h"
#include "compare/emit.h"
#include "compare/palette.h"
#include "compare/report.h"

#define TABLE_GAP      3
#define TABLE_BAR_MIN  4
#define TABLE_BAR_MAX  12
#define TABLE_NAME_MIN 16
#define TABLE_NAME_MAX 44
#define TABLE_WIDE     100000U /* a width that nothing reaches */

struct table {
	const struct view *view;
	struct notes notes;
	struct buf out;
	bool colour;
	unsigned width, name, bar;
	unsigned *values, *ratios; /* widths, by column */
};

static unsigned table_width(const char *text)
{
	AUTO(buf_fini) struct buf buf = { 0 };

	return text_add_printable(&buf, text);
}

static unsigned table_max(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

static void table_style(struct table *t, const char *sgr)
{
	if (t->colour)
		(void)buf_printf(&t->out, "\033[%sm", sgr); /* a failure is sticky */
}

static void table_blanks(struct table *t, unsigned n)
{
	(void)buf_printf(&t->out, "%*s", (int)n, ""); /* a failure is sticky */
}

/* text in so many columns, to the left or the right of them */
static void table_pad(struct table *t, const char *text, unsigned width, bool right)
{
	unsigned has = table_width(text);
	unsigned blanks = has < width ? width - has : 0;

	if (right)
		table_blanks(t, blanks);
	(void)text_add_printable(&t->out, text);
	if (!right)
		table_blanks(t, blanks);
}

/* What a column takes without its bar. */
static unsigned table_column(const struct table *t, size_t column)
{
	return t->values[column] + (t->ratios[column] ? 1 + t->ratios[column] : 0);
}

static unsigned table_whole(const struct table *t, size_t column)
{
	const struct result_column *c = &t->view->result->columns[column];
	unsigned cell = table_column(t, column) + (t->bar ? 1 + t->bar : 0);

	return table_max(cell, 2 + table_width(c->title));
}

static void table_measure(struct table *t)
{
	const struct view *view = t->view;
	struct cell_text text;

	for (size_t m = 0; m < view->result->n_metrics; m++) {
		AUTO(buf_fini) struct buf label = { 0 };
		metric_label(&view->result->metrics[m], &label);
		t->name = table_max(t->name, table_width(buf_str(&label)));
		for (size_t i = 0; i < view->n_shown; i++) {
			size_t c = view->shown[i];
			cell_text(view, m, c, &t->notes, &text);
			t->values[c] = table_max(t->values[c], table_width(text.value));
			t->ratios[c] = table_max(t->ratios[c], table_width(text.ratio));
		}
	}
	unsigned most = table_max(TABLE_NAME_MIN, t->width / 3);
	most = most > TABLE_NAME_MAX && t->width < TABLE_WIDE ? TABLE_NAME_MAX : most;
	if (t->name > most)
		t->name = most;
}

/* Columns from shown[from] on that fit beside the names: one at least. */
static size_t table_fit(const struct table *t, size_t from)
{
	const struct view *view = t->view;
	unsigned used = t->name;
	size_t n = 0;

	for (; from + n < view->n_shown; n++) {
		used += TABLE_GAP + table_whole(t, view->shown[from + n]);
		if (n && used > t->width)
			break;
	}
	return n;
}

static size_t table_blocks(const struct table *t)
{
	size_t blocks = 0;

	for (size_t at = 0; at < t->view->n_shown; blocks++)
		at += table_fit(t, at);
	return blocks;
}

/* Whether the widest column fits beside the names. */
static bool table_fits(const struct table *t)
{
	for (size_t i = 0; i < t->view->n_shown; i++) {
		if (t->name + TABLE_GAP + table_whole(t, t->view->shown[i]) > t->width)
			return false;
	}
	return true;
}

/* The longest bars that cost no further block; none where even the shortest do not fit. */
static void table_bars(struct table *t)
{
	t->bar = TABLE_BAR_MIN;
	if (!table_fits(t)) {
		t->bar = 0;
		return;
	}
	const size_t blocks = table_blocks(t);

	while (t->bar < TABLE_BAR_MAX) {
		t->bar++;
		if (table_blocks(t) > blocks || !table_fits(t)) {
			t->bar--;
			break;
		}
	}
}

/* A bar in eighths of a character: what share of the largest a figure is. */
static void table_bar(struct table *t, size_t column, double share)
{
	static const char *const eighths[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
	unsigned n = share > 0 ? (unsigned)(share * t->bar * 8 + 0.5) : 0;
	char sgr[16];

	if (share > 0 && n == 0)
		n = 1; /* something, however little */
	(void)snprintf(sgr, sizeof(sgr), "38;5;%u",
		       look_of(t->view->result, column)->ansi); /* fits */
	table_style(t, sgr);
	for (unsigned i = 0; i < n / 8; i++)
		(void)buf_adds(&t->out, "█"); /* a failure is sticky */
	(void)buf_adds(&t->out, eighths[n % 8]);
	table_style(t, "0");
	table_blanks(t, t->bar - (n + 7) / 8);
}

static void table_cell(struct table *t, size_t metric, size_t column)
{
	const struct figure *f = view_figure(t->view, metric, column);
	double largest = view_largest(t->view, metric);
	struct cell_text text;

	cell_text(t->view, metric, column, &t->notes, &text);
	table_blanks(t, TABLE_GAP);
	if (f->best)
		table_style(t, "1");
	else if (!f->s.n || f->s.noisy)
		table_style(t, "2");
	table_pad(t, text.value, t->values[column], true);
	if (t->ratios[column])
		table_blanks(t, 1);
	table_pad(t, text.ratio, t->ratios[column], true);
	table_style(t, "0");
	if (t->bar) {
		table_blanks(t, 1);
		table_bar(t, column, f->s.n && largest > 0 ? f->s.median / largest : 0);
	}
	table_blanks(t,
		     table_whole(t, column) - table_column(t, column) - (t->bar ? 1 + t->bar : 0));
}

/* Nothing trails. */
static void table_end_line(struct table *t)
{
	while (t->out.len && t->out.data[t->out.len - 1] == ' ')
		t->out.data[--t->out.len] = '\0';
	(void)buf_adds(&t->out, "\n"); /* a failure is sticky */
}

static void table_row(struct table *t, size_t metric, size_t from, size_t n)
{
	AUTO(buf_fini) struct buf label = { 0 };
	AUTO(buf_fini) struct buf folded = { 0 };

	metric_label(&t->view->result->metrics[metric], &label);
	text_fold(&folded, buf_str(&label), 0, t->name);
	char *rest = folded.data ? strchr(folded.data, '\n') : NULL;
	if (rest)
		*rest++ = '\0';
	table_pad(t, buf_str(&folded), t->name, false);
	for (size_t i = 0; i < n; i++)
		table_cell(t, metric, t->view->shown[from + i]);
	table_end_line(t);
	if (rest)
		(void)buf_printf(&t->out, "%s\n", rest); /* a failure is sticky */
	t->out.failed = t->out.failed || label.failed || folded.failed;
}

static void table_heads(struct table *t, size_t from, size_t n)
{
	table_blanks(t, t->name);
	for (size_t i = 0; i < n; i++) {
		size_t c = t->view->shown[from + i];
		char sgr[16];
		(void)snprintf(sgr, sizeof(sgr), "38;5;%u",
			       look_of(t->view->result, c)->ansi); /* fits */
		table_blanks(t, TABLE_GAP);
		table_style(t, sgr);
		(void)buf_printf(&t->out, "%s ", look_of(t->view->result, c)->sign);
		table_style(t, "0");
		table_style(t, "1");
		table_pad(t, t->view->result->columns[c].title, table_whole(t, c) - 2, false);
		table_style(t, "0");
	}
	table_end_line(t);
}

static void table_block(struct table *t, size_t from, size_t n)
{
	const struct result *r = t->view->result;
	char name[GROUP_NAME];

	(void)buf_adds(&t->out, "\n"); /* a failure is sticky */
	table_heads(t, from, n);
	for (size_t m = 0; m < r->n_metrics; m++) {
		if (m == 0 || !group_same(r->metrics[m].id, r->metrics[m - 1].id)) {
			table_style(t, "1;4");
			(void)text_add_printable(&t->out, group_name(r->metrics[m].id, name));
			table_style(t, "0");
			(void)buf_adds(&t->out, "\n"); /* likewise */
		}
		table_row(t, m, from, n);
	}
}

static void table_line(struct table *t, const char *mark, const char *text)
{
	unsigned indent = table_max(4, table_width(mark) + 1);

	table_pad(t, mark, indent, false);
	text_fold(&t->out, text, indent, t->width);
	(void)buf_adds(&t->out, "\n"); /* a failure is sticky */
}

/* What the marks mean, those that were used; and what no column was given to. */
static void table_notes(struct table *t)
{
	(void)buf_adds(&t->out, "\n"); /* a failure is sticky */
	for (size_t i = 0; i < t->notes.n; i++) {
		char mark[32];
		(void)snprintf(mark, sizeof(mark), "[%zu]", i + 1); /* fits */
		table_line(t, mark, t->notes.texts[i]);
	}
	if (t->notes.noisy)
		table_line(t, CELL_NOISY, WORDS_NOISY);
	if (t->notes.same)
		table_line(t, CELL_SAME, WORDS_SAME);
	if (t->notes.few)
		table_line(t, CELL_FEW, WORDS_FEW);
	for (size_t c = 0; c < t->view->result->n_columns; c++) {
		AUTO(buf_fini) struct buf line = { 0 };
		if (emit_ratio(t->view, c, &line))
			table_line(t, "×", buf_str(&line));
	}
	for (size_t c = 0; c < t->view->result->n_columns; c++) {
		AUTO(buf_fini) struct buf line = { 0 };
		if (emit_missing(t->view, c, &line))
			table_line(t, "–", buf_str(&line));
	}
}

static void table_changes_of(struct table *t, enum difference since)
{
	const struct result *r = t->view->result;

	for (size_t m = 0; m < r->n_metrics; m++) {
		for (size_t c = 0; c < r->n_columns; c++) {
			AUTO(buf_fini) struct buf line = { 0 };
			if (view_figure(t->view, m, c)->since != since)
				continue;
			emit_change(t->view, m, c, &line);
			table_style(t, since == DIFFER_WORSE ? "31" : "32");
			table_line(t, since == DIFFER_WORSE ? "worse " : "better", buf_str(&line));
			table_style(t, "0");
		}
	}
}

static void table_changes(struct table *t)
{
	if (!t->view->old)
		return;
	(void)buf_adds(&t->out, "\nSince the baseline\n"); /* a failure is sticky */
	if (!emit_changed(t->view))
		table_line(t, "", WORDS_UNCHANGED);
	table_changes_of(t, DIFFER_WORSE);
	table_changes_of(t, DIFFER_BETTER);
}

static void table_print(struct table *t)
{
	AUTO(buf_fini) struct buf about = { 0 };

	table_measure(t);
	table_bars(t);
	(void)buf_adds(&about, "strata compare · "); /* a failure is sticky */
	result_about(t->view->result, &about);
	text_fold(&t->out, buf_str(&about), 0, t->width);
	(void)buf_adds(&t->out, "\n"); /* likewise */
	for (size_t at = 0, n; at < t->view->n_shown; at += n) {
		n = table_fit(t, at);
		table_block(t, at, n);
	}
	table_notes(t);
	table_changes(t);
	t->out.failed = t->out.failed || t->notes.failed || about.failed;
}

int report_table(const struct result *result, const struct result *baseline, FILE *out, bool colour,
		 unsigned width)
{
	struct view view;
	struct table t = {
		.view = &view,
		.colour = colour,
		.width = width ? width : TABLE_WIDE,
		.values = calloc(result->n_columns + 1, sizeof(*t.values)),
		.ratios = calloc(result->n_columns + 1, sizeof(*t.ratios)),
	};
	int r = -ENOMEM;

	if (t.values && t.ratios && view_init(&view, result, baseline) == 0) {
		table_print(&t);
		r = emit(&t.out, out);
		view_fini(&view);
	}
	notes_fini(&t.notes);
	buf_fini(&t.out);
	free(t.values);
	free(t.ratios);
	return r;
}
