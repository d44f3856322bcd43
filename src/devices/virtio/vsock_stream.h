/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside this room: the streams of a vsock device, apart from its queues. Lock held in all. */
#include "devices/virtio/vsock.h"

/* 5.10.6 Device Operation */
enum vsock_op {
	VSOCK_OP_REQUEST = 1,
	VSOCK_OP_RESPONSE,
	VSOCK_OP_RST,
	VSOCK_OP_SHUTDOWN,
	VSOCK_OP_RW,
	VSOCK_OP_CREDIT_UPDATE,
	VSOCK_OP_CREDIT_REQUEST,
};
#define VSOCK_SAY(op) (1U << (op))

#define VSOCK_SHUTDOWN_RECEIVE 1U
#define VSOCK_SHUTDOWN_SEND    2U

/* vsock_stream_new() - a free one with a buffer; NULL: none is left, or no memory. */
struct vsock_stream *vsock_stream_new(struct virtio_vsock *dev, enum vsock_state state,
				      uint32_t guest_port, uint32_t host_port);
struct vsock_stream *vsock_stream_find(struct virtio_vsock *dev, uint32_t guest_port,
				       uint32_t host_port);
/* vsock_stream_kill() - the endpoint is closed (if close is set), and only a RST is left to say. */
void vsock_stream_kill(struct virtio_vsock *dev, struct vsock_stream *s, bool close);
/* vsock_stream_free() - its endpoint is closed already, or never was. */
void vsock_stream_free(struct virtio_vsock *dev, struct vsock_stream *s);
/* vsock_stream_take() - the payload of a packet: all that chain still has to read. */
void vsock_stream_take(struct virtio_vsock *dev, struct vsock_stream *s, const struct chain *chain);
/* vsock_stream_flush() - what is buffered to the endpoint, and what follows when nothing is left. */
void vsock_stream_flush(struct virtio_vsock *dev, struct vsock_stream *s);
/* vsock_stream_credit() - how many bytes the guest has room for. */
uint32_t vsock_stream_credit(const struct vsock_stream *s);
