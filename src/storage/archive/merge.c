/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "storage/archive/erofs.h"
#include "storage/archive/unpack.h"
#include "storage/archive/unpack_path.h"

#define LINK_HOPS 40 /* path_resolution(7) */

/* Where an entry goes. */
struct place {
	struct tree_inode *dir;
	const char *name;
	size_t len;
};

static int merge_new(struct merge *m, struct tree_inode *dir, const char *name, size_t len,
		     uint32_t mode, struct tree_inode **ret)
{
	int r = tree_inode_new(m->tree, mode, ret);

	return r < 0 ? r : tree_add(m->tree, dir, name, len, m->layer, *ret);
}

static int merge_walk(struct merge *m, struct tree_inode *dir, const char *path, bool make,
		      unsigned *hops, struct tree_inode **ret);

/* One directory on: *dir is changed. */
static int merge_step(struct merge *m, struct tree_inode **dir, const char *name, size_t len,
		      bool make, unsigned *hops)
{
	struct tree_node *node = tree_find(m->tree, *dir, name, len);

	if (node && node->layer != m->layer) {
		if (!make)
			return -ENOENT; /* not in this archive */
		if (S_ISDIR(node->inode->mode)) {
			node->layer = m->layer;
		} else {
			tree_drop(m->tree, node);
			node = NULL;
		}
	}
	if (!node)
		return make ? merge_new(m, *dir, name, len, S_IFDIR | 0755, dir) : -ENOENT;
	if (S_ISLNK(node->inode->mode)) {
		if (++*hops > LINK_HOPS)
			return -ELOOP;
		const char *target = node->inode->target;
		return merge_walk(m, target[0] == '/' ? m->tree->root : *dir, target, make, hops,
				  dir);
	}
	if (!S_ISDIR(node->inode->mode))
		return -ENOTDIR;
	*dir = node->inode;
	return 0;
}

static int merge_walk(struct merge *m, struct tree_inode *dir, const char *path, bool make,
		      unsigned *hops, struct tree_inode **ret)
{
	while (*path) {
		path += strspn(path, "/");
		size_t n = strcspn(path, "/");
		if (n == 2 && !memcmp(path, "..", 2)) {
			dir = dir->up;
		} else if (n && !(n == 1 && path[0] == '.')) {
			int r = merge_step(m, &dir, path, n, make, hops);
			if (r < 0)
				return r;
		}
		path += n;
	}
	*ret = dir;
	return 0;
}

/* ---- what an entry says of its file ---- */

static int merge_owner(struct archive_entry *entry, struct tree_inode *inode)
{
	int64_t uid = archive_entry_uid(entry);
	int64_t gid = archive_entry_gid(entry);

	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return -EOVERFLOW;
	inode->uid = (uint32_t)uid;
	inode->gid = (uint32_t)gid;
	return 0;
}

static int merge_xattrs(struct merge *m, struct archive_entry *entry, struct tree_inode *inode)
{
	struct erofs_xattrs set = { 0 };
	const char *name;
	const void *value;
	size_t len;
	int r = 0;

	(void)archive_entry_xattr_reset(entry); /* returns how many there are */
	while (r == 0 && archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK) {
		int wanted = name ? unpack_xattr_wanted(name) : 0;
		r = wanted <= 0 ? wanted : erofs_xattr_add(&set, name, value, len);
	}
	inode->xattrs = NULL;
	inode->xattr_bytes = 0;
	if (r == 0 && set.len) {
		void *copy;
		r = tree_alloc(m->tree, set.len, &copy);
		if (r == 0) {
			memcpy(copy, set.data, set.len);
			inode->xattrs = copy;
			inode->xattr_bytes = (uint32_t)set.len;
		}
	}
	free(set.data);
	return r;
}

static int merge_meta(struct merge *m, struct archive_entry *entry, struct tree_inode *inode)
{
	long ns = archive_entry_mtime_nsec(entry);
	int r = merge_owner(entry, inode);

	if (!S_ISLNK(inode->mode))
		inode->mode = (inode->mode & S_IFMT) | (archive_entry_perm(entry) & 07777);
	if (archive_entry_mtime_is_set(entry)) {
		inode->mtime_s = archive_entry_mtime(entry);
		inode->mtime_ns = ns >= 0 && ns < 1000000000 ? (uint32_t)ns : 0;
	}
	/* As unpacked, where what cannot be opened has none. */
	return r < 0 || !(S_ISREG(inode->mode) || S_ISDIR(inode->mode))
		       ? r
		       : merge_xattrs(m, entry, inode);
}

static int merge_target(struct merge *m, struct archive_entry *entry, struct tree_inode *inode)
{
	const char *target = archive_entry_symlink(entry);
	void *copy;

	if (!target)
		target = archive_entry_symlink_utf8(entry);
	if (!target || !target[0])
		return -EINVAL;
	size_t len = strlen(target);
	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	int r = tree_alloc(m->tree, len + 1, &copy);
	if (r < 0)
		return r;
	memcpy(copy, target, len + 1);
	inode->target = copy;
	inode->size = len;
	return 0;
}

/* ---- entries ---- */

/* What is there already, of any layer, gives way. */
static void merge_clear(struct merge *m, const struct place *at)
{
	struct tree_node *old = tree_find(m->tree, at->dir, at->name, at->len);

	if (old)
		tree_drop(m->tree, old);
}

static int merge_dir(struct merge *m, struct archive_entry *entry, const struct place *at)
{
	struct tree_inode *inode = at->dir;
	struct tree_node *old = at->len ? tree_find(m->tree, at->dir, at->name, at->len) : NULL;
	int r = 0;

	if (old && S_ISDIR(old->inode->mode)) {
		old->layer = m->layer;
		inode = old->inode;
	} else if (at->len) {
		merge_clear(m, at);
		r = merge_new(m, at->dir, at->name, at->len, S_IFDIR, &inode);
	}
	return r < 0 ? r : merge_meta(m, entry, inode);
}

static int merge_hardlink(struct merge *m, struct archive_entry *entry, const struct place *at)
{
	struct unpack_path path;
	struct tree_inode *dir;
	unsigned hops = 0;
	int r = unpack_path_split(entry_link(entry), "", &path);

	if (r == 0)
		r = merge_walk(m, m->tree->root, path.dir, false, &hops, &dir);
	if (r < 0)
		return r;
	const struct tree_node *target = tree_find(m->tree, dir, path.base, strlen(path.base));
	const struct tree_node *old = tree_find(m->tree, at->dir, at->name, at->len);
	if (!target || target->layer != m->layer)
		return -ENOENT;
	if (S_ISDIR(target->inode->mode))
		return -EPERM;
	if (old && old->inode == target->inode)
		return 0; /* its own link: clearing the way would lose it */
	struct tree_inode *inode =
		target->inode; /* stays, whatever is cleared: the pool keeps it */
	merge_clear(m, at);
	return tree_add(m->tree, at->dir, at->name, at->len, m->layer, inode);
}

static int merge_other(struct merge *m, struct archive_entry *entry, const struct place *at)
{
	const uint32_t type = archive_entry_filetype(entry);
	struct tree_inode *inode;

	if (type != AE_IFREG && type != AE_IFLNK && type != AE_IFCHR && type != AE_IFBLK &&
	    type != AE_IFIFO)
		return 0; /* as unpacked: a socket is its program's */
	merge_clear(m, at);
	/* Overlayfs takes such a device for a whiteout. */
	if (type == AE_IFCHR && archive_entry_rdevmajor(entry) == 0 &&
	    archive_entry_rdevminor(entry) == 0)
		return 0;
	int r = merge_new(m, at->dir, at->name, at->len, type | (type == AE_IFLNK ? 0777 : 0),
			  &inode);
	if (r == 0)
		r = merge_meta(m, entry, inode);
	if (r < 0)
		return r;
	if (type == AE_IFLNK)
		return merge_target(m, entry, inode);
	if (type == AE_IFREG) {
		int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
		inode->size = size > 0 ? (uint64_t)size : 0;
		inode->layer = m->layer;
		inode->entry = m->entry;
	} else if (type != AE_IFIFO) {
		inode->major = (uint32_t)archive_entry_rdevmajor(entry);
		inode->minor = (uint32_t)archive_entry_rdevminor(entry);
	}
	return 0;
}

/* OCI image specification, layer.md, "Whiteouts": of lower layers only. */
static int merge_whiteout(struct merge *m, const struct place *at)
{
	const char *name = at->name + 4;
	const size_t len = at->len - 4;

	if (len == 8 && !memcmp(name, ".wh..opq", 8)) {
		tree_prune(m->tree, at->dir, m->layer);
		return 0;
	}
	if (len >= 4 && !memcmp(name, ".wh.", 4))
		return 0; /* AUFS's own book-keeping (".wh..wh.plnk") */
	if (!len || (len == 1 && name[0] == '.') || (len == 2 && !memcmp(name, "..", 2)))
		return -EINVAL;
	struct tree_node *old = tree_find(m->tree, at->dir, name, len);
	if (old && old->layer != m->layer)
		tree_drop(m->tree, old);
	else if (old && S_ISDIR(old->inode->mode))
		tree_prune(m->tree, old->inode, m->layer);
	return 0;
}

static int merge_entry(struct merge *m, struct archive_entry *entry)
{
	struct unpack_path path;
	struct place at = { 0 };
	unsigned hops = 0;
	int r = unpack_path_split(entry_path(entry), "", &path);

	if (r == 0)
		r = merge_walk(m, m->tree->root, path.dir, true, &hops, &at.dir);
	if (r < 0)
		return r;
	at.name = path.base;
	at.len = strlen(path.base);
	if (!strncmp(path.base, ".wh.", 4))
		return merge_whiteout(m, &at);
	if (entry_link(entry))
		return at.len ? merge_hardlink(m, entry, &at) : -EPERM;
	if (archive_entry_filetype(entry) == AE_IFDIR)
		return merge_dir(m, entry, &at);
	return at.len ? merge_other(m, entry, &at) : -ENOTDIR;
}

int merge_layer(struct merge *merge, struct reader *reader, struct err *err)
{
	struct archive_entry *entry;
	int r;

	merge->layer++;
	merge->entry = 0;
	while ((r = reader_next(reader, &entry, err)) == 1) {
		if (++merge->entry > UNPACK_ENTRIES_MAX)
			return err_say(err, E2BIG, "%s: more than %d entries", reader_what(reader),
				       UNPACK_ENTRIES_MAX);
		r = merge_entry(merge, entry);
		if (r == -E2BIG)
			return err_say(
				err, E2BIG, "%s: more files than fit into %llu MiB of memory",
				reader_what(reader), (unsigned long long)(TREE_POOL_MAX >> 20));
		if (r < 0)
			return err_set(err, -r, "%s: entry %.200s", reader_what(reader),
				       entry_path(entry));
	}
	return r;
}
