/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* File systems for a virtual machine's disks that are mounted inside: ext4, made by Debian's mke2fs. */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"

/*
 * ext4_make() - a file system in a regular file, over whatever it holds
 * @size_bytes: of the file system; the file is made that long   @journal_mib: 0: as mke2fs thinks best for its size
 * Errors: -ENOENT (no mke2fs), -EIO, each with one line that says what to do.
 */
int ext4_make(const char *path, int64_t size_bytes, unsigned journal_mib, struct err *err);
/*
 * ext4_ensure() - that a raw image holds one that can be mounted: made if the image has no byte but zeroes
 * @read_only: it is going to be read only, so that its journal cannot be replayed
 * Errors: -EBUSY: it is empty, and a machine has it open; -EUCLEAN: with read_only, it was not unmounted; -EINVAL: it holds
 * something else. Killed within mke2fs, an image is something else too.
 */
int ext4_ensure(const char *path, bool read_only, struct err *err);
