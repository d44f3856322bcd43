/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An image as one read-only disk, for virtual machines: its layers merged, an uncompressed erofs with owners,
 * attributes and devices as they are. Made once by mkfs.erofs, kept as <root>/disks/IMAGE-ID, and removed with the image.
 *
 * Theory of operation. A child in a mount namespace of its own mounts the layers as a read-only overlay, gives up every
 * capability but reading and becomes mkfs.erofs, whose output below <root>/tmp comes into its place by one rename. Another
 * process that wants the same disk meanwhile waits. Killed at any moment: no disk, and nothing that the next staging_open()
 * does not find. Without root the child works in a user namespace, where all files are root's: as in the layers themselves.
 */
#include "storage/image.h"

/*
 * rootdisk_path() - the disk's absolute path, which the caller frees; made where it is not there yet
 * Errors: -ENOENT with the package's name where mkfs.erofs is missing; -ESTALE where the image was removed meanwhile.
 */
int rootdisk_path(struct store *store, const struct image *image, char **ret, struct err *err);
