/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vsock.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "devices/virtio/vsock_stream.h"

#define VSOCK_F_STREAM	   0
#define VSOCK_TYPE_STREAM  1U
#define VSOCK_QUEUE_SIZE   256U
#define VSOCK_BUDGET	   64U /* packets of one turn */
#define VSOCK_HEADER_BYTES 44U

enum { VSOCK_RX = 0, VSOCK_TX = 1, VSOCK_EVENT = 2, VSOCK_QUEUES };

/* 5.10.6: packed, 44 bytes, so its 64-bit fields are not aligned in an array. */
struct vsock_header {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
};

static void vsock_header_load(struct vsock_header *h, const uint8_t *at)
{
	*h = (struct vsock_header){ .src_cid = le64_load(at),
				    .dst_cid = le64_load(at + 8),
				    .src_port = le32_load(at + 16),
				    .dst_port = le32_load(at + 20),
				    .len = le32_load(at + 24),
				    .type = le16_load(at + 28),
				    .op = le16_load(at + 30),
				    .flags = le32_load(at + 32),
				    .buf_alloc = le32_load(at + 36),
				    .fwd_cnt = le32_load(at + 40) };
}

static void vsock_header_store(const struct vsock_header *h, uint8_t *at)
{
	le64_store(at, h->src_cid);
	le64_store(at + 8, h->dst_cid);
	le32_store(at + 16, h->src_port);
	le32_store(at + 20, h->dst_port);
	le32_store(at + 24, h->len);
	le16_store(at + 28, h->type);
	le16_store(at + 30, h->op);
	le32_store(at + 32, h->flags);
	le32_store(at + 36, h->buf_alloc);
	le32_store(at + 40, h->fwd_cnt);
}

static struct virtio_vsock *vsock_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_vsock, virtio);
}

/* ---- to the guest ---- */

/* The packet lies in dev->chain, len bytes of payload behind the header. */
static void vsock_give(struct virtio_vsock *dev, const struct vsock_header *h)
{
	uint8_t bytes[VSOCK_HEADER_BYTES];

	vsock_header_store(h, bytes);
	(void)chain_put(&dev->chain, 0, bytes, sizeof(bytes)); /* it was seen to fit */
	chain_wrote(&dev->chain, dev->virtio.mem, sizeof(bytes) + h->len);
	virtq_put(&dev->virtio.queues[VSOCK_RX], dev->chain.head, (uint32_t)sizeof(bytes) + h->len);
}

static void vsock_give_stream(struct virtio_vsock *dev, struct vsock_stream *s, enum vsock_op op,
			      uint32_t len)
{
	uint32_t flags = 0;

	if (op == VSOCK_OP_SHUTDOWN)
		flags = VSOCK_SHUTDOWN_SEND;
	const struct vsock_header h = { .src_cid = VSOCK_HOST_CID,
					.dst_cid = le64_get(dev->config.guest_cid),
					.src_port = s->host_port,
					.dst_port = s->guest_port,
					.len = len,
					.type = VSOCK_TYPE_STREAM,
					.op = (uint16_t)op,
					.flags = flags,
					.buf_alloc = VSOCK_BUFFER_BYTES,
					.fwd_cnt = s->fwd_cnt };
	vsock_give(dev, &h);
	s->fwd_told = s->fwd_cnt;
	s->say &= ~(VSOCK_SAY(op) | VSOCK_SAY(VSOCK_OP_CREDIT_UPDATE)); /* each packet says it */
	if (op == VSOCK_OP_RST)
		vsock_stream_free(dev, s);
}

static void vsock_give_reset(struct virtio_vsock *dev)
{
	const struct vsock_reset *r = &dev->resets[--dev->n_resets];
	const struct vsock_header h = { .src_cid = r->host_cid,
					.dst_cid = le64_get(dev->config.guest_cid),
					.src_port = r->host_port,
					.dst_port = r->guest_port,
					.type = r->type,
					.op = VSOCK_OP_RST };

	vsock_give(dev, &h);
}

/* Payload behind the header, as far as one buffer and the guest's credit go. Return: as vsock_host_ops.read. */
static int64_t vsock_read(struct virtio_vsock *dev, struct vsock_stream *s)
{
	const struct chain *chain = &dev->chain;
	uint64_t skip = VSOCK_HEADER_BYTES, room = vsock_stream_credit(s);
	int64_t sum = 0;

	for (unsigned i = chain->n_out; i < chain->n && room; i++) {
		uint8_t *to = chain->iov[i].hva;
		uint64_t len = chain->iov[i].len;
		if (skip >= len) {
			skip -= len;
			continue;
		}
		to += skip;
		len = len - skip < room ? len - skip : room;
		skip = 0;
		int64_t n = dev->host->ops->read(dev->host, s, to, (size_t)len);
		if (n < 0 && sum == 0)
			return n;
		if (n <= 0)
			break;
		sum += n;
		room -= (uint64_t)n;
		if ((uint64_t)n < len)
			break;
	}
	return sum;
}

static bool vsock_has_data(const struct vsock_stream *s)
{
	return s->state == VSOCK_OPEN && s->readable && !s->host_done && !s->guest_deaf &&
	       vsock_stream_credit(s);
}

/* Data for the chain that is at hand. false: there was none after all. */
static bool vsock_give_data(struct virtio_vsock *dev, struct vsock_stream *s)
{
	int64_t n = vsock_read(dev, s);

	if (n > 0) {
		s->tx_cnt += (uint32_t)n;
		vsock_give_stream(dev, s, VSOCK_OP_RW, (uint32_t)n);
		return true;
	}
	s->readable = false;
	if (n == -EPIPE) {
		s->host_done = true;
		s->say |= VSOCK_SAY(VSOCK_OP_SHUTDOWN);
	} else if (n < 0) {
		vsock_stream_kill(dev, s, true);
	}
	return false;
}

/* A stream that would send but may not asks for credit, once until some comes. */
static void vsock_ask_credit(struct vsock_stream *s)
{
	if (s->state != VSOCK_OPEN || !s->readable || s->guest_deaf || s->credit_asked ||
	    vsock_stream_credit(s))
		return;
	s->credit_asked = true;
	s->say |= VSOCK_SAY(VSOCK_OP_CREDIT_REQUEST);
}

/* The next that has something to say, in turn; NULL: none. */
static struct vsock_stream *vsock_next(struct virtio_vsock *dev)
{
	for (unsigned i = 0; i < VSOCK_STREAMS; i++) {
		struct vsock_stream *s = &dev->streams[(dev->turn + i) % VSOCK_STREAMS];
		vsock_ask_credit(s);
		if (!s->say && !vsock_has_data(s))
			continue;
		dev->turn = (dev->turn + i + 1) % VSOCK_STREAMS;
		return s;
	}
	return NULL;
}

/* A packet of any kind into the chain at hand; false: none came of it. */
static bool vsock_give_any(struct virtio_vsock *dev, struct vsock_stream *s)
{
	if (!s)
		vsock_give_reset(dev);
	else if (s->say)
		vsock_give_stream(dev, s, (enum vsock_op)__builtin_ctz(s->say), 0);
	else
		return vsock_give_data(dev, s);
	return true;
}

static int vsock_receive(struct virtio_vsock *dev)
{
	struct virtq *vq = &dev->virtio.queues[VSOCK_RX];
	unsigned i;
	int r = 0;

	if (!virtio_live(&dev->virtio, VSOCK_RX))
		return 0;
	for (i = 0; i < VSOCK_BUDGET; i++) {
		struct vsock_stream *s = dev->n_resets ? NULL : vsock_next(dev);
		if (!s && !dev->n_resets)
			break;
		r = virtq_pop(vq, &dev->chain);
		if (r > 0 && dev->chain.in_bytes <= VSOCK_HEADER_BYTES)
			r = -EPROTO;
		if (r <= 0)
			break;
		if (!vsock_give_any(dev, s))
			virtq_unpop(vq);
	}
	virtio_signal(&dev->virtio, VSOCK_RX);
	if (i == VSOCK_BUDGET)
		virtio_again(&dev->virtio, VSOCK_RX);
	if (dev->tx_blocked && dev->n_resets < VSOCK_RESETS) {
		dev->tx_blocked = false;
		virtio_again(&dev->virtio, VSOCK_TX);
	}
	return r < 0 ? r : 0;
}

/* ---- from the guest ---- */

/* A packet that belongs to no stream: 5.10.6.1 has it answered, but never a RST by a RST. */
static void vsock_refuse(struct virtio_vsock *dev, const struct vsock_header *h)
{
	if (h->op == VSOCK_OP_RST)
		return;
	dev->resets[dev->n_resets++] = (struct vsock_reset){ .host_cid = h->dst_cid,
							     .guest_port = h->src_port,
							     .host_port = h->dst_port,
							     .type = h->type };
}

static void vsock_peer(struct vsock_stream *s, const struct vsock_header *h)
{
	s->peer_alloc = h->buf_alloc;
	s->peer_fwd = h->fwd_cnt;
	if (vsock_stream_credit(s))
		s->credit_asked = false;
}

static void vsock_open(struct vsock_stream *s)
{
	s->state = VSOCK_OPEN;
	s->readable = true;
}

static void vsock_request(struct virtio_vsock *dev, const struct vsock_header *h)
{
	struct vsock_stream *s = vsock_stream_new(dev, VSOCK_GUEST_ASKED, h->src_port, h->dst_port);
	int r = s ? dev->host->ops->connect(dev->host, s) : -ENOSPC;

	if (r < 0 && r != -EINPROGRESS) {
		if (s)
			vsock_stream_free(dev, s);
		vsock_refuse(dev, h);
		return;
	}
	vsock_peer(s, h);
	if (r == 0) {
		vsock_open(s);
		s->say |= VSOCK_SAY(VSOCK_OP_RESPONSE);
	}
}

static void vsock_shutdown(struct virtio_vsock *dev, struct vsock_stream *s, uint32_t flags)
{
	if (s->state != VSOCK_OPEN) {
		vsock_stream_kill(dev, s, true);
		return;
	}
	s->guest_deaf |= (flags & VSOCK_SHUTDOWN_RECEIVE) != 0;
	s->guest_done |= (flags & VSOCK_SHUTDOWN_SEND) != 0;
	vsock_stream_flush(dev, s);
}

static void vsock_response(struct virtio_vsock *dev, struct vsock_stream *s)
{
	if (s->state != VSOCK_HOST_ASKED) {
		vsock_stream_kill(dev, s, true);
		return;
	}
	vsock_open(s);
	dev->host->ops->connected(dev->host, s);
}

static void vsock_rst(struct virtio_vsock *dev, struct vsock_stream *s)
{
	vsock_stream_kill(dev, s, true);
	vsock_stream_free(dev, s);
}

static void vsock_heed(struct virtio_vsock *dev, struct vsock_stream *s,
		       const struct vsock_header *h)
{
	vsock_peer(s, h);
	switch (h->op) {
	case VSOCK_OP_RST:
		vsock_rst(dev, s);
		break;
	case VSOCK_OP_RESPONSE:
		vsock_response(dev, s);
		break;
	case VSOCK_OP_CREDIT_UPDATE:
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		s->say |= VSOCK_SAY(VSOCK_OP_CREDIT_UPDATE);
		break;
	case VSOCK_OP_SHUTDOWN:
		vsock_shutdown(dev, s, h->flags);
		break;
	case VSOCK_OP_RW:
		vsock_stream_take(dev, s, &dev->chain);
		break;
	default:
		vsock_stream_kill(dev, s, true);
		break;
	}
}

/* A packet in dev->chain. Return: 0, or < 0 when it is none. */
static int vsock_packet(struct virtio_vsock *dev)
{
	uint8_t bytes[VSOCK_HEADER_BYTES];
	struct vsock_header h;

	if (!chain_pull(&dev->chain, bytes, sizeof(bytes)))
		return -EPROTO;
	vsock_header_load(&h, bytes);
	/* 5.10.6.2: another's address, or a length that is not there: dropped. */
	if (h.src_cid != le64_get(dev->config.guest_cid) || h.len != dev->chain.out_bytes)
		return 0;
	struct vsock_stream *s = h.dst_cid == VSOCK_HOST_CID && h.type == VSOCK_TYPE_STREAM
					 ? vsock_stream_find(dev, h.src_port, h.dst_port)
					 : NULL;
	if (s && s->state == VSOCK_DEAD && h.op != VSOCK_OP_RST)
		return 0; /* a RST is on its way */
	if (s)
		vsock_heed(dev, s, &h);
	else if (h.op == VSOCK_OP_REQUEST && h.dst_cid == VSOCK_HOST_CID &&
		 h.type == VSOCK_TYPE_STREAM)
		vsock_request(dev, &h);
	else
		vsock_refuse(dev, &h);
	return 0;
}

static int vsock_transmit(struct virtio_vsock *dev)
{
	struct virtq *vq = &dev->virtio.queues[VSOCK_TX];
	int r = 1;

	for (unsigned i = 0; r > 0 && i < VSOCK_BUDGET; i++) {
		/* Room for the answer comes first. */
		dev->tx_blocked = dev->n_resets == VSOCK_RESETS;
		if (dev->tx_blocked)
			break;
		r = virtq_pop(vq, &dev->chain);
		if (r <= 0)
			break;
		int done = vsock_packet(dev);
		if (done < 0)
			r = done;
		else
			virtq_put(vq, dev->chain.head, 0);
	}
	virtio_signal(&dev->virtio, VSOCK_TX);
	if (r > 0 && !dev->tx_blocked)
		virtio_again(&dev->virtio, VSOCK_TX);
	return r < 0 ? r : vsock_receive(dev);
}

/* ---- the device ---- */

static int vsock_handle(struct virtio_dev *dev, uint16_t queue)
{
	if (queue == VSOCK_RX)
		return vsock_receive(vsock_of(dev));
	return queue == VSOCK_TX ? vsock_transmit(vsock_of(dev)) : 0; /* events: none to send */
}

static void vsock_reset(struct virtio_dev *virtio)
{
	struct virtio_vsock *dev = vsock_of(virtio);

	for (unsigned i = 0; i < VSOCK_STREAMS; i++) {
		if (dev->streams[i].state == VSOCK_FREE)
			continue;
		vsock_stream_kill(dev, &dev->streams[i], true);
		vsock_stream_free(dev, &dev->streams[i]);
	}
	dev->n_resets = 0;
	dev->tx_blocked = false;
}

static const struct virtio_dev_ops vsock_dev_ops = {
	.name = "virtio-vsock",
	.device_id = VIRTIO_ID_VSOCK,
	.class_code = 0x00ff00,
	.handle = vsock_handle,
	.reset = vsock_reset,
};

void virtio_vsock_init(struct virtio_vsock *dev, const struct virtio_place *place, uint64_t cid,
		       struct vsock_host *host, const struct mem_ops *heap)
{
	memset(dev, 0, sizeof(*dev));
	virtio_dev_init(&dev->virtio, &vsock_dev_ops, place, VIRTIO_BIT(VSOCK_F_STREAM),
			VSOCK_QUEUES, VSOCK_QUEUE_SIZE, &dev->config, sizeof(dev->config));
	dev->config.guest_cid = le64_of(cid);
	dev->host = host;
	dev->heap = heap;
	dev->next_host_port = VSOCK_HOST_PORTS;
}

/* ---- from the host ---- */

static void vsock_serve(struct virtio_vsock *dev)
{
	virtio_serve(&dev->virtio, VSOCK_RX);
}

static uint32_t vsock_host_port(struct virtio_vsock *dev, uint32_t guest_port)
{
	do {
		if (++dev->next_host_port < VSOCK_HOST_PORTS)
			dev->next_host_port = VSOCK_HOST_PORTS;
	} while (vsock_stream_find(dev, guest_port, dev->next_host_port));
	return dev->next_host_port;
}

int virtio_vsock_connect(struct virtio_vsock *dev, uint32_t guest_port, void *endpoint,
			 struct vsock_stream **ret)
{
	int r = 0;

	lock_acquire(&dev->virtio.lock);
	if (!virtio_live(&dev->virtio, VSOCK_RX)) {
		r = -ENOTCONN;
	} else {
		struct vsock_stream *s = vsock_stream_new(dev, VSOCK_HOST_ASKED, guest_port,
							  vsock_host_port(dev, guest_port));
		if (s) {
			s->endpoint = endpoint;
			s->say = VSOCK_SAY(VSOCK_OP_REQUEST);
			*ret = s;
			virtio_again(&dev->virtio, VSOCK_RX);
		} else {
			r = -ENOSPC;
		}
	}
	lock_release(&dev->virtio.lock);
	return r;
}

void virtio_vsock_connected(struct virtio_vsock *dev, struct vsock_stream *stream)
{
	lock_acquire(&dev->virtio.lock);
	if (stream->state == VSOCK_GUEST_ASKED) {
		vsock_open(stream);
		stream->say |= VSOCK_SAY(VSOCK_OP_RESPONSE);
		vsock_serve(dev);
	}
	lock_release(&dev->virtio.lock);
}

void virtio_vsock_readable(struct virtio_vsock *dev, struct vsock_stream *stream)
{
	lock_acquire(&dev->virtio.lock);
	if (stream->state == VSOCK_OPEN) {
		stream->readable = true;
		vsock_serve(dev);
	}
	lock_release(&dev->virtio.lock);
}

void virtio_vsock_writable(struct virtio_vsock *dev, struct vsock_stream *stream)
{
	lock_acquire(&dev->virtio.lock);
	if (stream->state == VSOCK_OPEN) {
		vsock_stream_flush(dev, stream);
		vsock_serve(dev);
	}
	lock_release(&dev->virtio.lock);
}

void virtio_vsock_abort(struct virtio_vsock *dev, struct vsock_stream *stream)
{
	lock_acquire(&dev->virtio.lock);
	vsock_stream_kill(dev, stream, false);
	vsock_serve(dev);
	lock_release(&dev->virtio.lock);
}
