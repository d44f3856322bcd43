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
/*
 * file_fifo() - a new FIFO under an old or new name, for one who has a loop and is told by others: open for both, so that no
 * writer's end is ever the last
 * Return: an fd that does not block, or a negative errno.
 */
int file_fifo(int dirfd, const char *name);
/* dir_make() - mkdir -p of a trusted path; 0 or -errno. */
int dir_make(int dirfd, const char *path, mode_t mode);
/*
 * dir_remove() - rm -rf of a tree that an enemy made and may still be changing
 * @path: the directories that lead to its last name are trusted; "." and ".." are -EINVAL
 * Links are removed, not followed; mounts, bind mounts too, are not crossed (-EXDEV, -EBUSY): the
 * rest is removed and the first obstacle reported. Stack and fds do not grow with the tree's depth.
 * Return: 0, also where nothing is there, or a negative errno.
 */
int dir_remove(int dirfd, const char *path);
