/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A driver of modern virtio devices over PCI, with MSI-X, as small as it can be: one chain at a time a queue.
 * Source: virtio 1.2, 2.7 Split Virtqueues, 3.1 Device Initialization, 4.1 Virtio Over PCI Bus.
 */
#include "bare.h"

#define DRIVER_QUEUES	  6U
#define DRIVER_QUEUE_SIZE 8U

/* A buffer of a chain. */
struct piece {
	gpa_t gpa;
	uint32_t len;
	bool is_device_writable;
};

struct driver_queue {
	gpa_t desc, avail, used;
	uint64_t doorbell;
	uint16_t used_seen;
};

struct driver {
	struct board *b;
	unsigned slot;
	unsigned msix;			      /* offset of the capability */
	uint64_t common, notify, isr, config; /* where the structures are, guest physical */
	uint32_t notify_step;
	uint64_t features;
	unsigned n_queues;
	uint32_t
		irqs; /* of which queues an interrupt came; bit DRIVER_QUEUES: of the configuration */
	struct driver_queue queues[DRIVER_QUEUES];
};

/* config_read(), config_write() - PCI configuration by ports. */
uint32_t config_read(struct board *b, unsigned slot, unsigned offset);
void config_write(struct board *b, unsigned slot, unsigned offset, uint32_t value);
/* pci_find() - the slot of a device, or -1. */
int pci_find(struct board *b, uint16_t vendor, uint16_t device);

/*
 * driver_start() - find the device, negotiate, set up n queues with their interrupt, and go live
 * @type: as in 5 Device Types   @wanted: what is accepted of the features that are offered; VERSION_1 is always
 */
bool driver_start(struct driver *d, struct board *b, uint16_t type, uint64_t wanted, unsigned n);
/* driver_put() - make a chain available; at most DRIVER_QUEUE_SIZE pieces. The device is not told. */
void driver_put(struct driver *d, unsigned queue, const struct piece *pieces, unsigned n);
/* driver_kick() - ring the doorbell, and let the host's side work. */
void driver_kick(struct driver *d, unsigned queue);
/* driver_take() - whether a chain came back, with its interrupt; how many bytes the device wrote. */
bool driver_take(struct driver *d, unsigned queue, uint32_t *ret_len);
/* driver_irqs() - take the interrupts that are there into d->irqs. */
void driver_irqs(struct driver *d);
/* driver_status() - the device status field. */
uint8_t driver_status(struct driver *d);
/* driver_reset() - as at the end of a driver's life. */
bool driver_reset(struct driver *d);
/* driver_config() - len bytes (1..8) of the device's configuration. */
uint64_t driver_config(struct driver *d, unsigned offset, unsigned len);
