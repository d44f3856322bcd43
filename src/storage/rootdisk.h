/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An image as one read-only disk, for virtual machines: its layers merged, an uncompressed erofs with owners,
 * attributes and devices as they are. Made once by strata-archive from the layers' archives, the same bytes for root and
 * for an ordinary user, kept as <root>/disks/IMAGE-ID, and removed with the image.
 *
 * Theory of operation. The maker's output below <root>/tmp comes into its place by one rename. Another process that wants the
 * same disk meanwhile waits. Killed at any moment: no disk, and nothing that the next staging_open() does not find.
 */
#include "storage/image.h"

/*
 * rootdisk_path() - the disk's absolute path, which the caller frees; made where it is not there yet
 * Errors: -EBADMSG where a layer's archive is damaged; -ESTALE where the image was removed meanwhile; what writing says.
 */
int rootdisk_path(struct store *store, const struct image *image, char **ret, struct err *err);
