/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whole files and directory trees, always relative to a directory fd (AT_FDCWD works). */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/core/buf.h"
#include "base/core/err.h"

/* file_read() - appends the file; 0, or a negative errno: -EFBIG past max bytes. */
int file_read(int dirfd, const char *path, size_t max, struct buf *buf);
/* file_write() - one write(2) to an existing file, as /proc and cgroups want it; 0 or -errno. */
int file_write(int dirfd, const char *path, const char *text);
/*
 * file_replace() - new content under an old or new name, whole or not at all
 * @durable: fsync the file and its directory, so that the new content survives a power cut.
 * Return: 0, or a negative errno with the old content in place.
 */
int file_replace(int dirfd, const char *name, mode_t mode, const void *data, size_t len,
		 bool durable);
/* dir_make() - mkdir -p of a trusted path; 0 or -errno. */
int dir_make(int dirfd, const char *path, mode_t mode);
/* dir_remove() - rm -rf without leaving the tree: links are removed, not followed; mounts are not crossed. */
int dir_remove(int dirfd, const char *path);
