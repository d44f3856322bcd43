/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the storage tests share: a store of their own, and archives made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/core/buf.h"
#include "base/os/digest.h"
#include "storage/image.h"

struct scene {
	char dir[64]; /* scratch, removed by scene_fini() */
	struct store store;
	struct err err;
};

/*
 * For a group's setup: a private mount namespace with a tmpfs on /tmp, so that nothing is left
 * behind and the disk's own speed does not count. Skips (77) where this user may not.
 */
int scene_group(void **state);
int scene_init(void **state); /* for cmocka's setup and teardown */
int scene_fini(void **state);

/* A file below the scene's directory; the text is good until the next call. */
const char *scene_path(struct scene *scene, const char *name);
/* scene_unpacked() - a path below the topmost layer of an image. */
const char *scene_unpacked(struct scene *scene, const struct image *image, const char *name);
void scene_write(struct scene *scene, const char *name, const void *data, size_t len);
/* Entries below <root>/NAME, "." and ".." not counted; a missing directory has none. */
unsigned scene_count(struct scene *scene, const char *name);
/* Nothing but the database is in the store: no image, no layer, no blob, no staging. */
void scene_assert_empty(struct scene *scene);
/* image_import() that must work, with the words of the error when it does not. */
void scene_import(struct scene *scene, const char *name, const char *tag, struct image *ret);
/* image_import() that must fail with the code, its text holding words; and leave nothing. */
void scene_refuse(struct scene *scene, const char *name, int code, const char *words);

/* A tar in memory. filter: ARCHIVE_FILTER_NONE, _GZIP, _ZSTD. */
struct tar {
	struct archive *a;
	struct buf out;
};
void tar_open(struct tar *tar, int filter);
struct archive_entry *tar_entry(const char *name, mode_t type, mode_t perm);
/* Writes and frees the entry. */
void tar_add(struct tar *tar, struct archive_entry *entry, const void *data, size_t len);
void tar_file(struct tar *tar, const char *name, const char *text);
void tar_dir(struct tar *tar, const char *name);
void tar_symlink(struct tar *tar, const char *name, const char *target);
void tar_hardlink(struct tar *tar, const char *name, const char *target);
/* Ends it; the bytes are the caller's to buf_fini(). */
struct buf tar_end(struct tar *tar);
/* Ends it and writes it to a file of the scene. */
void tar_save(struct tar *tar, struct scene *scene, const char *name);

/* Image archives: docker save's and OCI layouts, of one layer each. */
struct parts {
	const char *arch;
	struct buf layer;		/* as it is stored */
	char layer_hex[DIGEST_HEX + 1]; /* of the stored bytes */
	char diff_hex[DIGEST_HEX + 1];
	struct buf config, manifest, index;
	char config_hex[DIGEST_HEX + 1], manifest_hex[DIGEST_HEX + 1];
};
/* A layer with one file, /hello. */
void parts_make(struct parts *parts, const char *arch, int filter);
/* From parts->layer and diff_hex: config, manifest and index, again. */
void parts_documents(struct parts *parts);
void parts_fini(struct parts *parts);
void parts_save_docker(const struct parts *parts, struct scene *scene, const char *name);
void parts_save_oci(const struct parts *parts, struct scene *scene, const char *name);
void parts_save_oci_dir(const struct parts *parts, struct scene *scene, const char *name);
