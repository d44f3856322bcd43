/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A disk of storage/archive/erofs.h as whoever mounts it reads it: from Linux' fs/erofs/erofs_fs.h, not from our writer. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen {
	bool there;
	uint64_t nid, size, mtime_s;
	uint32_t mode, uid, gid, links, rdev, mtime_ns;
};

/* seen_at() - the file at "a/b", no link followed; "" is the root. Fails the test where the disk is not sound. */
struct seen seen_at(int disk, const char *path);
/* seen_read() - all that is in it, or where a link leads, NUL-terminated; the caller's to free */
char *seen_read(int disk, const char *path);
/* seen_xattr() - an attribute by its number and the rest of its name; its length, or -1 */
int seen_xattr(int disk, const char *path, uint8_t index, const char *rest, void *ret, size_t size);
/* seen_names() - a directory's, "." and ".." too, in their order, each behind a space; the caller's to free */
char *seen_names(int disk, const char *path);
