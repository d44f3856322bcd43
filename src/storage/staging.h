/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Directories below <root>/tmp whose content counts only once it was renamed into place. Each is
 * locked (flock) while somebody works in it: an unlocked one is debris.
 */
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"
#include "base/os/store.h"

/*
 * A kind that staging_reap() leaves alone: a comparison that was killed left more than its directory, and the directory's name is what the
 * next one finds that by (compare/setup.c), which then removes it.
 */
#define STAGING_COMPARE "compare"

struct staging {
	int root_fd;	    /* borrowed from the store */
	char path[48];	    /* below root: "tmp/import-a1b2c3d4e5f6" */
	int fd;		    /* holds the lock */
	unsigned discarded; /* how many storage_discard() put here */
};

#define STAGING_NONE                                                                               \
	{                                                                                          \
		.fd = -EBADF                                                                       \
	}

/* staging_open() - a new one; what dead processes left is removed on the way (staging_reap()). */
int staging_open(struct store *store, const char *kind, struct staging *ret, struct err *err);
void staging_close(struct staging *staging); /* removes it; for AUTO; unset is a no-op */

/* staging_bytes() - what is in it takes on disk. */
int64_t staging_bytes(const struct staging *staging);

/* staging_reap() - remove the unlocked ones, but for comparisons'; adds their size to *bytes. */
int staging_reap(struct store *store, int64_t *bytes, struct err *err);

/*
 * storage_lock() - the one lock under which layers and blobs enter and leave their places
 * Whoever needs the database's write lock too (db_begin) takes that one first.
 * Return: an fd that holds it until closed.
 */
int storage_lock(struct store *store, struct err *err);

/* storage_dir() - an fd of <root>/NAME, made where it is missing. */
int storage_dir(struct store *store, const char *name, mode_t mode, int *ret, struct err *err);
/* storage_discard() - take a file or directory out of a directory by rename; -ENOENT is 0. It goes with staging_close(). */
int storage_discard(struct staging *staging, int dir, const char *name, struct err *err);
/* storage_restore() - undo the nth (from 0) storage_discard() of this staging directory. */
void storage_restore(struct staging *staging, unsigned nth, int dir, const char *name);
