/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of image_*.c share. */
#include "storage/helper.h"
#include "storage/image.h"
#include "storage/staging.h"

/* image_ref_id() - only the id of what image_find() would find. */
int image_ref_id(struct store *store, const char *ref, char ret_id[DIGEST_HEX + 1],
		 struct err *err);
/* image_tag_set() - within the caller's transaction, tag already in full form. */
int image_tag_set(struct store *store, const char *id, const char *tag, struct err *err);

/*
 * image_commit() - take a checked import into the store: files by rename, then one transaction
 * @result: strata-archive's, not trusted to name anything but digests
 * @tag: as the user typed it, or NULL: the tags of the result
 * @ret_id: the first image's
 */
int image_commit(struct store *store, struct staging *staging, const json_t *result,
		 const char *tag, char ret_id[DIGEST_HEX + 1], struct err *err);

/* image_sweep() - move what no image refers to out of layers/, disks/ and blobs/, under storage_lock(). */
int image_sweep(struct store *store, struct staging *staging, struct err *err);
