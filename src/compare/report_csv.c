/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/text.h"
#include "compare/emit.h"
#include "compare/report.h"
#include "compare/result_names.h"

/*
 * A field: quoted where it must be, a quote in it doubled. What a spreadsheet would take for a formula begins with an apostrophe:
 * it is somebody else's.
 */
static void csv_text(struct buf *out, const char *text, const char *end)
{
	const char *formula = *text && strchr("=+-@\t", *text) ? "'" : "";

	if (text[strcspn(text, ",\"\r\n")] == '\0') {
		(void)buf_printf(out, "%s%s%s", formula, text, end); /* a failure is sticky */
		return;
	}
	(void)buf_printf(out, "\"%s", formula); /* likewise */
	for (; *text; text++)
		(void)buf_add(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
	(void)buf_printf(out, "\"%s", end);
}

/* Lines and tabs are a table's own; no other control character comes through to a terminal that it is shown on. */
static void csv_field(struct buf *out, const char *text, const char *end)
{
	AUTO(buf_fini) struct buf clean = { 0 };

	while (*text) {
		AUTO(buf_fini) struct buf part = { 0 };
		size_t n = strcspn(text, "\n\t");
		(void)buf_add(&part, text, n ? n : 1); /* a failure is sticky */
		(void)(n ? text_add_printable(&clean, buf_str(&part))
			 : (unsigned)buf_adds(&clean, buf_str(&part))); /* likewise */
		clean.failed = clean.failed || part.failed;
		text += n ? n : 1;
	}
	csv_text(out, buf_str(&clean), end);
	out->failed = out->failed || clean.failed;
}

/* @n: the sample's number from 1; 0: there is none */
static void csv_line(struct buf *out, const struct result *r, size_t m, size_t c, size_t n)
{
	const struct result_cell *cell = result_cell(r, m, c);
	const char *why = n ? "" : cell->why ? cell->why : r->columns[c].why;

	csv_field(out, r->metrics[m].id, ",");
	csv_field(out, r->columns[c].id, ",");
	if (n)
		(void)buf_printf(out, "%zu,%.15g,", n,
				 cell->samples[n - 1]); /* a failure is sticky */
	else
		(void)buf_adds(out, ",,"); /* likewise */
	csv_field(out, r->metrics[m].unit, ",");
	csv_field(out, result_better_names[r->metrics[m].better], ",");
	csv_field(out, why ? why : "not measured", "\r\n");
}

int report_csv(const struct result *result, FILE *out)
{
	AUTO(buf_fini) struct buf text = { 0 };

	(void)buf_adds(&text, "metric,column,sample,value,unit,better,why\r\n"); /* emit() looks */
	for (size_t m = 0; m < result->n_metrics; m++) {
		for (size_t c = 0; c < result->n_columns; c++) {
			const struct result_cell *cell = result_cell(result, m, c);
			for (size_t n = 1; n <= cell->n; n++)
				csv_line(&text, result, m, c, n);
			if (!cell->n || cell->why)
				csv_line(&text, result, m, c, 0);
		}
	}
	return emit(&text, out);
}

int report_json(const struct result *result, FILE *out)
{
	AUTO(buf_fini) struct buf text = { 0 };
	char *json = result_text(result);

	if (!json)
		return -ENOMEM;
	(void)buf_printf(&text, "%s\n", json); /* emit() looks */
	free(json);
	return emit(&text, out);
}
