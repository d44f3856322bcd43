/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * In which order things are measured: metric by metric, and within one every column once before any a second time, forwards
 * and backwards in turn (ABCD DCBA): what drifts on the host meanwhile hits all alike. Rounds before the first counted
 * one warm up.
 */
#include <stddef.h>

#include "compare/result.h"

#define PLAN_WARM_UP 1U /* rounds that are not counted */

/* plan_column() - who is @at-th (from 0) of @n in a round. */
size_t plan_column(unsigned round, size_t at, size_t n);
/* plan_runs() - samples of each; never fewer than 5, below which no difference is called one (summary.h). */
unsigned plan_runs(enum compare_level level);
