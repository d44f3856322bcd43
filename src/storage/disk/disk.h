/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Disks in files and block devices, as a machine uses them: struct disk (machine/ops.h) over an I/O queue (aio.h).
 *
 *	aio_create() -> disk_open()... -> aio_seal() -> submit, aio_reap()... -> disk_close() -> aio_destroy()
 *
 * A disk that is open for writing is locked against any other opener, one that is open for reading against writers, and so
 * are the backing images of a qcow2 disk (open file description locks, fcntl(2): they go with the process).
 */
#include "machine/ops.h"
#include "storage/disk/aio.h"

/*
 * Auto goes by the name, and never by content alone: a guest could write a qcow2 header, naming any file of the
 * host's as its backing image, into its raw disk. NAME.qcow2 is qcow2; any other is raw, but one that starts as
 * a qcow2 image does is refused until its format is said.
 */
enum disk_format { DISK_FORMAT_AUTO, DISK_FORMAT_RAW, DISK_FORMAT_QCOW2 };

enum disk_cache {
	DISK_CACHE_WRITEBACK, /* the host's page cache; DISK_FLUSH reaches the medium */
	DISK_CACHE_UNSAFE, /* DISK_FLUSH orders, but does not wait for the medium: for disks that may be lost */
};

struct disk_open_opts { /* zeroed: the defaults */
	enum disk_format format;
	enum disk_cache cache;
	bool read_only;
	bool no_backing; /* refuse an image with a backing file: for images of unknown origin */
	/*
	 * For a lock. The last writes of a process that was killed may still be under way in the kernel, with an
	 * io_uring, and hold it. 0: a second.
	 */
	unsigned wait_ms;
	const char *id; /* the serial number, at most 20 characters used; NULL: none */
};

/*
 * disk_open() - open and lock a disk image
 * @aio: borrowed until disk_close(); not sealed yet
 * Errors, each with one line that names the file: -EBUSY (in use), -ENOENT, -EACCES, -EINVAL (not an image, a size
 * that is not a multiple of 512), -EPROTO (a feature we do not have), -ENOSPC (too many files), -ENOMEM.
 */
int disk_open(const char *path, const struct disk_open_opts *opts, struct aio *aio,
	      struct disk **ret, struct err *err);
/*
 * disk_close() - nothing is under way; completed writes are kept, though only DISK_FLUSH promises the medium. May block (a
 * qcow2 disk writes its tables), and runs completions of the queue's other users meanwhile. NULL is a no-op.
 */
void disk_close(struct disk *disk);

/*
 * disk_create() - an empty, sparse image of a new name, durable when this returns; nothing is left of a failed one
 * disk_resize() - a larger one; killed at any moment it has its old size or its new one
 * disk_size() - what a machine would see; without a lock
 * @format: raw or qcow2   @size_bytes: a multiple of 512, not 0
 * Errors: -EEXIST, -EINVAL (size; shrinking), -EBUSY (in use), -EPROTO (see disk_open()), -ENOSPC, -EFBIG.
 */
int disk_create(const char *path, enum disk_format format, uint64_t size_bytes, struct err *err);
int disk_resize(const char *path, enum disk_format format, uint64_t size_bytes, struct err *err);
int disk_size(const char *path, enum disk_format format, uint64_t *ret, struct err *err);
/*
 * disk_hold() - keep other machines from a disk image: locked as by one that writes, or that only reads
 * Return: an fd, open for as much; the lock ends with its last copy, of whatever process. Or what disk_open() says.
 */
int disk_hold(const char *path, bool read_only, struct err *err);
/* disk_sync_dir() - a disk's new name is to survive a power cut, too. */
int disk_sync_dir(const char *path, struct err *err);
