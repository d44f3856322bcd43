/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/vhost_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "base/os/fd.h"
#include "engines/vmm/vhost_user.h"

/* The memory: rings, a page for each part, then the slots' buffers. */
#define FS_PAGE	      4096U
#define FS_DESC_AT    0U
#define FS_AVAIL_AT   FS_PAGE
#define FS_USED_AT    (2 * FS_PAGE)
#define FS_RING_BYTES (3 * FS_PAGE)
#define FS_SLOT_BYTES (2 * SHARE_MESSAGE_MAX)
#define FS_SLOTS_AT   (VHOST_FS_QUEUES * FS_RING_BYTES)
#define FS_BYTES      (FS_SLOTS_AT + VHOST_FS_QUEUES * VHOST_FS_SLOTS * FS_SLOT_BYTES)
#define FS_SLOT_DESCS 4U
#define FS_SOME	      64U /* replies of one turn */

/* 2.7.5 The Virtqueue Descriptor Table; 2.7.6, 2.7.8: flags and index come before the entries of both rings. */
#define DESC_BYTES	 16U
#define DESC_F_NEXT	 1U
#define DESC_F_WRITE	 2U
#define RING_IDX	 2U
#define RING_ENTRIES	 4U
#define USED_ENTRY_BYTES 8U
#define USED_F_NO_NOTIFY 1U

/* Linux: include/uapi/linux/fuse.h. The program hands a write's data on without a copy if they are by themselves. */
#define FUSE_OPCODE_AT	 4U
#define FUSE_WRITE	 16U
#define FUSE_WRITE_BYTES 40U /* struct fuse_write_in */

_Static_assert(VHOST_FS_SLOTS *FS_SLOT_DESCS <= VHOST_FS_RING, "each slot has its descriptors");
_Static_assert(SHARE_MESSAGE_MAX % FS_PAGE == 0, "buffers begin with a page");
_Static_assert(VHOST_FS_RING *DESC_BYTES <= FS_PAGE, "a page for each part");

static struct vhost_fs *fs_of(struct share *share)
{
	return container_of(share, struct vhost_fs, share);
}

bool vhost_fs_alive(const struct vhost_fs *fs)
{
	return fs->socket >= 0;
}

/* ---- in ---- */

static uint64_t fs_offset(const struct vhost_fs *fs, const uint8_t *at)
{
	return (uint64_t)(at - fs->at);
}

static void fs_desc(struct vhost_fs_queue *q, unsigned i, uint64_t at, uint32_t len, uint16_t flags)
{
	uint8_t *desc = q->desc + (size_t)i * DESC_BYTES;

	le64_store(desc, at);
	le32_store(desc + 8, len);
	le16_store(desc + 12, flags);
	le16_store(desc + 14, (uint16_t)(i + 1));
}

/* Return: the first descriptor; the others follow it. */
static uint16_t fs_describe(const struct vhost_fs *fs, struct vhost_fs_queue *q, unsigned slot)
{
	const struct vhost_fs_slot *s = &q->slots[slot];
	const struct share_request *req = s->req;
	const uint64_t out = fs_offset(fs, s->out);
	const uint32_t len = SHARE_HEAD_BYTES + req->out_bytes;
	const unsigned first = slot * FS_SLOT_DESCS;
	const uint16_t more = req->in_bytes ? DESC_F_NEXT : 0;
	unsigned i = first;

	if (le32_load(&req->head[FUSE_OPCODE_AT]) == FUSE_WRITE &&
	    req->out_bytes > FUSE_WRITE_BYTES) {
		const uint32_t args = SHARE_HEAD_BYTES + FUSE_WRITE_BYTES;
		fs_desc(q, i++, out, SHARE_HEAD_BYTES, DESC_F_NEXT);
		fs_desc(q, i++, out + SHARE_HEAD_BYTES, FUSE_WRITE_BYTES, DESC_F_NEXT);
		fs_desc(q, i++, out + args, len - args, more);
	} else {
		fs_desc(q, i++, out, len, more);
	}
	if (more)
		fs_desc(q, i, fs_offset(fs, s->in), req->in_bytes, DESC_F_WRITE);
	return (uint16_t)first;
}

static void fs_ring(struct vhost_fs_queue *q, uint16_t head)
{
	const size_t at = RING_ENTRIES + (size_t)(q->avail_next % VHOST_FS_RING) * sizeof(head);

	le16_store(q->avail + at, head);
	__atomic_store_n((uint16_t *)(void *)(q->avail + RING_IDX), ++q->avail_next,
			 __ATOMIC_RELEASE);
	/* 2.7.13.4.1: the index is out before the other side's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(__atomic_load_n((uint16_t *)(void *)q->used, __ATOMIC_RELAXED) & USED_F_NO_NOTIFY))
		fd_poke(q->kick);
}

static int fs_submit(struct share *share, struct share_request *req)
{
	struct vhost_fs *fs = fs_of(share);
	struct vhost_fs_queue *q = &fs->queues[req->urgent ? 0 : 1];

	if (fs->socket < 0)
		return -EIO;
	if (!q->n_free || req->out_bytes > SHARE_MESSAGE_MAX - SHARE_HEAD_BYTES ||
	    req->in_bytes > SHARE_MESSAGE_MAX)
		return -E2BIG; /* the device has no more slots than we, and checks lengths */
	const unsigned slot = q->free[--q->n_free];
	struct vhost_fs_slot *s = &q->slots[slot];
	uint8_t *to = s->out;

	s->req = req;
	q->n_busy++;
	memcpy(to, req->head, SHARE_HEAD_BYTES);
	to += SHARE_HEAD_BYTES;
	for (unsigned i = 0; i < req->n_out; i++) {
		memcpy(to, req->out[i].hva, req->out[i].len);
		to += req->out[i].len;
	}
	fs_ring(q, fs_describe(fs, q, slot));
	return 0;
}

static const struct share_ops fs_share_ops = { .name = "vhost-user", .submit = fs_submit };

/* ---- out ---- */

/* What lies behind the header goes to the guest; the header is copied apart, for whoever checks it. */
static void fs_copy_out(const struct vhost_fs_slot *s, struct share_request *req, uint32_t len)
{
	const uint8_t *from = s->in + SHARE_REPLY_BYTES;
	uint64_t skip = SHARE_REPLY_BYTES, left = len - SHARE_REPLY_BYTES;

	memcpy(req->reply, s->in, SHARE_REPLY_BYTES);
	for (unsigned i = 0; i < req->n_in && left; i++) {
		const uint64_t gap = skip < req->in[i].len ? skip : req->in[i].len;
		const uint64_t room = req->in[i].len - gap;
		const uint64_t part = left < room ? left : room;
		memcpy((uint8_t *)req->in[i].hva + gap, from, part);
		skip -= gap;
		from += part;
		left -= part;
	}
}

static struct share_request *fs_free(struct vhost_fs_queue *q, unsigned slot)
{
	struct share_request *req = q->slots[slot].req;

	q->slots[slot].req = NULL;
	q->free[q->n_free++] = (uint8_t)slot;
	q->n_busy--;
	return req;
}

/* Nothing that it says counts any more. An honest program ends when its socket is closed. */
static void fs_break(struct vhost_fs *fs)
{
	if (fs->socket < 0)
		return;
	loop_del(fs->loop, fs->socket);
	fd_close(fs->socket);
	fs->socket = -EBADF;
	for (unsigned i = 0; i < VHOST_FS_QUEUES; i++)
		loop_del(fs->loop, fs->queues[i].call);
	for (unsigned i = 0; i < VHOST_FS_QUEUES; i++) {
		struct vhost_fs_queue *q = &fs->queues[i];
		for (unsigned slot = 0; slot < VHOST_FS_SLOTS; slot++) {
			if (!q->slots[slot].req)
				continue;
			struct share_request *req = fs_free(q, slot);
			req->done(req, -EIO);
		}
	}
}

/* One used entry. Return: false for one that no request of ours can have. */
static bool fs_used(struct vhost_fs_queue *q)
{
	const uint8_t *entry =
		q->used + RING_ENTRIES + (size_t)(q->used_seen % VHOST_FS_RING) * USED_ENTRY_BYTES;
	const uint32_t head =
		__atomic_load_n((const uint32_t *)(const void *)entry, __ATOMIC_RELAXED);
	const uint32_t len =
		__atomic_load_n((const uint32_t *)(const void *)(entry + 4), __ATOMIC_RELAXED);
	const uint32_t slot = head / FS_SLOT_DESCS;

	if (head % FS_SLOT_DESCS || slot >= VHOST_FS_SLOTS || !q->slots[slot].req)
		return false;
	struct share_request *req = q->slots[slot].req;
	if (len > req->in_bytes || (len && len < SHARE_REPLY_BYTES))
		return false;
	q->used_seen++;
	if (len)
		fs_copy_out(&q->slots[slot], req, len);
	(void)fs_free(q, slot);
	req->done(req, len);
	return true;
}

static void fs_called(struct vhost_fs *fs, struct vhost_fs_queue *q)
{
	fd_calm(q->call);
	for (unsigned n = 0; fs->socket >= 0; n++) {
		const uint16_t idx =
			__atomic_load_n((uint16_t *)(void *)(q->used + RING_IDX), __ATOMIC_ACQUIRE);
		if (idx == q->used_seen)
			return;
		if (n == FS_SOME) { /* others come first */
			fd_poke(q->call);
			return;
		}
		if ((uint16_t)(idx - q->used_seen) > q->n_busy || !fs_used(q))
			fs_break(fs);
	}
}

static void fs_call_urgent(void *arg, uint32_t events)
{
	struct vhost_fs *fs = arg;

	(void)events;
	fs_called(fs, &fs->queues[0]);
}

static void fs_call(void *arg, uint32_t events)
{
	struct vhost_fs *fs = arg;

	(void)events;
	fs_called(fs, &fs->queues[1]);
}

/* It has nothing to say: that was its end, or nonsense. */
static void fs_socket(void *arg, uint32_t events)
{
	(void)events;
	fs_break(arg);
}

/* ---- life ---- */

static void fs_layout(struct vhost_fs *fs)
{
	uint8_t *slots = fs->at + FS_SLOTS_AT;

	for (unsigned i = 0; i < VHOST_FS_QUEUES; i++) {
		struct vhost_fs_queue *q = &fs->queues[i];
		uint8_t *ring = fs->at + (size_t)i * FS_RING_BYTES;
		q->desc = ring + FS_DESC_AT;
		q->avail = ring + FS_AVAIL_AT;
		q->used = ring + FS_USED_AT;
		for (unsigned k = 0; k < VHOST_FS_SLOTS; k++) {
			q->slots[k].out = slots;
			q->slots[k].in = slots + SHARE_MESSAGE_MAX;
			slots += FS_SLOT_BYTES;
			q->free[q->n_free++] = (uint8_t)k;
		}
	}
}

static int fs_make(struct vhost_fs *fs, struct err *err)
{
	fs->memory = memfd_create("shares", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* Nobody may shrink it: that would be SIGBUS. */
	if (fs->memory < 0 || ftruncate(fs->memory, FS_BYTES) < 0 ||
	    fcntl(fs->memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_set(err, errno, "memory for shared folders");
	uint8_t *at = mmap(NULL, FS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			   fs->memory, 0);
	if (at == MAP_FAILED)
		return err_set(err, errno, "memory for shared folders");
	fs->at = at;
	for (unsigned i = 0; i < VHOST_FS_QUEUES; i++) {
		fs->queues[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		fs->queues[i].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fs->queues[i].kick < 0 || fs->queues[i].call < 0)
			return err_set(err, errno, "eventfd");
	}
	fs_layout(fs);
	return 0;
}

static int fs_agree(struct vhost_fs *fs, struct err *err)
{
	struct vhost_user_ring rings[VHOST_FS_QUEUES];
	const struct vhost_user_setup setup = {
		.memory = fs->memory,
		.memory_bytes = FS_BYTES,
		.rings = rings,
		.n_rings = VHOST_FS_QUEUES,
	};

	for (unsigned i = 0; i < VHOST_FS_QUEUES; i++) {
		const struct vhost_fs_queue *q = &fs->queues[i];
		rings[i] = (struct vhost_user_ring){ .kick = q->kick,
						     .call = q->call,
						     .desc = fs_offset(fs, q->desc),
						     .avail = fs_offset(fs, q->avail),
						     .used = fs_offset(fs, q->used),
						     .size = VHOST_FS_RING };
	}
	int r = vhost_user_begin(fs->socket, &setup, err);
	return r < 0 ? err_wrap(err, "shared folders") : 0;
}

int vhost_fs_open(struct vhost_fs *fs, int socket, struct loop *loop, struct err *err)
{
	static const loop_fn calls[VHOST_FS_QUEUES] = { fs_call_urgent, fs_call };

	*fs = (struct vhost_fs){
		.share = { &fs_share_ops }, .loop = loop, .socket = socket, .memory = -EBADF
	};
	for (unsigned i = 0; i < VHOST_FS_QUEUES; i++)
		fs->queues[i].kick = fs->queues[i].call = -EBADF;
	int r = fs_make(fs, err);
	if (r == 0)
		r = fs_agree(fs, err);
	if (r == 0)
		r = loop_add(loop, socket, EPOLLIN, fs_socket, fs, err);
	for (unsigned i = 0; r == 0 && i < VHOST_FS_QUEUES; i++)
		r = loop_add(loop, fs->queues[i].call, EPOLLIN, calls[i], fs, err);
	if (r < 0)
		vhost_fs_fini(fs);
	return r;
}

void vhost_fs_fini(struct vhost_fs *fs)
{
	fs_break(fs);
	for (unsigned i = 0; i < VHOST_FS_QUEUES; i++) {
		fd_close(fs->queues[i].kick);
		fd_close(fs->queues[i].call);
	}
	fd_close(fs->memory);
	if (fs->at)
		(void)munmap(fs->at, FS_BYTES); /* our own mapping */
}
