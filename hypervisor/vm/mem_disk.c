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

/* What a request keeps here while it waits: what of it is done. */
#define KEPT_POS (DISK_ROW_NEXT + 1)

static uint64_t pos_of(const struct disk_request *req)
{
	return (uintptr_t)req->backend[KEPT_POS];
}

/* [pos, pos + len) of the request, between the disk and its pieces of memory. */
static void part_move(const struct mem_disk *d, const struct disk_request *req, uint64_t pos,
		      uint64_t len)
{
	uint8_t *at = d->bytes + req->offset_bytes + pos;

	for (unsigned i = 0; i < req->n_iov && len; i++) {
		const struct mem_iov *iov = &req->iov[i];
		if (pos >= iov->len) {
			pos -= iov->len;
			continue;
		}
		uint8_t *memory = (uint8_t *)iov->hva + pos;
		uint64_t n = iov->len - pos < len ? iov->len - pos : len;
		if (req->op == DISK_READ)
			memcpy(memory, at, n);
		else
			memcpy(at, memory, n);
		at += n;
		len -= n;
		pos = 0;
	}
}

static bool has_memory(const struct disk_request *req)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < req->n_iov; i++)
		sum += req->iov[i].len;
	return sum >= req->len_bytes;
}

/* Return: 0: there is something to be moved; 1: nothing is; -errno. */
static int request_check(const struct mem_disk *d, const struct disk_request *req)
{
	bool moves = req->op == DISK_READ || req->op == DISK_WRITE;

	if (req->op == DISK_FLUSH)
		return 1;
	if (!is_inside(d, req) || (moves && !has_memory(req)))
		return -EINVAL;
	if (req->op != DISK_READ && d->disk.read_only)
		return -EROFS;
	return !req->len_bytes;
}

/* As much of the first as this turn has left. Return: whether it is over. */
static bool first_move(struct mem_disk *d)
{
	struct disk_request *req = d->waiting.first;
	uint64_t pos = pos_of(req), len = req->len_bytes - pos;

	if (disk_request_is_unwanted(req))
		return true;
	if (len > d->left)
		len = d->left;
	if (req->op == DISK_READ || req->op == DISK_WRITE)
		part_move(d, req, pos, len);
	else /* discarded, or zeroed */
		memset(d->bytes + req->offset_bytes + pos, 0, len);
	d->left -= len;
	req->backend[KEPT_POS] = (void *)(uintptr_t)(pos + len);
	return pos + len == req->len_bytes;
}

/* done() may submit the next one: it waits behind the others. */
static void all_move(struct mem_disk *d)
{
	if (d->is_moving)
		return;
	d->is_moving = true;
	while (d->waiting.first && (d->left || disk_request_is_unwanted(d->waiting.first))) {
		if (!first_move(d))
			continue;
		struct disk_request *req = disk_row_take(&d->waiting);
		req->done(req, disk_request_is_unwanted(req) ? -ECANCELED : 0);
	}
	d->is_moving = false;
	if (d->waiting.first)
		d->more(d);
}

static void mem_disk_submit(struct disk *disk, struct disk_request *req)
{
	struct mem_disk *d = disk_of(disk);
	int r = request_check(d, req);

	disk_count(&d->counts, req);
	if (r) {
		req->done(req, r < 0 ? r : 0);
		return;
	}
	req->backend[KEPT_POS] = NULL;
	disk_row_put(&d->waiting, req);
	all_move(d);
}

void mem_disk_serve(struct mem_disk *d)
{
	d->left = MEM_DISK_TURN_BYTES;
	all_move(d);
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

void mem_disk_init(struct mem_disk *d, void *bytes, uint64_t len, bool read_only, const char *id,
		   void (*more)(struct mem_disk *d))
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
		.left = MEM_DISK_TURN_BYTES,
		.more = more,
	};
	disk_row_init(&d->waiting);
	for (unsigned i = 0; i + 1 < sizeof(d->disk.id) && id[i]; i++)
		d->disk.id[i] = id[i];
}
