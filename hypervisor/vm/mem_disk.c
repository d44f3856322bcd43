/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/mem_disk.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"

static struct mem_disk *disk_of(struct disk *disk)
{
	return container_of(disk, struct mem_disk, disk);
}

static bool is_inside(const struct mem_disk *d, const struct disk_request *req)
{
	return req->offset_bytes <= d->disk.size_bytes &&
	       req->len_bytes <= d->disk.size_bytes - req->offset_bytes;
}

static int disk_move(struct mem_disk *d, const struct disk_request *req)
{
	uint8_t *at = d->bytes + req->offset_bytes;
	uint64_t left = req->len_bytes;

	for (unsigned i = 0; i < req->n_iov; i++) {
		uint64_t len = req->iov[i].len < left ? req->iov[i].len : left;
		if (req->op == DISK_READ)
			memcpy(req->iov[i].hva, at, len);
		else
			memcpy(at, req->iov[i].hva, len);
		at += len;
		left -= len;
	}
	return left ? -EINVAL : 0;
}

static int disk_do(struct mem_disk *d, const struct disk_request *req)
{
	if (req->op == DISK_FLUSH)
		return 0;
	if (!is_inside(d, req))
		return -EINVAL;
	if (req->op == DISK_READ)
		return disk_move(d, req);
	if (d->disk.read_only)
		return -EROFS;
	if (req->op == DISK_WRITE)
		return disk_move(d, req);
	memset(d->bytes + req->offset_bytes, 0, req->len_bytes); /* discarded, or zeroed */
	return 0;
}

static void mem_disk_submit(struct disk *disk, struct disk_request *req)
{
	req->done(req, disk_do(disk_of(disk), req));
}

static void mem_disk_close(struct disk *disk)
{
	(void)disk;
}

static const struct disk_ops mem_disk_ops = {
	.name = "memory",
	.submit = mem_disk_submit,
	.close = mem_disk_close,
};

void mem_disk_init(struct mem_disk *d, void *bytes, uint64_t len, bool read_only, const char *id)
{
	*d = (struct mem_disk){
		.disk = {
			.ops = &mem_disk_ops,
			.size_bytes = len & ~(uint64_t)(DISK_SECTOR_BYTES - 1),
			.block_bytes = 4096,
			.read_only = read_only,
			.can_discard = !read_only,
		},
		.bytes = bytes,
	};
	for (unsigned i = 0; i + 1 < sizeof(d->disk.id) && id[i]; i++)
		d->disk.id[i] = id[i];
}
