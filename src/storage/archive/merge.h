/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Layers' tars merged into one tree, lowest first: OCI image specification, layer.md, "Applying Changesets". What an
 * entry's path leads to is as unpack.h has it: links of its own layer are followed, inside the root; what lower layers
 * have as a directory is one with the layer's own, and anything else of theirs gives way.
 */
#include "storage/archive/reader.h"
#include "storage/archive/tree.h"

struct merge {
	struct tree *tree;
	uint16_t layer; /* the one at hand, from 1 */
	uint32_t entry; /* likewise, from 1 */
};

/*
 * merge_layer() - all entries of the next layer
 * Errors: one line with the tar, the entry and the cause.
 */
int merge_layer(struct merge *merge, struct reader *reader, struct err *err);
