/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Resource limits by the names of prlimit(1) and --ulimit. */
#define RLIMIT_NAMES 16
extern const char *const rlimit_names[RLIMIT_NAMES + 1]; /* "nofile"; NULL-ended */
extern const int rlimit_resources[RLIMIT_NAMES]; /* RLIMIT_x of the name in the same place */

/* rlimit_find() - the place of a name, or -EINVAL. */
int rlimit_find(const char *name);
