/* SPDX-License-Identifier: Apache-2.0 */
/* A qcow2 image from anybody: opened, read, written, discarded, checked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/disk/private.h"
#include "storage/disk/qcow2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_PIECE 70000U

struct fuzz_request {
	struct disk_request req;
	bool done;
};

static void fuzz_done(struct disk_request *req, int result)
{
	(void)result;
	container_of(req, struct fuzz_request, req)->done = true;
}

static void fuzz_io(struct aio *aio, struct disk *disk, enum disk_op op, uint64_t offset,
		    uint8_t *memory)
{
	uint64_t len = FUZZ_PIECE & ~511U;
	struct mem_iov iov = { memory, 0 };
	struct fuzz_request r = {
		.req = { .op = op, .may_unmap = offset & 1024, .done = fuzz_done }
	};

	offset &= ~UINT64_C(511);
	if (op != DISK_FLUSH) {
		if (offset >= disk->size_bytes)
			return;
		if (len > disk->size_bytes - offset)
			len = disk->size_bytes - offset;
		r.req.offset_bytes = offset;
		r.req.len_bytes = iov.len = len;
		r.req.iov = &iov;
		r.req.n_iov = 1;
	}
	disk->ops->submit(disk, &r.req);
	while (!r.done && aio_wait(aio) > 0)
		;
	if (!r.done)
		abort(); /* a request that nobody ends */
}

static void fuzz_disk(struct aio *aio, const char *path, const struct disk_open_opts *opts)
{
	static uint8_t memory[FUZZ_PIECE];
	struct disk *disk;

	if (disk_open(path, opts, aio, &disk, NULL) < 0)
		return;
	uint64_t places[] = { 0, 5120, disk->size_bytes / 2, disk->size_bytes - 512 };
	static const enum disk_op ops[] = { DISK_READ,	DISK_WRITE,	   DISK_READ,
					    DISK_FLUSH, DISK_WRITE_ZEROES, DISK_DISCARD,
					    DISK_WRITE, DISK_FLUSH,	   DISK_READ };
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(places); k++)
			fuzz_io(aio, disk, ops[i], places[k], memory);
	}
	disk_close(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct disk_open_opts ro = { .format = DISK_FORMAT_QCOW2, .read_only = true };
	const struct disk_open_opts rw = { .format = DISK_FORMAT_QCOW2,
					   .cache = DISK_CACHE_UNSAFE,
					   .no_backing = true };
	static struct aio *aio; /* threads are dear: one queue for the run */
	struct qcow2_check found;
	struct qcow2_info info;
	char path[32];

	if (!aio && aio_create(4, AIO_THREADS, &aio, NULL) < 0)
		return 0;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	(void)qcow2_info(path, &info, NULL);
	(void)qcow2_check(path, false, &found, NULL);
	fuzz_disk(aio, path, &ro);
	fuzz_disk(aio, path, &rw);
	(void)close(fd);
	return 0;
}
