/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Images: read-only templates, content-addressed.
 *
 *   <root>/blobs/HEX          configs, manifests and layer blobs as they came, named by their SHA-256
 *   <root>/layers/HEX/        a layer unpacked once, named by its diff id (SHA-256 of the plain tar), as an
 *                             overlayfs lower directory: whiteouts are 0:0 character devices
 *   <root>/tmp/import-XXXXXX/ an import under way, locked by flock while its process lives
 *
 * An import unpacks below tmp/ in a process of its own (strata-archive), then takes its layers and blobs into place
 * by rename and commits one transaction: killed at any moment it leaves no image, and nothing that
 * image_prune() does not find.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/os/db.h"
#include "base/os/digest.h"
#include "base/os/store.h"

extern const struct db_schema storage_schema; /* images, tags, layers, volumes */

struct image {
	char id[DIGEST_HEX + 1]; /* SHA-256 of the config */
	char **tags;		 /* "demo:latest"; NULL-ended */
	json_t *config;		 /* OCI image configuration */
	char **layers;		 /* diff ids in hex, lowest first; NULL-ended */
	int64_t size_bytes;	 /* unpacked */
	int64_t created_ns;
	char *note; /* of an import: what this host could not keep, one line; NULL mostly */
};
void image_fini(struct image *image);

/* image_find() - "name", "name:tag", "name@sha256:...", id or its unique prefix. -ENOENT, -ENOTUNIQ. */
int image_find(struct store *store, const char *ref, struct image *ret, struct err *err);
int image_list(struct store *store, struct image **ret, size_t *ret_n, struct err *err);

struct import_opts {
	const char *tag; /* "demo", "demo:1"; NULL: what the archive says, else none */
	const char *const *
		changes; /* docker import's --change for plain trees: "CMD [\"sh\"]", "ENV A=b"; or NULL */
	bool progress; /* on standard error, when that is a terminal */
};
/*
 * image_import() - from a directory, a tar (plain, gzip, zstd; "-" is standard input), a docker-save archive, an
 * OCI layout directory or archive: the kind is found out, not asked
 * Errors: one line that names the archive, the member and the cause; nothing is left behind.
 */
int image_import(struct store *store, const char *source, const struct import_opts *opts,
		 struct image *ret, struct err *err);
int image_pull(struct store *store, const char *ref, const struct import_opts *opts,
	       struct image *ret, struct err *err);
int image_tag(struct store *store, const char *ref, const char *tag, struct err *err);
/* image_export() - format "docker", "oci" (archives) or "oci-dir"; path "-" is standard output. */
int image_export(struct store *store, const char *ref, const char *format, const char *path,
		 struct err *err);
/*
 * image_remove() - a tag; with the last tag, or by id, the image and what nothing else needs
 * @in_use: ids (hex) of images that instances use, NULL-ended: these are kept, -EBUSY
 */
int image_remove(struct store *store, const char *ref, bool force, const char *const *in_use,
		 struct err *err);
/* image_prune() - dead imports, unreferenced layers and blobs, and with all also untagged unused images. */
int image_prune(struct store *store, bool all, const char *const *in_use, int64_t *ret_bytes,
		struct err *err);
