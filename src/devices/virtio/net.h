/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * virtio-net over a network.
 *
 *   transmit: each chain is a frame with its header; the header is copied and checked, the rest goes to the back
 *             end from where it lies. A back end that is full keeps the chain in the queue until writable().
 *   receive:  buffers are popped ahead into a window until the largest frame fits; a frame fills as many as it needs
 *             (mergeable buffers), the rest wait for the next. A guest with less room than that is served through
 *             a bounce buffer; a frame that does not fit in what it has is lost, as on a full ring.
 *
 * Source: virtio 1.2, 5.1 Network Device.
 */
#include "base/core/bytes.h"
#include "devices/virtio/virtio_dev.h"
#include "machine/ops.h"

#define NET_QUEUE_SIZE	 256U
#define NET_HEADER_BYTES 12U
/* 5.1.6.3.1 Driver Requirements: Setting Up Receive Buffers: a segment of 64 KiB, its Ethernet header, ours. */
#define NET_FRAME_MAX 65562U
#define NET_PIECES    512U

/* 5.1.4 Device configuration layout, up to the MTU. */
struct net_config {
	uint8_t mac[6];
	struct le16 status, max_virtqueue_pairs, mtu;
};

struct net_buffer {
	uint16_t head;
	uint16_t n; /* pieces in the window */
	uint32_t bytes;
};

struct virtio_net {
	struct virtio_dev virtio;
	struct net *net; /* borrowed */
	struct net_config config;
	uint64_t offloads; /* of the accepted ones, what the guest wants now */
	bool tx_blocked;   /* until writable() */
	/* Receive window: buffers [first, first + n) and their pieces. */
	unsigned rx_first, rx_n, rx_piece, rx_pieces;
	uint64_t rx_bytes;
	struct net_buffer rx_buffers[NET_QUEUE_SIZE];
	struct mem_iov rx_iov[NET_PIECES];
	struct chain chain; /* the one that is looked at */
	struct mem_iov tx_iov[CHAIN_MAX + 1];
	uint8_t bounce[NET_FRAME_MAX];
};

/* virtio_net_init() - @net: borrowed, its callbacks are set   @mac: six bytes. */
void virtio_net_init(struct virtio_net *dev, const struct virtio_place *place, struct net *net,
		     const uint8_t mac[6]);
/* virtio_net_link_set() - any thread: the cable, as the guest sees it; frames flow all the same. */
void virtio_net_link_set(struct virtio_net *dev, bool up);
