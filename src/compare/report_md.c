/* SPDX-License-Identifier: Apache-2.0 */
/* GitHub Flavored Markdown, "Tables (extension)" and "Backslash escapes". */
#include <errno.h>
#include <string.h>

#include "base/core/text.h"
#include "compare/cells.h"
#include "compare/emit.h"
#include "compare/palette.h"
#include "compare/report.h"

struct md {
	struct view view;
	struct notes notes;
	struct buf out;
};

/* Text that means nothing: no markup, no mention of somebody, one line. */
static void md_text(struct buf *out, const char *text)
{
	AUTO(buf_fini) struct buf clean = { 0 };

	(void)text_add_printable(&clean, text);
	for (const char *c = buf_str(&clean); *c; c++) {
		if (*c == '@')
			(void)buf_adds(out, "&#64;"); /* a failure is sticky */
		else if (strchr("\\`*_{}[]<>&|~#$", *c))
			(void)buf_printf(out, "\\%c", *c); /* likewise */
		else
			(void)buf_add(out, c, 1); /* likewise */
	}
	out->failed = out->failed || clean.failed;
}

static void md_cell(struct md *md, size_t metric, size_t column)
{
	bool best = view_figure(&md->view, metric, column)->best;
	const char *bold = best ? "**" : "";
	struct cell_text text;

	cell_text(&md->view, metric, column, &md->notes, &text);
	(void)buf_printf(&md->out, " %s", bold); /* a failure is sticky */
	md_text(&md->out, text.value);
	if (*text.ratio) {
		(void)buf_adds(&md->out, " "); /* likewise */
		md_text(&md->out, text.ratio);
	}
	(void)buf_printf(&md->out, "%s |", bold); /* likewise */
}

static void md_head(struct md *md, const char *group)
{
	const struct result *r = md->view.result;

	(void)buf_adds(&md->out, "\n| "); /* a failure is sticky */
	md_text(&md->out, group);
	(void)buf_adds(&md->out, " |"); /* likewise */
	for (size_t i = 0; i < md->view.n_shown; i++) {
		size_t c = md->view.shown[i];
		(void)buf_adds(&md->out, " "); /* likewise */
		md_text(&md->out, r->columns[c].title);
		(void)buf_adds(&md->out, " |"); /* likewise */
	}
	(void)buf_adds(&md->out, "\n|---|"); /* likewise */
	for (size_t i = 0; i < md->view.n_shown; i++)
		(void)buf_adds(&md->out, "---:|"); /* likewise */
	(void)buf_adds(&md->out, "\n");		   /* likewise */
}

static void md_rows(struct md *md)
{
	const struct result *r = md->view.result;
	char name[GROUP_NAME];

	for (size_t m = 0; m < r->n_metrics; m++) {
		AUTO(buf_fini) struct buf label = { 0 };
		if (m == 0 || !group_same(r->metrics[m].id, r->metrics[m - 1].id))
			md_head(md, group_name(r->metrics[m].id, name));
		metric_label(&r->metrics[m], &label);
		(void)buf_adds(&md->out, "| "); /* a failure is sticky */
		md_text(&md->out, buf_str(&label));
		(void)buf_adds(&md->out, " |"); /* likewise */
		for (size_t i = 0; i < md->view.n_shown; i++)
			md_cell(md, m, md->view.shown[i]);
		(void)buf_adds(&md->out, "\n"); /* likewise */
	}
}

/* One item of a list. */
static void md_item(struct md *md, const char *mark, const char *text)
{
	(void)buf_adds(&md->out, "- "); /* a failure is sticky */
	md_text(&md->out, mark);
	(void)buf_adds(&md->out, *mark ? " " : ""); /* likewise */
	md_text(&md->out, text);
	(void)buf_adds(&md->out, "\n"); /* likewise */
}

static void md_notes(struct md *md)
{
	const struct result *r = md->view.result;

	(void)buf_adds(&md->out, "\n"); /* a failure is sticky */
	for (size_t i = 0; i < md->notes.n; i++) {
		char mark[32];
		(void)snprintf(mark, sizeof(mark), "[%zu]", i + 1); /* fits */
		md_item(md, mark, md->notes.texts[i]);
	}
	if (md->notes.noisy)
		md_item(md, CELL_NOISY, WORDS_NOISY);
	if (md->notes.same)
		md_item(md, CELL_SAME, WORDS_SAME);
	if (md->notes.few)
		md_item(md, CELL_FEW, WORDS_FEW);
	for (size_t b = 0; b < r->n_columns; b++) {
		AUTO(buf_fini) struct buf line = { 0 };
		if (emit_ratio(&md->view, b, &line))
			md_item(md, "×", buf_str(&line));
	}
	for (size_t c = 0; c < r->n_columns; c++) {
		AUTO(buf_fini) struct buf line = { 0 };
		if (emit_missing(&md->view, c, &line))
			md_item(md, "", buf_str(&line));
	}
}

static void md_changes(struct md *md)
{
	const struct result *r = md->view.result;

	if (!md->view.old)
		return;
	(void)buf_printf(&md->out, "\n## Since the baseline\n\n%s",
			 emit_changed(&md->view) ? "" : "- " WORDS_UNCHANGED "\n");
	for (size_t m = 0; m < r->n_metrics; m++) {
		for (size_t c = 0; c < r->n_columns; c++) {
			const struct figure *f = view_figure(&md->view, m, c);
			AUTO(buf_fini) struct buf line = { 0 };
			if (f->since != DIFFER_WORSE && f->since != DIFFER_BETTER)
				continue;
			emit_change(&md->view, m, c, &line);
			md_item(md,
				f->since == DIFFER_WORSE ? "worse:" : "better:", buf_str(&line));
		}
	}
}

int report_md(const struct result *result, const struct result *baseline, FILE *out)
{
	struct md md = { 0 };
	AUTO(buf_fini) struct buf about = { 0 };

	if (view_init(&md.view, result, baseline) < 0)
		return -ENOMEM;
	(void)buf_adds(&md.out, "# strata compare\n\n"); /* a failure is sticky */
	result_about(result, &about);
	md_text(&md.out, buf_str(&about));
	(void)buf_adds(&md.out, "\n"); /* likewise */
	md_rows(&md);
	md_notes(&md);
	md_changes(&md);
	md.out.failed = md.out.failed || md.notes.failed || about.failed;
	int r = emit(&md.out, out);
	view_fini(&md.view);
	notes_fini(&md.notes);
	buf_fini(&md.out);
	return r;
}
