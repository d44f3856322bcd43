/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* File systems for a virtual machine's disks that are mounted inside: ext4, made by Debian's mke2fs. */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"

/* What a killed ext4_ensure() leaves beside an image: its path and this; the next one removes it. */
#define EXT4_NEW ".new"

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
 * something else. Killed at any moment, the image is as it was or has its file system.
 */
int ext4_ensure(const char *path, bool read_only, struct err *err);
