/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The files of an image in memory: names, and what they name, merged from its layers (merge.h) and laid out as a disk
 * (erofs.h). Everything comes from one pool of bounded size and goes with it: a hostile image takes that much and no more.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/err.h"

#define TREE_POOL_MAX (UINT64_C(1) << 30) /* bytes; some five million files */
#define TREE_NAME_MAX 255

struct tree_inode;

struct tree_node {
	struct tree_node *next, *prev; /* in its directory */
	struct tree_node *hash_next;
	struct tree_inode *parent, *inode;
	uint16_t layer; /* that it is from, or that has its directory too */
	uint8_t len;
	char name[]; /* not NUL-terminated */
};

struct tree_inode {
	uint32_t mode; /* as st_mode */
	uint32_t uid, gid, major, minor;
	uint32_t links; /* names; a directory's are counted when it is laid out */
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint32_t entry; /* a regular file's data: the nth entry of its layer's tar, from 1 */
	uint16_t layer;
	uint16_t pruned;      /* a directory: the last layer that hid what lower ones had in it */
	uint32_t xattr_bytes; /* in the disk's form */
	uint8_t *xattrs;
	uint64_t size;		    /* of a file, a link's target; a directory's: once laid out */
	const char *target;	    /* a symbolic link's */
	struct tree_node *children; /* a directory's */
	struct tree_inode *up;	    /* a directory's parent; the root's: itself */
	uint32_t n_children;
	uint32_t block; /* erofs.c: first block of data, from where data starts */
	uint64_t at;	/* erofs.c: in the metadata */
	bool placed, inlined;
	struct tree_inode *work; /* a list of whoever walks the tree */
};

struct tree_chunk;

struct tree {
	struct tree_inode *root;
	struct tree_chunk *chunks;
	uint64_t pool_bytes;
	struct tree_node **buckets;
	size_t n_buckets, n_nodes;
};

int tree_init(struct tree *tree, struct err *err); /* *tree needs tree_fini() after any */
void tree_fini(struct tree *tree);
/* tree_alloc() - zeroed; -E2BIG past the pool's bound, -ENOMEM */
int tree_alloc(struct tree *tree, size_t len, void **ret);
int tree_inode_new(struct tree *tree, uint32_t mode, struct tree_inode **ret);
struct tree_node *tree_find(const struct tree *tree, const struct tree_inode *dir, const char *name,
			    size_t len);
/* tree_add() - a name that is not there yet, for an inode that may have others; a directory has but one */
int tree_add(struct tree *tree, struct tree_inode *dir, const char *name, size_t len,
	     uint16_t layer, struct tree_inode *inode);
/* tree_drop() - a name, and all below it */
void tree_drop(struct tree *tree, struct tree_node *node);
/* tree_prune() - below a directory all that is from layers under this one */
void tree_prune(struct tree *tree, struct tree_inode *dir, uint16_t layer);
/* tree_sort() - a directory's names as bytes; -ENOMEM */
int tree_sort(struct tree_inode *dir);
