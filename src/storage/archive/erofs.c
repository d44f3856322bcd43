/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/erofs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"

/* fs/erofs/erofs_fs.h, by the names there */
#define EROFS_SUPER_AT	   1024
#define EROFS_MAGIC	   0xe0f5e1e2U
#define EROFS_COMPAT_MTIME 2U
#define EROFS_SLOT	   32U /* inodes are numbered by these */
#define EROFS_INODE	   64U /* of the extended kind */
#define EROFS_EXTENDED	   1U
#define EROFS_INLINE	   (2U << 1) /* data layout: the last piece is behind the inode */
#define EROFS_DIRENT	   12U
#define EROFS_XATTR_HEAD   12U
#define EROFS_XATTR_MAX	   ((UINT16_MAX - 1U) * 4U) /* bytes behind that head */
#define EROFS_TAIL_MAX                                                                             \
	2048U /* longer ones get a block: else they would waste as much before them */
#define EROFS_DIRENTS_BLOCK (EROFS_BLOCK / (EROFS_DIRENT + 1U))

/* ---- attributes ---- */

/* What a name begins with is a number on the disk; 0: it is of no known kind. */
static uint8_t xattr_index(const char *name, const char **ret_rest)
{
	static const struct {
		const char *prefix;
		uint8_t index;
		bool whole;
	} kinds[] = {
		{ "user.", 1, false },
		{ "system.posix_acl_access", 2, true },
		{ "system.posix_acl_default", 3, true },
		{ "security.", 6, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const size_t len = strlen(kinds[i].prefix);
		if (strncmp(name, kinds[i].prefix, len) != 0 || (kinds[i].whole && name[len]))
			continue;
		*ret_rest = name + len;
		return kinds[i].index;
	}
	return 0;
}

static size_t xattr_size(const uint8_t *entry)
{
	return ((size_t)4 + entry[0] + le16_load(entry + 2) + 3) / 4 * 4;
}

static void xattr_remove(struct erofs_xattrs *set, uint8_t index, const char *rest, size_t len)
{
	for (size_t at = 0; at < set->len;) {
		uint8_t *entry = set->data + at;
		const size_t size = xattr_size(entry);
		if (entry[1] != index || entry[0] != len || memcmp(entry + 4, rest, len) != 0) {
			at += size;
			continue;
		}
		memmove(entry, entry + size, set->len - at - size);
		set->len -= size;
		return;
	}
}

int erofs_xattr_add(struct erofs_xattrs *set, const char *name, const void *value, size_t len)
{
	const char *rest = NULL;
	const uint8_t index = xattr_index(name, &rest);
	const size_t rest_len = index ? strlen(rest) : 0;
	const size_t size = (4 + rest_len + len + 3) / 4 * 4;

	if (!index || rest_len > UINT8_MAX)
		return -EINVAL;
	xattr_remove(set, index, rest, rest_len);
	if (len > UINT16_MAX || set->len + size > EROFS_XATTR_MAX)
		return -E2BIG;
	uint8_t *data = realloc(set->data, set->len + size);
	if (!data)
		return -ENOMEM;
	set->data = data;
	data += set->len;
	set->len += size;
	memset(data, 0, size);
	data[0] = (uint8_t)rest_len;
	data[1] = index;
	le16_store(data + 2, (uint16_t)len);
	memcpy(data + 4, rest, rest_len);
	if (len)
		memcpy(data + 4 + rest_len, value, len);
	return 0;
}

/* ---- directories ---- */

/* A directory's names with "." and "..", in their order. */
struct names {
	struct tree_inode *dir;
	const struct tree_node *node;
	size_t dots; /* of "." and "..": how many were given */
};

struct name {
	const char *text;
	size_t len;
	const struct tree_inode *inode;
};

static bool names_next(struct names *names, struct name *ret)
{
	static const char dots[] = "..";
	const struct tree_node *node = names->node;
	const size_t n = names->dots + 1;

	if (names->dots < 2) {
		const size_t common = !node || node->len > n ? n : node->len;
		const int order = node ? memcmp(dots, node->name, common) : -1;
		if (order < 0 || (order == 0 && n < node->len)) {
			*ret = (struct name){ dots, n, n == 1 ? names->dir : names->dir->up };
			names->dots++;
			return true;
		}
	}
	if (!node)
		return false;
	*ret = (struct name){ node->name, node->len, node->inode };
	names->node = node->next;
	return true;
}

/* Each block has as many as fit. */
static uint64_t names_size(struct tree_inode *dir)
{
	struct names names = { .dir = dir, .node = dir->children };
	uint64_t whole = 0;
	size_t used = 0;
	struct name name;

	while (names_next(&names, &name)) {
		if (used + EROFS_DIRENT + name.len > EROFS_BLOCK) {
			whole += EROFS_BLOCK;
			used = 0;
		}
		used += EROFS_DIRENT + name.len;
	}
	return whole + used;
}

/* ---- places ---- */

static uint64_t inode_head(const struct tree_inode *inode)
{
	return EROFS_INODE +
	       (inode->xattr_bytes ? (uint64_t)EROFS_XATTR_HEAD + inode->xattr_bytes : 0);
}

static int layout_place(struct erofs *fs, struct tree_inode *inode)
{
	const uint64_t tail = inode->size % EROFS_BLOCK;
	const uint64_t head = inode_head(inode);
	const uint64_t room = EROFS_BLOCK - fs->meta_bytes % EROFS_BLOCK;

	inode->inlined = tail && tail <= EROFS_TAIL_MAX && head + tail <= EROFS_BLOCK;
	/* An inode lies in one block, and so does it with its tail; attributes may go on in the next. */
	if (room < (inode->inlined ? head + tail : EROFS_INODE))
		fs->meta_bytes += room;
	inode->at = fs->meta_bytes;
	fs->meta_bytes +=
		(head + (inode->inlined ? tail : 0) + EROFS_SLOT - 1) / EROFS_SLOT * EROFS_SLOT;
	inode->block = (uint32_t)fs->data_blocks;
	fs->data_blocks += inode->size / EROFS_BLOCK + (tail && !inode->inlined);
	inode->placed = true;
	inode->work = NULL;
	if (fs->last)
		fs->last->work = inode;
	else
		fs->first = inode;
	fs->last = inode;
	fs->inodes++;
	return fs->data_blocks + fs->meta_bytes / EROFS_BLOCK + 2 > UINT32_MAX ? -EFBIG : 0;
}

/* A directory is measured before it is placed; its files follow it, and the list grows while it is walked. */
static int layout_dir(struct erofs *fs, struct tree_inode *dir)
{
	int r = 0;

	for (struct tree_node *node = dir->children; r == 0 && node; node = node->next) {
		struct tree_inode *inode = node->inode;
		if (inode->placed)
			continue; /* by another of its names */
		if (S_ISDIR(inode->mode)) {
			r = tree_sort(inode);
			if (r == 0)
				inode->size = names_size(inode);
		}
		if (r == 0)
			r = layout_place(fs, inode);
	}
	return r;
}

static void layout_count_links(struct tree_inode *dir)
{
	dir->links = 2;
	for (const struct tree_node *node = dir->children; node; node = node->next)
		dir->links += S_ISDIR(node->inode->mode);
}

int erofs_layout(struct tree *tree, struct erofs *ret, struct err *err)
{
	/* An inode's number is its place, and readdir(3) takes 0 for a name that is gone. */
	struct erofs fs = { .tree = tree, .meta_bytes = EROFS_INODE };
	struct tree_inode *root = tree->root;
	int r = tree_sort(root);

	root->size = names_size(root);
	if (r == 0)
		r = layout_place(&fs, root); /* first: its number has 16 bits */
	for (struct tree_inode *inode = fs.first; r == 0 && inode; inode = inode->work) {
		if (!S_ISDIR(inode->mode))
			continue;
		layout_count_links(inode);
		r = layout_dir(&fs, inode);
	}
	if (r < 0)
		return r == -EFBIG ? err_say(err, EFBIG, "the image's files: more than 16 TiB")
				   : err_set(err, -r, "the image's files");
	*ret = fs;
	return 0;
}

/* ---- bytes ---- */

static uint64_t meta_blocks(const struct erofs *fs)
{
	return (fs->meta_bytes + EROFS_BLOCK - 1) / EROFS_BLOCK;
}

static uint64_t data_at(const struct erofs *fs, const struct tree_inode *inode)
{
	return (1 + meta_blocks(fs) + inode->block) * EROFS_BLOCK;
}

static int write_at(int fd, uint64_t at, const void *data, size_t len)
{
	const uint8_t *from = data;

	while (len > 0) {
		ssize_t n = pwrite(fd, from, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		from += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int erofs_write_data(const struct erofs *fs, int fd, const struct tree_inode *inode,
		     uint64_t offset, const void *data, size_t len)
{
	const uint64_t whole =
		inode->inlined ? inode->size / EROFS_BLOCK * EROFS_BLOCK : inode->size;
	size_t front = 0;
	int r = 0;

	if (offset > inode->size || len > inode->size - offset)
		return -EBADMSG;
	if (offset < whole) {
		front = len < whole - offset ? len : (size_t)(whole - offset);
		r = write_at(fd, data_at(fs, inode) + offset, data, front);
	}
	if (r < 0 || front == len)
		return r;
	return write_at(fd, EROFS_BLOCK + inode->at + inode_head(inode) + (offset + front - whole),
			(const uint8_t *)data + front, len - front);
}

/* new_encode_dev() */
static uint32_t inode_device(const struct tree_inode *inode)
{
	return (inode->minor & 0xff) | (inode->major & 0xfff) << 8 | (inode->minor & 0xfff00) << 12;
}

static void inode_fill(const struct erofs *fs, const struct tree_inode *inode, uint32_t number,
		       uint8_t ret[EROFS_INODE])
{
	const bool device = S_ISCHR(inode->mode) || S_ISBLK(inode->mode);
	const uint32_t block = inode->size > (inode->inlined ? EROFS_BLOCK - 1 : 0)
				       ? (uint32_t)(data_at(fs, inode) / EROFS_BLOCK)
				       : 0;

	memset(ret, 0, EROFS_INODE);
	le16_store(ret, (uint16_t)(EROFS_EXTENDED | (inode->inlined ? EROFS_INLINE : 0)));
	le16_store(ret + 2, (uint16_t)(inode->xattr_bytes ? inode->xattr_bytes / 4 + 1 : 0));
	le16_store(ret + 4, (uint16_t)inode->mode);
	le64_store(ret + 8, inode->size);
	le32_store(ret + 16, device ? inode_device(inode) : block);
	le32_store(ret + 20, number);
	le32_store(ret + 24, inode->uid);
	le32_store(ret + 28, inode->gid);
	le64_store(ret + 32, (uint64_t)inode->mtime_s);
	le32_store(ret + 40, inode->mtime_ns);
	le32_store(ret + 44, inode->links);
}

static uint8_t name_type(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 1;
	case S_IFDIR:
		return 2;
	case S_IFCHR:
		return 3;
	case S_IFBLK:
		return 4;
	case S_IFIFO:
		return 5;
	case S_IFLNK:
		return 7;
	default:
		return 0;
	}
}

/* The names of one block: theirs follow all of their numbers. Return: bytes. */
static size_t block_fill(const struct name *list, size_t n, uint8_t ret[EROFS_BLOCK])
{
	size_t at = n * EROFS_DIRENT;

	memset(ret, 0, EROFS_BLOCK);
	for (size_t i = 0; i < n; i++) {
		uint8_t *entry = ret + i * EROFS_DIRENT;
		le64_store(entry, list[i].inode->at / EROFS_SLOT);
		le16_store(entry + 8, (uint16_t)at);
		entry[10] = name_type(list[i].inode->mode);
		memcpy(ret + at, list[i].text, list[i].len);
		at += list[i].len;
	}
	return at;
}

static int write_dir(const struct erofs *fs, int fd, struct tree_inode *dir)
{
	struct names names = { .dir = dir, .node = dir->children };
	struct name list[EROFS_DIRENTS_BLOCK], name;
	uint8_t block[EROFS_BLOCK];
	size_t n = 0, used = 0;
	uint64_t at = 0;
	int r = 0;

	for (bool more = names_next(&names, &name); r == 0; more = names_next(&names, &name)) {
		if (!more || used + EROFS_DIRENT + name.len > EROFS_BLOCK) {
			const size_t len = block_fill(list, n, block);
			r = erofs_write_data(fs, fd, dir, at, block, more ? EROFS_BLOCK : len);
			at += EROFS_BLOCK;
			n = used = 0;
		}
		if (!more)
			break;
		list[n++] = name;
		used += EROFS_DIRENT + name.len;
	}
	return r;
}

static int write_inode(const struct erofs *fs, int fd, struct tree_inode *inode, uint32_t number)
{
	uint8_t head[EROFS_INODE + EROFS_XATTR_HEAD] = { 0 };
	const size_t len = EROFS_INODE + (inode->xattr_bytes ? EROFS_XATTR_HEAD : 0);
	const uint64_t at = EROFS_BLOCK + inode->at;

	inode_fill(fs, inode, number, head);
	int r = write_at(fd, at, head, len);
	if (r == 0 && inode->xattr_bytes)
		r = write_at(fd, at + len, inode->xattrs, inode->xattr_bytes);
	if (r == 0 && S_ISDIR(inode->mode))
		return write_dir(fs, fd, inode);
	if (r == 0 && S_ISLNK(inode->mode))
		return erofs_write_data(fs, fd, inode, 0, inode->target, (size_t)inode->size);
	return r;
}

static int write_super(const struct erofs *fs, int fd, uint64_t blocks, const uint8_t *uuid)
{
	uint8_t super[128] = { 0 };

	le32_store(super, EROFS_MAGIC);
	le32_store(super + 8, EROFS_COMPAT_MTIME);
	super[12] = 12; /* blkszbits */
	le16_store(super + 14, (uint16_t)(fs->tree->root->at / EROFS_SLOT));
	le64_store(super + 16, fs->inodes);
	le32_store(super + 36, (uint32_t)blocks);
	le32_store(super + 40, 1); /* meta_blkaddr */
	memcpy(super + 48, uuid, 16);
	return write_at(fd, EROFS_SUPER_AT, super, sizeof(super));
}

int erofs_write(const struct erofs *fs, int fd, const uint8_t *uuid, struct err *err)
{
	const uint64_t blocks = 1 + meta_blocks(fs) + fs->data_blocks;
	uint32_t number = 1;
	int r = ftruncate(fd, (off_t)(blocks * EROFS_BLOCK)) < 0 ? -errno : 0;

	if (r == 0)
		r = write_super(fs, fd, blocks, uuid);
	for (struct tree_inode *inode = fs->first; r == 0 && inode; inode = inode->work)
		r = write_inode(fs, fd, inode, number++);
	return r < 0 ? err_set(err, -r, "write the image's disk") : 0;
}
