/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/core/macros.h"
#include "machine/disk_row.h"
#include "storage/disk/private.h"

#define RAW_REQUESTS 64U

/*
 * A raw disk: the file's bytes are the disk's. Owner thread only. A request takes one of the operations, or waits in
 * `waiting` until one is free.
 */
struct raw_io {
	struct aio_request io;
	struct raw *raw;
	struct disk_request *req;
	struct raw_io *next; /* while free */
};

struct raw {
	struct disk disk;
	struct disk_file file;
	struct aio *aio;
	bool unsafe;
	bool no_punch, no_zero; /* the file system said that it cannot */
	struct raw_io *free;
	struct disk_row waiting;
	struct raw_io ios[RAW_REQUESTS];
};

static void raw_start(struct raw *raw, struct raw_io *io);

static struct raw *raw_of(struct disk *disk)
{
	return container_of(disk, struct raw, disk);
}

/* The operation is free again before the caller hears of the end: it may submit at once. */
static void raw_finish(struct raw_io *io, int result)
{
	struct raw *raw = io->raw;
	struct disk_request *req = io->req;
	struct disk_request *next = disk_row_take(&raw->waiting);

	if (next) {
		io->req = next;
		raw_start(raw, io);
	} else {
		io->next = raw->free;
		raw->free = io;
	}
	req->done(req, result);
}

/* What a file system cannot do, and a device not in pieces this small. */
static bool raw_unable(int64_t result)
{
	return result == -EOPNOTSUPP || result == -EINVAL || result == -ENOSYS || result == -ENODEV;
}

/* From the best way to what always works: a hole, zeroed blocks, zeroes written. */
static void raw_start_zeroes(struct raw *raw, struct raw_io *io)
{
	if (io->req->may_unmap && !raw->no_punch)
		io->io.op = AIO_PUNCH;
	else
		io->io.op = raw->no_zero ? AIO_WRITE : AIO_ZERO;
	aio_submit(raw->aio, &io->io);
}

/* Whether the request goes on in another way. */
static bool raw_retry(struct raw_io *io, int64_t result)
{
	struct raw *raw = io->raw;

	if (io->req->op != DISK_WRITE_ZEROES || io->io.op == AIO_WRITE || !raw_unable(result))
		return false;
	*(io->io.op == AIO_PUNCH ? &raw->no_punch : &raw->no_zero) = true;
	raw_start_zeroes(raw, io);
	return true;
}

static void raw_io_done(struct aio_request *aio_req, int64_t result)
{
	struct raw_io *io = container_of(aio_req, struct raw_io, io);

	if (raw_retry(io, result))
		return;
	if (io->req->op == DISK_DISCARD && raw_unable(result))
		result = 0; /* a hint that nobody can take */
	if (io->req->op == DISK_READ && result >= 0 && (uint64_t)result < io->req->len_bytes)
		result = -EIO; /* somebody cut the file */
	raw_finish(io, result < 0 ? (int)result : 0);
}

static void raw_start(struct raw *raw, struct raw_io *io)
{
	static const enum aio_op ops[] = {
		[DISK_READ] = AIO_READ,		 [DISK_WRITE] = AIO_WRITE,
		[DISK_FLUSH] = AIO_SYNC,	 [DISK_DISCARD] = AIO_PUNCH,
		[DISK_WRITE_ZEROES] = AIO_WRITE,
	};
	const struct disk_request *req = io->req;
	bool moves = req->op == DISK_READ || req->op == DISK_WRITE;

	io->raw = raw;
	io->io = (struct aio_request){
		.op = ops[req->op],
		.fd = raw->file.fd,
		.offset_bytes = req->offset_bytes,
		.len_bytes = req->len_bytes,
		.iov = moves ? req->iov : NULL,
		.n_iov = moves ? req->n_iov : 0,
		.done = raw_io_done,
	};
	if (req->op == DISK_WRITE_ZEROES)
		raw_start_zeroes(raw, io);
	else
		aio_submit(raw->aio, &io->io);
}

static void raw_submit(struct disk *disk, struct disk_request *req)
{
	struct raw *raw = raw_of(disk);
	struct raw_io *io = raw->free;
	int r = disk_request_check(disk, req);

	if (r < 0 || (req->op == DISK_FLUSH ? raw->unsafe || disk->read_only : !req->len_bytes)) {
		req->done(req, r);
	} else if (!io) {
		disk_row_put(&raw->waiting, req);
	} else {
		raw->free = io->next;
		io->req = req;
		raw_start(raw, io);
	}
}

static void raw_close(struct disk *disk)
{
	struct raw *raw = raw_of(disk);

	aio_detach(raw->aio, raw->file.fd);
	disk_file_close(&raw->file);
	free(raw);
}

static const struct disk_ops raw_ops = { .name = "raw", .submit = raw_submit, .close = raw_close };

/* Past the end of the file there is nothing to lose, and a file system that makes no holes says so all the same. */
static bool raw_can_discard(const struct disk_file *file)
{
	if (file->read_only)
		return false;
	return file->is_block || fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					   (off_t)file->size_bytes, 4096) == 0;
}

static int raw_check_size(const struct disk_file *file, struct err *err)
{
	uint64_t n = file->size_bytes;

	if (n == 0)
		return err_say(err, EINVAL, "disk %s is empty", file->path);
	if (n % DISK_SECTOR_BYTES)
		return err_say(
			err, EINVAL,
			"disk %s has %llu bytes, which is not a multiple of 512: truncate -s "
			"%%512 %s makes it one",
			file->path, (unsigned long long)n, file->path);
	return 0;
}

int raw_open(struct disk_file *file, const struct disk_open_opts *opts, struct aio *aio,
	     struct disk **ret, struct err *err)
{
	int r = raw_check_size(file, err);
	if (r < 0)
		return r;
	struct raw *raw = calloc(1, sizeof(*raw));
	if (!raw)
		return err_set(err, ENOMEM, "open disk %s", file->path);
	r = aio_attach(aio, file->fd);
	if (r < 0) {
		free(raw);
		return err_set(err, -r, "open disk %s", file->path);
	}
	raw->disk = (struct disk){ .ops = &raw_ops,
				   .size_bytes = file->size_bytes,
				   .block_bytes = file->block_bytes,
				   .read_only = file->read_only,
				   .can_discard = raw_can_discard(file) };
	raw->aio = aio;
	raw->unsafe = opts->cache == DISK_CACHE_UNSAFE;
	disk_row_init(&raw->waiting);
	for (unsigned i = 0; i < RAW_REQUESTS; i++) {
		raw->ios[i].next = raw->free;
		raw->free = &raw->ios[i];
	}
	raw->file = *file;
	*file = (struct disk_file)DISK_FILE_NONE;
	*ret = &raw->disk;
	return 0;
}
