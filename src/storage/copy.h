/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Files in and out of a root file system as tars, by strata-archive: whoever lives inside cannot
 * lead it out. What `strata cp` is made of: a tar that one call writes, another reads.
 */
#include <stdbool.h>

#include "base/core/err.h"

struct copy_root {
	int dir;
	int users; /* a user namespace whose ids the tar has, and whose root works there; negative: the host's */
	bool mine; /* what is copied there is ours, whoever the tar says; without set-user-ID */
};

/*
 * copy_tar_out() - a path below a directory as a tar
 * @root: absolute paths and links are resolved in it   @out_fd: gets the tar
 * @follow: where path is a link, what it points to   @as: name in the tar; NULL: path's last part
 * A path that ends in "/." gives what the directory holds.
 */
int copy_tar_out(const struct copy_root *root, const char *path, bool follow, const char *as,
		 int out_fd, struct err *err);
/* copy_tar_in() - unpack a tar from in_fd into the directory path below root; made where missing. */
int copy_tar_in(const struct copy_root *root, const char *path, int in_fd, struct err *err);
/*
 * copy_across() - from one root to another, both at once: neither holds the whole tar
 * @as: the name in to_dir; NULL: that of from_path
 */
int copy_across(const struct copy_root *from_root, const char *from_path, bool follow,
		const struct copy_root *to_root, const char *to_dir, const char *as,
		struct err *err);

/* Whoever is at a tar's other end: reads or writes fd to its end, which stays the caller's. 0 or a negative errno. */
typedef int (*copy_end_fn)(void *arg, int fd, struct err *err);
/* copy_out_to() - copy_tar_out() to somebody who reads the tar while it is made */
int copy_out_to(const struct copy_root *root, const char *path, bool follow, const char *as,
		copy_end_fn read_tar, void *arg, struct err *err);
/*
 * copy_in_from() - copy_tar_in() from somebody who writes the tar meanwhile, and may be an enemy: nothing outside root is
 * named or changed
 * @only: the one name that may be in it, of anything but a directory or another name of a file; NULL: whatever it holds
 */
int copy_in_from(const struct copy_root *root, const char *path, const char *only,
		 copy_end_fn write_tar, void *arg, struct err *err);
