/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A guest's virtio devices: entropy of the CPU's, disks in the server's memory, a card on the server's switch, ports and sockets to
 * who manages the server.
 *
 * A doorbell is an exit; it leaves a bit, and the vcpu that comes by next serves the queue (guest_service()).
 */
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/virtio_pci.h"
#include "devices/virtio/vsock.h"
#include "vm/mem_disk.h"
#include "vm/server_disk.h"
#include "vm/switch.h"

struct guest;

#define GUEST_DEVICES 16U

/* One device: the struct of its kind follows, in pages of its own. */
struct guest_virtio {
	struct virtio_host host;
	struct virtio_pci pci;
	struct virtio_dev *dev;
	struct guest *guest;
	uint64_t pending; /* atomic; bit n: queue n was kicked; bit 63: VIRTIO_CONTROL */
	unsigned order;	  /* of its pages */
	const struct disk_counts *counts; /* of a disk */
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

struct guest_ports {
	struct guest_virtio v;
	struct virtio_console dev;
};

struct guest_vsock {
	struct guest_virtio v;
	struct virtio_vsock dev;
};

/* guest_rng_add() - if the CPU has RDRAND; else it is a no-op. Return: 0, -ENOMEM, -ENOSPC (devices). */
int guest_rng_add(struct guest *guest, struct err *err);
/* guest_disk_add() - @number: 0 to 9: its id (virtio-blk's serial) is "strata-NUMBER"; @bytes: len of them, which live longer than the guest; a part of a sector at the end is not used */
int guest_disk_add(struct guest *guest, unsigned number, void *bytes, uint64_t len, bool read_only,
		   struct err *err);
/* guest_server_disk_add() - the same over a disk or partition of the server: disk_find(), which is borrowed */
int guest_server_disk_add(struct guest *guest, unsigned number, struct disk *server, bool read_only,
			  struct err *err);
/* guest_nic_add() - @mac: all 0: one that no other has. Also -EEXIST: another guest has that address. */
int guest_nic_add(struct guest *guest, const uint8_t mac[6], struct err *err);

/* guest_ports_add() - a virtio-console; the consoles are called in the guest's turn (guest_config.serve), and live longer */
int guest_ports_add(struct guest *guest, const struct console_port_config *ports, unsigned n,
		    struct err *err);
/* guest_vsock_add() - @host, @heap: likewise. The device's I/O thread is the guest's turn. */
int guest_vsock_add(struct guest *guest, uint64_t cid, struct vsock_host *host,
		    const struct mem_ops *heap, struct virtio_vsock **ret, struct err *err);

/* ---- inside vm/ ---- */

/* One caller at a time: guest_service(). Return: true: memory is being filled for a request, that is enough for now. */
bool guest_virtio_serve(struct guest *guest);
/* The vcpus are gone. guest_virtio_stop(): no request begins any more. Return: none is under way; false: ask again. */
bool guest_virtio_stop(struct guest *guest);
void guest_virtio_fini(struct guest *guest); /* waits for that */

/* ---- for other devices in vm/ ---- */

/* guest_virtio_new() - memory of `bytes` that begins with a struct guest_virtio, in the guest's list: whatever fails, the guest's end frees it. NULL: the words. */
void *guest_virtio_new(struct guest *guest, size_t bytes, struct err *err);
/* guest_virtio_attach() - on the guest's PCI bus. */
int guest_virtio_attach(struct guest_virtio *v, struct virtio_dev *dev, struct err *err);
/* guest_virtio_run() - serve the queues that were kicked. */
void guest_virtio_run(struct guest_virtio *v);
