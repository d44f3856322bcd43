/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * virtio-blk over a disk.
 *
 * A request is taken from the queue into one of BLK_REQUESTS slots, checked, and given to the disk; completions come in any
 * order. When the slots are used up the queue waits for one. Writes are as durable as the driver chose: with the
 * cache in write-back mode by its flushes, else (it wants write-through, or cannot flush) each write is flushed
 * before it completes (virtio 1.2, 5.2.6.2 Device Requirements: Device Operation).
 * Source: virtio 1.2, 5.2 Block Device.
 */
#include "base/core/bytes.h"
#include "devices/virtio/virtio_dev.h"
#include "machine/ops.h"

#define BLK_REQUESTS   64U
#define BLK_QUEUE_SIZE 128U

/* 5.2.4 Device configuration layout, up to what we offer. */
struct blk_config {
	struct le64 capacity; /* sectors of 512 bytes */
	struct le32 size_max, seg_max;
	struct le16 cylinders;
	uint8_t heads, sectors;
	struct le32 blk_size;
	uint8_t physical_block_exp, alignment_offset;
	struct le16 min_io_size;
	struct le32 opt_io_size;
	uint8_t writeback, unused0;
	struct le16 num_queues;
	struct le32 max_discard_sectors, max_discard_seg, discard_sector_alignment;
	struct le32 max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
};

struct virtio_blk;

struct blk_request {
	struct disk_request disk;
	struct virtio_blk *blk;
	struct chain chain;
	uint8_t *status; /* the last device-writable byte */
	uint32_t len;	 /* what the device writes if all goes well, status included */
	bool through;	 /* flush before it completes */
};

struct virtio_blk {
	struct virtio_dev virtio;
	struct disk *disk; /* borrowed */
	struct blk_config config;
	bool submitting; /* I/O thread: inside disk->ops->submit(), lock held */
	bool starved;	 /* the queue waits for a free request */
	unsigned n_free;
	struct blk_request *free[BLK_REQUESTS];
	struct blk_request requests[BLK_REQUESTS];
};

/* virtio_blk_init() - @disk: borrowed, and closed by the caller once virtio_stop() said that nothing is under way. */
void virtio_blk_init(struct virtio_blk *blk, const struct virtio_place *place, struct disk *disk);
/* virtio_blk_forget() - any thread: the guest is gone; nobody waits for what is under way, whose end virtio_stop() still waits for. */
void virtio_blk_forget(struct virtio_blk *blk);
/* virtio_blk_resized() - any thread: the disk's size_bytes changed; the guest is told. */
void virtio_blk_resized(struct virtio_blk *blk);
