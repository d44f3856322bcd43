/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/image.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/json.h"
#include "storage/image_priv.h"

static int export_add(json_t *list, const char *text)
{
	return json_array_append_new(list, json_string(text));
}

static int export_layers(struct store *store, const char *id, json_t *layers, json_t *blobs,
			 struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;
	AUTO(json_decref_p) json_t *seen = json_object();

	int r = db_prepare(&store->db, &stmt, err,
			   "SELECT blob FROM image_layers WHERE image = ? ORDER BY position", "s",
			   id);
	while (r == 0 && (r = db_step(&store->db, stmt, err)) == 1) {
		const char *blob = db_col_str(stmt, 0);
		bool again = json_object_get(seen, blob);
		r = export_add(layers, blob);
		if (r == 0 && !again)
			r = export_add(blobs, blob);
		if (r == 0)
			r = json_object_set_new(seen, blob, json_true());
		if (r < 0)
			return err_set(err, ENOMEM, "describe image");
	}
	return r;
}

static int export_manifest(struct store *store, const char *id, json_t *doc, json_t *blobs,
			   struct err *err)
{
	AUTO(db_stmt_p) sqlite3_stmt *stmt = NULL;

	int r = db_prepare(&store->db, &stmt, err, "SELECT manifest FROM images WHERE id = ?", "s",
			   id);
	if (r == 0)
		r = db_step(&store->db, stmt, err);
	if (r < 0)
		return r;
	const char *hex = db_col_str(stmt, 0);
	if (export_add(blobs, id) < 0 || export_add(blobs, hex) < 0 ||
	    json_object_set_new(doc, "manifest", json_string(hex)) < 0)
		return err_set(err, ENOMEM, "describe image");
	return 0;
}

static int export_describe(struct store *store, const struct image *image, char **ret,
			   struct err *err)
{
	AUTO(json_decref_p)
	json_t *doc = json_pack("{ss s[] s[] s[]}", "config", image->id, "tags", "layers", "blobs");
	json_t *blobs = json_object_get(doc, "blobs");
	int r = doc ? 0 : err_set(err, ENOMEM, "describe image");

	for (size_t i = 0; r == 0 && image->tags[i]; i++)
		r = export_add(json_object_get(doc, "tags"), image->tags[i]);
	if (r == 0)
		r = export_manifest(store, image->id, doc, blobs, err);
	if (r == 0)
		r = export_layers(store, image->id, json_object_get(doc, "layers"), blobs, err);
	if (r < 0)
		return r;
	char *text = json_text(doc, 0);
	if (!text)
		return err_set(err, ENOMEM, "describe image");
	*ret = text;
	return 0;
}

int image_export(struct store *store, const char *ref, const char *format, const char *path,
		 struct err *err)
{
	AUTO(image_fini) struct image image = { 0 };
	AUTO(helper_fini) struct helper helper = { 0 };
	AUTO(json_decref_p) json_t *result = NULL;
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(fd_close_p) int blobs = -EBADF;
	const char *const argv[] = { "export", format, path, NULL };

	int r = image_find(store, ref, &image, err);
	if (r == 0)
		r = storage_dir(store, "blobs", 0700, &blobs, err);
	if (r == 0)
		r = export_describe(store, &image, &text.data, err);
	if (r < 0)
		return r;
	const struct helper_fds fds = { -1, -1, blobs, -1 };
	r = helper_start(argv, &fds, &helper, err);
	if (r < 0)
		return r;
	r = fd_write_all(helper.control, text.data, strlen(text.data));
	fd_close(fd_take(&helper.control)); /* the end of the description */
	/* A helper that died early says more in its answer than EPIPE does. */
	int answer = helper_result(&helper, &result, err);
	if (answer < 0)
		return answer;
	return r < 0 ? err_set(err, -r, "export image %s", ref) : 0;
}
