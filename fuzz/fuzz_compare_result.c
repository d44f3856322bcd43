/* SPDX-License-Identifier: Apache-2.0 */
/* A comparison's file from anywhere: what is refused has words, and what is taken can be saved, taken again, and reported. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/json.h"
#include "compare/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The promises of result.h. */
static void look(const struct result *r)
{
	for (size_t i = 0; i < r->n_metrics * r->n_columns; i++) {
		for (size_t s = 0; s < r->cells[i].n; s++) {
			if (!isfinite(r->cells[i].samples[s]))
				abort();
		}
	}
	for (size_t i = 0; i < r->n_columns; i++) {
		if (!r->columns[i].id[0] || result_find_column(r, r->columns[i].id) != (int)i)
			abort();
	}
}

static void again(const struct result *r)
{
	char *text = result_text(r);
	AUTO(json_decref_p) json_t *json = NULL;
	struct result copy;

	if (!text || json_parse(text, strlen(text), "again", &json, NULL) < 0 ||
	    result_from_json(json, &copy, NULL) < 0)
		abort();
	result_fini(&copy);
	free(text);
}

static void report(const struct result *r)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out || report_table(r, r, out, false, 70) < 0 || report_md(r, r, out) < 0 ||
	    fclose(out))
		abort();
	if (memchr(text, '\033', size)) /* nothing that a terminal obeys */
		abort();
	free(text);

	out = open_memstream(&text, &size);
	if (!out || report_csv(r, out) < 0 || fclose(out))
		abort();
	free(text);

	out = open_memstream(&text, &size);
	if (!out || report_html(r, r, out) < 0 || fclose(out))
		abort();
	const char *script = strstr(text, "<script");
	if (!script || strstr(script + 1, "<script"))
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(json_decref_p) json_t *json = NULL;
	struct result r;
	struct err err = { 0 };

	if (json_parse((const char *)data, size, "result", &json, NULL) < 0)
		return 0;
	if (result_from_json(json, &r, &err) < 0) {
		if (!err.text[0] || strchr(err.text, '\n'))
			abort();
		return 0;
	}
	look(&r);
	again(&r);
	report(&r);
	result_fini(&r);
	return 0;
}
