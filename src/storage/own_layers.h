/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Layers of an ordinary user, for his containers. Those of an import (<root>/layers) are flattened to his own id, since nothing but a
 * user namespace could give them other owners, and a machine needs none. The first container of an image has each unpacked once
 * more, in such a namespace: <root>/owned/DIFF-ID/fs, which is removed with the image.
 */
#include "base/os/store.h"

#define OWN_LAYERS "owned"

/* own_layer_make() - see that a layer of the store is there so; @diff: its diff id. Errors: -ESTALE: the image was removed. */
int own_layer_make(struct store *store, const char *diff, struct err *err);
