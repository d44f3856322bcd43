/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Extended attributes in a tar: pax records "SCHILY.xattr.NAME", the value as it is (star(1), "Extended headers"; GNU tar and
 * libarchive write and read the same). Those that strata-archive carries too: user.*, security.capability, POSIX ACLs; what
 * overlayfs takes its orders from is none of them.
 */
#include <stddef.h>

#include "base/core/buf.h"

/* tar_record() - append one pax record; its decimal length includes its own digits. 0 or -ENOMEM. */
int tar_record(struct buf *buf, const char *key, const void *value, size_t len);
/* tar_xattr_pack() - append a record for each attribute of an open file or directory. 0 or -errno. */
int tar_xattr_pack(int fd, struct buf *pax);
/* tar_xattr_keep() - a record's key and value, if it is an attribute that we carry. 0 or -ENOMEM. */
int tar_xattr_keep(struct buf *kept, const char *key, size_t key_len, const void *value,
		   size_t len);
/*
 * tar_xattr_set() - what was kept, onto an open file or directory, after its owner is set, which takes capabilities away
 * A file system without such attributes is no error, as in Docker. 0 or -errno: no room.
 */
int tar_xattr_set(const struct buf *kept, int fd);
