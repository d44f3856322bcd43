/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Tars in and out of the workload's root, for `strata cp`: POSIX ustar with pax headers (POSIX.1-2017, pax, "ustar
 * Interchange Format" and "pax Header Block"), GNU's long names and sparse files 1.0 on the way in. Files of every kind
 * with owners, modes, times and extended attributes (tar_xattr.h); no sockets. Every path is looked up inside the root.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/core/err.h"

struct tar_stream {
	ssize_t (*read)(struct tar_stream *stream, void *ret,
			size_t len); /* 0 at the end; -errno */
	int (*write)(struct tar_stream *stream, const void *data,
		     size_t len); /* all; 0 or -errno */
	void *arg;
};

/* tar_in() - unpack into a directory below root, made where it is missing. What is there already is replaced. */
int tar_in(struct tar_stream *stream, int root, const char *path, struct err *err);
/*
 * tar_out() - pack what is at a path below root; "DIR/." is what the directory holds
 * @as: its name in the tar; NULL: the path's last part
 */
int tar_out(struct tar_stream *stream, int root, const char *path, bool follow, const char *as,
	    struct err *err);
