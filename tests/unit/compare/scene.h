/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Results that were made up, for tests of reports: a whole one, a hostile one, one of a single column. */
#include "compare/result.h"

/* scene_full() - every group, nine columns of which one cannot run, cells of every kind. Always the same. */
void scene_full(struct result *ret);
/* scene_hostile() - markup, quotes, escape sequences and broken UTF-8 wherever there is a string; zero and negative values. */
void scene_hostile(struct result *ret);
/* scene_one() - one column, one metric, one sample. */
void scene_one(struct result *ret);
/* scene_named() - any of them, "full", "hostile", "one", "none" by its name; false: there is none. */
bool scene_named(const char *name, struct result *ret);
