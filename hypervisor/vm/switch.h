/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The switch between the guests of a server.
 *
 * Theory of operation. A port belongs to one guest and has one address, which the guest cannot change: a frame with another
 * source is dropped, so that nobody speaks as somebody else, and the table of addresses is the list of ports. A frame goes
 * to the port that has its destination, one to a group to all others; one that nobody has is dropped. It is copied
 * into the receiver's ring, and the receiver is told; a full ring drops it, so that a guest that does not read holds up nobody.
 *
 * Thread rule: the switch's lock is around the list and every ring. Lock order: a device's, then the switch's, then run queues'.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/lock.h"
#include "machine/ops.h"

#define SWITCH_HEADER                                                                              \
	12U /* struct virtio_net_hdr_mrg_rxbuf; offloads are not offered, so it is zero */
#define SWITCH_FRAME 1514U /* Ethernet's largest, without its check sequence */
#define SWITCH_SLOTS 64U   /* frames that wait for a port; a power of two */
#define SWITCH_MAC   6U

struct switch_frame {
	uint16_t len;
	uint8_t bytes[SWITCH_FRAME];
};

struct switch_hub;

struct switch_port {
	struct net net;
	struct switch_hub *hub;
	struct switch_port *next;
	uint8_t mac[SWITCH_MAC];
	void (*arrived)(struct switch_port *port, void *arg); /* any CPU, the switch's lock held */
	void *arg;
	unsigned first, n; /* of slots */
	uint64_t sent, received, refused,
		lost; /* frames; refused: not its address, or malformed; lost: its ring was full */
	uint64_t sent_bytes, received_bytes;
	struct switch_frame slots[SWITCH_SLOTS];
};

struct switch_hub {
	struct lock lock;
	struct switch_port *ports;
	uint32_t last_made; /* of addresses that were made up */
};

/*
 * switch_join() - @port: zeroed but for arrived, arg   @mac: all 0: one is made up
 * Return: 0; -EEXIST: another port has this address; -EINVAL: a group's.
 */
int switch_join(struct switch_hub *hub, struct switch_port *port, const uint8_t mac[SWITCH_MAC]);
/* switch_leave() - it is told of nothing any more when this returns; one that has not joined is a no-op. */
void switch_leave(struct switch_port *port);
/* switch_waits() - any CPU: whether a frame waits for it. */
bool switch_waits(const struct switch_port *port);
