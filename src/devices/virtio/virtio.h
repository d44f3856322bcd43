/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * virtio for whoever assembles a machine. Each device has a header with its struct and NAME_init(); then
 *
 *	virtio_pci_attach(&transport, &device.virtio, pci, slot, err)		devices/virtio/virtio_pci.h
 *
 * puts it on the bus. Implementers of devices read virtio_dev.h.
 *
 * Thread rule. Each device has one I/O thread: it owns the device's back end, and it alone calls virtio_queue_run() and the
 * functions that a device's header calls the I/O thread's. vcpu threads touch the device only through the bus: that
 * reads and writes configuration under the device's lock, and answers a doorbell with kick(). So a doorbell reaches
 * the I/O thread by kick(), or without an exit by an ioeventfd at virtio_pci_doorbell(); either way that thread
 * then calls virtio_queue_run() with the same number.
 * Lock order: pci_bus -> device -> bus -> interrupts.
 */
#include <stdbool.h>
#include <stdint.h>

struct guest_mem;
struct virtio_dev;
struct virtio_host;

/* The number that stands for the device itself: reset, start. Its kicks come from kick() only. */
#define VIRTIO_CONTROL UINT16_C(0xffff)

struct virtio_host_ops {
	/*
	 * Mandatory; any thread, the device's lock held or not. Have the I/O thread call virtio_queue_run(dev, queue) soon:
	 * note it and wake that thread, never call it from here. Kicks of one number may become one.
	 */
	void (*kick)(struct virtio_host *host, struct virtio_dev *dev, uint16_t queue);
	/*
	 * Optional; the doorbells are somewhere else, or were turned on or off (virtio_pci_doorbell()): once while the device is
	 * attached, then in a vcpu thread. A move is an off and an on. PCI bus lock held.
	 */
	void (*doorbells_moved)(struct virtio_host *host, struct virtio_dev *dev);
};

struct virtio_host { /* embedded by the assembler */
	const struct virtio_host_ops *ops;
};

/* What every device is given. Borrowed. */
struct virtio_place {
	struct guest_mem *mem;
	struct virtio_host *host;
};

/*
 * virtio_queue_run() - I/O thread: serve a queue that was kicked, or VIRTIO_CONTROL. Bounded: a queue with more than its
 * share left kicks itself again. A number that the device does not have is a no-op.
 */
void virtio_queue_run(struct virtio_dev *dev, uint16_t queue);
uint16_t virtio_queues(const struct virtio_dev *dev); /* 0..n-1 have doorbells */
/*
 * virtio_stop() - I/O thread, the vcpus are gone: take no more requests, as if the guest had reset the device
 * Return: whether none is under way. If not, run the back end and ask again; then it may be finished.
 */
bool virtio_stop(struct virtio_dev *dev);
/* virtio_needs_reset() - any thread: the guest broke the device, and was told so. */
bool virtio_needs_reset(struct virtio_dev *dev);
