/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file. docs/compare.md describes it. A reader refuses another "format", and otherwise ignores members it does not know: what
 * is computed from the samples (median, quartiles) is written for other programs and never read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/core/buf.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "compare/result.h"
#include "compare/result_names.h"
#include "compare/summary.h"

#define RESULT_DIGITS 15 /* as many as any decimal fraction comes back with */

const char *const result_better_names[3] = {
	[BETTER_LOW] = "low",
	[BETTER_HIGH] = "high",
	[BETTER_NEITHER] = "neither",
};
const char *const result_level_names[3] = {
	[COMPARE_QUICK] = "quick",
	[COMPARE_STANDARD] = "standard",
	[COMPARE_FULL] = "full",
};

/* A string, or null where there is none. */
static json_t *result_string(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *result_samples_json(const struct result_cell *cell)
{
	json_t *samples = json_array();

	for (size_t i = 0; i < cell->n; i++) {
		if (json_array_append_new(samples, json_real(cell->samples[i])) < 0) {
			json_decref(samples);
			return NULL;
		}
	}
	return samples;
}

static json_t *result_cell_json(const struct result_cell *cell)
{
	struct summary s = summarise(cell);
	json_t *json = json_pack("{s:o}", "samples", result_samples_json(cell));
	int r = json ? 0 : -1;

	if (r == 0 && s.n)
		r = json_object_update_new(json,
					   json_pack("{s:f, s:f, s:f, s:f, s:f, s:b}", "min", s.min,
						     "q1", s.q1, "median", s.median, "q3", s.q3,
						     "cv", s.cv, "noisy", s.noisy));
	if (r == 0 && cell->why)
		r = json_object_set_new(json, "why", json_string(cell->why));
	if (r == 0 && cell->detail)
		r = json_object_set(json, "detail", cell->detail);
	if (r == 0)
		return json;
	json_decref(json);
	return NULL;
}

static json_t *result_cells_json(const struct result *result, size_t metric)
{
	json_t *cells = json_object();

	for (size_t c = 0; c < result->n_columns; c++) {
		const struct result_cell *cell = result_cell(result, metric, c);
		if (!cell->n && !cell->why && !cell->detail)
			continue;
		if (json_object_set_new(cells, result->columns[c].id, result_cell_json(cell)) < 0) {
			json_decref(cells);
			return NULL;
		}
	}
	return cells;
}

static json_t *result_metrics_json(const struct result *result)
{
	json_t *metrics = json_array();

	for (size_t i = 0; i < result->n_metrics; i++) {
		const struct result_metric *m = &result->metrics[i];
		json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "id", m->id,
					 "title", m->title, "unit", m->unit, "source", m->source,
					 "better", result_better_names[m->better], "once", m->once,
					 "cells", result_cells_json(result, i));
		if (json_array_append_new(metrics, json) < 0) {
			json_decref(metrics);
			return NULL;
		}
	}
	return metrics;
}

static json_t *result_columns_json(const struct result *result)
{
	json_t *columns = json_array();

	for (size_t i = 0; i < result->n_columns; i++) {
		const struct result_column *c = &result->columns[i];
		json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:o, s:b}", "id", c->id, "title",
					 c->title, "baseline", c->baseline, "how", c->how, "why",
					 result_string(c->why), "peer", c->peer);
		if (json_array_append_new(columns, json) < 0) {
			json_decref(columns);
			return NULL;
		}
	}
	return columns;
}

json_t *result_to_json(const struct result *result)
{
	json_t *json = json_pack(
		"{s:i, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:o}", "format", RESULT_FORMAT, "level",
		result_level_names[result->level], "image", result_string(result->image), "command",
		result_string(result->command), "host",
		result->host ? json_incref(result->host) : json_object(), "started_ns",
		(json_int_t)result->started_ns, "ended_ns", (json_int_t)result->ended_ns, "columns",
		result_columns_json(result), "metrics", result_metrics_json(result));

	return json;
}

char *result_text(const struct result *result)
{
	AUTO(json_decref_p) json_t *json = result_to_json(result);

	return json ? json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(RESULT_DIGITS)) : NULL;
}

int result_save(const struct result *result, const char *path, struct err *err)
{
	char *text = result_text(result);
	struct buf buf = { 0 };

	(void)buf_printf(&buf, "%s\n", text ? text : ""); /* looked at below */
	free(text);
	int r = !text || buf.failed ? -ENOMEM
				    : file_replace(AT_FDCWD, path, 0644, buf.data, buf.len, true);
	buf_fini(&buf);
	return r < 0 ? err_set(err, -r, "write %s", path) : 0;
}
