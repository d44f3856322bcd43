/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/import.h"

#include <errno.h>
#include <string.h>

#include "base/os/json.h"
#include "storage/archive/changes.h"
#include "storage/archive/pack.h"

static int tree_write(void *arg, const void *data, size_t len)
{
	return blob_add(arg, data, len);
}

static int tree_config(struct import *import, const char *diff, struct blob *ret, struct err *err)
{
	/* No time in it: the same tree imported again is the same image. */
	AUTO(json_decref_p)
	json_t *doc = json_pack("{ss ss s{} s{ss s[s+]} s[{ss}]}", "architecture", import->arch,
				"os", "linux", "config", "rootfs", "type", "layers", "diff_ids",
				"sha256:", diff, "history", "comment", "strata image import");
	json_t *config = json_object_get(doc, "config");

	if (!config)
		return err_set(err, ENOMEM, "%s: make an image config", import->what);
	for (size_t i = 0; import->changes && import->changes[i]; i++) {
		int r = changes_apply(import->changes[i], config, err);
		if (r < 0)
			return r;
	}
	AUTO(buf_fini) struct buf text = { .data = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS) };
	if (!text.data)
		return err_set(err, ENOMEM, "%s: make an image config", import->what);
	return blob_put(import->blobs, text.data, strlen(text.data), ret, err);
}

int import_tree_tar(struct import *import, const struct blob *blob, struct err *err)
{
	AUTO(json_decref_p) json_t *layers = json_array();
	AUTO(json_decref_p) json_t *tags = json_array();
	struct blob config, manifest;
	char diff[DIGEST_HEX + 1];

	int r = import_layer(import, blob, NULL, layers, diff, err);
	if (r == 0)
		r = tree_config(import, diff, &config, err);
	if (r == 0)
		r = import_manifest_make(import, &config, layers, &manifest, err);
	return r < 0 ? r : import_add(import, config.hex, manifest.hex, tags, layers, err);
}

int import_tree_dir(struct import *import, int fd, struct err *err)
{
	AUTO(blob_abort) struct blob_writer writer = { .fd = -EBADF };
	AUTO(pack_free_p) struct pack *pack = NULL;
	struct blob blob;

	int r = blob_begin(import->blobs, &writer, err);
	if (r == 0)
		r = pack_open(tree_write, &writer, import->what, &pack, err);
	if (r == 0)
		r = pack_tree(pack, fd, ".", ".", err);
	if (r == 0)
		r = pack_end(pack, err);
	if (r == 0)
		r = blob_end(&writer, &blob, err);
	return r < 0 ? r : import_tree_tar(import, &blob, err);
}
