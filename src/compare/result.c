/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/result.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buf.h"

static void result_metric_fini(struct result_metric *metric)
{
	free(metric->id);
	free(metric->title);
	free(metric->unit);
	free(metric->source);
}

static void result_column_fini(struct result_column *column)
{
	free(column->id);
	free(column->title);
	free(column->baseline);
	free(column->how);
	free(column->why);
}

void result_fini(struct result *result)
{
	for (size_t i = 0; i < result->n_metrics * result->n_columns; i++) {
		free(result->cells[i].samples);
		free(result->cells[i].why);
		json_decref(result->cells[i].detail);
	}
	for (size_t i = 0; i < result->n_metrics; i++)
		result_metric_fini(&result->metrics[i]);
	for (size_t i = 0; i < result->n_columns; i++)
		result_column_fini(&result->columns[i]);
	free(result->cells);
	free(result->metrics);
	free(result->columns);
	free(result->image);
	free(result->command);
	json_decref(result->host);
	*result = (struct result){ 0 };
}

/*
 * Bytes of the character that s starts with, 0 where it is none.
 * Source: The Unicode Standard, Table 3-7, Well-Formed UTF-8 Byte Sequences.
 */
static size_t utf8_len(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) /* also at the end: NUL */
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

char *result_utf8(const char *text)
{
	const unsigned char *s = (const unsigned char *)(text ? text : "");
	struct buf buf = { 0 };

	(void)buf_adds(&buf, ""); /* buf_steal() says whether it failed */
	while (*s) {
		size_t n = utf8_len(s);
		if (buf.len + (n ? n : 3) > RESULT_STRING_MAX)
			break;
		(void)(n ? buf_add(&buf, s, n) : buf_adds(&buf, "\xef\xbf\xbd")); /* likewise */
		s += n ? n : 1;
	}
	return buf_steal(&buf);
}

/* Room for one more column or metric: each cell keeps its place in the new table. */
static int result_cells_grow(struct result *result, size_t n_metrics, size_t n_columns)
{
	size_t n = n_metrics * n_columns;
	struct result_cell *cells = calloc(n ? n : 1, sizeof(*cells));

	if (!cells)
		return -ENOMEM;
	for (size_t m = 0; m < result->n_metrics; m++) {
		for (size_t c = 0; c < result->n_columns; c++)
			cells[m * n_columns + c] = result->cells[m * result->n_columns + c];
	}
	free(result->cells);
	result->cells = cells;
	return 0;
}

int result_metric_add(struct result *result, const struct result_metric *metric)
{
	if (!metric->id || !*metric->id)
		return -EINVAL;
	if (result_find_metric(result, metric->id) >= 0)
		return -EEXIST;
	if (result->n_metrics == RESULT_METRICS_MAX)
		return -E2BIG;

	struct result_metric *metrics =
		realloc(result->metrics, (result->n_metrics + 1) * sizeof(*metrics));
	if (!metrics)
		return -ENOMEM;
	result->metrics = metrics;
	struct result_metric copy = {
		.id = result_utf8(metric->id),
		.title = result_utf8(metric->title),
		.unit = result_utf8(metric->unit),
		.source = result_utf8(metric->source),
		.better = metric->better,
		.once = metric->once,
	};
	if (!copy.id || !copy.title || !copy.unit || !copy.source ||
	    result_cells_grow(result, result->n_metrics + 1, result->n_columns) < 0) {
		result_metric_fini(&copy);
		return -ENOMEM;
	}
	metrics[result->n_metrics] = copy;
	return (int)result->n_metrics++;
}

int result_column_add(struct result *result, const struct result_column *column)
{
	if (!column->id || !*column->id)
		return -EINVAL;
	if (result_find_column(result, column->id) >= 0)
		return -EEXIST;
	if (result->n_columns == RESULT_COLUMNS_MAX)
		return -E2BIG;

	struct result_column *columns =
		realloc(result->columns, (result->n_columns + 1) * sizeof(*columns));
	if (!columns)
		return -ENOMEM;
	result->columns = columns;
	struct result_column copy = {
		.id = result_utf8(column->id),
		.title = result_utf8(column->title),
		.baseline = result_utf8(column->baseline),
		.how = result_utf8(column->how),
		.why = column->why ? result_utf8(column->why) : NULL,
		.peer = column->peer,
	};
	if (!copy.id || !copy.title || !copy.baseline || !copy.how || (column->why && !copy.why) ||
	    result_cells_grow(result, result->n_metrics, result->n_columns + 1) < 0) {
		result_column_fini(&copy);
		return -ENOMEM;
	}
	columns[result->n_columns] = copy;
	return (int)result->n_columns++;
}

struct result_cell *result_cell(const struct result *result, size_t metric, size_t column)
{
	return &result->cells[metric * result->n_columns + column];
}

int result_sample(struct result *result, size_t metric, size_t column, double value)
{
	struct result_cell *cell = result_cell(result, metric, column);

	if (!(fabs(value) <= RESULT_VALUE_MAX)) /* NAN too */
		return -EINVAL;
	if (cell->n == RESULT_SAMPLES_MAX)
		return -E2BIG;
	if ((cell->n & (cell->n - 1)) == 0) { /* full: 0, 1, 2, 4, ... */
		double *more = realloc(cell->samples, (cell->n ? cell->n * 2 : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		cell->samples = more;
	}
	cell->samples[cell->n++] = value;
	return 0;
}

int result_why(struct result *result, size_t metric, size_t column, const char *why)
{
	struct result_cell *cell = result_cell(result, metric, column);
	char *copy = why ? result_utf8(why) : NULL;

	if (why && !copy)
		return -ENOMEM;
	free(cell->why);
	cell->why = copy;
	return 0;
}

int result_find_metric(const struct result *result, const char *id)
{
	for (size_t i = 0; i < result->n_metrics; i++) {
		if (!strcmp(result->metrics[i].id, id))
			return (int)i;
	}
	return -ENOENT;
}

int result_find_column(const struct result *result, const char *id)
{
	for (size_t i = 0; i < result->n_columns; i++) {
		if (!strcmp(result->columns[i].id, id))
			return (int)i;
	}
	return -ENOENT;
}

bool result_column_empty(const struct result *result, size_t column)
{
	if (!result->columns[column].why)
		return false;
	for (size_t m = 0; m < result->n_metrics; m++) {
		if (result_cell(result, m, column)->n)
			return false;
	}
	return true;
}
