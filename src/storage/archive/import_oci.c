/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/archive/import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buf.h"
#include "base/os/json.h"

#define INDEX_DEPTH_MAX	  4
#define INDEX_ENTRIES_MAX 1000

/* What was found on the way through the index: to be named when nothing fits. */
struct oci_search {
	struct buf others; /* "linux/arm64, linux/s390x" */
};

static void search_fini(struct oci_search *search)
{
	buf_fini(&search->others);
}

static void diffs_free_p(char (**diffs)[DIGEST_HEX + 1])
{
	free(*diffs);
}

static void search_other(struct oci_search *search, const char *said)
{
	/* Attestations are listed as a platform, too: "unknown/unknown". */
	if (!said[0] || !strncmp(said, "unknown", 7) || strstr(buf_str(&search->others), said))
		return;
	if (search->others.len < 200)
		(void)buf_printf(&search->others, "%s%s", search->others.len ? ", " : "",
				 said); /* out of memory only shortens the text */
}

static bool oci_config_fits(struct import *import, const json_t *manifest,
			    struct oci_search *search)
{
	AUTO(json_decref_p) json_t *config = NULL;
	struct oci_descriptor descriptor;
	struct blob blob;
	char said[64];

	if (oci_descriptor(json_object_get(manifest, "config"), "", &descriptor, NULL) < 0 ||
	    import_descriptor(import, &descriptor, &blob, NULL) < 0 ||
	    import_json(import, &blob, "config", &config, NULL) < 0)
		return true; /* taken, and then refused with the right words */
	const char *arch = json_str(config, "architecture", import->arch);
	const char *os = json_str(config, "os", "linux");
	if (!strcmp(os, "linux") && (!strcmp(arch, import->arch) || !arch[0]))
		return true;
	(void)snprintf(said, sizeof(said), "%.30s/%.30s", os, arch); /* may be cut */
	search_other(search, said);
	return false;
}

/* 1 and the manifest that fits this host below an index entry; 0 when there is none. */
static int oci_resolve(struct import *import, const json_t *entry, unsigned depth,
		       struct oci_search *search, json_t **ret, struct blob *ret_blob,
		       struct err *err)
{
	AUTO(json_decref_p) json_t *doc = NULL;
	struct oci_descriptor descriptor;
	struct blob blob;
	char said[64];

	if (depth > INDEX_DEPTH_MAX)
		return err_say(err, ELOOP, "%s: more than %d indexes in each other", import->what,
			       INDEX_DEPTH_MAX);
	if (!oci_platform_fits(entry, import->arch, said)) {
		search_other(search, said);
		return 0;
	}
	int r = oci_descriptor(entry, import->what, &descriptor, err);
	if (r == 0)
		r = import_descriptor(import, &descriptor, &blob, err);
	if (r == 0)
		r = import_json(import, &blob, descriptor.hex, &doc, err);
	if (r == 0)
		r = oci_kind(doc, descriptor.type, import->what, err);
	if (r < 0)
		return r;

	if (r == OCI_IS_MANIFEST) {
		if (!said[0] && !oci_config_fits(import, doc, search))
			return 0;
		*ret = TAKE(doc);
		*ret_blob = blob;
		return 1;
	}
	const json_t *entries = json_object_get(doc, "manifests");
	if (json_array_size(entries) > INDEX_ENTRIES_MAX)
		return err_say(err, E2BIG, "%s: index of more than %d entries", import->what,
			       INDEX_ENTRIES_MAX);
	for (size_t i = 0; i < json_array_size(entries); i++) {
		r = oci_resolve(import, json_array_get(entries, i), depth + 1, search, ret,
				ret_blob, err);
		if (r)
			return r;
	}
	return 0;
}

/*
 * The name an index entry gives: containerd's is whole; the specification's is a tag alone by its
 * words, yet skopeo and Podman write whole names there, which a ":" or "/" tells.
 */
static json_t *oci_tags(const json_t *entry)
{
	const json_t *notes = json_object_get(entry, "annotations");
	const char *name = json_str(notes, "io.containerd.image.name", NULL);
	json_t *tags = json_array();

	if (!name) {
		name = json_str(notes, "org.opencontainers.image.ref.name", "");
		if (!strpbrk(name, ":/"))
			name = NULL;
	}
	if (name)
		(void)json_array_append_new(tags, json_string(name)); /* an image without a tag */
	return tags;
}

static int oci_image(struct import *import, const json_t *manifest_doc,
		     const struct blob *manifest_blob, json_t *tags, struct err *err)
{
	AUTO(oci_manifest_fini) struct oci_manifest manifest = { 0 };
	AUTO(json_decref_p) json_t *config = NULL;
	AUTO(json_decref_p) json_t *layers = json_array();
	AUTO(diffs_free_p) char(*diffs)[DIGEST_HEX + 1] = NULL;
	struct blob blob;
	char got[DIGEST_HEX + 1];

	int r = oci_manifest(manifest_doc, import->what, &manifest, err);
	if (r == 0)
		r = import_descriptor(import, &manifest.config, &blob, err);
	if (r == 0)
		r = import_json(import, &blob, "image config", &config, err);
	if (r == 0)
		r = oci_config(config, import->what, import->arch, manifest.n_layers, &diffs, err);
	for (size_t i = 0; r == 0 && i < manifest.n_layers; i++) {
		r = import_descriptor(import, &manifest.layers[i], &blob, err);
		if (r == 0)
			r = import_layer(import, &blob, diffs[i], layers, got, err);
	}
	return r < 0 ? r
		     : import_add(import, manifest.config.hex, manifest_blob->hex, tags, layers,
				  err);
}

static int oci_entry(struct import *import, const json_t *entry, struct oci_search *search,
		     struct err *err)
{
	AUTO(json_decref_p) json_t *manifest = NULL;
	AUTO(json_decref_p) json_t *tags = oci_tags(entry);
	struct blob blob;

	int r = oci_resolve(import, entry, 1, search, &manifest, &blob, err);
	if (r <= 0)
		return r;
	/* Several entries without names are one image for several platforms: the first fit counts. */
	if (json_array_size(import->images) && !json_array_size(tags))
		return 0;
	return oci_image(import, manifest, &blob, tags, err);
}

static int oci_document(struct import *import, const char *name, json_t **ret, struct err *err)
{
	struct blob blob;
	int r = import_member(import, name, &blob, err);

	if (r == -ENOENT)
		return err_say(err, EBADMSG, "%s: an OCI layout without %s", import->what, name);
	return r < 0 ? r : import_json(import, &blob, name, ret, err);
}

int import_oci(struct import *import, struct err *err)
{
	AUTO(json_decref_p) json_t *layout = NULL;
	AUTO(json_decref_p) json_t *index = NULL;
	AUTO(search_fini) struct oci_search search = { 0 };

	int r = oci_document(import, "oci-layout", &layout, err);
	if (r < 0)
		return r;
	const char *version = json_str(layout, "imageLayoutVersion", "");
	if (strncmp(version, "1.", 2))
		return err_say(err, ENOTSUP, "%s: OCI layout version \"%.40s\": only 1.x is known",
			       import->what, version);
	r = oci_document(import, "index.json", &index, err);
	if (r < 0)
		return r;

	const json_t *entries = json_object_get(index, "manifests");
	if (!json_array_size(entries) || json_array_size(entries) > INDEX_ENTRIES_MAX)
		return err_say(err, EBADMSG, "%s: index.json lists %zu images (1 to %d expected)",
			       import->what, json_array_size(entries), INDEX_ENTRIES_MAX);
	for (size_t i = 0; r == 0 && i < json_array_size(entries); i++)
		r = oci_entry(import, json_array_get(entries, i), &search, err);
	if (r < 0 || json_array_size(import->images))
		return r;
	return err_say(err, ENOEXEC, "%s: it holds an image for %s, this host is linux/%s",
		       import->what, search.others.len ? search.others.data : "no known platform",
		       import->arch);
}
