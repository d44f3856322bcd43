/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * virtio devices of a server that is itself a virtual machine, from the driver's side (a guest's are src/devices/virtio): the modern
 * interface over PCI, split queues. One caller at a time. An IOMMU keeps the device to its driver's buffers, where there is one
 * (drivers/iommu.h); in any case what it says is checked.
 * Source: virtio 1.2: 2.7 Split Virtqueues; 3.1.1 Driver Requirements: Device Initialization; 4.1 Virtio Over PCI Bus.
 */
#include <stdbool.h>
#include <stdint.h>

#include "drivers/hpci.h"

#define HVIRTIO_VENDOR	   0x1af4U
#define HVIRTIO_QUEUE_SIZE 32U
#define HVIRTIO_VERSION_1  32U /* 6 Reserved Feature Bits */
#define HVIRTIO_PLATFORM   33U /* ACCESS_PLATFORM: the device goes through the IOMMU */

enum { HVIRTIO_DESC_NEXT = 1, HVIRTIO_DESC_WRITE = 2 };

struct hvirtio_desc {
	uint64_t address;
	uint32_t len;
	uint16_t flags, next;
};

struct hvirtio_used {
	uint32_t id, len;
};

/* What the device reads and writes. */
struct hvirtio_ring {
	struct hvirtio_desc desc[HVIRTIO_QUEUE_SIZE];
	struct {
		uint16_t flags, index, ring[HVIRTIO_QUEUE_SIZE], event;
	} available;
	struct {
		uint16_t flags, index;
		struct hvirtio_used ring[HVIRTIO_QUEUE_SIZE];
		uint16_t event;
	} used __attribute__((aligned(4)));
};

struct hvirtio_queue {
	struct hvirtio_ring *
		ring; /* the driver's memory, 16-aligned, zeroed; the device's from hvirtio_queue_start() on */
	volatile uint16_t *doorbell;
	uint16_t number, seen;
};

struct hvirtio {
	volatile uint8_t *common, *notify, *device;
	uint32_t notify_multiplier, notify_bytes; /* all doorbells are within these */
	bool has_msix; /* set by the driver, before queues: each interrupts by entry 0 */
};

/*
 * hvirtio_start() - find the structures, reset, agree upon features
 * @wanted: bits that the driver knows; VERSION_1 is demanded, ACCESS_PLATFORM taken where it is offered   @ret: those that both have
 * Return: 0; -EPROTO.
 */
int hvirtio_start(struct hvirtio *v, const struct hpci *pci, const struct hpci_device *device,
		  uint64_t wanted, uint64_t *ret);
/* hvirtio_agree() - the second half of hvirtio_start(), behind hvirtio_stop(): queues are to be started again */
int hvirtio_agree(struct hvirtio *v, uint64_t wanted, uint64_t *ret);
/* hvirtio_stop() - reset: the device leaves the server's memory alone from now on */
void hvirtio_stop(struct hvirtio *v);
/* hvirtio_queue_start() - with q->ring set. Return: 0; -EPROTO: the device has no such queue, a smaller one, or no doorbell for it. */
int hvirtio_queue_start(struct hvirtio *v, struct hvirtio_queue *q, uint16_t number);
/* hvirtio_ready() - the queues are there */
void hvirtio_ready(struct hvirtio *v);
/* hvirtio_offer() - the chain that begins with descriptor `head` is the device's; hvirtio_kick(): tell it */
void hvirtio_offer(struct hvirtio_queue *q, uint16_t head);
void hvirtio_kick(struct hvirtio_queue *q);
/* hvirtio_has() - whether a chain came back that was not taken yet */
bool hvirtio_has(const struct hvirtio_queue *q);
/* hvirtio_take() - the next chain that came back. Return: false: none. ret->id may be any number. */
bool hvirtio_take(struct hvirtio_queue *q, struct hvirtio_used *ret);
