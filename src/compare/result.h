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

/* Strings are owned by the result. */
struct result_metric {
	char *id;     /* "life.start": group and name */
	char *title;  /* "cold start to the first byte" */
	char *unit;   /* "ms", "MiB", "events/s", "" */
	char *source; /* the program that measured it, with its version, or "strata's own clock" */
	enum better better;
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
 * result_metric_add(), result_column_add() - strings are copied; all metrics and columns before the first sample
 * Return: the index, or -ENOMEM.
 */
int result_metric_add(struct result *result, const struct result_metric *metric);
int result_column_add(struct result *result, const struct result_column *column);
/* result_cell() - borrowed; never NULL for indices in range. */
struct result_cell *result_cell(const struct result *result, size_t metric, size_t column);
int result_sample(struct result *result, size_t metric, size_t column, double value);
/* result_why() - @why is copied; replaces an earlier one; NULL: none. */
int result_why(struct result *result, size_t metric, size_t column, const char *why);
/* result_find_metric(), result_find_column() - by id: the index, or -ENOENT. */
int result_find_metric(const struct result *result, const char *id);
int result_find_column(const struct result *result, const char *id);

/* result_to_json() - a new reference; NULL: no memory. */
json_t *result_to_json(const struct result *result);
/* result_from_json() - hostile input: every size checked. -EINVAL says which member is wrong. */
int result_from_json(const json_t *json, struct result *ret, struct err *err);
/* result_load(), result_save() - a file; saving replaces it at once (rename), so that a reader never sees half. */
int result_load(const char *path, struct result *ret, struct err *err);
int result_save(const struct result *result, const char *path, struct err *err);
