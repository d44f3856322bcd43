/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/core/err.h"

/*
 * copy_up() - what a directory of the root holds, into a new file system that will hide it: with owners, modes and times
 * @root: the root   @path: below it; what is no directory is nothing to copy   @to: a detached mount
 * What is on other file systems below it, extended attributes, and links between its files stay behind.
 */
int copy_up(int root, const char *path, int to, struct err *err);
