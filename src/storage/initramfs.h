/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The initramfs of a VM that runs an image: strata-init and the kernel's modules, as an uncompressed cpio archive.
 *
 *   /init                  strata-init, found beside this program
 *   /strata/NAME.ko        modules
 *   /strata/modules        their file names, one a line, in load order
 *   /dev/console           for the kernel, before it has mounted anything
 *
 * Made once for each pair of kernel and strata-init, and kept as <root>/initramfs/HEX, HEX being the digest of its inputs.
 * Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
 */
#include "storage/kernel.h"
#include "storage/staging.h"

/* initramfs_path() - its absolute path, which the caller frees; made where it is not there yet. */
int initramfs_path(struct store *store, const struct kernel *kernel, char **ret, struct err *err);
/* initramfs_sweep() - move those that belong to no kernel out, under storage_lock(). */
int initramfs_sweep(struct store *store, struct staging *staging, struct err *err);
