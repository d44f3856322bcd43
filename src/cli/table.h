/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What list verbs print: aligned columns for people (-f table), or a JSON array of objects for
 * programs (-f json), from the same rows.
 */
#include <jansson.h>
#include <stdbool.h>

#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/text.h"
#include "cli/args.h"

struct column {
	const char *title; /* "CREATED": the header; NULL: only in JSON */
	const char *key;   /* "created": member of the row */
};

#define TABLE_COLUMNS 16

/*
 * A table for people, made cell by cell, without rows to allocate:
 * table_begin(), table_add() for each cell of each row from left to right, table_end()
 * Control characters in a cell become '?'. A failure to allocate is said at the end.
 */
struct table {
	const struct column *columns; /* borrowed; those without a title have no cells */
	unsigned n, at;
	unsigned widths[TABLE_COLUMNS];
	struct buf text, sizes;
};
int table_begin(struct table *table, const struct column *columns, unsigned n, struct err *err);
void table_add(struct table *table, const char *text);
int table_end(const struct table *table, struct buf *ret, struct err *err);
void table_fini(struct table *table);

#define OPT_FORMAT                                                                                 \
	{                                                                                          \
		'f', OPT_TEXT, "format", "table|json", "how to print the list"                     \
	}

/*
 * table_print() - rows, an array of objects, to standard output
 * @json: the value of --format asks for JSON: everything in the rows is printed, whatever the columns
 */
int table_print(const struct column *columns, unsigned n, const json_t *rows, bool json,
		struct err *err);
/* table_text() - the same columns as text; control characters in a cell become '?'. */
int table_text(const struct column *columns, unsigned n, const json_t *rows, struct buf *ret,
	       struct err *err);
/* table_format() - reads --format; -EINVAL for anything but table and json. */
int table_format(const struct args *args, bool *ret_json, struct err *err);
/* print_json() - indented, and a newline, to standard output. */
int print_json(const json_t *json, struct err *err);
