/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/core/err.h"

/*
 * own_unpack() - a layer once more, by root of an ordinary user's namespace: with the owners that the archive says
 * @blobs: where the layer's archive is, by its name   @dir: gets a directory "layer" of the caller's, with the tree as "layer/fs"
 * Errors: -EBADMSG where the archive's tar has not this diff id; -EINVAL, with the entry, for an owner that is none of his ids.
 */
int own_unpack(int blobs, int dir, const char *blob, const char *diff, struct err *err);
