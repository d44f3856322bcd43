/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The name of an archive's entry, made plain: no leading slash, no ".", no "..", no double slash. */
#include <limits.h>

struct unpack_path {
	char full[PATH_MAX]; /* "usr/bin/env"; "" is the root */
	char dir[PATH_MAX];  /* "usr/bin"; "" is the root */
	char base[NAME_MAX + 1];
};

/*
 * unpack_path_split() - @prefix, trusted, is put in front; it may hold anything a path may
 * Return: 0; -EXDEV for a ".." in name; -ENAMETOOLONG; -EINVAL for NULL or an empty name.
 */
int unpack_path_split(const char *name, const char *prefix, struct unpack_path *ret);
