/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A result for people and for other programs. Every report says itself which figures are too noisy to use, and claims a difference
 * only where the quartiles part. All strings of a result are hostile: none reaches a terminal, a cell or a page as more than text.
 *
 * @baseline: an older result whose figures these are compared with, or NULL
 * Each returns 0, -ENOMEM with nothing written, or the negative errno of the stream.
 */
#include <stdbool.h>
#include <stdio.h>

#include "compare/result.h"

/*
 * report_table() - for a terminal
 * @colour: whether escape sequences may be used   @width: columns of the terminal; 0: as wide as it needs
 */
int report_table(const struct result *result, const struct result *baseline, FILE *out, bool colour,
		 unsigned width);
/* report_json() - what result_save() writes. */
int report_json(const struct result *result, FILE *out);
/*
 * report_csv() - a sample a line: metric,column,sample,value,unit,better,why. A cell without samples is one line without a value.
 * Source: RFC 4180, "Definition of the CSV Format"; RFC 7111: the first line is the header.
 */
int report_csv(const struct result *result, FILE *out);
/* report_md() - GitHub's Markdown: a table a group. */
int report_md(const struct result *result, const struct result *baseline, FILE *out);
/* report_html() - one file that needs no other, and no script. */
int report_html(const struct result *result, const struct result *baseline, FILE *out);

/*
 * report_regressions() - figures that are worse than the baseline's by more than so many percent, the quartiles parted
 * Return: how many, or -ENOMEM.
 */
int report_regressions(const struct result *result, const struct result *baseline, double percent);
