/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A cpio archive in the kernel's "newc" format, into memory. Source: as initramfs.h. */
#include <stdint.h>
#include <sys/types.h>

#include "base/core/buf.h"

struct cpio {
	struct buf out; /* out.failed: there was no memory */
	uint32_t inode;
};

/* @name: without a leading slash. @mode: S_IFREG, S_IFDIR or S_IFCHR with permissions. Owner root, time 0. */
void cpio_add(struct cpio *cpio, const char *name, mode_t mode, const void *data, uint32_t len);
void cpio_device(struct cpio *cpio, const char *name, mode_t mode, unsigned major, unsigned minor);
void cpio_end(struct cpio *cpio);
