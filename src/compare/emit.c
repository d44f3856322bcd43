/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/emit.h"

#include <errno.h>
#include <math.h>

int emit(const struct buf *text, FILE *out)
{
	if (text->failed)
		return -ENOMEM;
	if (fwrite(buf_str(text), 1, text->len, out) < text->len || fflush(out) == EOF)
		return errno ? -errno : -EIO;
	return 0;
}

/* Whether a column has a ratio anywhere: a baseline that could not run gives none. */
static bool emit_has_ratio(const struct view *view, size_t column)
{
	for (size_t m = 0; m < view->result->n_metrics; m++) {
		if (isfinite(view_figure(view, m, column)->ratio))
			return true;
	}
	return false;
}

bool emit_ratio(const struct view *view, size_t baseline, struct buf *ret)
{
	const struct result *r = view->result;
	size_t n = 0;

	for (size_t i = 0; i < view->n_shown; i++) {
		size_t c = view->shown[i];
		if (view->baselines[c] != (int)baseline || c == baseline ||
		    !emit_has_ratio(view, c))
			continue;
		if (n++ == 0)
			(void)buf_printf(ret, "ratio to %s: ",
					 r->columns[baseline].title); /* a failure is sticky */
		(void)buf_printf(ret, "%s%s", n > 1 ? ", " : "",
				 r->columns[c].title); /* likewise */
	}
	return n > 0;
}

bool emit_missing(const struct view *view, size_t column, struct buf *ret)
{
	const struct result_column *c = &view->result->columns[column];

	if (!result_column_empty(view->result, column))
		return false;
	(void)buf_printf(ret, "%s does not run here: %s", c->title,
			 *c->why ? c->why : "no reason given"); /* a failure is sticky */
	return true;
}

bool emit_changed(const struct view *view)
{
	for (size_t i = 0; i < view->result->n_metrics * view->result->n_columns; i++) {
		enum difference since = view->figures[i].since;
		if (since == DIFFER_WORSE || since == DIFFER_BETTER)
			return true;
	}
	return false;
}

void emit_change(const struct view *view, size_t metric, size_t column, struct buf *ret)
{
	const struct result_metric *m = &view->result->metrics[metric];
	const struct figure *f = view_figure(view, metric, column);
	char now[FIGURE_TEXT], was[FIGURE_TEXT], change[FIGURE_TEXT];

	figure_text(f->s.median, now);
	figure_text(f->was, was);
	change_text(f, change);
	(void)buf_printf(ret, "%s, %s: %s%s%s, was %s (%s)", view->result->columns[column].title,
			 *m->title ? m->title : m->id, now, *m->unit ? " " : "", m->unit, was,
			 change); /* a failure is sticky */
}
