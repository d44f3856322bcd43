/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What every report says of a result, worked out once: which columns there is something to show of, each cell's summary, its ratio to
 * its column's baseline, whether a difference may be claimed, which figures are the best, and what changed since an older result.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/core/buf.h"
#include "compare/result.h"
#include "compare/summary.h"

struct figure {
	struct summary s;	 /* s.n 0: there is none */
	double ratio;		 /* to the column's baseline; NAN: none */
	enum difference differs; /* from it */
	bool best; /* of what stands against the first baseline: not told apart from the best, but from another */
	/* Since the older result; DIFFER_UNKNOWN where there is none. */
	enum difference since;
	double was;    /* its median then */
	double change; /* percent of what it was, 0 or more; INFINITY from 0 */
};

struct view {
	const struct result *result; /* borrowed */
	const struct result *old;    /* borrowed; NULL */
	struct figure *figures;	     /* [n_metrics * n_columns] */
	int *baselines;		     /* of each column: index, or -ENOENT */
	size_t *shown;		     /* columns that have something to show, in order */
	size_t n_shown;
};

/* view_init() - 0 or -ENOMEM; @old may be NULL. */
int view_init(struct view *view, const struct result *result, const struct result *old);
void view_fini(struct view *view); /* a zeroed one is a no-op */
const struct figure *view_figure(const struct view *view, size_t metric, size_t column);
/* view_is_baseline() - the column's ratios are to itself. */
bool view_is_baseline(const struct view *view, size_t column);
/* view_largest() - the largest median of a metric in the columns shown; 0 where none is above it. */
double view_largest(const struct view *view, size_t metric);

/* figure_text() - three digits: "0.0123", "12.3", "81234", "1.23M"; "–" for what is no number. */
#define FIGURE_TEXT 32
void figure_text(double value, char ret[FIGURE_TEXT]);
/* ratio_text() - "1.05×", "0.0312×"; "" for NAN. */
void ratio_text(double ratio, char ret[FIGURE_TEXT]);
/* change_text() - "+12 %", "-30 %"; @figure: since is DIFFER_BETTER or DIFFER_WORSE */
void change_text(const struct figure *figure, char ret[FIGURE_TEXT]);

/* The words that reports share, so that they never say different things. */
#define WORDS_NOISY "too noisy to use: the quartiles lie more than 15 % of the median apart"
#define WORDS_SAME  "no difference is claimed: the quartiles overlap"
#define WORDS_FEW   "no difference is claimed: fewer than 5 samples"

/* group_name() - "Life cycle" for "life.start"; for a group we do not know its own word, in ret. */
#define GROUP_NAME 32
const char *group_name(const char *id, char ret[GROUP_NAME]);
/* group_same() - whether two ids are of one group. */
bool group_same(const char *a, const char *b);
/* group_is() - whether an id is of that group: group_is("life.start", "life"). */
bool group_is(const char *id, const char *group);

/* why_text() - why a cell has no figure; never "". */
const char *why_text(const struct result *result, size_t metric, size_t column);
