/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The PCI transport, modern devices only.
 * Source: virtio 1.2, 4.1 Virtio Over PCI Bus.
 */
#include "base/core/err.h"
#include "devices/virtio/virtio.h"
#include "machine/pci.h"

/* Inside BAR 0; each has a page of its own. */
#define VIRTIO_PCI_BAR	       0U
#define VIRTIO_PCI_MSIX_BAR    1U
#define VIRTIO_PCI_COMMON      0x0000U
#define VIRTIO_PCI_ISR	       0x1000U
#define VIRTIO_PCI_DEVICE      0x2000U
#define VIRTIO_PCI_NOTIFY      0x3000U
#define VIRTIO_PCI_BAR_BYTES   0x4000U
#define VIRTIO_PCI_NOTIFY_STEP 4U /* bytes from one queue's doorbell to the next */

struct virtio_pci {
	struct pci_dev pci;
	struct virtio_dev *dev;
	/* dev->lock */
	uint32_t device_feature_select, driver_feature_select;
	uint16_t queue_select;
	uint8_t isr;
	/* pci_bus.lock */
	uint8_t access_cap; /* offset of the configuration access capability */
};

/*
 * virtio_pci_attach() - put a device on the bus
 * @vp: zeroed; lives as long as the bus   @dev: initialised   @slot: -1: the first free one
 * Errors: of pci_add().
 */
int virtio_pci_attach(struct virtio_pci *vp, struct virtio_dev *dev, struct pci_bus *bus, int slot,
		      struct err *err);
/*
 * virtio_pci_doorbell() - where the guest writes to notify a queue (a 16-bit write), for an ioeventfd of any length
 * Return: 0 while memory decoding is off. Bus lock held, or vcpus stopped.
 */
gpa_t virtio_pci_doorbell(const struct virtio_dev *dev, uint16_t queue);
