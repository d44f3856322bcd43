/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "storage/archive/erofs.h"
#include "storage/archive/merge.h"

/* What is under way for one layer. */
struct pass {
	struct merge *merge;	   /* the first: names */
	const struct erofs *fs;	   /* the second: contents */
	struct tree_inode **files; /* its: those with data, in the archives' order */
	size_t n_files, at;
	int out;
};

static int pass_names(struct pass *pass, struct reader *reader, uint16_t layer, struct err *err)
{
	(void)layer;
	return merge_layer(pass->merge, reader, err);
}

static int copy_data(struct pass *pass, struct reader *reader, struct err *err)
{
	const struct tree_inode *file = pass->files[pass->at];
	const void *data;
	size_t len;
	int64_t offset;
	int r;

	while ((r = reader_data(reader, &data, &len, &offset, err)) == 1) {
		r = offset < 0 ? -EBADMSG
			       : erofs_write_data(pass->fs, pass->out, file, (uint64_t)offset, data,
						  len);
		if (r < 0)
			return err_set(err, -r, "%s: write the image's disk", reader_what(reader));
	}
	return r;
}

static int pass_contents(struct pass *pass, struct reader *reader, uint16_t layer, struct err *err)
{
	struct archive_entry *entry;
	int r = 1;

	for (uint32_t i = 1; pass->at < pass->n_files && pass->files[pass->at]->layer == layer;
	     i++) {
		r = reader_next(reader, &entry, err);
		if (r == 0)
			return err_say(err, EBADMSG, "%s: it changed while it was read",
				       reader_what(reader));
		if (r < 0)
			return r;
		if (pass->files[pass->at]->entry != i)
			continue;
		r = copy_data(pass, reader, err);
		if (r < 0)
			return r;
		pass->at++;
	}
	return 0;
}

static int read_layer(int blobs, const struct disk_layer *layer, uint16_t number,
		      int (*fn)(struct pass *, struct reader *, uint16_t, struct err *),
		      struct pass *pass, struct err *err)
{
	AUTO(reader_free_p) struct reader *reader = NULL;
	char what[32], diff[DIGEST_HEX + 1];
	AUTO(fd_close_p)
	int fd = openat(blobs, layer->blob, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	(void)snprintf(what, sizeof(what), "layer %.12s", layer->blob); /* fits */
	if (fd < 0)
		return err_set(err, errno, "%s", what);
	int r = reader_open(fd, what, &reader, err);
	if (r == 0)
		r = fn(pass, reader, number, err);
	if (r < 0 || fn != pass_names)
		return r;
	r = reader_end(reader, diff, err);
	if (r == 0 && strcmp(diff, layer->diff) != 0)
		return err_say(err, EBADMSG,
			       "%s: it is damaged, its tar has digest sha256:%.12s and not "
			       "sha256:%.12s: import the image again",
			       what, diff, layer->diff);
	return r;
}

static int file_order(const void *a, const void *b)
{
	const struct tree_inode *x = *(const struct tree_inode *const *)a;
	const struct tree_inode *y = *(const struct tree_inode *const *)b;

	if (x->layer != y->layer)
		return x->layer < y->layer ? -1 : 1;
	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static bool has_data(const struct tree_inode *inode)
{
	return S_ISREG(inode->mode) && inode->size > 0;
}

static int list_files(const struct erofs *fs, struct pass *pass, struct err *err)
{
	size_t n = 0;

	pass->files = calloc((size_t)fs->inodes, sizeof(struct tree_inode *));
	if (!pass->files)
		return err_set(err, ENOMEM, "the image's files");
	for (struct tree_inode *inode = fs->first; inode; inode = inode->work) {
		if (has_data(inode))
			pass->files[n++] = inode;
	}
	qsort(pass->files, n, sizeof(struct tree_inode *), file_order);
	pass->n_files = n;
	return 0;
}

static void disk_uuid(const char *id, uint8_t ret[16])
{
	for (size_t i = 0; i < 16; i++) {
		const char digits[3] = { id[2 * i], id[2 * i + 1], '\0' };
		ret[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
}

int disk_make(int blobs, int out, const char *id, const struct disk_layer *layers, size_t n,
	      struct err *err)
{
	AUTO(tree_fini) struct tree tree = { 0 };
	struct merge merge = { .tree = &tree };
	struct erofs fs = { 0 };
	struct pass pass = { .merge = &merge, .fs = &fs, .out = out };
	uint8_t uuid[16];

	int r = tree_init(&tree, err);
	if (r == 0 && (!digest_is_hex(id) || n > UINT16_MAX - 1))
		r = err_say(err, EINVAL, "make the image's disk: no image");
	for (size_t i = 0; r == 0 && i < n; i++)
		r = read_layer(blobs, &layers[i], (uint16_t)(i + 1), pass_names, &pass, err);
	if (r == 0)
		r = erofs_layout(&tree, &fs, err);
	if (r == 0) {
		disk_uuid(id, uuid);
		r = erofs_write(&fs, out, uuid, err);
	}
	if (r == 0)
		r = list_files(&fs, &pass, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = read_layer(blobs, &layers[i], (uint16_t)(i + 1), pass_contents, &pass, err);
	free(pass.files);
	return r;
}
