/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "storage/rootdisk.h"
#include "storage/staging.h"

#define ROOTDISK_FILE "disk" /* in the staging directory */

/* rootdisk_make() - merge the layers into ROOTDISK_FILE, in a process of its own (storage/archive/disk.h). */
int rootdisk_make(struct store *store, const struct image *image, struct staging *staging,
		  struct err *err);
