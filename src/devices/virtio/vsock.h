/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * virtio-vsock: stream sockets between the guest and the host.
 *
 *   guest -> host: a packet's bytes go to the host's endpoint; what that does not take is kept in the stream's buffer, whose
 *                  size is the credit that the guest has. A guest that sends more is cut off.
 *   host -> guest: bytes stay with the endpoint until the guest gives buffers and has credit for them.
 *
 * Control packets to the guest are bits of the stream that they are about; answers that have no stream are a short list,
 * and while that is full the guest's packets wait (5.10.6.1.2: it has to empty its receive queue first).
 * Streams are bounded by VSOCK_STREAMS; one more is refused.
 * Source: virtio 1.2, 5.10 Socket Device.
 */
#include "base/core/bytes.h"
#include "devices/virtio/virtio_dev.h"
#include "machine/ops.h"

#define VSOCK_STREAMS	   128U
#define VSOCK_BUFFER_BYTES 65536U
#define VSOCK_RESETS	   32U
#define VSOCK_HOST_CID	   2U		       /* 5.10.4 */
#define VSOCK_HOST_PORTS   (UINT32_C(1) << 30) /* of connections from the host: from here up */

struct virtio_vsock;
struct vsock_host;

enum vsock_state {
	VSOCK_FREE,
	VSOCK_GUEST_ASKED, /* the host has not answered yet */
	VSOCK_HOST_ASKED,  /* the guest has not */
	VSOCK_OPEN,
	VSOCK_DEAD, /* the host's endpoint is gone; a RST is to be sent */
};

struct vsock_stream {
	enum vsock_state state;
	uint32_t guest_port, host_port;
	void *endpoint; /* the host's own */
	/* The device's. */
	uint32_t say;		     /* one bit an operation that is to be sent */
	bool readable;		     /* the endpoint may have bytes */
	bool host_done;		     /* the endpoint's stream ended */
	bool guest_deaf, guest_done; /* the guest receives, sends, no more */
	bool done_told;		     /* the endpoint knows that the guest is done */
	bool credit_asked;
	uint32_t fwd_cnt, fwd_told;    /* bytes that the endpoint took, modulo 2^32; as last told */
	uint32_t tx_cnt;	       /* bytes sent to the guest */
	uint32_t peer_alloc, peer_fwd; /* the guest's buffer, and what it took */
	uint8_t *buffer;	       /* a ring of VSOCK_BUFFER_BYTES */
	uint32_t buffered, buffer_first;
};

/*
 * The host's end. I/O thread, the device's lock held: none of these calls virtio_vsock_*().
 * From connect()'s success, or virtio_vsock_connect(), until close() the endpoint is the host's, and it
 * calls virtio_vsock_readable() and _writable() when there is news.
 */
struct vsock_host_ops {
	/*
	 * Mandatory. The guest connects to stream->host_port: 0; -EINPROGRESS, and virtio_vsock_connected() or _abort() follows;
	 * other -errno: refused, close() does not come.
	 */
	int (*connect)(struct vsock_host *host, struct vsock_stream *stream);
	/* Mandatory. The guest accepted what virtio_vsock_connect() asked. */
	void (*connected)(struct vsock_host *host, struct vsock_stream *stream);
	/* Mandatory. Bytes taken; 0: full, call _writable() later; -errno: nobody is there any more. */
	int64_t (*write)(struct vsock_host *host, struct vsock_stream *stream, const void *data,
			 size_t len);
	/* Mandatory. Bytes that came; 0: none now, call _readable() later; -EPIPE: the end; other -errno: broken. */
	int64_t (*read)(struct vsock_host *host, struct vsock_stream *stream, void *ret,
			size_t len);
	/* Mandatory. The guest will send no more: everything was written. */
	void (*shutdown)(struct vsock_host *host, struct vsock_stream *stream);
	/* Mandatory. The stream is over, and its memory may serve another. */
	void (*close)(struct vsock_host *host, struct vsock_stream *stream);
};

struct vsock_host { /* embedded by the host's half */
	const struct vsock_host_ops *ops;
};

struct vsock_config {
	struct le64 guest_cid;
};

struct vsock_reset {
	uint64_t host_cid;
	uint32_t guest_port, host_port;
	uint16_t type;
};

struct virtio_vsock {
	struct virtio_dev virtio;
	struct vsock_config config;
	struct vsock_host *host;    /* borrowed */
	const struct mem_ops *heap; /* borrowed: a buffer a stream */
	struct vsock_stream streams[VSOCK_STREAMS];
	struct vsock_reset resets[VSOCK_RESETS]; /* answers without a stream */
	unsigned n_resets;
	bool tx_blocked; /* until resets has room */
	unsigned turn;	 /* the stream that may send next */
	uint32_t next_host_port;
	struct chain chain; /* the one that is looked at */
};

/* virtio_vsock_init() - @cid: the guest's, >= 3 and < 2^32 - 1 */
void virtio_vsock_init(struct virtio_vsock *dev, const struct virtio_place *place, uint64_t cid,
		       struct vsock_host *host, const struct mem_ops *heap);

/* ---- for the host's half: I/O thread, not from inside vsock_host_ops ---- */

/*
 * virtio_vsock_connect() - ask the guest, at one of its ports; connected() or close() follows
 * @endpoint: for the stream's field
 * Return: 0; -ENOTCONN: the guest has no driver; -ENOSPC: no stream is left, or no memory.
 */
int virtio_vsock_connect(struct virtio_vsock *dev, uint32_t guest_port, void *endpoint,
			 struct vsock_stream **ret);
/* virtio_vsock_connected() - after -EINPROGRESS: it is there. */
void virtio_vsock_connected(struct virtio_vsock *dev, struct vsock_stream *stream);
void virtio_vsock_readable(struct virtio_vsock *dev, struct vsock_stream *stream);
void virtio_vsock_writable(struct virtio_vsock *dev, struct vsock_stream *stream);
/* virtio_vsock_abort() - the host's end is gone: the guest is told, close() does not come. */
void virtio_vsock_abort(struct virtio_vsock *dev, struct vsock_stream *stream);
