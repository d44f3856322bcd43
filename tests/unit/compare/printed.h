/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reports as text; each fails the case where the report fails. free() what they return. */
#include "compare/report.h"

char *printed_table(const struct result *r, const struct result *old, bool colour, unsigned width);
char *printed_csv(const struct result *r);
char *printed_json(const struct result *r);
char *printed_md(const struct result *r, const struct result *old);
char *printed_html(const struct result *r, const struct result *old);
/* count() - how often a word is in a text. */
size_t count(const char *text, const char *word);
