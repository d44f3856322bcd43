/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/cells.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/clock.h"
#include "compare/result_names.h"

void notes_fini(struct notes *notes)
{
	free(notes->texts);
	*notes = (struct notes){ 0 };
}

size_t notes_add(struct notes *notes, const char *text)
{
	for (size_t i = 0; i < notes->n; i++) {
		if (!strcmp(notes->texts[i], text))
			return i + 1;
	}
	const char **texts = realloc(notes->texts, (notes->n + 1) * sizeof(*texts));
	if (!texts) {
		notes->failed = true;
		return 0;
	}
	notes->texts = texts;
	texts[notes->n++] = text;
	return notes->n;
}

const char *cell_mark(const struct result_metric *metric, const struct figure *f,
		      struct notes *notes)
{
	if (metric->once)
		return "";
	notes->same |= f->differs == DIFFER_NO;
	notes->few |= f->differs == DIFFER_UNKNOWN;
	return f->differs == DIFFER_NO ? CELL_SAME : f->differs == DIFFER_UNKNOWN ? CELL_FEW : "";
}

void cell_text(const struct view *view, size_t metric, size_t column, struct notes *notes,
	       struct cell_text *ret)
{
	const struct result_metric *m = &view->result->metrics[metric];
	const struct figure *f = view_figure(view, metric, column);
	char number[FIGURE_TEXT];

	if (!f->s.n) {
		(void)snprintf(ret->value, sizeof(ret->value), "–"); /* fits */
		(void)snprintf(ret->ratio, sizeof(ret->ratio), "[%zu]",
			       notes_add(notes, why_text(view->result, metric, column))); /* fits */
		return;
	}
	figure_text(f->s.median, number);
	(void)snprintf(ret->value, sizeof(ret->value), "%s%s", number,
		       f->s.noisy ? CELL_NOISY : ""); /* fits */
	notes->noisy |= f->s.noisy;

	ratio_text(f->ratio, number);
	if (view_is_baseline(view, column) || m->better == BETTER_NEITHER)
		*number = '\0';
	const char *mark = *number ? cell_mark(m, f, notes) : "";
	const char *why = result_cell(view->result, metric, column)->why;
	int n = snprintf(ret->ratio, sizeof(ret->ratio), "%s%s", mark, number); /* fits */
	if (why && *why)
		(void)snprintf(ret->ratio + n, sizeof(ret->ratio) - (size_t)n, "%s[%zu]",
			       n ? " " : "", notes_add(notes, why)); /* fits */
}

void metric_label(const struct result_metric *metric, struct buf *ret)
{
	static const char *const arrows[] = {
		[BETTER_LOW] = "↓ ",
		[BETTER_HIGH] = "↑ ",
		[BETTER_NEITHER] = "",
	};

	(void)buf_printf(ret, "%s%s%s%s", arrows[metric->better],
			 *metric->title ? metric->title : metric->id, *metric->unit ? ", " : "",
			 metric->unit); /* a failure is sticky */
}

void result_about(const struct result *result, struct buf *ret)
{
	char when[36];

	clock_rfc3339(result->started_ns, when);
	if (result->command)
		(void)buf_printf(ret, "“%s”", result->command); /* a failure is sticky */
	else
		(void)buf_adds(ret, "built-in suite"); /* likewise */
	if (result->image && *result->image)
		(void)buf_printf(ret, " · %s", result->image); /* likewise */
	(void)buf_printf(ret, " · %s · %.10s %.5s UTC%s", result_level_names[result->level], when,
			 when + 11, result->ended_ns ? "" : " · interrupted"); /* likewise */
}
