/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A virtio device's place in a VMM: its slot on the PCI bus, and the way from a doorbell to the loop's thread.
 *
 * Theory of operation. A doorbell that the engine does not know is an exit: the device's kick() notes the queue in a word
 * of bits and pokes the device's eventfd. The loop then serves the queue, and asks the engine to signal the same
 * eventfd for that doorbell from now on, without an exit: what is never rung costs nothing. An event without a bit is
 * such a doorbell; since it does not say which, every queue that has one is looked at.
 */
#include "base/core/lock.h"
#include "devices/virtio/virtio_pci.h"
#include "machine/types.h"

struct vmm;

struct vmm_virtio {
	struct virtio_host host;
	struct virtio_pci pci;
	struct virtio_dev *dev; /* NULL: not attached */
	struct vmm *vmm;
	int fd;		  /* the eventfd */
	uint64_t pending; /* atomic: bit n: queue n was kicked; bit 63: VIRTIO_CONTROL */
	struct lock lock; /* of the next two */
	uint64_t armed;	  /* bit n: the engine signals fd for queue n */
	gpa_t armed_at;	  /* where it does for queue 0 */
};

/* vmm_virtio_open() - before the device's init: its host is to be given. */
int vmm_virtio_open(struct vmm_virtio *v, struct vmm *vmm, struct err *err);
/* vmm_virtio_attach() - after it: onto the bus, and into the loop. */
int vmm_virtio_attach(struct vmm_virtio *v, struct virtio_dev *dev, struct err *err);
