/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A volume's ext4 file system that is smaller than its disk, as after `strata volume resize`, gets all of it when it is mounted:
 * by this kernel, which journals each step of it. resize2fs on the host does not: killed half-way it may leave what nothing
 * mounts, and the undo file it can keep breaks the resize inode (e2fsprogs 1.47.0).
 */
#include <stdint.h>

#include "base/core/err.h"

#define GROW_SUPER_BYTES 0x154

/* grow_blocks() - as many as a disk has, of the size that a file system's superblock says; 0: it has them already, or is none */
uint64_t grow_blocks(const uint8_t super[GROW_SUPER_BYTES], uint64_t disk_bytes);
/*
 * grow_ext4() - @mount: a writable mount of what is on the block device @disk; nothing to do is 0
 * Errors: -EPERM (it has errors), -EOPNOTSUPP and what else the kernel says: it is usable as it is all the same.
 */
int grow_ext4(int mount, const char *disk, struct err *err);
