/* SPDX-License-Identifier: Apache-2.0 */
/* What is a table: every figure, the isolation matrix, what changed, what figures are made of, and the facts of the run. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/os/clock.h"
#include "compare/emit.h"
#include "compare/html.h"
#include "compare/result_names.h"
#include "engines/engine.h"

static void table_open(struct page *page, const char *name, const char *class)
{
	page_printf(page,
		    "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s\">"
		    "<table class=\"%s\"><caption class=\"hidden\">%s</caption>",
		    name, class, name);
}

static void table_close(struct page *page)
{
	page_add(page, "</table></div>");
}

/* The columns' titles; @first: what the rows are */
static void table_heads(struct page *page, const char *first)
{
	page_printf(page, "<thead><tr><th scope=\"col\">%s</th>", first);
	for (size_t i = 0; i < page->view->n_shown; i++) {
		page_add(page, "<th scope=\"col\">");
		page_icon(page, page->view->shown[i]);
		page_title(page, page->view->shown[i]);
		page_add(page, "</th>");
	}
	page_add(page, "</tr></thead>");
}

static void table_note(struct page *page, const char *why)
{
	size_t n = notes_add(&page->notes, why);

	page_printf(page, "<a class=\"ref\" href=\"#note-%zu\" aria-label=\"note %zu\">%zu</a>", n,
		    n, n);
}

/* The line below a figure: its ratio, and how far its quartiles reach. */
static void table_small(struct page *page, size_t metric, size_t column)
{
	const struct result_metric *m = &page->view->result->metrics[metric];
	const struct figure *f = view_figure(page->view, metric, column);
	char ratio[FIGURE_TEXT], q1[FIGURE_TEXT], q3[FIGURE_TEXT], min[FIGURE_TEXT];

	ratio_text(f->ratio, ratio);
	if (*ratio && !view_is_baseline(page->view, column) && m->better != BETTER_NEITHER)
		page_printf(page, "<span class=\"ratio\">%s%s</span>",
			    cell_mark(m, f, &page->notes), ratio);
	if (m->once || f->s.n < 2)
		return;
	figure_text(f->s.q1, q1);
	figure_text(f->s.q3, q3);
	figure_text(f->s.min, min);
	page_printf(
		page,
		"<span class=\"small\">%s–%s</span><span class=\"small\">min %s, CV %.0f %%</span>",
		q1, q3, min, fmin(f->s.cv * 100, 9999));
}

static void table_cell(struct page *page, size_t metric, size_t column)
{
	const struct view *view = page->view;
	const struct figure *f = view_figure(view, metric, column);
	const char *why = result_cell(view->result, metric, column)->why;
	char number[FIGURE_TEXT];

	if (!f->s.n) {
		page_add(page, "<td class=\"none\">– ");
		table_note(page, why_text(view->result, metric, column));
		page_add(page, "</td>");
		return;
	}
	figure_text(f->s.median, number);
	page->notes.noisy |= f->s.noisy;
	page_printf(page, "<td%s>%s%s%s%s", f->s.noisy ? " class=\"noisy\"" : "",
		    f->best ? "<b>" : "", number, f->s.noisy ? " " CELL_NOISY : "",
		    f->best ? "</b>" : "");
	if (why && *why) {
		page_add(page, " ");
		table_note(page, why);
	}
	table_small(page, metric, column);
	page_add(page, "</td>");
}

/* How many runs a metric's figures are made of: "n = 11", "n = 5 to 11". */
static void table_runs(struct page *page, size_t metric)
{
	size_t least = SIZE_MAX, most = 0;

	for (size_t i = 0; i < page->view->n_shown; i++) {
		size_t n = view_figure(page->view, metric, page->view->shown[i])->s.n;
		if (n && n < least)
			least = n;
		if (n > most)
			most = n;
	}
	if (most == 0 || page->view->result->metrics[metric].once)
		return;
	page_add(page, *page->view->result->metrics[metric].source ? ", " : "");
	if (least < most)
		page_printf(page, "n = %zu to %zu", least, most);
	else
		page_printf(page, "n = %zu", most);
}

static void table_metric(struct page *page, size_t metric)
{
	const struct result_metric *m = &page->view->result->metrics[metric];
	AUTO(buf_fini) struct buf label = { 0 };

	metric_label(m, &label);
	page_add(page, "<tr><th scope=\"row\">");
	page_code(page, buf_str(&label));
	page_add(page, "<span class=\"small\">");
	page_text(page, m->source);
	table_runs(page, metric);
	page_add(page, "</span></th>");
	for (size_t i = 0; i < page->view->n_shown; i++)
		table_cell(page, metric, page->view->shown[i]);
	page_add(page, "</tr>");
	page->out.failed = page->out.failed || label.failed;
}

static void table_item(struct page *page, const char *mark, const char *text)
{
	page_printf(page, "<li><span class=\"mark\">%s</span> ", mark);
	page_text(page, text);
	page_add(page, "</li>");
}

static void table_notes(struct page *page)
{
	const struct view *view = page->view;

	page_add(
		page,
		"<ul class=\"notes\"><li><span class=\"mark\">bold</span> the best, or not told apart "
		"from the best</li>");
	if (page->notes.noisy)
		table_item(page, CELL_NOISY, WORDS_NOISY);
	if (page->notes.same)
		table_item(page, CELL_SAME, WORDS_SAME);
	if (page->notes.few)
		table_item(page, CELL_FEW, WORDS_FEW);
	for (size_t b = 0; b < view->result->n_columns; b++) {
		AUTO(buf_fini) struct buf line = { 0 };
		if (emit_ratio(view, b, &line))
			table_item(page, "×", buf_str(&line));
	}
	for (size_t i = 0; i < page->notes.n; i++) {
		page_printf(page, "<li id=\"note-%zu\"><span class=\"mark\">%zu</span> ", i + 1,
			    i + 1);
		page_text(page, page->notes.texts[i]);
		page_add(page, "</li>");
	}
	page_add(page, "</ul>");
	page->out.failed = page->out.failed || page->notes.failed;
}

void html_table(struct page *page)
{
	const struct result *r = page->view->result;
	char name[GROUP_NAME];

	if (!r->n_metrics || !page->view->n_shown)
		return;
	page_add(
		page,
		"<section id=\"figures\"><h2>Every figure</h2><p class=\"lead\">Medians; below each its ratio to the "
		"baseline, its quartiles, the least, and the coefficient of variation; n is the number of runs. ↓ less is better, ↑ more is better.</p>");
	table_open(page, "Every figure", "figures");
	table_heads(page, "Metric");
	for (size_t m = 0; m < r->n_metrics; m++) {
		if (m == 0 || !group_same(r->metrics[m].id, r->metrics[m - 1].id)) {
			page_printf(
				page,
				"%s<tbody><tr class=\"group\"><th scope=\"rowgroup\" colspan=\"%zu\">",
				m ? "</tbody>" : "", page->view->n_shown + 1);
			page_text(page, group_name(r->metrics[m].id, name));
			page_add(page, "</th></tr>");
		}
		table_metric(page, m);
	}
	page_add(page, "</tbody>");
	table_close(page);
	table_notes(page);
	page_add(page, "</section>");
}

static void isolation_cell(struct page *page, size_t metric, size_t column)
{
	const struct figure *f = view_figure(page->view, metric, column);
	double largest = view_largest(page->view, metric);
	char number[FIGURE_TEXT];

	if (!f->s.n) {
		page_add(page, "<td class=\"none\">– ");
		table_note(page, why_text(page->view->result, metric, column));
		page_add(page, "</td>");
		return;
	}
	figure_text(f->s.median, number);
	double share = largest > 0 && f->s.median > 0 ? f->s.median / largest * 100 : 0;
	page_printf(page,
		    "<td><span class=\"cell\">%s%s%s<svg class=\"meter\" aria-hidden=\"true\">"
		    "<rect class=\"%s\" width=\"%.1f%%\" height=\"100%%\"/></svg></span></td>",
		    f->best ? "<b>" : "", number, f->best ? "</b>" : "", f->best ? "good" : "much",
		    share);
}

static void isolation_matrix(struct page *page)
{
	const struct result *r = page->view->result;

	table_open(page, "What stands between, measured", "matrix");
	table_heads(page, "Measured");
	page_add(page, "<tbody>");
	for (size_t m = 0; m < r->n_metrics; m++) {
		AUTO(buf_fini) struct buf label = { 0 };
		if (!group_is(r->metrics[m].id, "isolation"))
			continue;
		metric_label(&r->metrics[m], &label);
		page_add(page, "<tr><th scope=\"row\">");
		page_code(page, buf_str(&label));
		page_add(page, "</th>");
		for (size_t i = 0; i < page->view->n_shown; i++)
			isolation_cell(page, m, page->view->shown[i]);
		page_add(page, "</tr>");
	}
	page_add(page, "</tbody>");
	table_close(page);
}

/* What the engines declare, of those that are columns here. */
static void isolation_words(struct page *page)
{
	const struct result *r = page->view->result;

	table_open(page, "What stands between, by design", "words");
	page_add(
		page,
		"<thead><tr><th scope=\"col\">By design</th><th scope=\"col\">Privileged instructions</th>"
		"<th scope=\"col\">Whose kernel</th><th scope=\"col\">Shared</th>"
		"<th scope=\"col\">A breach of the guest reaches</th></tr></thead><tbody>");
	for (size_t c = 0; c < r->n_columns; c++) {
		const struct engine_traits *traits = engine_traits(r->columns[c].id);
		if (!traits)
			continue;
		page_add(page, "<tr><th scope=\"row\">");
		page_icon(page, c);
		page_title(page, c);
		page_add(page, "</th><td>");
		page_text(page, traits->privileged);
		page_add(page, "</td><td>");
		page_text(page, traits->kernel);
		page_add(page, "</td><td>");
		page_text(page, traits->shared);
		page_add(page, "</td><td>");
		page_text(page, traits->breach);
		page_add(page, "</td></tr>");
	}
	page_add(page, "</tbody>");
	table_close(page);
}

void html_isolation(struct page *page)
{
	const struct result *r = page->view->result;
	bool measured = false, declared = false;

	for (size_t m = 0; m < r->n_metrics; m++)
		measured |= group_is(r->metrics[m].id, "isolation");
	for (size_t c = 0; c < r->n_columns; c++)
		declared |= engine_traits(r->columns[c].id) != NULL;
	measured &= page->view->n_shown > 0;
	if (!measured && !declared)
		return;
	page_add(page, "<section id=\"isolation\"><h2>What stands between guest and host</h2>");
	if (measured)
		isolation_matrix(page);
	if (declared)
		isolation_words(page);
	page_add(page, "</section>");
}

void html_changes(struct page *page)
{
	const struct result *r = page->view->result;

	if (!page->view->old)
		return;
	page_add(page, "<section id=\"changes\"><h2>Since the baseline</h2>");
	if (!emit_changed(page->view)) {
		page_add(page, "<p>" WORDS_UNCHANGED ".</p></section>");
		return;
	}
	page_add(
		page,
		"<p class=\"lead\">Figures whose quartiles parted from what they were.</p><ul class=\"changes\">");
	for (int worse = 1; worse >= 0; worse--) {
		for (size_t i = 0; i < r->n_metrics * r->n_columns; i++) {
			AUTO(buf_fini) struct buf line = { 0 };
			if (page->view->figures[i].since != (worse ? DIFFER_WORSE : DIFFER_BETTER))
				continue;
			emit_change(page->view, i / r->n_columns, i % r->n_columns, &line);
			page_printf(page, "<li class=\"%s\"><b>%s</b> ", worse ? "worse" : "better",
				    worse ? "worse" : "better");
			page_text(page, buf_str(&line));
			page_add(page, "</li>");
		}
	}
	page_add(page, "</ul></section>");
}

static void method_fact(struct page *page, const char *name, const char *fact)
{
	page_add(page, "<div><dt>");
	page_text(page, name);
	page_add(page, "</dt><dd>");
	page_text(page, fact);
	page_add(page, "</dd></div>");
}

static void method_facts(struct page *page)
{
	const struct result *r = page->view->result;
	char when[36], took[FIGURE_TEXT + 8], seconds[FIGURE_TEXT];
	const char *key;
	json_t *value;

	page_add(page, "<dl class=\"facts\">");
	json_object_foreach(r->host, key, value)
	{
		if (json_is_string(value))
			method_fact(page, key, json_string_value(value));
	}
	clock_rfc3339(r->started_ns, when);
	when[19] = '\0'; /* to the second */
	method_fact(page, "started, UTC", when);
	if (r->ended_ns > r->started_ns) {
		figure_text((double)(r->ended_ns - r->started_ns) / NS_PER_S, seconds);
		(void)snprintf(took, sizeof(took), "%s s", seconds); /* fits */
		method_fact(page, "took", took);
	}
	method_fact(page, "level", result_level_names[r->level]);
	page_add(page, "</dl>");
}

void html_method(struct page *page)
{
	page_add(
		page,
		"<section id=\"method\"><h2>How it was measured</h2>"
		"<p>Every column ran the same root file system, the same programs and the same limits, on the same "
		"CPUs. Runs were interleaved, there and back, after a warm-up, so that what changed on the host "
		"meanwhile changed for all. A figure is the median of its runs. Its quartiles are interpolated between "
		"closest ranks. <strong>A difference is called one only where the quartiles of both part</strong>, and with "
		"fewer than five runs of either not at all. Where the quartiles lie more than 15 % of the median apart "
		"the figure is marked, and is not to be used.</p><h3>The host</h3>");
	method_facts(page);
	page_add(page, "</section>");
}
