/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A disk of a server as this host prepares it: an image or a block device with a partition of Strata's own, whose extents
 * (base/core/extents.h) are guests' disks on the hypervisor.
 *
 * While one is open it is locked: a file as virtual machines lock their disks, a block device by O_EXCL, so what is mounted or in use
 * by a machine is -EBUSY; so is a file under a loop device. An extent's bytes are written and flushed before the table that names it, and the table is changed
 * whole or not at all, wherever it is interrupted.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "base/core/extents.h"

struct server_disk {
	struct extents_io io;
	int fd;
	const char *path; /* borrowed */
	bool is_block;
	uint64_t size_bytes;
	uint32_t sector_bytes;
	unsigned part_number;
	uint64_t part_start_bytes;
	struct extents table;
	struct err
		note; /* code set: one copy of the table was refused; server_disk_open() succeeded nevertheless */
};

/*
 * server_disk_open() - lock it, find the first partition of Strata's own, read its table
 * @path: borrowed until server_disk_fini()
 * Errors: -EBUSY; -ENODATA: no such partition, or no table in it; -EBADMSG: what is there is broken, with what.
 */
int server_disk_open(const char *path, bool write, struct server_disk *ret, struct err *err);
void server_disk_fini(
	struct server_disk *disk); /* for AUTO; once open() was called, whatever it returned */

/*
 * server_disk_format() - a partition table with one partition, all of it Strata's, without extents
 * @sector_bytes: 512 or 4096, of an image; a block device has its own, then this is 0 or the same
 * @force: although there is something in the first or last MiB. What is in use is refused all the same.
 * Errors: -EBUSY; -EEXIST: there is something, with what; -EINVAL: too small, or the sectors.
 */
int server_disk_format(const char *path, uint32_t sector_bytes, bool force, struct err *err);

/*
 * server_disk_add() - a new extent, in which there is nothing of what was in its place before
 * @len_bytes: 0: as long as @from   @from: a file that is copied to its start, or NULL
 * Errors: extents_add()'s; -EFBIG: @from is longer; what reading it says. The table is as before then.
 */
int server_disk_add(struct server_disk *disk, const char *name, uint64_t len_bytes, uint32_t flags,
		    const char *from, struct err *err);
/* server_disk_remove() - its bytes stay until an extent takes their place */
int server_disk_remove(struct server_disk *disk, const char *name, struct err *err);
