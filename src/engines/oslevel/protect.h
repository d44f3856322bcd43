/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a workload must not see or write of /proc and /sys, in a container and in a VM alike. */
#include <stddef.h>

#include "base/core/err.h"

#define PROTECT_READ_ONLY 5
extern const char *const protect_read_only[PROTECT_READ_ONLY];

/* protect_null() - /dev/null, when it is the real thing: an O_PATH fd, or a negative errno. */
int protect_null(struct err *err);
/*
 * protect_mask() - an empty directory over each secret directory below root, the null device over each file
 * @null: protect_null(), from before the root was entered; stays the caller's
 * Return: 0, or a negative errno. What is not there needs no mask.
 */
int protect_mask(int root, int null, struct err *err);
/* protect_mask_paths() - the same for other paths */
int protect_mask_paths(int root, int null, const char *const *paths, size_t n, struct err *err);
/* protect_lock() - what is at a path below root, with all below it, becomes read-only; 0 also where nothing is. */
int protect_lock(int root, const char *path, struct err *err);
