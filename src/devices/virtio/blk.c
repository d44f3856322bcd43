/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/blk.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"

/* 5.2.3 Feature bits */
#define BLK_F_SEG_MAX	   2
#define BLK_F_RO	   5
#define BLK_F_BLK_SIZE	   6
#define BLK_F_FLUSH	   9
#define BLK_F_TOPOLOGY	   10
#define BLK_F_CONFIG_WCE   11
#define BLK_F_DISCARD	   13
#define BLK_F_WRITE_ZEROES 14

/* 5.2.6 Device Operation */
enum {
	BLK_T_IN = 0,
	BLK_T_OUT = 1,
	BLK_T_FLUSH = 4,
	BLK_T_GET_ID = 8,
	BLK_T_DISCARD = 11,
	BLK_T_WRITE_ZEROES = 13,
};
enum { BLK_S_OK = 0, BLK_S_IOERR = 1, BLK_S_UNSUPP = 2 };
#define BLK_ID_BYTES	  20U
#define BLK_RANGE_UNMAP	  1U
#define BLK_RANGE_SECTORS (UINT32_C(1) << 22) /* 2 GiB: what one request keeps a disk busy with */
#define BLK_CONFIG_BYTES  60U
#define BLK_BUDGET	  256U /* requests of one turn, where the disk answers at once */
#define BLK_TURN_BYTES                                                                             \
	(UINT64_C(64)                                                                              \
	 << 20) /* and of their buffers, which may have to be filled before anybody uses them */

_Static_assert(offsetof(struct blk_config, unused1) + 3 == BLK_CONFIG_BYTES, "5.2.4");

struct blk_header {
	struct le32 type, reserved;
	struct le64 sector;
};
struct blk_range {
	struct le64 sector;
	struct le32 n_sectors, flags;
};
_Static_assert(sizeof(struct blk_header) == 16 && sizeof(struct blk_range) == 16, "5.2.6");

static struct virtio_blk *blk_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_blk, virtio);
}

/* ---- completion ---- */

static void blk_finish(struct blk_request *req, uint8_t status, uint32_t len)
{
	struct virtio_blk *blk = req->blk;

	if (virtio_live(&blk->virtio, 0)) {
		*req->status = status;
		chain_wrote(&req->chain, blk->virtio.mem, len - 1);
		mem_wrote_hva(blk->virtio.mem, req->status, 1);
		virtq_put(&blk->virtio.queues[0], req->chain.head, len);
	}
	blk->free[blk->n_free++] = req;
	virtio_end(&blk->virtio);
}

static bool blk_is_free(const struct virtio_blk *blk, const struct blk_request *req)
{
	for (unsigned i = 0; i < blk->n_free; i++) {
		if (blk->free[i] == req)
			return true;
	}
	return false;
}

/* The buffers and the status byte of each request that the disk has. */
static void blk_held(struct virtio_dev *dev, virtio_tell *tell, void *arg)
{
	const struct virtio_blk *blk = blk_of(dev);

	for (unsigned i = 0; i < BLK_REQUESTS; i++) {
		const struct blk_request *req = &blk->requests[i];
		if (blk_is_free(blk, req))
			continue;
		for (unsigned n = 0; n < req->chain.n; n++) {
			if (req->chain.iov[n].len)
				tell(arg, req->chain.iov[n].hva, req->chain.iov[n].len);
		}
		tell(arg, req->status, 1);
	}
}

static void blk_submit(struct blk_request *req)
{
	struct virtio_blk *blk = req->blk;
	const bool was = blk->submitting;

	blk->submitting = true;
	blk->disk->ops->submit(blk->disk, &req->disk);
	blk->submitting = was;
}

static void blk_complete(struct blk_request *req, int result)
{
	if (result == 0 && req->through) {
		req->through = false;
		req->disk.op = DISK_FLUSH;
		req->disk.offset_bytes = req->disk.len_bytes = 0;
		req->disk.n_iov = 0;
		blk_submit(req);
		return;
	}
	if (result == 0)
		blk_finish(req, BLK_S_OK, req->len);
	else
		blk_finish(req, result == -EOPNOTSUPP ? BLK_S_UNSUPP : BLK_S_IOERR, 1);
}

/* Inside submit() the lock is ours already; what follows is then done by who submitted. */
static void blk_done(struct disk_request *disk, int result)
{
	struct blk_request *req = container_of(disk, struct blk_request, disk);
	struct virtio_blk *blk = req->blk;

	if (blk->submitting) {
		blk_complete(req, result);
		return;
	}
	lock_acquire(&blk->virtio.lock);
	blk_complete(req, result);
	virtio_signal(&blk->virtio, 0);
	if (blk->starved && blk->n_free) {
		blk->starved = false;
		virtio_serve(&blk->virtio, 0);
	}
	lock_release(&blk->virtio.lock);
}

/* ---- requests ---- */

static bool blk_write_through(const struct virtio_blk *blk)
{
	if (virtio_has(&blk->virtio, BLK_F_CONFIG_WCE))
		return !blk->config.writeback;
	return !virtio_has(&blk->virtio, BLK_F_FLUSH);
}

static bool blk_inside(const struct disk *disk, uint64_t sector, uint64_t bytes)
{
	return sector <= disk->size_bytes / DISK_SECTOR_BYTES &&
	       bytes <= disk->size_bytes - sector * DISK_SECTOR_BYTES;
}

/* Each start function returns a status for what is over already, or -1: the disk has it. */
static int blk_start_rw(struct blk_request *req, uint64_t sector, bool is_write)
{
	const struct chain *chain = &req->chain;
	struct disk *disk = req->blk->disk;
	const uint64_t bytes = is_write ? chain->out_bytes : chain->in_bytes;

	if (bytes % DISK_SECTOR_BYTES || !blk_inside(disk, sector, bytes) ||
	    (is_write && disk->read_only))
		return BLK_S_IOERR;
	if (bytes == 0)
		return BLK_S_OK;
	const unsigned first = is_write ? chain->first_out : chain->n_out;
	req->disk.op = is_write ? DISK_WRITE : DISK_READ;
	req->disk.offset_bytes = sector * DISK_SECTOR_BYTES;
	req->disk.len_bytes = bytes;
	req->disk.iov = &chain->iov[first];
	req->disk.n_iov = (is_write ? chain->n_out : chain->n) - first;
	req->len = is_write ? 1 : (uint32_t)bytes + 1;
	req->through = is_write && blk_write_through(req->blk);
	blk_submit(req);
	return -1;
}

static int blk_start_flush(struct blk_request *req)
{
	req->disk.op = DISK_FLUSH;
	req->disk.offset_bytes = req->disk.len_bytes = 0;
	blk_submit(req);
	return -1;
}

/* 5.2.6.2: one range (max_*_seg is 1); a flag that is not known is not supported. */
static int blk_start_range(struct blk_request *req, bool is_discard)
{
	struct disk *disk = req->blk->disk;
	struct blk_range range;

	if (!virtio_has(&req->blk->virtio, is_discard ? BLK_F_DISCARD : BLK_F_WRITE_ZEROES))
		return BLK_S_UNSUPP;
	if (req->chain.out_bytes != sizeof(range) ||
	    !chain_pull(&req->chain, &range, sizeof(range)))
		return BLK_S_IOERR;
	const uint32_t flags = le32_get(range.flags), sectors = le32_get(range.n_sectors);
	const uint64_t bytes = (uint64_t)sectors * DISK_SECTOR_BYTES;
	if (flags & ~(is_discard ? 0 : BLK_RANGE_UNMAP))
		return BLK_S_UNSUPP;
	if (sectors > BLK_RANGE_SECTORS || !blk_inside(disk, le64_get(range.sector), bytes) ||
	    disk->read_only)
		return BLK_S_IOERR;
	if (bytes == 0)
		return BLK_S_OK;
	req->disk.op = is_discard ? DISK_DISCARD : DISK_WRITE_ZEROES;
	req->disk.may_unmap = flags & BLK_RANGE_UNMAP;
	req->disk.offset_bytes = le64_get(range.sector) * DISK_SECTOR_BYTES;
	req->disk.len_bytes = bytes;
	req->through = !is_discard && blk_write_through(req->blk);
	blk_submit(req);
	return -1;
}

/* 20 bytes, not NUL-terminated when they are all used. */
static int blk_get_id(struct blk_request *req)
{
	char id[BLK_ID_BYTES];

	if (req->chain.in_bytes < sizeof(id))
		return BLK_S_IOERR;
	memcpy(id, req->blk->disk->id, sizeof(id));
	req->len = (uint32_t)chain_put(&req->chain, 0, id, sizeof(id)) + 1;
	return BLK_S_OK;
}

static int blk_dispatch(struct blk_request *req, const struct blk_header *header)
{
	const uint64_t sector = le64_get(header->sector);

	switch (le32_get(header->type)) {
	case BLK_T_IN:
		return blk_start_rw(req, sector, false);
	case BLK_T_OUT:
		return blk_start_rw(req, sector, true);
	case BLK_T_FLUSH:
		return blk_start_flush(req);
	case BLK_T_GET_ID:
		return blk_get_id(req);
	case BLK_T_DISCARD:
		return blk_start_range(req, true);
	case BLK_T_WRITE_ZEROES:
		return blk_start_range(req, false);
	default:
		return BLK_S_UNSUPP;
	}
}

/* The last device-writable byte is the status, the rest of them the data. */
static bool blk_cut_status(struct blk_request *req)
{
	struct chain *chain = &req->chain;

	if (chain->in_bytes == 0)
		return false;
	struct mem_iov *last = &chain->iov[chain->n - 1];
	last->len--;
	chain->in_bytes--;
	req->status = (uint8_t *)last->hva + last->len;
	if (last->len == 0)
		chain->n--;
	return true;
}

static int blk_start(struct blk_request *req)
{
	struct virtio_blk *blk = req->blk;
	struct blk_header header;

	if (!blk_cut_status(req) || !chain_pull(&req->chain, &header, sizeof(header)))
		return -EPROTO; /* nowhere to say what is wrong */
	req->disk = (struct disk_request){ .done = blk_done };
	req->through = false;
	req->len = 1;
	blk->n_free--;
	virtio_begin(&blk->virtio);
	int status = blk_dispatch(req, &header);
	if (status >= 0)
		blk_finish(req, (uint8_t)status, status == BLK_S_OK ? req->len : 1);
	return 0;
}

static int blk_handle(struct virtio_dev *dev, uint16_t queue)
{
	struct virtio_blk *blk = blk_of(dev);
	uint64_t bytes = 0;
	int r = 1;

	for (unsigned i = 0; r > 0 && i < BLK_BUDGET && bytes < BLK_TURN_BYTES && blk->n_free;
	     i++) {
		struct blk_request *req = blk->free[blk->n_free - 1];
		r = virtq_pop(&dev->queues[queue], &req->chain);
		bytes += r > 0 ? req->chain.out_bytes + req->chain.in_bytes : 0;
		if (r > 0 && blk_start(req) < 0)
			r = -EPROTO;
	}
	virtio_signal(dev, queue);
	if (r > 0) {
		blk->starved = blk->n_free == 0;
		if (!blk->starved)
			virtio_again(dev, queue);
	}
	return r < 0 ? r : 0;
}

/* ---- configuration ---- */

static void blk_reset(struct virtio_dev *dev)
{
	blk_of(dev)->config.writeback = 1;
	blk_of(dev)->starved = false;
}

static void blk_config_write(struct virtio_dev *dev, unsigned offset, const void *data,
			     unsigned len)
{
	const uint8_t *bytes = data;

	if (offset == offsetof(struct blk_config, writeback) && len == 1 &&
	    virtio_has(dev, BLK_F_CONFIG_WCE))
		blk_of(dev)->config.writeback = bytes[0] & 1;
}

static const struct virtio_dev_ops blk_ops = {
	.name = "virtio-blk",
	.device_id = VIRTIO_ID_BLOCK,
	.class_code = 0x018000,
	.handle = blk_handle,
	.held = blk_held,
	.reset = blk_reset,
	.config_write = blk_config_write,
};

static uint64_t blk_features(const struct disk *disk)
{
	uint64_t features = VIRTIO_BIT(BLK_F_SEG_MAX) | VIRTIO_BIT(BLK_F_BLK_SIZE) |
			    VIRTIO_BIT(BLK_F_FLUSH) | VIRTIO_BIT(BLK_F_TOPOLOGY) |
			    VIRTIO_BIT(BLK_F_CONFIG_WCE);

	if (disk->read_only)
		return features | VIRTIO_BIT(BLK_F_RO);
	features |= VIRTIO_BIT(BLK_F_WRITE_ZEROES);
	return disk->can_discard ? features | VIRTIO_BIT(BLK_F_DISCARD) : features;
}

static void blk_config_fill(struct blk_config *config, const struct disk *disk)
{
	const uint32_t block =
		disk->block_bytes >= DISK_SECTOR_BYTES ? disk->block_bytes : DISK_SECTOR_BYTES;
	const uint32_t sectors = block / DISK_SECTOR_BYTES;

	*config = (struct blk_config){
		.capacity = le64_of(disk->size_bytes / DISK_SECTOR_BYTES),
		.seg_max = le32_of(BLK_QUEUE_SIZE - 2), /* the header and the status */
		.blk_size = le32_of(DISK_SECTOR_BYTES),
		.physical_block_exp = (uint8_t)__builtin_ctz(sectors),
		.min_io_size = le16_of(sectors <= UINT16_MAX ? (uint16_t)sectors : 0),
		.writeback = 1,
		.num_queues = le16_of(1),
		.max_discard_sectors = le32_of(BLK_RANGE_SECTORS),
		.max_discard_seg = le32_of(1),
		.discard_sector_alignment = le32_of(sectors),
		.max_write_zeroes_sectors = le32_of(BLK_RANGE_SECTORS),
		.max_write_zeroes_seg = le32_of(1),
		.write_zeroes_may_unmap = disk->can_discard,
	};
}

void virtio_blk_init(struct virtio_blk *blk, const struct virtio_place *place, struct disk *disk)
{
	virtio_dev_init(&blk->virtio, &blk_ops, place, blk_features(disk), 1, BLK_QUEUE_SIZE,
			&blk->config, BLK_CONFIG_BYTES);
	blk->disk = disk;
	blk->submitting = blk->starved = false;
	blk->n_free = 0;
	for (unsigned i = 0; i < BLK_REQUESTS; i++) {
		blk->requests[i].blk = blk;
		blk->free[blk->n_free++] = &blk->requests[i];
	}
	blk_config_fill(&blk->config, disk);
}

void virtio_blk_forget(struct virtio_blk *blk)
{
	lock_acquire(&blk->virtio.lock);
	for (unsigned i = 0; i < BLK_REQUESTS; i++) {
		if (!blk_is_free(blk, &blk->requests[i]))
			__atomic_store_n(&blk->requests[i].disk.is_unwanted, true,
					 __ATOMIC_RELAXED);
	}
	lock_release(&blk->virtio.lock);
}

void virtio_blk_resized(struct virtio_blk *blk)
{
	lock_acquire(&blk->virtio.lock);
	blk->config.capacity = le64_of(blk->disk->size_bytes / DISK_SECTOR_BYTES);
	virtio_config_changed(&blk->virtio);
	lock_release(&blk->virtio.lock);
}
