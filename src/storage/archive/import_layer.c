/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/json.h"

#define LAYER_PART ".part"

/*
 * Is the layer in the store already? If so its directory stays locked, shared, until this process
 * ends, which the parent lets happen only after its commit: image_prune() leaves a locked layer.
 */
static bool layer_share(struct import *import, const char *diff)
{
	struct stat held, named;

	if (import->store_layers < 0)
		return false;
	int fd =
		openat(import->store_layers, diff, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (flock(fd, LOCK_SH) == 0 && fstat(fd, &held) == 0 &&
	    fstatat(import->store_layers, diff, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    held.st_ino == named.st_ino && held.st_dev == named.st_dev)
		return true; /* the fd is left open on purpose: it is the lock */
	fd_close(fd);
	return false;
}

static int layer_compare(const struct import *import, const char *want, const char *got,
			 const struct blob *blob, struct err *err)
{
	if (!strcmp(want, got))
		return 0;
	return err_say(err, EBADMSG,
		       "%s: layer blob %.12s: its tar has diff id sha256:%s, the config expects "
		       "sha256:%s",
		       import->what, blob->hex, got, want);
}

static int layer_unpack(struct import *import, struct reader *reader, struct err *err)
{
	const struct unpack_opts opts = { .prefix = "", .overlay = true };

	int r = dir_remove(import->layers, LAYER_PART);
	if (r == 0 && mkdirat(import->layers, LAYER_PART, 0755) < 0)
		r = -errno;
	if (r < 0)
		return err_set(err, -r, "%s: make a layer directory", import->what);
	AUTO(fd_close_p)
	int fd = openat(import->layers, LAYER_PART, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "%s: open a layer directory", import->what);
	return unpack(fd, reader, &opts, &import->report, err);
}

static void layer_progress(const struct import *import, const char *word, const struct blob *blob)
{
	if (import->progress)
		(void)fprintf(stderr, "%s layer %.12s (%.1f MB)\n", word, blob->hex,
			      (double)blob->size / 1e6); /* nobody left to tell */
}

static int layer_list(json_t *layers, const struct blob *blob, const char *type, const char *diff,
		      int64_t bytes, struct err *err)
{
	int r = json_array_append_new(
		layers, json_pack("{ss ss ss sI sI}", "blob", blob->hex, "type", type, "diff", diff,
				  "size", (json_int_t)blob->size, "bytes", (json_int_t)bytes));

	return r < 0 ? err_set(err, ENOMEM, "list layers") : 0;
}

int import_layer(struct import *import, const struct blob *blob, const char *want_diff,
		 json_t *layers, char ret_diff[DIGEST_HEX + 1], struct err *err)
{
	AUTO(reader_free_p) struct reader *reader = NULL;
	char what[300];
	char diff[DIGEST_HEX + 1];
	struct stat st;

	(void)snprintf(what, sizeof(what), "%.250s: layer %.12s", import->what, blob->hex);
	AUTO(fd_close_p)
	int fd = openat(import->blobs, blob->hex, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "%s", what);
	int r = reader_open(fd, want_diff ? what : import->what, &reader, err);
	if (r < 0)
		return r;

	bool have = want_diff && (fstatat(import->layers, want_diff, &st, 0) == 0 ||
				  layer_share(import, want_diff));
	layer_progress(import, have ? "checking" : "unpacking", blob);
	if (!have)
		r = layer_unpack(import, reader, err);
	if (r == 0)
		r = reader_end(reader, diff, err);
	if (r == 0 && want_diff)
		r = layer_compare(import, want_diff, diff, blob, err);
	if (r < 0)
		return r;
	if (!have && renameat(import->layers, LAYER_PART, import->layers, diff) < 0)
		return err_set(err, errno, "%s: name a layer directory", import->what);
	memcpy(ret_diff, diff, sizeof(diff));
	return layer_list(layers, blob, import_blob_type(import, blob), diff, reader_bytes(reader),
			  err);
}

int import_add(struct import *import, const char *config_hex, const char *manifest_hex,
	       json_t *tags, json_t *layers, struct err *err)
{
	json_t *image = json_pack("{ss ss sO sO}", "config", config_hex, "manifest", manifest_hex,
				  "tags", tags, "layers", layers);

	if (!image || json_array_append_new(import->images, image) < 0)
		return err_set(err, ENOMEM, "%s", import->what);
	return 0;
}

static json_t *manifest_layers(const json_t *layers)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < json_array_size(layers); i++) {
		const json_t *layer = json_array_get(layers, i);
		json_t *descriptor =
			json_pack("{ss ss+ sI}", "mediaType", json_str(layer, "type", ""), "digest",
				  "sha256:", json_str(layer, "blob", ""), "size",
				  (json_int_t)json_int(layer, "size", 0));
		if (json_array_append_new(list, descriptor) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int import_manifest_make(struct import *import, const struct blob *config, const json_t *layers,
			 struct blob *ret, struct err *err)
{
	AUTO(json_decref_p)
	json_t *doc = json_pack("{si ss s{ss ss+ sI} so}", "schemaVersion", 2, "mediaType",
				OCI_TYPE_MANIFEST, "config", "mediaType", OCI_TYPE_CONFIG, "digest",
				"sha256:", config->hex, "size", (json_int_t)config->size, "layers",
				manifest_layers(layers));
	AUTO(buf_fini) struct buf text = { .data = doc ? json_text(doc, 0) : NULL };

	if (!text.data)
		return err_set(err, ENOMEM, "%s: make a manifest", import->what);
	return blob_put(import->blobs, text.data, strlen(text.data), ret, err);
}
