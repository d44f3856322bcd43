/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between volume.c and volume_disk.c. */
#include "storage/volume.h"

/* volume_disk_name() - the image's name in the volume's directory; NULL for a directory. */
const char *volume_disk_name(enum volume_kind kind);
/* volume_disk_make() - the image of a volume whose directory is there; what a killed create left is replaced. */
int volume_disk_make(struct store *store, const char *name, enum volume_kind kind,
		     uint64_t size_bytes, struct err *err);
/* volume_disk_clear() - no image in the directory @dir/@name. */
void volume_disk_clear(int dir, const char *name);
