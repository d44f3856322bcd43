/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "storage/image_priv.h"
#include "storage/initramfs.h"
#include "storage/own_layers.h"
#include "storage/ref.h"

static bool image_in_use(const char *id, const char *const *in_use)
{
	for (size_t i = 0; in_use && in_use[i]; i++) {
		if (!strcmp(in_use[i], id))
			return true;
	}
	return false;
}

/* 1 when a row comes back, else 0. */
static int sweep_known(struct store *store, const char *sql, const char *name, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err, sql, "s", name);

	return r < 0 ? r : db_step(&store->db, stmt, err);
}

/* An import that will share a layer holds it locked until its own rows are there. */
static bool sweep_is_held(int dir, const char *name)
{
	AUTO(fd_close_p) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static int sweep_dir(struct store *store, struct staging *staging, const char *name,
		     const char *sql, struct err *err)
{
	AUTO(fd_close_p) int fd = -EBADF;
	int r = storage_dir(store, name, 0700, &fd, err);

	if (r < 0)
		return r;
	int list = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(dir_close_p) DIR *dir = list < 0 ? NULL : fdopendir(list);
	if (!dir) {
		fd_close(list);
		return err_set(err, errno, "list %s/%s", store->root, name);
	}
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		r = sweep_known(store, sql, e->d_name, err);
		if (r == 0 && !sweep_is_held(fd, e->d_name))
			r = storage_discard(staging, fd, e->d_name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int image_sweep(struct store *store, struct staging *staging, struct err *err)
{
	int r = sweep_dir(store, staging, "layers",
			  "SELECT 1 FROM image_layers WHERE diff = ? LIMIT 1", err);

	if (r == 0)
		r = sweep_dir(store, staging, OWN_LAYERS,
			      "SELECT 1 FROM image_layers WHERE diff = ? LIMIT 1", err);
	if (r == 0)
		r = sweep_dir(store, staging, "disks", "SELECT 1 FROM images WHERE id = ? LIMIT 1",
			      err);
	if (r < 0)
		return r;
	return sweep_dir(store, staging, "blobs",
			 "SELECT 1 FROM images WHERE id = ?1 OR manifest = ?1 UNION ALL "
			 "SELECT 1 FROM image_layers WHERE blob = ?1 LIMIT 1",
			 err);
}

static size_t image_tag_count(const struct image *image)
{
	size_t n = 0;

	while (image->tags[n])
		n++;
	return n;
}

/* Which of the image's tags did the user name? NULL: none, it was an id. */
static const char *remove_tag_meant(const struct image *image, const char *text)
{
	struct ref ref;

	if (!strncmp(text, "sha256:", 7) || ref_parse(text, &ref, NULL) < 0 || ref.digest[0])
		return NULL;
	char full[REF_MAX];
	if (ref_tag(text, full, NULL) < 0)
		return NULL;
	size_t len = strlen(full);
	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t i = 0; image->tags[i]; i++) {
			const char *tag = image->tags[i];
			size_t n = strlen(tag);
			/* The second pass takes the long form of a short name, and the reverse. */
			bool tail = pass && ((n > len && tag[n - len - 1] == '/' &&
					      !strcmp(tag + n - len, full)) ||
					     (len > n && full[len - n - 1] == '/' &&
					      !strcmp(full + len - n, tag)));
			if (tail || !strcmp(tag, full))
				return tag;
		}
	}
	return NULL;
}

static int remove_in_use(const char *ref, struct err *err)
{
	return err_say(
		err, EBUSY,
		"image %s is in use by an instance: remove that first (strata ps -a shows it)",
		ref);
}

static int remove_row(struct store *store, const struct image *image, const char *tag, bool force,
		      const char *const *in_use, const char *ref, struct err *err)
{
	size_t tags = image_tag_count(image);

	if (tag && tags > 1)
		return db_run(&store->db, err, "DELETE FROM tags WHERE name = ?", "s", tag);
	if (image_in_use(image->id, in_use)) {
		if (tag && force)
			return db_run(&store->db, err, "DELETE FROM tags WHERE name = ?", "s", tag);
		return remove_in_use(ref, err);
	}
	if (!tag && tags > 1 && !force)
		return err_say(err, EBUSY,
			       "image %s has %zu tags: remove it by tag, or with --force", ref,
			       tags);
	int r = db_run(&store->db, err, "DELETE FROM images WHERE id = ?", "s", image->id);
	return r == -ESTALE ? remove_in_use(ref, err) : r; /* used only since in_use was made */
}

static int remove_one(struct store *store, const char *ref, bool force, const char *const *in_use,
		      struct err *err)
{
	AUTO(image_fini) struct image image = { 0 };
	int r = image_find(store, ref, &image, err);

	return r < 0 ? r
		     : remove_row(store, &image, remove_tag_meant(&image, ref), force, in_use, ref,
				  err);
}

int image_remove(struct store *store, const char *ref, bool force, const char *const *in_use,
		 struct err *err)
{
	AUTO(staging_close) struct staging staging = STAGING_NONE;
	AUTO(fd_close_p) int lock = -EBADF;

	int r = staging_open(store, "remove", &staging, err);
	if (r == 0)
		r = db_begin(&store->db, true, err);
	if (r < 0)
		return r;
	lock = storage_lock(store, err);
	r = lock < 0 ? lock : remove_one(store, ref, force, in_use, err);
	if (r == 0)
		r = db_commit(&store->db, err);
	if (r < 0) {
		db_rollback(&store->db);
		return r;
	}
	/* From here on the image is gone: what cannot be moved away now, prune will. */
	return image_sweep(store, &staging, err);
}

static int prune_untagged(struct store *store, const char *const *in_use, struct err *err)
{
	struct image *images = NULL;
	size_t n = 0;
	int r = image_list(store, &images, &n, err);

	for (size_t i = 0; i < n; i++) {
		if (r == -ESTALE)
			r = 0; /* the last one is used since in_use was made: it stays */
		if (r == 0 && !images[i].tags[0] && !image_in_use(images[i].id, in_use))
			r = db_run(&store->db, err, "DELETE FROM images WHERE id = ?", "s",
				   images[i].id);
		image_fini(&images[i]);
	}
	free(images);
	return r == -ESTALE ? 0 : r;
}

int image_prune(struct store *store, bool all, const char *const *in_use, int64_t *ret_bytes,
		struct err *err)
{
	AUTO(staging_close) struct staging staging = STAGING_NONE;
	AUTO(fd_close_p) int lock = -EBADF;
	int64_t bytes = 0;

	int r = staging_reap(store, &bytes, err);
	if (r == 0)
		r = staging_open(store, "prune", &staging, err);
	if (r == 0)
		r = db_begin(&store->db, true, err);
	if (r < 0)
		return r;
	lock = storage_lock(store, err);
	r = lock < 0 ? lock : all ? prune_untagged(store, in_use, err) : 0;
	if (r == 0)
		r = db_commit(&store->db, err);
	if (r < 0) {
		db_rollback(&store->db);
		return r;
	}
	r = image_sweep(store, &staging, err);
	if (r == 0)
		r = initramfs_sweep(store, &staging, err);
	fd_close(fd_take(&lock));
	if (r < 0)
		return r;
	*ret_bytes = bytes + staging_bytes(&staging);
	return 0;
}
