/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `strata cp`: files of a live root file system as a tar, out and in. */
#include <stdbool.h>

#include "base/core/err.h"

/*
 * copy_out() - a path below root as a tar to an fd
 * @path: resolved inside root; ending in "/" or "/.": what the directory holds, under "."
 * @follow: when path is a link, what it points to   @as: the name in the tar; NULL: path's last part
 */
int copy_out(int root, const char *path, bool follow, const char *as, int fd, struct err *err);
/*
 * copy_in() - unpack a tar into a directory below root, which is made where it is missing
 * @mine: whoever the tar says, what comes of it is ours
 * @only: the one name that may be in the tar, of what is neither a directory nor a hard link; NULL: whatever it holds
 */
int copy_in(int root, const char *path, const char *only, bool mine, int fd, struct err *err);
