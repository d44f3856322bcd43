/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/own_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/digest.h"
#include "base/os/fd.h"
#include "base/os/idspace.h"
#include "base/os/json.h"
#include "storage/helper.h"
#include "storage/staging.h"

/* What the child in the namespace needs; it has no database. */
struct own_job {
	int staging, blobs;
	char blob[DIGEST_HEX + 1];
	const char *diff;
};

static int own_inside(void *arg, struct err *err)
{
	const struct own_job *job = arg;
	AUTO(helper_fini) struct helper helper = { 0 };
	AUTO(json_decref_p) json_t *result = NULL;
	const char *const argv[] = { "own", job->blob, job->diff, NULL };
	const struct helper_fds fds = { -1, -1, job->staging, job->blobs };
	int r = helper_start(argv, &fds, &helper, err);

	return r < 0 ? r : helper_result(&helper, &result, err);
}

static int own_blob(struct store *store, const char *diff, char ret[DIGEST_HEX + 1],
		    struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT blob FROM image_layers WHERE diff = ? LIMIT 1", "s", diff);

	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r == 0)
		return err_say(err, ESTALE, "the image was removed");
	if (r < 0)
		return r;
	(void)snprintf(ret, DIGEST_HEX + 1, "%s", db_col_str(stmt, 0)); /* our own 64 digits */
	return 0;
}

static int own_unpack_layer(struct store *store, const char *diff, int owned, struct err *err)
{
	AUTO(staging_close) struct staging staging = STAGING_NONE;
	AUTO(fd_close_p) int blobs = -EBADF;
	struct own_job job = { .diff = diff };

	int r = own_blob(store, diff, job.blob, err);
	if (r == 0)
		r = storage_dir(store, "blobs", 0700, &blobs, err);
	if (r == 0)
		r = staging_open(store, "own", &staging, err);
	if (r < 0)
		return r;
	job.staging = staging.fd;
	job.blobs = blobs;
	r = geteuid() != 0 ? ids_call(0, own_inside, &job, err) : own_inside(&job, err);
	if (r < 0)
		return r;
	/* Somebody else was as quick: theirs is the same. */
	if (renameat(staging.fd, "layer", owned, diff) < 0 && errno != EEXIST && errno != ENOTEMPTY)
		return err_set(err, errno, "name a layer directory");
	return 0;
}

int own_layer_make(struct store *store, const char *diff, struct err *err)
{
	AUTO(fd_close_p) int owned = -EBADF;
	struct stat st;
	int r = storage_dir(store, OWN_LAYERS, 0700, &owned, err);

	if (r < 0 || fstatat(owned, diff, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return r;
	r = own_unpack_layer(store, diff, owned, err);
	return r < 0 ? err_wrap(err, "unpack the image for containers without root") : 0;
}
