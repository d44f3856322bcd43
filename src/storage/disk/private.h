/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of this room share: the queue's inside, and the files that disks are made of. */
#include <sys/stat.h>

#include "storage/disk/aio.h"
#include "storage/disk/disk.h"

struct aio_ops {
	/* All mandatory, all on the owner's thread. */
	void (*destroy)(struct aio *aio);
	int (*fd)(const struct aio *aio);
	int (*seal)(struct aio *aio, struct err *err);
	int (*on_threads)(struct aio *aio, int (*fn)(void *arg), void *arg);
	void (*start)(struct aio *aio,
		      struct aio_request *req); /* take one step; room is certain */
	void (*kick)(struct aio *aio);		/* make what was started run */
	void (*collect)(struct aio *aio);	/* aio_step() for each that is finished */
	void (*wait)(struct aio *aio);		/* until there is something to collect */
};

struct aio_list {
	struct aio_request *head, **tail;
};

struct aio { /* embedded first by the implementation */
	const struct aio_ops *ops;
	unsigned depth, under_way, plugged;
	bool reaping, sealed;
	struct aio_list pending, finished;
	int files[AIO_FILES];
	unsigned n_files;
};

void aio_init(struct aio *aio, const struct aio_ops *ops, unsigned depth);
/* aio_step() - an implementation finished one step of a request: bytes or -errno, as the system call has it. */
void aio_step(struct aio *aio, struct aio_request *req, int64_t result);
void aio_list_init(struct aio_list *list);
void aio_list_add(struct aio_list *list, struct aio_request *req);
struct aio_request *aio_list_pop(struct aio_list *list); /* NULL: empty */

int aio_uring_create(unsigned depth, struct aio **ret, struct err *err);
int aio_threads_create(unsigned depth, struct aio **ret, struct err *err);

/* An open disk file, locked against double use. */
struct disk_file {
	char *path; /* as it was named, for errors; owned */
	int fd;
	bool read_only, is_block;
	uint64_t size_bytes;
	uint32_t block_bytes; /* of the device, or the file system's preference; 512 to 4096 */
	dev_t dev;
	ino_t ino;
};
#define DISK_FILE_NONE                                                                             \
	{                                                                                          \
		.fd = -EBADF                                                                       \
	}
/*
 * disk_file_open() - a regular file or block device, locked: shared where read_only, else exclusive
 * @wait_ms: for the lock; see disk.h
 */
int disk_file_open(const char *path, bool read_only, unsigned wait_ms, struct disk_file *ret,
		   struct err *err);
void disk_file_close(struct disk_file *file);
/* disk_file_read() - synchronous, for headers; what is past the end of the file reads as zeroes. */
int disk_file_read(const struct disk_file *file, uint64_t offset, void *ret, size_t len,
		   struct err *err);
int disk_file_write(const struct disk_file *file, uint64_t offset, const void *data, size_t len,
		    struct err *err);
int disk_file_sync(const struct disk_file *file, struct err *err);

/* disk_request_check() - what every disk refuses: 0, -EINVAL, -EROFS, -EIO (outside). */
int disk_request_check(const struct disk *disk, const struct disk_request *req);

/* Each takes ownership of file (which is then DISK_FILE_NONE) on success. */
int raw_open(struct disk_file *file, const struct disk_open_opts *opts, struct aio *aio,
	     struct disk **ret, struct err *err);
int qcow2_open(struct disk_file *file, const struct disk_open_opts *opts, struct aio *aio,
	       struct disk **ret, struct err *err);
