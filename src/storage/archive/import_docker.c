/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/import.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/os/file.h"
#include "base/os/json.h"

static void diffs_free_p(char (**diffs)[DIGEST_HEX + 1])
{
	free(*diffs);
}

static int docker_member(struct import *import, const char *name, struct blob *ret, struct err *err)
{
	int r = import_member(import, name, ret, err);

	if (r == -ENOENT)
		return err_say(err, EBADMSG, "%s: manifest.json names %.200s, which is missing",
			       import->what, name);
	return r;
}

/* "HEX.json", "blobs/sha256/HEX", "sha256:HEX": a name that is a digest must be the right one. */
static int docker_config_name(const struct import *import, const char *name,
			      const struct blob *blob, struct err *err)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;

	if (!strncmp(base, "sha256:", 7))
		base += 7;
	size_t n = strspn(base, "0123456789abcdef");
	if (n == DIGEST_HEX && strncmp(base, blob->hex, DIGEST_HEX))
		return err_say(err, EBADMSG,
			       "%s: %.120s: damaged or tampered with: expected sha256:%.64s, got "
			       "sha256:%s",
			       import->what, name, base, blob->hex);
	return 0;
}

/* A layer kept as blobs/sha256/HEX promises its digest, too. */
static int docker_layer(struct import *import, const char *name, const char *diff, json_t *layers,
			struct err *err)
{
	struct blob blob;
	char got[DIGEST_HEX + 1];

	int r = docker_member(import, name, &blob, err);
	if (r == 0 && !strncmp(name, "blobs/sha256/", 13))
		r = docker_config_name(import, name, &blob, err);
	return r < 0 ? r : import_layer(import, &blob, diff, layers, got, err);
}

static int docker_image(struct import *import, const json_t *element, struct err *err)
{
	AUTO(json_decref_p) json_t *config = NULL;
	AUTO(json_decref_p) json_t *done = json_array();
	AUTO(json_decref_p) json_t *no_tags = json_array();
	AUTO(diffs_free_p) char(*diffs)[DIGEST_HEX + 1] = NULL;
	struct blob config_blob, manifest;

	int r = oci_docker_image(element, import->what, err);
	if (r < 0)
		return r;
	const json_t *layers = json_object_get(element, "Layers");
	const char *config_name = json_str(element, "Config", "");
	r = docker_member(import, config_name, &config_blob, err);
	if (r == 0)
		r = docker_config_name(import, config_name, &config_blob, err);
	if (r == 0)
		r = import_json(import, &config_blob, config_name, &config, err);
	if (r == 0)
		r = oci_config(config, import->what, import->arch, json_array_size(layers), &diffs,
			       err);
	for (size_t i = 0; r == 0 && i < json_array_size(layers); i++)
		r = docker_layer(import, json_string_value(json_array_get(layers, i)), diffs[i],
				 done, err);
	if (r == 0)
		r = import_manifest_make(import, &config_blob, done, &manifest, err);
	if (r < 0)
		return r;
	json_t *tags = json_object_get(element, "RepoTags");
	return import_add(import, config_blob.hex, manifest.hex,
			  json_is_array(tags) ? tags : no_tags, done, err);
}

int import_docker(struct import *import, struct err *err)
{
	AUTO(buf_fini) struct buf text = { 0 };
	struct blob blob;
	json_error_t e;

	int r = docker_member(import, "manifest.json", &blob, err);
	if (r < 0)
		return r;
	r = file_read(import->blobs, blob.hex, OCI_JSON_MAX, &text);
	if (r == -EFBIG)
		return err_say(err, EFBIG, "%s: manifest.json: larger than %u MiB", import->what,
			       OCI_JSON_MAX >> 20);
	if (r < 0)
		return err_set(err, -r, "%s: manifest.json", import->what);

	AUTO(json_decref_p)
	json_t *doc = json_loadb(buf_str(&text), text.len, JSON_REJECT_DUPLICATES, &e);
	if (!json_is_array(doc) || !json_array_size(doc))
		return err_say(err, EBADMSG, "%s: manifest.json: not a list of images%s%s",
			       import->what, doc ? "" : ": ", doc ? "" : e.text);
	for (size_t i = 0; r == 0 && i < json_array_size(doc); i++)
		r = docker_image(import, json_array_get(doc, i), err);
	return r;
}
