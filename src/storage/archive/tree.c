/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK_BYTES ((size_t)1 << 20)
#define ALIGN_BYTES 16U
#define BUCKETS_MIN 1024U

struct tree_chunk {
	struct tree_chunk *next;
	size_t used, size;
	_Alignas(ALIGN_BYTES) uint8_t bytes[];
};

int tree_alloc(struct tree *tree, size_t len, void **ret)
{
	struct tree_chunk *chunk = tree->chunks;

	len = (len + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
	if (!chunk || chunk->size - chunk->used < len) {
		const size_t size = len > CHUNK_BYTES ? len : CHUNK_BYTES;
		if (tree->pool_bytes + size > TREE_POOL_MAX)
			return -E2BIG;
		chunk = calloc(1, sizeof(*chunk) + size);
		if (!chunk)
			return -ENOMEM;
		chunk->size = size;
		chunk->next = tree->chunks;
		tree->chunks = chunk;
		tree->pool_bytes += size;
	}
	*ret = chunk->bytes + chunk->used;
	chunk->used += len;
	return 0;
}

int tree_inode_new(struct tree *tree, uint32_t mode, struct tree_inode **ret)
{
	void *inode;
	int r = tree_alloc(tree, sizeof(struct tree_inode), &inode);

	if (r < 0)
		return r;
	*ret = inode;
	(*ret)->mode = mode;
	return 0;
}

int tree_init(struct tree *tree, struct err *err)
{
	*tree = (struct tree){ .n_buckets = BUCKETS_MIN };
	tree->buckets = calloc(BUCKETS_MIN, sizeof(struct tree_node *));
	if (!tree->buckets || tree_inode_new(tree, S_IFDIR | 0755, &tree->root) < 0)
		return err_set(err, ENOMEM, "the image's files");
	tree->root->up = tree->root;
	return 0;
}

void tree_fini(struct tree *tree)
{
	for (struct tree_chunk *chunk = tree->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(tree->buckets);
	*tree = (struct tree){ 0 };
}

/* FNV-1a (RFC draft eastlake-fnv), begun with the directory: an enemy may make it slow, within the pool's bound. */
static size_t tree_hash(const struct tree_inode *dir, const char *name, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uintptr_t)dir / ALIGN_BYTES;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)name[i]) * UINT64_C(0x100000001b3);
	return (size_t)(hash ^ hash >> 32);
}

static void tree_hash_in(struct tree *tree, struct tree_node *node)
{
	struct tree_node **bucket =
		&tree->buckets[tree_hash(node->parent, node->name, node->len) % tree->n_buckets];

	node->hash_next = *bucket;
	*bucket = node;
}

static void tree_hash_out(struct tree *tree, const struct tree_node *node)
{
	struct tree_node **at =
		&tree->buckets[tree_hash(node->parent, node->name, node->len) % tree->n_buckets];

	while (*at != node)
		at = &(*at)->hash_next;
	*at = node->hash_next;
}

static int tree_grow(struct tree *tree)
{
	const size_t n = tree->n_buckets * 2;
	struct tree_node **old = tree->buckets;
	struct tree_node **buckets = calloc(n, sizeof(struct tree_node *));
	const size_t n_old = tree->n_buckets;

	if (!buckets)
		return -ENOMEM;
	tree->buckets = buckets;
	tree->n_buckets = n;
	for (size_t i = 0; i < n_old; i++) {
		for (struct tree_node *node = old[i], *next; node; node = next) {
			next = node->hash_next;
			tree_hash_in(tree, node);
		}
	}
	free(old);
	return 0;
}

struct tree_node *tree_find(const struct tree *tree, const struct tree_inode *dir, const char *name,
			    size_t len)
{
	struct tree_node *node = tree->buckets[tree_hash(dir, name, len) % tree->n_buckets];

	while (node &&
	       (node->parent != dir || node->len != len || memcmp(node->name, name, len) != 0))
		node = node->hash_next;
	return node;
}

int tree_add(struct tree *tree, struct tree_inode *dir, const char *name, size_t len,
	     uint16_t layer, struct tree_inode *inode)
{
	struct tree_node *node;
	void *memory;

	if (!len || len > TREE_NAME_MAX)
		return -ENAMETOOLONG;
	int r = tree->n_nodes < tree->n_buckets ? 0 : tree_grow(tree);
	if (r == 0)
		r = tree_alloc(tree, sizeof(*node) + len, &memory);
	if (r < 0)
		return r;
	node = memory;
	node->parent = dir;
	node->inode = inode;
	node->layer = layer;
	node->len = (uint8_t)len;
	memcpy(node->name, name, len);
	node->next = dir->children;
	if (dir->children)
		dir->children->prev = node;
	dir->children = node;
	dir->n_children++;
	inode->links++;
	if (S_ISDIR(inode->mode))
		inode->up = dir;
	tree_hash_in(tree, node);
	tree->n_nodes++;
	return 0;
}

static void tree_unlink(struct tree_node *node)
{
	if (node->prev)
		node->prev->next = node->next;
	else
		node->parent->children = node->next;
	if (node->next)
		node->next->prev = node->prev;
	node->parent->n_children--;
}

void tree_drop(struct tree *tree, struct tree_node *node)
{
	tree_unlink(node);
	node->next = NULL;
	/* As a list, whose end moves along: however deep it goes. */
	for (struct tree_node *end = node; node; node = node->next) {
		tree_hash_out(tree, node);
		tree->n_nodes--;
		node->inode->links--;
		if (!S_ISDIR(node->inode->mode))
			continue;
		end->next = node->inode->children;
		node->inode->children = NULL;
		node->inode->n_children = 0;
		while (end->next)
			end = end->next;
	}
}

void tree_prune(struct tree *tree, struct tree_inode *dir, uint16_t layer)
{
	struct tree_inode *work = NULL;

	if (dir->pruned == layer)
		return; /* this layer adds nothing that is older than itself */
	dir->pruned = layer;
	dir->work = NULL;
	for (work = dir; work;) {
		struct tree_inode *at = work;
		work = at->work;
		for (struct tree_node *node = at->children, *next; node; node = next) {
			next = node->next;
			if (node->layer < layer) {
				tree_drop(tree, node);
			} else if (S_ISDIR(node->inode->mode) && node->inode->pruned != layer) {
				node->inode->pruned = layer;
				node->inode->work = work;
				work = node->inode;
			}
		}
	}
}

static int tree_compare(const void *a, const void *b)
{
	const struct tree_node *x = *(const struct tree_node *const *)a;
	const struct tree_node *y = *(const struct tree_node *const *)b;
	const int order = memcmp(x->name, y->name, x->len < y->len ? x->len : y->len);

	return order ? order : x->len - y->len;
}

int tree_sort(struct tree_inode *dir)
{
	struct tree_node **list;
	size_t n = 0;

	if (dir->n_children < 2)
		return 0;
	list = calloc(dir->n_children, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (struct tree_node *node = dir->children; node; node = node->next)
		list[n++] = node;
	qsort(list, n, sizeof(*list), tree_compare);
	for (size_t i = 0; i < n; i++) {
		list[i]->prev = i ? list[i - 1] : NULL;
		list[i]->next = i + 1 < n ? list[i + 1] : NULL;
	}
	dir->children = list[0];
	free(list);
	return 0;
}
