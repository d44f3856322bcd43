/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a workload's command is, in the current root, and what it means that it cannot be run. */
#include <limits.h>

#include "base/core/err.h"

#define SEARCH_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/*
 * search_find() - the program of a command, like execvp(3), but in a path of the workload's own environment
 * @path: directories, divided by ':': its PATH, or SEARCH_PATH
 * Return: 0, or search_failed()'s error and status.
 */
int search_find(const char *command, const char *path, char full[PATH_MAX], int *ret_status,
		struct err *err);
/* search_failed() - 126 or 127 as a shell means them: not executable, not found; the error, negative. */
int search_failed(int code, const char *command, int *ret_status, struct err *err);
