/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk of a server that is itself a virtual machine; the modern interface, one queue.
 * Source: virtio 1.2: 4.1 Virtio Over PCI Bus; 2.7 Split Virtqueues; 5.2 Block Device.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "core/page.h"
#include "core/trap.h"
#include "drivers/disks.h"
#include "drivers/hvirtio.h"
#include "drivers/iommu.h"

#define VIRTIO_BLK_DEVICE 0x1042U
#define VIRTIO_BLK_OLD	  0x1001U
#define STATE_ORDER	  1U

enum { FEATURE_RO = 5, FEATURE_FLUSH = 9 };
enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4, BLK_GET_ID = 8 };

struct vd_request {
	uint32_t type, reserved;
	uint64_t sector;
	uint8_t status, pad[15];
};

/* One page that the device reads and writes; three descriptors a slot. */
struct vd_ring {
	struct hvirtio_ring ring;
	struct vd_request requests[HOST_DISK_SLOTS];
};

_Static_assert(sizeof(struct vd_ring) <= PAGE_BYTES, "fits");

struct vd {
	struct host_disk disk;
	struct iommu_domain *dma;
	struct hvirtio virtio;
	struct hvirtio_queue queue;
	struct vd_ring *ring;
	bool has_flush;
};

_Static_assert(sizeof(struct vd) <= PAGE_BYTES << STATE_ORDER, "fits");

static int queue_start(struct vd *v, bool has_msix)
{
	v->ring = page_alloc(0);
	int r = v->ring ? iommu_allow(v->dma, v->ring, PAGE_BYTES, false) : -ENOMEM;
	if (r < 0)
		return r;
	v->virtio.has_msix = has_msix;
	v->queue.ring = &v->ring->ring;
	r = hvirtio_queue_start(&v->virtio, &v->queue, 0);
	if (r == 0)
		hvirtio_ready(&v->virtio);
	return r;
}

/* Descriptors 3 * slot and on: the head, the data if any, the status. */
static void vd_put(struct vd *v, unsigned slot, uint32_t type, uint64_t sector, uint32_t len,
		   bool is_read)
{
	struct vd_request *request = &v->ring->requests[slot];
	struct hvirtio_desc *desc = &v->queue.ring->desc[slot * 3];
	uint16_t first = (uint16_t)(slot * 3), n = 1;

	*request = (struct vd_request){ .type = type, .sector = sector, .status = 0xff };
	desc[0] = (struct hvirtio_desc){ ptr_to_phys(request), 16, HVIRTIO_DESC_NEXT,
					 (uint16_t)(first + 1) };
	if (len) {
		desc[1] = (struct hvirtio_desc){ ptr_to_phys(v->disk.slots[slot].buffer), len,
						 (uint16_t)(HVIRTIO_DESC_NEXT |
							    (is_read ? HVIRTIO_DESC_WRITE : 0)),
						 (uint16_t)(first + 2) };
		n = 2;
	}
	desc[n] = (struct hvirtio_desc){ ptr_to_phys(&request->status), 1, HVIRTIO_DESC_WRITE, 0 };
	hvirtio_offer(&v->queue, first);
	hvirtio_kick(&v->queue);
}

static int vd_start(struct host_disk *base, unsigned slot, enum disk_op op, uint64_t offset_bytes,
		    uint32_t len_bytes)
{
	struct vd *v = container_of(base, struct vd, disk);

	if (op == DISK_FLUSH && !v->has_flush) {
		host_disk_finished(base, slot, 0); /* it writes through */
		return 0;
	}
	vd_put(v, slot,
	       op == DISK_READ	  ? BLK_IN
	       : op == DISK_WRITE ? BLK_OUT
				  : BLK_FLUSH,
	       offset_bytes / DISK_SECTOR_BYTES, len_bytes, op == DISK_READ);
	return 0;
}

static void vd_poll(struct host_disk *base)
{
	struct vd *v = container_of(base, struct vd, disk);

	struct hvirtio_used used;

	for (unsigned i = 0; i < HVIRTIO_QUEUE_SIZE && hvirtio_take(&v->queue, &used); i++) {
		uint32_t slot = used.id / 3;
		if (slot < HOST_DISK_SLOTS)
			host_disk_finished(base, slot, v->ring->requests[slot].status ? -EIO : 0);
	}
}

static const struct host_disk_driver vd_driver = {
	.name = "virtio-blk",
	.start = vd_start,
	.poll = vd_poll,
};

static int vd_init(struct vd *v, unsigned number)
{
	uint64_t sectors = *(volatile uint32_t *)v->virtio.device |
			   (uint64_t) * (volatile uint32_t *)(v->virtio.device + 4) << 32;

	if (!sectors || sectors > UINT64_MAX / DISK_SECTOR_BYTES)
		return -EIO;
	v->disk.driver = &vd_driver;
	v->disk.sector_bytes = DISK_SECTOR_BYTES;
	v->disk.disk.size_bytes = sectors * DISK_SECTOR_BYTES;
	int r = host_disk_init(&v->disk, "vd", number);
	r = r < 0 ? r : disks_allow(&v->disk, v->dma);
	return r == 0 && !disks_add(&v->disk) ? -ENOSPC : r;
}

int virtio_disk_probe(const struct hpci *pci, const struct hpci_device *device, unsigned *number)
{
	if (device->vendor != HVIRTIO_VENDOR ||
	    (device->device != VIRTIO_BLK_DEVICE && device->device != VIRTIO_BLK_OLD))
		return -ENODEV;
	struct vd *v = page_alloc(STATE_ORDER);
	if (!v)
		return -ENOMEM;
	uint64_t features = 0;
	int r = iommu_attach(device, "virtio-blk", &v->dma);
	if (r == 0) {
		hpci_enable(pci, device);
		r = hvirtio_start(&v->virtio, pci, device,
				  UINT64_C(1) << FEATURE_RO | UINT64_C(1) << FEATURE_FLUSH,
				  &features);
	}
	if (r < 0) {
		page_free(v, STATE_ORDER);
		return r == -ENODEV ? -EIO : r;
	}
	if (!(features >> HVIRTIO_PLATFORM & 1))
		iommu_passed(v->dma);
	v->has_flush = features >> FEATURE_FLUSH & 1;
	v->disk.disk.read_only = features >> FEATURE_RO & 1;
	int vector = trap_vector_take(disks_interrupt, &v->disk);
	bool has_msix = vector >= 0 && iommu_msi(pci, device, (uint8_t)vector);
	if (vector >= 0 && !has_msix)
		trap_vector_give(vector);
	r = queue_start(v, has_msix);
	r = r < 0 ? r : vd_init(v, *number);
	if (r < 0)
		return r; /* the device knows the memory: it stays its own */
	(*number)++;
	return 0;
}
