/* SPDX-License-Identifier: Apache-2.0 */
/* A file of somebody else's: each member's type and size is checked, and what is wrong is named. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buf.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "compare/result.h"
#include "compare/result_names.h"

#define READ_HOST_MAX	  256
#define READ_DETAIL_DEPTH 8
#define READ_DETAIL_NODES 20000

/*
 * A string, borrowed, of at most RESULT_STRING_MAX bytes
 * @what: the object it is a member of   @optional: absent and null are NULL
 */
static int read_string(const json_t *object, const char *what, const char *key, bool optional,
		       const char **ret, struct err *err)
{
	const json_t *value = json_object_get(object, key);

	if (optional && (!value || json_is_null(value))) {
		*ret = NULL;
		return 0;
	}
	if (!json_is_string(value))
		return err_say(err, EINVAL, "%s: \"%s\" is not a string", what, key);
	if (json_string_length(value) > RESULT_STRING_MAX)
		return err_say(err, EINVAL, "%s: \"%s\" is longer than %u bytes", what, key,
			       RESULT_STRING_MAX);
	*ret = json_string_value(value);
	return 0;
}

static int read_name(const json_t *object, const char *what, const char *key,
		     const char *const *names, size_t n, unsigned *ret, struct err *err)
{
	const char *name;
	int r = read_string(object, what, key, false, &name, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(names[i], name)) {
			*ret = (unsigned)i;
			return 0;
		}
	}
	return err_say(err, EINVAL, "%s: \"%s\" is none of its words", what, key);
}

static int read_bool(const json_t *object, const char *what, const char *key, bool *ret,
		     struct err *err)
{
	const json_t *value = json_object_get(object, key);

	if (value && !json_is_boolean(value))
		return err_say(err, EINVAL, "%s: \"%s\" is neither true nor false", what, key);
	*ret = json_is_true(value);
	return 0;
}

static int read_time(const json_t *object, const char *key, int64_t *ret, struct err *err)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return err_say(err, EINVAL, "result: \"%s\" is not a time in ns", key);
	*ret = json_integer_value(value);
	return 0;
}

static int read_array(const json_t *object, const char *what, const char *key, size_t max,
		      const json_t **ret, struct err *err)
{
	const json_t *array = json_object_get(object, key);

	if (!json_is_array(array))
		return err_say(err, EINVAL, "%s: \"%s\" is not an array", what, key);
	if (json_array_size(array) > max)
		return err_say(err, EINVAL, "%s: \"%s\" has more than %zu members", what, key, max);
	*ret = array;
	return 0;
}

static int read_copy(const json_t *object, const char *key, char **ret, struct err *err)
{
	const char *text;
	int r = read_string(object, "result", key, true, &text, err);

	if (r < 0 || !text)
		return r;
	*ret = strdup(text);
	return *ret ? 0 : err_set(err, ENOMEM, "result: \"%s\"", key);
}

static int read_host(const json_t *json, struct result *result, struct err *err)
{
	json_t *host = json_object_get(json, "host");
	const char *key;
	json_t *value;

	if (!json_is_object(host) || json_object_size(host) > READ_HOST_MAX)
		return err_say(err, EINVAL, "result: \"host\" is not an object of at most %d",
			       READ_HOST_MAX);
	json_object_foreach(host, key, value)
	{
		if (!json_is_string(value) || json_string_length(value) > RESULT_STRING_MAX ||
		    strlen(key) > RESULT_STRING_MAX)
			return err_say(err, EINVAL,
				       "result: a member of \"host\" is not a short string");
	}
	result->host = json_deep_copy(host);
	return result->host ? 0 : err_set(err, ENOMEM, "result: \"host\"");
}

static int read_head(const json_t *json, struct result *result, struct err *err)
{
	unsigned level = 0;
	const json_t *format = json_object_get(json, "format");

	if (!json_is_integer(format))
		return err_say(err, EINVAL,
			       "result: no \"format\": not a result of strata compare");
	if (json_integer_value(format) != RESULT_FORMAT)
		return err_say(err, EINVAL, "result: \"format\" is not %d: made by another version",
			       RESULT_FORMAT);
	int r = read_name(json, "result", "level", result_level_names, 3, &level, err);
	result->level = r < 0 ? COMPARE_QUICK : (enum compare_level)level;
	r = r < 0 ? r : read_copy(json, "image", &result->image, err);
	r = r < 0 ? r : read_copy(json, "command", &result->command, err);
	r = r < 0 ? r : read_time(json, "started_ns", &result->started_ns, err);
	r = r < 0 ? r : read_time(json, "ended_ns", &result->ended_ns, err);
	return r < 0 ? r : read_host(json, result, err);
}

/* What result_metric_add() and result_column_add() say of hostile input. */
static int read_added(int r, const char *what, struct err *err)
{
	if (r >= 0)
		return 0;
	if (r == -ENOMEM)
		return err_set(err, ENOMEM, "%s", what);
	return err_say(err, EINVAL, "%s: \"id\" is %s", what,
		       r == -EEXIST ? "there twice" : "empty");
}

static int read_column(const json_t *json, const char *what, struct result *result, struct err *err)
{
	const char *id, *title, *baseline, *how, *why;
	bool peer = false;

	int r = read_string(json, what, "id", false, &id, err);
	r = r < 0 ? r : read_string(json, what, "title", false, &title, err);
	r = r < 0 ? r : read_string(json, what, "baseline", false, &baseline, err);
	r = r < 0 ? r : read_string(json, what, "how", false, &how, err);
	r = r < 0 ? r : read_string(json, what, "why", true, &why, err);
	r = r < 0 ? r : read_bool(json, what, "peer", &peer, err);
	if (r < 0)
		return r;
	const struct result_column column = { .id = (char *)id,
					      .title = (char *)title,
					      .baseline = (char *)baseline,
					      .how = (char *)how,
					      .why = (char *)why,
					      .peer = peer }; /* copied, not changed */
	return read_added(result_column_add(result, &column), what, err);
}

static int read_columns(const json_t *json, struct result *result, struct err *err)
{
	const json_t *columns, *column;
	size_t i;

	int r = read_array(json, "result", "columns", RESULT_COLUMNS_MAX, &columns, err);
	if (r < 0)
		return r;
	json_array_foreach(columns, i, column)
	{
		char what[32];
		(void)snprintf(what, sizeof(what), "column %zu", i); /* fits */
		r = read_column(column, what, result, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Whether a detail is no larger and no deeper than a report can bear; *nodes counts down. */
static bool read_detail_fits(const json_t *detail, unsigned depth, size_t *nodes)
{
	const char *key;
	json_t *value;
	size_t i;

	if (depth == 0 || *nodes == 0)
		return false;
	--*nodes;
	if (json_is_string(detail))
		return json_string_length(detail) <= RESULT_STRING_MAX;
	json_array_foreach(detail, i, value)
	{
		if (!read_detail_fits(value, depth - 1, nodes))
			return false;
	}
	json_object_foreach((json_t *)detail, key, value)
	{
		if (strlen(key) > RESULT_STRING_MAX || !read_detail_fits(value, depth - 1, nodes))
			return false;
	}
	return true;
}

static int read_detail(const json_t *json, const char *what, struct result_cell *cell,
		       struct err *err)
{
	const json_t *detail = json_object_get(json, "detail");
	size_t nodes = READ_DETAIL_NODES;

	if (!detail || json_is_null(detail))
		return 0;
	if (!read_detail_fits(detail, READ_DETAIL_DEPTH, &nodes))
		return err_say(err, EINVAL, "%s: \"detail\" is too large", what);
	cell->detail = json_deep_copy(detail);
	return cell->detail ? 0 : err_set(err, ENOMEM, "%s", what);
}

static int read_cell(const json_t *json, const char *what, struct result *result, size_t metric,
		     size_t column, struct err *err)
{
	const json_t *samples, *sample;
	const char *why;
	size_t i;

	if (!json_is_object(json))
		return err_say(err, EINVAL, "%s: a cell is not an object", what);
	int r = read_string(json, what, "why", true, &why, err);
	r = r < 0 ? r : read_array(json, what, "samples", RESULT_SAMPLES_MAX, &samples, err);
	if (r < 0)
		return r;
	json_array_foreach(samples, i, sample)
	{
		r = json_is_number(sample)
			    ? result_sample(result, metric, column, json_number_value(sample))
			    : -EINVAL;
		if (r == -EINVAL)
			return err_say(err, EINVAL, "%s: sample %zu is not a number in range", what,
				       i);
		if (r < 0)
			return err_set(err, -r, "%s", what);
	}
	if (result_why(result, metric, column, why) < 0)
		return err_set(err, ENOMEM, "%s", what);
	return read_detail(json, what, result_cell(result, metric, column), err);
}

static int read_cells(const json_t *json, const char *what, struct result *result, size_t metric,
		      struct err *err)
{
	json_t *cells = json_object_get(json, "cells"), *cell;
	const char *id;

	if (!json_is_object(cells))
		return err_say(err, EINVAL, "%s: \"cells\" is not an object", what);
	json_object_foreach(cells, id, cell)
	{
		int column = result_find_column(result, id);
		if (column < 0)
			return err_say(err, EINVAL, "%s: a cell of a column that there is not",
				       what);
		int r = read_cell(cell, what, result, metric, (size_t)column, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_metric(const json_t *json, const char *what, struct result *result, struct err *err)
{
	const char *id, *title, *unit, *source;
	unsigned better = 0;
	bool once = false;

	int r = read_string(json, what, "id", false, &id, err);
	r = r < 0 ? r : read_string(json, what, "title", false, &title, err);
	r = r < 0 ? r : read_string(json, what, "unit", false, &unit, err);
	r = r < 0 ? r : read_string(json, what, "source", false, &source, err);
	r = r < 0 ? r : read_name(json, what, "better", result_better_names, 3, &better, err);
	r = r < 0 ? r : read_bool(json, what, "once", &once, err);
	if (r < 0)
		return r;
	const struct result_metric metric = { .id = (char *)id,
					      .title = (char *)title,
					      .unit = (char *)unit,
					      .source = (char *)source,
					      .better = (enum better)better,
					      .once = once }; /* copied, not changed */
	r = result_metric_add(result, &metric);
	if (r < 0)
		return read_added(r, what, err);
	return read_cells(json, what, result, (size_t)r, err);
}

static int read_metrics(const json_t *json, struct result *result, struct err *err)
{
	const json_t *metrics, *metric;
	size_t i;

	int r = read_array(json, "result", "metrics", RESULT_METRICS_MAX, &metrics, err);
	if (r < 0)
		return r;
	json_array_foreach(metrics, i, metric)
	{
		char what[32];
		(void)snprintf(what, sizeof(what), "metric %zu", i); /* fits */
		r = read_metric(metric, what, result, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int result_from_json(const json_t *json, struct result *ret, struct err *err)
{
	struct result result = { 0 };

	int r = read_head(json, &result, err);
	r = r < 0 ? r : read_columns(json, &result, err);
	r = r < 0 ? r : read_metrics(json, &result, err);
	if (r < 0) {
		result_fini(&result);
		return r;
	}
	*ret = result;
	return 0;
}

int result_load(const char *path, struct result *ret, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(json_decref_p) json_t *json = NULL;

	int r = file_read(AT_FDCWD, path, RESULT_FILE_MAX, &text);
	if (r < 0)
		return err_set(err, -r, "read %s", path);
	r = json_parse(buf_str(&text), text.len, path, &json, err);
	if (r < 0)
		return r;
	r = result_from_json(json, ret, err);
	return r < 0 ? err_wrap(err, "%s", path) : 0;
}
