/* SPDX-License-Identifier: Apache-2.0 */
/* Figures that are made of counts: exits by reason, say. A table for each such metric. */
#include <math.h>
#include <string.h>

#include "compare/html.h"

#define DETAILS_ROWS 60

/* The rows: names of counts, each once, of all columns. */
struct details {
	const char *names[DETAILS_ROWS];
	size_t n;
};

static void details_name(struct details *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++) {
		if (!strcmp(d->names[i], name))
			return;
	}
	if (d->n < DETAILS_ROWS)
		d->names[d->n++] = name;
}

static struct details details_of(const struct view *view, size_t metric)
{
	struct details d = { 0 };

	for (size_t i = 0; i < view->n_shown; i++) {
		json_t *detail = result_cell(view->result, metric, view->shown[i])->detail;
		const char *key;
		json_t *value;
		json_object_foreach(detail, key, value)
		{
			if (json_is_number(value) || json_is_string(value) ||
			    json_is_boolean(value))
				details_name(&d, key);
		}
	}
	return d;
}

static void details_value(struct page *page, const json_t *value)
{
	char number[FIGURE_TEXT];

	if (json_is_string(value)) {
		page_text(page, json_string_value(value));
	} else if (json_is_boolean(value)) {
		page_add(page, json_is_true(value) ? "yes" : "no");
	} else {
		figure_text(json_is_number(value) ? json_number_value(value) : NAN, number);
		page_add(page, number);
	}
}

static void details_table(struct page *page, size_t metric, const struct details *d)
{
	const struct result *r = page->view->result;
	const struct result_metric *m = &r->metrics[metric];

	page_add(page, "<h3>");
	page_code(page, *m->title ? m->title : m->id);
	page_printf(
		page,
		"</h3><div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"part %zu\">"
		"<table class=\"matrix\"><thead><tr><th scope=\"col\">Of these</th>",
		metric);
	for (size_t i = 0; i < page->view->n_shown; i++) {
		page_add(page, "<th scope=\"col\">");
		page_icon(page, page->view->shown[i]);
		page_title(page, page->view->shown[i]);
		page_add(page, "</th>");
	}
	page_add(page, "</tr></thead><tbody>");
	for (size_t row = 0; row < d->n; row++) {
		page_add(page, "<tr><th scope=\"row\">");
		page_text(page, d->names[row]);
		page_add(page, "</th>");
		for (size_t i = 0; i < page->view->n_shown; i++) {
			page_add(page, "<td>");
			details_value(page,
				      json_object_get(
					      result_cell(r, metric, page->view->shown[i])->detail,
					      d->names[row]));
			page_add(page, "</td>");
		}
		page_add(page, "</tr>");
	}
	page_add(page, "</tbody></table></div>");
}

void html_details(struct page *page)
{
	bool any = false;

	for (size_t m = 0; m < page->view->result->n_metrics; m++) {
		const struct details d = details_of(page->view, m);
		if (!d.n)
			continue;
		if (!any)
			page_add(page, "<section id=\"parts\"><h2>What figures are made of</h2>");
		any = true;
		details_table(page, m, &d);
	}
	if (any)
		page_add(page, "</section>");
}
