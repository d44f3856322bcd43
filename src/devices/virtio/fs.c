/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/fs.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"

/* 5.11.2 Virtqueues: without notifications (5.11.3) the request queue comes second. */
enum { FS_HIPRIO, FS_REQUEST, FS_QUEUES };

#define FS_BUDGET 64U /* requests of one turn */

/* struct fuse_in_header and fuse_out_header: length, then opcode or error, then the request's own number. */
#define FUSE_LEN_AT	0U
#define FUSE_OPCODE_AT	4U
#define FUSE_ERROR_AT	4U
#define FUSE_UNIQUE_AT	8U
#define FUSE_ERROR_LAST (-999) /* Linux takes no lower one: fs/fuse/dev.c, fuse_dev_do_write() */

/* enum fuse_opcode: those that have no reply */
enum { FUSE_FORGET = 2, FUSE_INTERRUPT = 36, FUSE_BATCH_FORGET = 42 };

_Static_assert(sizeof(struct fs_config) == FS_TAG_BYTES + 4, "5.11.4");

static struct virtio_fs *fs_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_fs, virtio);
}

static uint16_t fs_queue_of(const struct fs_request *req)
{
	return req->share.urgent ? FS_HIPRIO : FS_REQUEST;
}

static bool fs_has_reply(const struct share_request *share)
{
	const uint32_t opcode = le32_load(&share->head[FUSE_OPCODE_AT]);

	return opcode != FUSE_FORGET && opcode != FUSE_INTERRUPT && opcode != FUSE_BATCH_FORGET;
}

/* ---- completion ---- */

static bool fs_reply_ok(const struct share_request *share, int64_t len)
{
	const uint8_t *reply = share->reply;
	const int32_t error = (int32_t)le32_load(&reply[FUSE_ERROR_AT]);

	return len >= SHARE_REPLY_BYTES && len <= share->in_bytes &&
	       le32_load(&reply[FUSE_LEN_AT]) == len &&
	       le64_load(&reply[FUSE_UNIQUE_AT]) == le64_load(&share->head[FUSE_UNIQUE_AT]) &&
	       error <= 0 && error >= FUSE_ERROR_LAST;
}

static void fs_reply_error(struct share_request *share, int error)
{
	le32_store(&share->reply[FUSE_LEN_AT], SHARE_REPLY_BYTES);
	le32_store(&share->reply[FUSE_ERROR_AT], (uint32_t)error);
	memcpy(&share->reply[FUSE_UNIQUE_AT], &share->head[FUSE_UNIQUE_AT], 8);
}

/*
 * The reply is in the guest's memory but for its header.
 * @wrote: how much of it was written, whatever becomes of it
 */
static void fs_finish(struct fs_request *req, uint32_t len, uint32_t wrote)
{
	struct virtio_fs *fs = req->fs;
	const uint16_t queue = fs_queue_of(req);

	if (virtio_live(&fs->virtio, queue)) {
		if (len)
			(void)chain_put(&req->chain, 0, req->share.reply, SHARE_REPLY_BYTES);
		chain_wrote(&req->chain, fs->virtio.mem, wrote > len ? wrote : len);
		virtq_put(&fs->virtio.queues[queue], req->chain.head, len);
	}
	fs->free[queue][fs->n_free[queue]++] = req;
	virtio_end(&fs->virtio);
}

/* Lock held. @result: as done()'s */
static void fs_complete(struct fs_request *req, int64_t result)
{
	struct share_request *share = &req->share;
	const uint32_t wrote = result > 0 ? share->in_bytes : 0;

	if (!fs_has_reply(share) || share->in_bytes < SHARE_REPLY_BYTES) {
		fs_finish(req, 0, wrote);
		return;
	}
	if (result < 0 || !fs_reply_ok(share, result)) {
		fs_reply_error(share, result < 0 && result >= FUSE_ERROR_LAST ? (int)result : -EIO);
		result = SHARE_REPLY_BYTES;
	}
	fs_finish(req, (uint32_t)result, wrote);
}

static void fs_done(struct share_request *share, int64_t result)
{
	struct fs_request *req = container_of(share, struct fs_request, share);
	struct virtio_fs *fs = req->fs;
	const uint16_t queue = fs_queue_of(req);

	lock_acquire(&fs->virtio.lock);
	fs_complete(req, result);
	virtio_signal(&fs->virtio, queue);
	if (fs->starved[queue]) {
		fs->starved[queue] = false;
		virtio_serve(&fs->virtio, queue);
	}
	lock_release(&fs->virtio.lock);
}

/* ---- requests ---- */

/* A length that is not the request's own would have the share wait for bytes that never come. */
static int fs_submit(struct fs_request *req)
{
	struct share_request *share = &req->share;
	const uint64_t whole = req->chain.out_bytes + SHARE_HEAD_BYTES;

	if (le32_load(&share->head[FUSE_LEN_AT]) != whole)
		return -EINVAL;
	if (whole > SHARE_MESSAGE_MAX || req->chain.in_bytes > SHARE_MESSAGE_MAX)
		return -E2BIG;
	return req->fs->share->ops->submit(req->fs->share, share);
}

static int fs_start(struct fs_request *req, uint16_t queue)
{
	struct virtio_fs *fs = req->fs;
	struct chain *chain = &req->chain;
	struct share_request *share = &req->share;

	if (!chain_pull(chain, share->head, sizeof(share->head)))
		return -EPROTO; /* nobody to say to what is wrong */
	share->urgent = queue == FS_HIPRIO;
	share->done = fs_done;
	share->out = &chain->iov[chain->first_out];
	share->n_out = (unsigned)(chain->n_out - chain->first_out);
	share->out_bytes = (uint32_t)chain->out_bytes;
	share->in = &chain->iov[chain->n_out];
	share->n_in = (unsigned)(chain->n - chain->n_out);
	share->in_bytes = chain->in_bytes < UINT32_MAX ? (uint32_t)chain->in_bytes : UINT32_MAX;
	fs->n_free[queue]--;
	virtio_begin(&fs->virtio);
	int r = fs_submit(req);
	if (r < 0)
		fs_complete(req, r);
	return 0;
}

static int fs_handle(struct virtio_dev *dev, uint16_t queue)
{
	struct virtio_fs *fs = fs_of(dev);
	int r = 1;

	for (unsigned i = 0; r > 0 && i < FS_BUDGET && fs->n_free[queue]; i++) {
		struct fs_request *req = fs->free[queue][fs->n_free[queue] - 1];
		r = virtq_pop(&dev->queues[queue], &req->chain);
		if (r > 0 && fs_start(req, queue) < 0)
			r = -EPROTO;
	}
	virtio_signal(dev, queue);
	if (r > 0) {
		fs->starved[queue] = fs->n_free[queue] == 0;
		if (!fs->starved[queue])
			virtio_again(dev, queue);
	}
	return r < 0 ? r : 0;
}

static void fs_reset(struct virtio_dev *dev)
{
	memset(fs_of(dev)->starved, 0, sizeof(fs_of(dev)->starved));
}

static const struct virtio_dev_ops fs_ops = {
	.name = "virtio-fs",
	.device_id = VIRTIO_ID_FS,
	.class_code = 0x018000,
	.handle = fs_handle,
	.reset = fs_reset,
};

void virtio_fs_init(struct virtio_fs *fs, const struct virtio_place *place, struct share *share,
		    const char *tag)
{
	virtio_dev_init(&fs->virtio, &fs_ops, place, 0, FS_QUEUES, FS_QUEUE_SIZE, &fs->config,
			sizeof(fs->config));
	fs->share = share;
	memset(&fs->config, 0, sizeof(fs->config));
	for (size_t i = 0; i < FS_TAG_BYTES && tag[i]; i++)
		fs->config.tag[i] = (uint8_t)tag[i];
	fs->config.num_request_queues = le32_of(1);
	memset(fs->starved, 0, sizeof(fs->starved));
	memset(fs->n_free, 0, sizeof(fs->n_free));
	for (unsigned i = 0; i < FS_URGENT + FS_REQUESTS; i++) {
		const unsigned queue = i < FS_URGENT ? FS_HIPRIO : FS_REQUEST;
		fs->requests[i].fs = fs;
		fs->free[queue][fs->n_free[queue]++] = &fs->requests[i];
	}
}
