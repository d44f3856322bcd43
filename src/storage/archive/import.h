/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Import: one source of any kind into a staging directory, checked.
 *
 * Theory of operation. First every file of the source that may matter becomes a blob in
 * staging/blobs, hashed as it arrives. Then the documents (manifest.json, or oci-layout, index,
 * manifest, config) are read from there and each digest and size they name is compared. Then each
 * layer is unpacked from its blob into staging/layers, its diff id compared. Nothing outside staging
 * is written, and what the parent process moves into the store is only what the result lists.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/core/err.h"
#include "storage/archive/blob.h"
#include "storage/archive/oci.h"
#include "storage/archive/unpack.h"

/* A file of an archive: a blob, or another name for one. */
struct member {
	char *name;
	char *link; /* from the archive's root; NULL: the file itself */
	struct blob blob;
};

struct import {
	const char *what;	    /* the source, as the user named it */
	const char *arch;	    /* this host's */
	const char *const *changes; /* NULL-ended, for plain trees; or NULL */
	bool progress;
	int blobs;	  /* staging/blobs */
	int layers;	  /* staging/layers */
	int store_layers; /* the store's unpacked layers, to be shared; -EBADF: none */
	int layout;	  /* source is an OCI layout directory; else -EBADF */
	struct member *members;
	size_t n_members, cap_members;
	json_t *images; /* the result's */
	struct unpack_report report;
};

/*
 * import_open() - prepare, with staging/blobs and staging/layers made
 * @staging, @store_layers: borrowed
 */
int import_open(int staging, int store_layers, const char *what, struct import *ret,
		struct err *err);
void import_fini(struct import *import);
/* import_run() - fd is a directory, a file or a pipe; images and report are filled. */
int import_run(struct import *import, int fd, struct err *err);

/* The kinds. Each appends to import->images. */
enum import_kind { IMPORT_TREE, IMPORT_DOCKER, IMPORT_OCI };
/* import_scan() - which kind a tar is; the files of the latter two become members. */
int import_scan(struct import *import, int fd, enum import_kind *ret, struct err *err);
int import_docker(struct import *import, struct err *err);
int import_oci(struct import *import, struct err *err);
int import_tree_tar(struct import *import, const struct blob *blob, struct err *err);
int import_tree_dir(struct import *import, int fd, struct err *err);

/* import_member() - a file of the source by its name; NULL-like: -ENOENT without words. */
int import_member(struct import *import, const char *name, struct blob *ret, struct err *err);
/* import_descriptor() - the blob a descriptor names, its digest and size compared. */
int import_descriptor(struct import *import, const struct oci_descriptor *descriptor,
		      struct blob *ret, struct err *err);
int import_json(struct import *import, const struct blob *blob, const char *what, json_t **ret,
		struct err *err);
/* import_blob_type() - a layer blob's media type by its first bytes. */
const char *import_blob_type(struct import *import, const struct blob *blob);

/*
 * import_layers() - unpack an image's layers and append the image to the result
 * @blobs, @diffs: n of each, lowest first; diffs NULL: there is one layer and it is what it is
 * @ret_diff: where diffs is NULL, the diff id
 */
int import_layer(struct import *import, const struct blob *blob, const char *want_diff,
		 json_t *layers, char ret_diff[DIGEST_HEX + 1], struct err *err);
int import_add(struct import *import, const char *config_hex, const char *manifest_hex,
	       json_t *tags, json_t *layers, struct err *err);
/* import_manifest_make() - an OCI manifest for what came without one, as a blob. */
int import_manifest_make(struct import *import, const struct blob *config, const json_t *layers,
			 struct blob *ret, struct err *err);
