/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A cell of a report that is text: what stands in it, and the notes that explain it below. */
#include <stdbool.h>
#include <stddef.h>

#include "base/core/buf.h"
#include "compare/view.h"

/* Each text once; numbered from 1. */
struct notes {
	const char **texts; /* borrowed from the result */
	size_t n;
	bool failed;	       /* no memory: sticky */
	bool noisy, same, few; /* marks that were used */
};
void notes_fini(struct notes *notes);
/* notes_add() - its number; the one it has already. */
size_t notes_add(struct notes *notes, const char *text);

#define CELL_NOISY "±"
#define CELL_SAME  "≈"
#define CELL_FEW   "?"

/* cell_mark() - what a ratio is marked with where it claims no difference, else ""; noted as used. */
const char *cell_mark(const struct result_metric *metric, const struct figure *figure,
		      struct notes *notes);

struct cell_text {
	char value[FIGURE_TEXT + 8];  /* "12.3", "12.3±"; "–" */
	char ratio[FIGURE_TEXT + 40]; /* "1.05×", "≈1.05× [2]"; "[1]": why there is none */
};
void cell_text(const struct view *view, size_t metric, size_t column, struct notes *notes,
	       struct cell_text *ret);

/* metric_label() - "↓ cold start to the first byte, ms": the arrow points to what is better. */
void metric_label(const struct result_metric *metric, struct buf *ret);
/* result_about() - "built-in suite · strata-bench:latest · quick · 2026-11-27 14:00 UTC". */
void result_about(const struct result *result, struct buf *ret);
