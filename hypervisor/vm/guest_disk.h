/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A guest's virtio-blk disks: over a file that the loader left in memory, or over a disk or partition of the server.
 *
 * The device runs where all of the guest's do, in guest_service(): a doorbell sets a bit and asks for service. A server's disk finishes
 * requests on whatever CPU its interrupt comes to: there they are put on a list, under a lock of its own, and the guest is asked to
 * serve; guest_disks_serve() gives them to the device.
 */
#include "base/core/err.h"
#include "core/spin.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/virtio_pci.h"
#include "machine/ops.h"

#define GUEST_DISKS 4U

struct guest;

struct guest_disk_config {
	struct disk *server; /* borrowed; NULL: memory */
	uint8_t *data;	     /* borrowed, and written to unless read_only */
	uint64_t len;	     /* a multiple of 512 */
	bool read_only;
};

struct guest_disk {
	struct disk disk; /* what the device sees */
	struct virtio_host host;
	struct guest *guest;
	struct disk *server;
	uint8_t *data;
	uint32_t kicked; /* atomic: bit 0 the queue, bit 1 the device itself */
	struct spin lock;
	struct disk_request *over; /* by backend[4]; under lock */
	struct virtio_pci pci;
	struct virtio_blk blk;
};

/* guest_disks_init() - on the guest's bus, before its ACPI tables are made. Errors: -ENOMEM, and of virtio_pci_attach(). */
int guest_disks_init(struct guest *guest, struct err *err);
/* guest_disks_serve() - from guest_service() only */
void guest_disks_serve(struct guest *guest);
/* guest_disks_fini() - every vcpu has stopped: waits for what is under way, and gives the memory back */
void guest_disks_fini(struct guest *guest);
