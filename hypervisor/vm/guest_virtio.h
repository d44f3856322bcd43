/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A guest's virtio devices: entropy of the CPU's, disks in the server's memory, a card on the server's switch.
 *
 * A doorbell is an exit; it leaves a bit, and the vcpu that comes by next serves the queue (guest_service()).
 */
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/blk.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/virtio_pci.h"
#include "vm/mem_disk.h"
#include "vm/server_disk.h"
#include "vm/switch.h"

struct guest;

#define GUEST_DEVICES 8U

/* One device: the struct of its kind follows, in pages of its own. */
struct guest_virtio {
	struct virtio_host host;
	struct virtio_pci pci;
	struct virtio_dev *dev;
	struct guest *guest;
	uint64_t pending; /* atomic; bit n: queue n was kicked; bit 63: VIRTIO_CONTROL */
	unsigned order;	  /* of its pages */
	void (*serve)(struct guest_virtio
			      *v); /* what its back end has for it; NULL: it finishes at once */
	void (*fini)(struct guest_virtio *v); /* what is behind it; NULL: nothing */
};

struct guest_rng {
	struct guest_virtio v;
	struct entropy entropy;
	struct virtio_rng dev;
};

struct guest_blk {
	struct guest_virtio v;
	struct mem_disk disk;
	struct virtio_blk dev;
};

struct guest_server_blk {
	struct guest_virtio v;
	struct server_disk disk;
	struct virtio_blk dev;
};

struct guest_nic {
	struct guest_virtio v;
	struct switch_port *port;
	struct virtio_net dev;
};

/* guest_rng_add() - if the CPU has RDRAND; else it is a no-op. Return: 0, -ENOMEM, -ENOSPC (devices). */
int guest_rng_add(struct guest *guest, struct err *err);
/* guest_disk_add() - @bytes: len of them, which live longer than the guest; a part of a sector at the end is not used */
int guest_disk_add(struct guest *guest, void *bytes, uint64_t len, bool read_only, struct err *err);
/* guest_server_disk_add() - the same over a disk or partition of the server: disk_find(), which is borrowed */
int guest_server_disk_add(struct guest *guest, struct disk *server, bool read_only,
			  struct err *err);
/* guest_nic_add() - @mac: all 0: one that no other has. Also -EEXIST: another guest has that address. */
int guest_nic_add(struct guest *guest, const uint8_t mac[6], struct err *err);

/* ---- inside vm/ ---- */

void guest_virtio_serve(struct guest *guest); /* one caller at a time: guest_service() */
void guest_virtio_fini(struct guest *guest);  /* the vcpus are gone */
