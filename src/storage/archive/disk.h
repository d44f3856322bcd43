/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An image's layers as one read-only disk, straight from their archives: owners, modes, devices and attributes are as these
 * have them, whoever makes it. Nothing is mounted and no right is needed.
 *
 * The archives are read twice: first to know what files there are in the end (merge.h) and where they go (erofs.h), then
 * for the contents of those.
 */
#include "base/core/err.h"
#include "base/os/digest.h"

struct disk_layer {
	const char *blob; /* its name in the directory of blobs */
	const char *diff; /* SHA-256 of the plain tar, in hex */
};

/*
 * disk_make() - @blobs: a directory   @out: an empty file   @id: the image's, 64 hex digits: the file system's number
 * @layers: lowest first
 * Errors: -EBADMSG where a layer is not what it was; -E2BIG, -EFBIG; what writing says.
 */
int disk_make(int blobs, int out, const char *id, const struct disk_layer *layers, size_t n,
	      struct err *err);
