/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A driver of virtio 1.2 devices over PCI with split rings. Section names below are that document's. */
#include "pci.h"

#define VIRTIO_NET     1
#define VIRTIO_BLK     2
#define VIRTIO_CONSOLE 3
#define VIRTIO_RNG     4
#define VIRTIO_BALLOON 5
#define VIRTIO_VSOCK   19

#define VIRTIO_F_INDIRECT  (1ULL << 28)
#define VIRTIO_F_EVENT_IDX (1ULL << 29)
#define VIRTIO_F_VERSION_1 (1ULL << 32)

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER	   2
#define STATUS_DRIVER_OK   4
#define STATUS_FEATURES_OK 8
#define STATUS_NEEDS_RESET 64
#define STATUS_FAILED	   128

#define VIRTQ_NEXT     1
#define VIRTQ_WRITE    2
#define VIRTQ_INDIRECT 4
#define VIRTQ_MAX      64 /* entries */
#define VIRTIO_QUEUES  10
#define NO_VECTOR      0xffff

/* Virtqueues, Split Virtqueues: as in memory. */
struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
struct virtq_avail {
	uint16_t flags, idx, ring[VIRTQ_MAX], used_event;
};
struct virtq_used_elem {
	uint32_t id, len;
};
struct virtq_used {
	uint16_t flags, idx;
	struct virtq_used_elem ring[VIRTQ_MAX];
	uint16_t avail_event;
};

struct virtq {
	uint16_t index, size;
	volatile struct virtq_desc *desc;
	volatile struct virtq_avail *avail;
	volatile struct virtq_used *used;
	uint64_t notify; /* address of its doorbell */
	uint16_t free;	 /* next descriptor to use: they are used in turn */
	uint16_t seen;	 /* of used->idx */
};

struct virtio {
	unsigned slot, common_bar;
	uint64_t common, notify, isr, config; /* addresses of the four structures */
	uint32_t notify_multiplier;
	uint64_t features; /* negotiated */
	struct virtq queues[VIRTIO_QUEUES];
};

/* A piece of memory in a chain. */
struct piece {
	void *data;
	uint32_t len;
};

/* virtio_find() - the nth device of a type: bus master on, structures found; false: there is none. */
bool virtio_find(uint16_t type, unsigned nth, struct virtio *ret);
/* virtio_reset() - and wait until it is done. */
bool virtio_reset(struct virtio *v);
uint64_t virtio_offered(const struct virtio *v);
uint8_t virtio_status(const struct virtio *v);
void virtio_status_set(const struct virtio *v, uint8_t status);
/* virtio_begin() - reset, then negotiate VERSION_1 and what of wanted is offered; false: FEATURES_OK did not hold. */
bool virtio_begin(struct virtio *v, uint64_t wanted);
/*
 * virtio_queue() - rings of the given size (<= VIRTQ_MAX; the device's maximum where that is less)
 * @vector: of MSI-X, or NO_VECTOR
 */
bool virtio_queue(struct virtio *v, uint16_t index, uint16_t size, uint16_t vector);
void virtio_ready(struct virtio *v);
/* virtio_start() - the above in one: queues 0 to queues - 1 of VIRTQ_MAX entries, no interrupts. */
bool virtio_start(struct virtio *v, uint64_t wanted, uint16_t queues);
bool virtio_has(const struct virtio *v, uint64_t feature);

/* virtq_add() - n_out device-readable pieces, then n_in device-writable ones; its head. Not seen before virtq_kick(). */
uint16_t virtq_add(struct virtq *q, const struct piece *pieces, unsigned n_out, unsigned n_in);
/* virtq_add_indirect() - the same by an indirect table, which is the caller's until the chain was used. */
uint16_t virtq_add_indirect(struct virtq *q, struct virtq_desc *table, const struct piece *pieces,
			    unsigned n_out, unsigned n_in);
void virtq_kick(struct virtq *q);

/* For a driver that keeps its chains and many requests under way, with EVENT_IDX: */
/* virtq_offer() - a chain that lies in the descriptors already, by its head. */
void virtq_offer(struct virtq *q, uint16_t head);
/* virtq_wants_kick() - Available Buffer Notification Suppression: since the index was `from`, whether to ring. */
bool virtq_wants_kick(const struct virtq *q, uint16_t from);
/* virtq_take() - as virtq_pop(), without asking for an interrupt. */
bool virtq_take(struct virtq *q, uint32_t *ret_head, uint32_t *ret_len);
/* virtq_ask() - for an interrupt when `more` chains were used (from 1); false: they were already. */
bool virtq_ask(struct virtq *q, uint16_t more);
/* virtq_pop() - a used chain: its head, and the bytes written; false: none. */
bool virtq_pop(struct virtq *q, uint32_t *ret_head, uint32_t *ret_len);
/* virtq_wait() - the same, some seconds long. */
bool virtq_wait(struct virtq *q, uint32_t *ret_head, uint32_t *ret_len, unsigned seconds);
/* virtq_do() - one chain, there and back: bytes written, or -1. */
int64_t virtq_do(struct virtq *q, const struct piece *pieces, unsigned n_out, unsigned n_in);
