/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is measured. A metric is either a command that runs inside a column's guest and prints its figure, or a measurement made
 * from outside over the column's operations (column.h).
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/core/err.h"
#include "compare/result.h"

struct column;

struct metric {
	const char *id, *title, *unit, *source;
	enum better better;
	enum compare_level level; /* the smallest that has it */
	unsigned
		seconds; /* what one sample takes on the host: for the time left, and 20 times it is the time limit */
	bool once;  /* a fact that does not vary (capabilities): one sample is enough */
	bool alone; /* other columns' instances would be seen in it (pages that are shared with them): they are ended before */

	/*
	 * Inside: shell command of the bench image (`sh -c`), run to its end with exit status 0; parse() takes the figure out of
	 * its standard output. The text is the guest's: hostile, @n bytes, may hold NULs, ends with one more that is not counted.
	 * Return: 0; -ENODATA: it prints no figure.
	 */
	const char *command;
	int (*parse)(const char *text, size_t n, double *ret);

	/*
	 * Outside (command is NULL). *ret_detail: NULL, or a new reference for the cell's detail.
	 * -ENOTSUP with err: the column cannot do that (qemu has no exec), shown as the cell's why.
	 */
	int (*measure)(struct column *column, double *ret, json_t **ret_detail, struct err *err);
};

/* The built-in suite, by groups: "life", "memory", "cpu", "kernel", "latency", "disk", "network", "service", "job", "isolation",
 * "interference", "exits". NULL-ended. */
extern const struct metric *const metrics[];
/* metric_find() - by id; NULL. */
const struct metric *metric_find(const char *id);
