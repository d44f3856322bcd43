/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * virtio-fs over a share: FUSE requests of the guest's kernel, which somebody else answers.
 *
 * A request is taken from its queue into one of FS_REQUESTS slots (FS_URGENT of the queue for forgetting), its header is
 * copied and checked, and it goes to the share; replies come in any order. What the share says is not believed either: a
 * reply whose header does not agree with the request, and any failure, become an error reply of ours, EIO. No request of the guest's
 * is understood further than that: the share has to do with any.
 * Source: virtio 1.2, 5.11 File System Device; FUSE's protocol is Linux's include/uapi/linux/fuse.h.
 */
#include "base/core/bytes.h"
#include "devices/virtio/virtio_dev.h"
#include "machine/ops.h"

#define FS_TAG_BYTES  36U
#define FS_QUEUE_SIZE 256U /* Linux's requests are as long as that, but for 4 */
#define FS_REQUESTS   16U
#define FS_URGENT     4U

/* 5.11.4 Device configuration layout */
struct fs_config {
	uint8_t tag[FS_TAG_BYTES]; /* padded with zeroes */
	struct le32 num_request_queues;
};

struct virtio_fs;

struct fs_request {
	struct share_request share;
	struct virtio_fs *fs;
	struct chain chain;
};

struct virtio_fs {
	struct virtio_dev virtio;
	struct share *share; /* borrowed */
	struct fs_config config;
	bool starved[2]; /* the queue waits for a free request */
	unsigned n_free[2];
	struct fs_request *free[2][FS_REQUESTS];
	struct fs_request requests[FS_URGENT + FS_REQUESTS];
};

/* virtio_fs_init() - @tag: what the guest mounts it by, at most FS_TAG_BYTES   @share: borrowed */
void virtio_fs_init(struct virtio_fs *fs, const struct virtio_place *place, struct share *share,
		    const char *tag);
