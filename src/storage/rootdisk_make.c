/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "storage/helper.h"
#include "storage/rootdisk_priv.h"

/* strata-archive's arguments: the image, then each layer's blob and diff id. */
struct maker_args {
	char **argv; /* owned, with what it points to */
	size_t n, cap;
};

static void maker_args_fini(struct maker_args *args)
{
	for (size_t i = 0; i < args->n; i++)
		free(args->argv[i]);
	free(args->argv);
}

static int maker_add(struct maker_args *args, const char *text)
{
	if (args->n + 2 > args->cap) {
		const size_t cap = args->cap * 2 + 16;
		char **argv = reallocarray(args->argv, cap, sizeof(*argv));
		if (!argv)
			return -ENOMEM;
		args->argv = argv;
		args->cap = cap;
	}
	char *copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	args->argv[args->n++] = copy;
	args->argv[args->n] = NULL;
	return 0;
}

/* A layer that comes twice has the same tar, whichever blob that is packed in. */
static int maker_layer(struct store *store, const struct image *image, const char *diff,
		       struct maker_args *args, struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT blob FROM image_layers WHERE image = ? AND diff = ? "
			   "ORDER BY position LIMIT 1",
			   "ss", image->id, diff);

	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r == 0)
		return err_say(err, ESTALE, "make the image's disk: the image was removed");
	if (r < 0)
		return r;
	if (maker_add(args, db_col_str(stmt, 0)) < 0 || maker_add(args, diff) < 0)
		return err_set(err, ENOMEM, "make the image's disk");
	return 0;
}

int rootdisk_make(struct store *store, const struct image *image, struct staging *staging,
		  struct err *err)
{
	AUTO(maker_args_fini) struct maker_args args = { 0 };
	AUTO(helper_fini) struct helper helper = { 0 };
	AUTO(json_decref_p) json_t *result = NULL;
	AUTO(fd_close_p) int blobs = -EBADF;

	if (maker_add(&args, "disk") < 0 || maker_add(&args, image->id) < 0)
		return err_set(err, ENOMEM, "make the image's disk");
	int r = storage_dir(store, "blobs", 0700, &blobs, err);
	for (size_t i = 0; r == 0 && image->layers[i]; i++)
		r = maker_layer(store, image, image->layers[i], &args, err);
	if (r < 0)
		return r;
	const struct helper_fds fds = { -1, -1, staging->fd, blobs };
	r = helper_start((const char *const *)(uintptr_t)args.argv, &fds, &helper, err);
	if (r == 0)
		r = helper_result(&helper, &result, err);
	return r < 0 ? err_wrap(err, "make the image's disk") : 0;
}
