/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a comparison found: metrics down, columns across, and in each cell the samples in the order they were taken, or why there are
 * none. It is written as JSON (docs/compare.md has the format), read again by --continue and --baseline, and is all that a report
 * is made from.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"

enum better {
	BETTER_LOW,
	BETTER_HIGH,
	BETTER_NEITHER, /* a fact, not a figure to win with */
};

enum compare_level {
	COMPARE_QUICK,
	COMPARE_STANDARD,
	COMPARE_FULL,
};

/* What a file may hold at most; adding more is -E2BIG. */
#define RESULT_METRICS_MAX 1024U
#define RESULT_COLUMNS_MAX 64U
#define RESULT_SAMPLES_MAX 100000U /* of one cell */
#define RESULT_STRING_MAX  4096U /* bytes of a string; a longer one is cut where a character ends */
#define RESULT_VALUE_MAX   1e150 /* either side of 0: squares and their sums stay numbers */
#define RESULT_FILE_MAX	   (64U << 20)

/* Strings are owned by the result, and valid UTF-8: what was not has U+FFFD there. */
struct result_metric {
	char *id;     /* "life.start": group and name */
	char *title;  /* "cold start to the first byte" */
	char *unit;   /* "ms", "MiB", "events/s", "" */
	char *source; /* the program that measured it, with its version, or "strata's own clock" */
	enum better better;
	bool once; /* a fact that does not vary: one sample is enough */
};

struct result_column {
	char *id;	/* "os-level", "qemu-tcg" */
	char *title;	/* as a report names it */
	char *baseline; /* id of the column its ratios are to: "host"; its own id for a baseline */
	char *how;	/* "Linux 6.1 in a VM, executed by software"; "" */
	char *why;	/* why it cannot run here at all; NULL: it can */
	bool peer;	/* not ours */
};

struct result_cell {
	double *samples;
	size_t n;
	char *why; /* why there is none, or not all: "exit status 3", "no answer in 60 s", "prints no number"; NULL */
	/*
	 * What the figure is made of, where one number is not enough: an array of points [x, y] (memory against N), or an object
	 * of counts (exits by reason, the isolation matrix's row). NULL mostly.
	 */
	json_t *detail;
};

struct result {
	enum compare_level level;
	char *image;   /* "strata-bench:latest" */
	char *command; /* the reader's workload; NULL: the built-in suite */
	json_t *host; /* object of strings: "cpu", "kernel", "nesting", "governor", "memory", "strata", "crun", ... */
	int64_t started_ns, ended_ns; /* since the epoch; ended_ns 0: interrupted */
	struct result_metric *metrics;
	size_t n_metrics;
	struct result_column *columns;
	size_t n_columns;
	struct result_cell *cells; /* [n_metrics * n_columns], a metric's columns side by side */
};

void result_fini(struct result *result); /* a zeroed one is a no-op */

/*
 * result_metric_add(), result_column_add() - strings are copied; NULL is "", but for a column's why
 * Return: the index; -EEXIST: the id is there; -EINVAL: it is empty; -E2BIG, -ENOMEM.
 */
int result_metric_add(struct result *result, const struct result_metric *metric);
int result_column_add(struct result *result, const struct result_column *column);
/* result_cell() - borrowed, until a metric or column is added; never NULL for indices in range. */
struct result_cell *result_cell(const struct result *result, size_t metric, size_t column);
/* result_sample() - one more. -EINVAL: not a number, or past RESULT_VALUE_MAX; -E2BIG, -ENOMEM. */
int result_sample(struct result *result, size_t metric, size_t column, double value);
/* result_why() - @why is copied; replaces an earlier one; NULL: none. */
int result_why(struct result *result, size_t metric, size_t column, const char *why);
/* result_find_metric(), result_find_column() - by id: the index, or -ENOENT. */
int result_find_metric(const struct result *result, const char *id);
int result_find_column(const struct result *result, const char *id);
/* result_column_empty() - it cannot run here and has nothing to show: a report names it and says why, but gives it no column. */
bool result_column_empty(const struct result *result, size_t column);
/* result_utf8() - a copy of text as a result keeps its strings; NULL: no memory. */
char *result_utf8(const char *text);

/* result_to_json() - a new reference; NULL: no memory. */
json_t *result_to_json(const struct result *result);
/* result_text() - that as the text that result_save() writes; free(); NULL: no memory. */
char *result_text(const struct result *result);
/* result_from_json() - hostile input: every size checked. -EINVAL says which member is wrong. */
int result_from_json(const json_t *json, struct result *ret, struct err *err);
/* result_load(), result_save() - a file; saving replaces it at once (rename), so that a reader never sees half. */
int result_load(const char *path, struct result *ret, struct err *err);
int result_save(const struct result *result, const char *path, struct err *err);
