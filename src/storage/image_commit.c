/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order that makes an import all or nothing, and an acknowledged one survive a power cut: the
 * staged files reach the disk, then they get their names, then these names reach the disk, then the
 * transaction does. A kill in between leaves whole files that nothing refers to; image_prune() and
 * the next import of the same layers find them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/clock.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"
#include "storage/image_priv.h"
#include "storage/ref.h"

struct commit {
	struct store *store;
	struct staging *staging;
	int blobs, layers;		 /* the store's */
	int staged_blobs, staged_layers; /* the import's */
};

static void commit_fini(struct commit *commit)
{
	fd_close(commit->blobs);
	fd_close(commit->layers);
	fd_close(commit->staged_blobs);
	fd_close(commit->staged_layers);
}

static int commit_bad(struct err *err)
{
	return err_say(err, EBADMSG, "strata-archive gave a malformed answer");
}

static int commit_staged(struct commit *commit, const char *name, int *ret, struct err *err)
{
	int fd = openat(commit->staging->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_set(err, errno, "open %s of the import", name);
	*ret = fd;
	return 0;
}

static int commit_open(struct store *store, struct staging *staging, struct commit *ret,
		       struct err *err)
{
	struct commit commit = { store, staging, -EBADF, -EBADF, -EBADF, -EBADF };

	int r = storage_dir(store, "blobs", 0700, &commit.blobs, err);
	if (r == 0)
		r = storage_dir(store, "layers", 0700, &commit.layers, err);
	if (r == 0)
		r = commit_staged(&commit, "blobs", &commit.staged_blobs, err);
	if (r == 0)
		r = commit_staged(&commit, "layers", &commit.staged_layers, err);
	if (r < 0) {
		commit_fini(&commit);
		return r;
	}
	*ret = commit;
	return 0;
}

/* Moves one file or directory into its place, where another import may have put its twin. */
static int commit_move(int from, int to, const char *name, struct err *err)
{
	if (!digest_is_hex(name))
		return commit_bad(err);
	if (renameat2(from, name, to, name, RENAME_NOREPLACE) == 0 || errno == EEXIST)
		return 0;
	if (errno == ENOENT && faccessat(to, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return err_set(err, errno, "put %.12s into the image store", name);
}

static int commit_files(struct commit *commit, const json_t *image, struct err *err)
{
	const json_t *layers = json_object_get(image, "layers");
	int r = commit_move(commit->staged_blobs, commit->blobs, json_str(image, "config", ""),
			    err);

	if (r == 0)
		r = commit_move(commit->staged_blobs, commit->blobs,
				json_str(image, "manifest", ""), err);
	for (size_t i = 0; r == 0 && i < json_array_size(layers); i++) {
		const json_t *layer = json_array_get(layers, i);
		r = commit_move(commit->staged_layers, commit->layers, json_str(layer, "diff", ""),
				err);
		if (r == 0)
			r = commit_move(commit->staged_blobs, commit->blobs,
					json_str(layer, "blob", ""), err);
	}
	return r;
}

/*
 * The stack to mount: overlayfs refuses a directory that comes twice, and of two equal layers the
 * lower one changes nothing, since the upper one says the same of every path it touches.
 */
static int commit_stack(const json_t *layers, struct buf *ret, int64_t *ret_bytes)
{
	size_t n = json_array_size(layers);

	for (size_t i = 0; i < n; i++) {
		const char *diff = json_str(json_array_get(layers, i), "diff", "");
		bool again = false;
		for (size_t j = i + 1; j < n && !again; j++)
			again = !strcmp(diff, json_str(json_array_get(layers, j), "diff", ""));
		if (again)
			continue;
		*ret_bytes += json_int(json_array_get(layers, i), "bytes", 0);
		(void)buf_printf(ret, "%s%s", ret->len ? " " : "", diff); /* sticky: below */
	}
	return ret->failed || buf_add(ret, "", 0) < 0 ? -ENOMEM : 0;
}

static int commit_config(struct commit *commit, const char *id, struct buf *ret, struct err *err)
{
	char hex[DIGEST_HEX + 1];

	int r = file_read(commit->blobs, id, 8u << 20, ret);
	if (r < 0)
		return err_set(err, -r, "read image config %.12s", id);
	digest_of(buf_str(ret), ret->len, hex);
	return strcmp(hex, id) ? err_say(err, EBADMSG, "image config %.12s is damaged", id) : 0;
}

static int commit_image_row(struct commit *commit, const json_t *image, struct err *err)
{
	AUTO(buf_fini) struct buf config = { 0 };
	AUTO(buf_fini) struct buf stack = { 0 };
	const json_t *layers = json_object_get(image, "layers");
	const char *id = json_str(image, "config", "");
	struct db *db = &commit->store->db;
	int64_t bytes = 0;

	int r = commit_config(commit, id, &config, err);
	if (r == 0 && commit_stack(layers, &stack, &bytes) < 0)
		r = err_set(err, ENOMEM, "record image");
	if (r == 0)
		r = db_run(db, err, "INSERT OR IGNORE INTO images VALUES (?, ?, ?, ?, ?, ?)",
			   "ssssii", id, json_str(image, "manifest", ""), config.data, stack.data,
			   bytes, clock_real_ns());
	/* Already there, perhaps from other blobs of the same layers: its rows stay as they are. */
	if (r < 0 || db_changes(db) == 0)
		return r;
	for (size_t i = 0; r == 0 && i < json_array_size(layers); i++) {
		const json_t *layer = json_array_get(layers, i);
		r = db_run(db, err, "INSERT INTO image_layers VALUES (?, ?, ?, ?, ?)", "sisss", id,
			   (int64_t)i, json_str(layer, "diff", ""), json_str(layer, "blob", ""),
			   json_str(layer, "type", ""));
	}
	return r;
}

/* A tag of the archive that is no valid name is left out: the image is still found by its id. */
static int commit_tags(struct commit *commit, const json_t *image, const char *tag, struct err *err)
{
	const json_t *tags = json_object_get(image, "tags");
	const char *id = json_str(image, "config", "");
	char full[REF_MAX];

	if (tag) {
		int r = ref_tag(tag, full, err);
		return r < 0 ? r : image_tag_set(commit->store, id, full, err);
	}
	for (size_t i = 0; i < json_array_size(tags); i++) {
		const char *name = json_string_value(json_array_get(tags, i));
		if (!name || ref_tag(name, full, NULL) < 0)
			continue;
		int r = image_tag_set(commit->store, id, full, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int commit_rows(struct commit *commit, const json_t *images, const char *tag,
		       struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_array_size(images); i++) {
		const json_t *image = json_array_get(images, i);
		r = commit_image_row(commit, image, err);
		if (r == 0)
			r = commit_tags(commit, image, tag, err);
	}
	return r;
}

static int commit_all(struct commit *commit, const json_t *images, const char *tag, struct err *err)
{
	AUTO(fd_close_p) int lock = storage_lock(commit->store, err);
	if (lock < 0)
		return lock;

	int r = 0;
	for (size_t i = 0; r == 0 && i < json_array_size(images); i++)
		r = commit_files(commit, json_array_get(images, i), err);
	if (r == 0 && (fsync(commit->blobs) < 0 || fsync(commit->layers) < 0))
		r = err_set(err, errno, "write the image to disk");
	if (r == 0)
		r = commit_rows(commit, images, tag, err);
	return r == 0 ? db_commit(&commit->store->db, err) : r;
}

int image_commit(struct store *store, struct staging *staging, const json_t *result,
		 const char *tag, char ret_id[DIGEST_HEX + 1], struct err *err)
{
	AUTO(commit_fini) struct commit commit = { NULL, NULL, -EBADF, -EBADF, -EBADF, -EBADF };
	const json_t *images = json_object_get(result, "images");
	size_t n = json_array_size(images);

	if (!n)
		return commit_bad(err);
	if (tag && n > 1)
		return err_say(err, EINVAL,
			       "the archive holds %zu images: one tag cannot name them all; import "
			       "it without a tag",
			       n);
	int r = commit_open(store, staging, &commit, err);
	if (r < 0)
		return r;
	if (syncfs(staging->fd) < 0)
		return err_set(err, errno, "write the image to disk");
	r = db_begin(&store->db, true, err);
	if (r == 0)
		r = commit_all(&commit, images, tag, err);
	if (r < 0) {
		db_rollback(&store->db);
		return r;
	}
	memcpy(ret_id, json_str(json_array_get(images, 0), "config", ""), DIGEST_HEX + 1);
	return 0;
}
