/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Unpack a hostile tar below a directory: nothing outside it is ever named, followed or changed.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "storage/archive/reader.h"

#define UNPACK_ENTRIES_MAX 1000000

struct unpack_opts {
	const char *prefix; /* directory below root that paths start from; "" is root itself */
	const char *only;   /* the one entry there may be, no directory and no hard link; or NULL */
	bool overlay;	    /* a layer: ".wh." names become overlayfs whiteouts */
	bool mine; /* by root, but as an ordinary user would: owners are ours, modes without set-user-ID */
	bool user; /* by root of an ordinary user's namespace: marks of overlayfs are attributes that he may set */
};

struct unpack_report {
	int64_t bytes; /* of file data written */
	uint64_t entries;
	uint64_t skipped;  /* entries or attributes that this host did not allow */
	char example[256]; /* the first of them, and why */
};

/* unpack_xattr_wanted() - an attribute of a tar: 1 it is kept, 0 left out, -EPERM: the tar is refused. */
int unpack_xattr_wanted(const char *name);
/*
 * unpack() - all entries of a tar
 * @root: the directory that absolute paths, ".." and links are resolved in
 * @report: counted up, also on failure
 * Errors: one line with the tar, the entry and the cause; root then holds a part.
 */
int unpack(int root, struct reader *reader, const struct unpack_opts *opts,
	   struct unpack_report *report, struct err *err);
