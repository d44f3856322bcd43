/* SPDX-License-Identifier: Apache-2.0 */
/* One card an architecture: what it is here, in a sentence what it costs, from the figures, and what one gets, from its engine. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compare/emit.h"
#include "compare/html.h"
#include "engines/engine.h"

/* What a group of metrics costs: the geometric mean of its costs, and whether any of them is told from the baseline. */
struct cost {
	double mean;
	size_t n;
	bool differs;
};

static struct cost cards_cost(const struct view *view, size_t first, size_t column)
{
	const struct result *r = view->result;
	struct cost cost = { 0 };
	double sum = 0;

	for (size_t m = first; m < r->n_metrics; m++) {
		const struct figure *f = view_figure(view, m, column);
		double is = f->s.n ? html_cost(view, m, column, f->s.median) : NAN;
		if (!group_same(r->metrics[m].id, r->metrics[first].id) || isnan(is) || f->s.noisy)
			continue;
		sum += log(is);
		cost.n++;
		cost.differs |= f->differs == DIFFER_WORSE || f->differs == DIFFER_BETTER;
	}
	cost.mean = cost.n ? exp(sum / (double)cost.n) : NAN;
	return cost;
}

/* A group that the sentence sums up: not one whose figures stand for themselves. */
static bool cards_sums(const struct view *view, size_t metric)
{
	static const char *const others[] = { "life", "memory", "isolation", "exits", "workload" };
	const char *id = view->result->metrics[metric].id;

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		if (group_is(id, others[i]))
			return false;
	}
	for (size_t m = 0; m < metric; m++) {
		if (group_same(view->result->metrics[m].id, id))
			return false; /* was summed up with the first */
	}
	return true;
}

static void cards_group(struct buf *out, size_t n, const char *id)
{
	char name[GROUP_NAME];
	const char *word = group_name(id, name);

	(void)buf_adds(out, n ? ", " : ""); /* a failure is sticky */
	/* "CPU" stays, "Kernel paths" and "A whole job" become lower case */
	if (word[0] >= 'A' && word[0] <= 'Z' && !(word[1] >= 'A' && word[1] <= 'Z')) {
		char low[2] = { (char)(word[0] - 'A' + 'a'), '\0' };
		html_text(out, low);
		word++;
	}
	html_text(out, word);
}

/* "658 ms to start"; @ratio: and how that is to its baseline's */
static void cards_figure(struct page *page, const char *id, const char *words, bool ratio,
			 size_t column, struct buf *out)
{
	int m = result_find_metric(page->view->result, id);
	char number[FIGURE_TEXT];

	if (m < 0)
		return;
	const struct figure *f = view_figure(page->view, (size_t)m, column);
	if (!f->s.n)
		return;
	figure_text(f->s.median, number);
	(void)buf_printf(out, "%s<b>%s ", out->len ? " and " : "",
			 number); /* a failure is sticky */
	html_text(out, page->view->result->metrics[m].unit);
	(void)buf_printf(out, "</b> %s%s", words, f->s.noisy ? " (noisy)" : ""); /* likewise */
	ratio_text(f->ratio, number);
	if (ratio && *number && !f->s.noisy && !view_is_baseline(page->view, column))
		(void)buf_printf(out, " (%s%s)", f->differs == DIFFER_NO ? CELL_SAME : "",
				 number); /* likewise */
}

/* What its baseline's work takes here, group by group: those that differ, and those that cannot be told from it. */
static void cards_groups(struct page *page, size_t column, struct buf *differ, struct buf *same)
{
	const struct result *r = page->view->result;
	size_t n_differ = 0, n_same = 0;

	for (size_t m = 0; m < r->n_metrics; m++) {
		struct cost cost = { 0 };
		char number[FIGURE_TEXT];
		if (cards_sums(page->view, m))
			cost = cards_cost(page->view, m, column);
		if (!cost.n)
			continue;
		if (!cost.differs) {
			cards_group(same, n_same++, r->metrics[m].id);
			continue;
		}
		ratio_text(cost.mean, number);
		(void)buf_printf(differ, "%s<b>%s</b> for ", n_differ++ ? ", " : "",
				 number); /* a failure is sticky */
		cards_group(differ, 0, r->metrics[m].id);
	}
}

static void cards_costs(struct page *page, size_t column)
{
	AUTO(buf_fini) struct buf own = { 0 };
	AUTO(buf_fini) struct buf differ = { 0 };
	AUTO(buf_fini) struct buf same = { 0 };
	int base = page->view->baselines[column];

	cards_figure(page, "life.start", "to start", false, column, &own);
	cards_figure(page, "memory.overhead", "of memory", false, column, &own);
	cards_figure(page, "workload.time", "for the workload", true, column, &own);
	cards_figure(page, "workload.memory", "of memory at its peak", true, column, &own);
	if (base >= 0 && (size_t)base != column)
		cards_groups(page, column, &differ, &same);
	if (!own.len && !differ.len && !same.len)
		return;
	page_add(page, "<p><span class=\"tag\">Costs</span> ");
	page_add(page, buf_str(&own));
	if (differ.len) {
		page_add(page, own.len ? ", and against " : "against ");
		page_title(page, (size_t)base);
		page_add(page, " ");
		page_add(page, buf_str(&differ));
	}
	if (same.len) {
		page_add(page,
			 own.len || differ.len ? "; not told apart from " : "not told apart from ");
		page_title(page, (size_t)base);
		page_add(page, ": ");
		page_add(page, buf_str(&same));
	}
	page_add(page, ".</p>");
	page->out.failed = page->out.failed || own.failed || differ.failed || same.failed;
}

static void cards_card(struct page *page, size_t column)
{
	const struct result_column *c = &page->view->result->columns[column];
	const struct engine_traits *traits = engine_traits(c->id);
	bool empty = result_column_empty(page->view->result, column);

	page_printf(page, "<li class=\"card%s\"><h3>", empty ? " absent" : "");
	page_icon(page, column);
	page_title(page, column);
	page_printf(page, "%s</h3>", c->peer ? " <span class=\"peer\">peer</span>" : "");
	if (*c->how) {
		page_add(page, "<p class=\"how\">");
		page_text(page, c->how);
		page_add(page, "</p>");
	}
	if (empty) {
		page_add(page, "<p><span class=\"tag\">Does not run here</span> ");
		page_text(page, *c->why ? c->why : "no reason given");
		page_add(page, "</p>");
	} else {
		cards_costs(page, column);
	}
	if (traits) {
		page_add(page, "<p><span class=\"tag\">Gives</span> ");
		page_text(page, traits->gives);
		page_add(page, ".</p>");
	}
	page_add(page, "</li>");
}

void html_cards(struct page *page)
{
	const struct result *r = page->view->result;

	if (!r->n_columns)
		return;
	page_add(
		page,
		"<section id=\"architectures\"><h2>What each costs, and what one gets</h2><ul class=\"cards\">");
	for (int peers = 0; peers < 2; peers++) {
		for (size_t c = 0; c < r->n_columns; c++) {
			if (r->columns[c].peer == (peers == 1) && !view_is_baseline(page->view, c))
				cards_card(page, c);
		}
	}
	page_add(page, "</ul></section>");
}
