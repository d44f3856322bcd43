/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What list verbs print: aligned columns for people (-f table), or a JSON array of objects for
 * programs (-f json), from the same rows.
 */
#include <jansson.h>
#include <stdbool.h>

#include "base/core/err.h"
#include "cli/args.h"

struct column {
	const char *title; /* "CREATED": the header */
	const char *key;   /* "created": member of the row; NULL title: only in JSON */
};

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
/* table_format() - reads --format; -EINVAL for anything but table and json. */
int table_format(const struct args *args, bool *ret_json, struct err *err);
