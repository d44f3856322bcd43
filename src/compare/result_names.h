/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a file calls things; for what writes it and what reads it. */
#define RESULT_FORMAT 1

extern const char *const result_better_names[3]; /* by enum better */
extern const char *const result_level_names[3];	 /* by enum compare_level */
