/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A tree as an EROFS image: uncompressed, blocks of 4 KiB, read-only for ever.
 * Source: Linux Documentation/filesystems/erofs.rst, fs/erofs/erofs_fs.h.
 *
 *   block 0        nothing, then the superblock at byte 1024
 *   block 1 ...    metadata: inodes of 64 bytes, each followed by its attributes and, where they are short, by the last
 *                  bytes of its content (a link's target, a directory's names, a file's tail)
 *   behind that    whole blocks of content, each file's in one piece
 *
 * The same tree gives the same bytes.
 */
#include <stddef.h>
#include <stdint.h>

#include "storage/archive/tree.h"

#define EROFS_BLOCK 4096U

/* An inode's attributes in the making; data is for free(). */
struct erofs_xattrs {
	uint8_t *data;
	size_t len;
};
/*
 * erofs_xattr_add() - one more; the last of a name counts
 * Errors: -E2BIG past what an inode takes (256 KiB, 64 KiB a value), -EINVAL for a name of no known kind, -ENOMEM.
 */
int erofs_xattr_add(struct erofs_xattrs *set, const char *name, const void *value, size_t len);

struct erofs {
	struct tree *tree;
	struct tree_inode *first, *last; /* every inode, in its order on the disk: by work */
	uint64_t meta_bytes, data_blocks;
	uint64_t inodes;
};

/*
 * erofs_layout() - give everything its place; the tree does not change any more
 * Errors: -EFBIG past 16 TiB.
 */
int erofs_layout(struct tree *tree, struct erofs *ret, struct err *err);
/* erofs_write() - all but what is in regular files   @uuid: 16 bytes, of the file system */
int erofs_write(const struct erofs *fs, int fd, const uint8_t *uuid, struct err *err);
/* erofs_write_data() - a piece of a regular file; -EBADMSG past its size, else what pwrite(2) says */
int erofs_write_data(const struct erofs *fs, int fd, const struct tree_inode *inode,
		     uint64_t offset, const void *data, size_t len);
