/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file: the style is in it (report.css), drawings are inline SVG, and nothing is fetched or executed, which the page's own
 * policy says once more to the browser. The result itself is in it, as JSON, for other programs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/json.h"
#include "compare/emit.h"
#include "compare/html.h"
#include "compare/report.h"

extern const char report_css[]; /* report.css: src/cli/embed.py */

/* The marks, centred on 0, 0; palette.h names them. Their colours are those of what uses them. */
static const char html_marks[] =
	"<svg class=\"marks\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>"
	"<path id=\"m-bar\" d=\"M-1.5-6h3v12h-3z\"/>"
	"<circle id=\"m-circle\" r=\"4.8\"/>"
	"<path id=\"m-square\" d=\"M-4.3-4.3h8.6v8.6h-8.6z\"/>"
	"<path id=\"m-triangle\" d=\"M0-5.6L5.5 4.2h-11z\"/>"
	"<path id=\"m-diamond\" d=\"M0-6L6 0 0 6-6 0z\"/>"
	"<path id=\"m-down\" d=\"M0 5.6L5.5-4.2h-11z\"/>"
	"<path id=\"m-cross\" d=\"M-4.5-4.5l9 9m0-9l-9 9\"/>"
	"<path id=\"m-star\" d=\"M0-5.5v11M-4.8-2.8l9.6 5.6m0-5.6l-9.6 5.6\"/>"
	"</defs></svg>";

static void html_head(struct page *page)
{
	page_add(
		page,
		"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
		"'unsafe-inline'\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
		"<meta name=\"color-scheme\" content=\"light dark\"><title>strata compare: ");
	page_text(page,
		  page->view->result->command ? page->view->result->command : "built-in suite");
	page_add(page, "</title><style>");
	page_add(page, report_css);
	page_add(page, "</style></head><body>");
	page_add(page, html_marks);
}

static void html_key(struct page *page)
{
	page_add(page,
		 "<nav class=\"key\" aria-label=\"Marks and sections\"><ul class=\"marks-key\">");
	for (size_t i = 0; i < page->view->n_shown; i++) {
		page_add(page, "<li>");
		page_icon(page, page->view->shown[i]);
		page_title(page, page->view->shown[i]);
		page_add(page, "</li>");
	}
	page_add(page, "</ul></nav>");
}

static void html_header(struct page *page)
{
	AUTO(buf_fini) struct buf about = { 0 };
	const char *cpu = json_string_value(json_object_get(page->view->result->host, "cpu"));

	result_about(page->view->result, &about);
	page_add(page,
		 "<header><p class=\"eyebrow\">strata compare</p><h1>One workload under every "
		 "architecture</h1><p class=\"about\">");
	page_text(page, buf_str(&about));
	if (cpu) {
		page_add(page, " · ");
		page_text(page, cpu);
	}
	page_add(page, "</p>");
	if (!page->view->result->ended_ns)
		page_add(
			page,
			"<p class=\"warn\">This comparison was interrupted: it has what was measured until then.</p>");
	page_add(page, "</header>");
	page->out.failed = page->out.failed || about.failed;
}

/* JSON in a script element: no "<" is left that could end it, and it stays the same JSON. */
static void html_data(struct page *page)
{
	AUTO(json_decref_p) json_t *json = result_to_json(page->view->result);
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;

	page->out.failed = page->out.failed || !text;
	page_add(page, "<script type=\"application/json\" id=\"result\">");
	for (const char *c = text; c && *c;) {
		size_t n = strcspn(c, "<>&");
		(void)buf_add(&page->out, c, n); /* a failure is sticky */
		c += n;
		if (*c)
			page_printf(page, "\\u%04x", (unsigned)*c++);
	}
	page_add(page, "</script>");
	free(text);
}

static void html_page(struct page *page)
{
	html_head(page);
	html_header(page);
	html_key(page);
	page_add(page, "<main>");
	html_cards(page);
	html_changes(page);
	html_dots(page);
	html_start(page);
	html_memory(page);
	html_isolation(page);
	html_table(page);
	html_details(page);
	html_method(page);
	page_add(page, "</main><footer><p>Made by strata " STRATA_VERSION
		       ". Every sample is in this file, in the element <code>#result</code>, as "
		       "<code>strata compare -f json</code> prints it.</p></footer>");
	html_data(page);
	page_add(page, "</body></html>\n");
	page->out.failed = page->out.failed || page->notes.failed;
}

int report_html(const struct result *result, const struct result *baseline, FILE *out)
{
	struct view view;
	struct page page = { .view = &view };

	if (view_init(&view, result, baseline) < 0)
		return -ENOMEM;
	html_page(&page);
	int r = emit(&page.out, out);
	view_fini(&view);
	notes_fini(&page.notes);
	buf_fini(&page.out);
	return r;
}
