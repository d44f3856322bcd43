/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/vsock_stream.h"

#include <string.h>

struct vsock_stream *vsock_stream_find(struct virtio_vsock *dev, uint32_t guest_port,
				       uint32_t host_port)
{
	for (unsigned i = 0; i < VSOCK_STREAMS; i++) {
		struct vsock_stream *s = &dev->streams[i];
		if (s->state != VSOCK_FREE && s->guest_port == guest_port &&
		    s->host_port == host_port)
			return s;
	}
	return NULL;
}

struct vsock_stream *vsock_stream_new(struct virtio_vsock *dev, enum vsock_state state,
				      uint32_t guest_port, uint32_t host_port)
{
	struct vsock_stream *s = dev->streams;

	while (s < dev->streams + VSOCK_STREAMS && s->state != VSOCK_FREE)
		s++;
	if (s == dev->streams + VSOCK_STREAMS)
		return NULL;
	uint8_t *buffer = dev->heap->alloc(dev->heap, VSOCK_BUFFER_BYTES);
	if (!buffer)
		return NULL;
	*s = (struct vsock_stream){
		.state = state, .guest_port = guest_port, .host_port = host_port, .buffer = buffer
	};
	return s;
}

void vsock_stream_free(struct virtio_vsock *dev, struct vsock_stream *s)
{
	dev->heap->free(dev->heap, s->buffer);
	*s = (struct vsock_stream){ 0 };
}

void vsock_stream_kill(struct virtio_vsock *dev, struct vsock_stream *s, bool close)
{
	if (s->state == VSOCK_FREE || s->state == VSOCK_DEAD)
		return;
	if (close)
		dev->host->ops->close(dev->host, s);
	s->state = VSOCK_DEAD;
	s->say = VSOCK_SAY(VSOCK_OP_RST);
	s->endpoint = NULL;
	s->readable = false;
	s->buffered = 0;
}

uint32_t vsock_stream_credit(const struct vsock_stream *s)
{
	const uint32_t on_the_way = s->tx_cnt - s->peer_fwd;

	return on_the_way < s->peer_alloc ? s->peer_alloc - on_the_way : 0;
}

/* The endpoint took n more bytes: the guest hears of it before it runs out of credit. */
static void vsock_stream_forwarded(struct vsock_stream *s, uint32_t n)
{
	s->fwd_cnt += n;
	if (s->fwd_cnt - s->fwd_told >= VSOCK_BUFFER_BYTES / 4)
		s->say |= VSOCK_SAY(VSOCK_OP_CREDIT_UPDATE);
}

/* How many bytes the endpoint took; < 0: it is gone, and so is the stream. */
static int64_t vsock_stream_write(struct virtio_vsock *dev, struct vsock_stream *s,
				  const uint8_t *data, uint64_t len)
{
	int64_t n = dev->host->ops->write(dev->host, s, data, (size_t)len);

	if (n < 0)
		vsock_stream_kill(dev, s, true);
	else
		vsock_stream_forwarded(s, (uint32_t)n);
	return n;
}

static void vsock_stream_keep(struct vsock_stream *s, const uint8_t *data, uint64_t len)
{
	while (len) {
		uint32_t at = (s->buffer_first + s->buffered) % VSOCK_BUFFER_BYTES;
		uint64_t n = VSOCK_BUFFER_BYTES - at;
		if (n > len)
			n = len;
		memcpy(s->buffer + at, data, n);
		s->buffered += (uint32_t)n;
		data += n;
		len -= n;
	}
}

void vsock_stream_take(struct virtio_vsock *dev, struct vsock_stream *s, const struct chain *chain)
{
	/* 5.10.6.3: on a connection that stands, and not more than it has credit for. */
	if (s->state != VSOCK_OPEN || s->guest_done ||
	    chain->out_bytes > VSOCK_BUFFER_BYTES - s->buffered) {
		vsock_stream_kill(dev, s, true);
		return;
	}
	for (unsigned i = chain->first_out; i < chain->n_out; i++) {
		const uint8_t *data = chain->iov[i].hva;
		const uint64_t len = chain->iov[i].len;
		int64_t n = s->buffered ? 0 : vsock_stream_write(dev, s, data, len);
		if (n < 0)
			return;
		vsock_stream_keep(s, data + n, len - (uint64_t)n);
	}
}

/* Both directions are over when the guest hears nothing and nothing of it is left: 5.10.6.6's clean end is our RST. */
static void vsock_stream_drained(struct virtio_vsock *dev, struct vsock_stream *s)
{
	if (!s->guest_done)
		return;
	if (s->guest_deaf) {
		vsock_stream_kill(dev, s, true);
		return;
	}
	if (!s->done_told)
		dev->host->ops->shutdown(dev->host, s);
	s->done_told = true;
}

void vsock_stream_flush(struct virtio_vsock *dev, struct vsock_stream *s)
{
	while (s->buffered) {
		uint32_t n = VSOCK_BUFFER_BYTES - s->buffer_first;
		if (n > s->buffered)
			n = s->buffered;
		int64_t done = vsock_stream_write(dev, s, s->buffer + s->buffer_first, n);
		if (done <= 0)
			return;
		s->buffer_first = (s->buffer_first + (uint32_t)done) % VSOCK_BUFFER_BYTES;
		s->buffered -= (uint32_t)done;
	}
	vsock_stream_drained(dev, s);
}
