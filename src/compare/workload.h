/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the reader's own workload says of itself: a number that --parse finds in its output, and each number of a JSON object on
 * its last line. The text is a guest's: hostile.
 */
#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/core/err.h"

#define WORKLOAD_NUMBERS 32 /* at most, of one run */
#define WORKLOAD_NAME	 48 /* longer names are cut */

struct workload_number {
	char name[WORKLOAD_NAME + 1]; /* letters, digits, '_', '-' and '.'; others became '_' */
	double value;
};

struct workload_numbers {
	struct workload_number list[WORKLOAD_NUMBERS];
	size_t n;
};

/* workload_regex() - POSIX extended, with a group. -EINVAL. regfree() it. */
int workload_regex(const char *text, regex_t *ret, struct err *err);
/* workload_match() - the last number that the group matches in n bytes and a NUL; -ENODATA. For as long as it takes. */
int workload_match(const char *text, size_t n, const regex_t *regex, double *ret);
/*
 * workload_parse() - @regex: NULL: none   @text: @n bytes and a NUL
 * Return: 0; -ENODATA: the regex matches no number; -ETIMEDOUT: it takes too much time or memory. What is no JSON is none, without an error.
 */
int workload_parse(const char *text, size_t n, const regex_t *regex, struct workload_numbers *ret);
/* workload_find() - by name; NULL. */
const struct workload_number *workload_find(const struct workload_numbers *numbers,
					    const char *name);
