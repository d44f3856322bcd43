/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Files named by their SHA-256 in a directory, written under a temporary name and hashed on the way. */
#include <stdint.h>

#include "base/core/err.h"
#include "base/os/digest.h"

struct blob {
	char hex[DIGEST_HEX + 1];
	int64_t size;
};

struct blob_writer {
	int dir; /* borrowed */
	int fd;
	struct digest digest;
	int64_t size;
};

int blob_begin(int dir, struct blob_writer *ret, struct err *err);
int blob_add(struct blob_writer *writer, const void *data, size_t len); /* 0 or -errno */
int blob_end(struct blob_writer *writer, struct blob *ret, struct err *err);
void blob_abort(struct blob_writer *writer); /* for AUTO; a no-op after blob_end() */

/* blob_copy() - all that fd still gives   @what: names it in errors */
int blob_copy(int dir, int fd, const char *what, struct blob *ret, struct err *err);
int blob_put(int dir, const void *data, size_t len, struct blob *ret, struct err *err);
