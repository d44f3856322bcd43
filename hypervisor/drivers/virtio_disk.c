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
#include "drivers/hpci.h"

#define VIRTIO_VENDOR	  0x1af4U
#define VIRTIO_BLK_DEVICE 0x1042U
#define VIRTIO_BLK_OLD	  0x1001U
#define QUEUE_SIZE	  32U /* three descriptors a slot */
#define STATE_ORDER	  1U
#define STRUCTURE_BYTES	  0x1000U
#define RESET_POLLS	  10000000U

enum { CFG_COMMON = 1, CFG_NOTIFY = 2, CFG_DEVICE = 4 };
enum { STATUS_ACKNOWLEDGE = 1, STATUS_DRIVER = 2, STATUS_DRIVER_OK = 4, STATUS_FEATURES_OK = 8 };
enum common_reg {
	COMMON_DEVICE_FEATURE_SELECT = 0x00,
	COMMON_DEVICE_FEATURE = 0x04,
	COMMON_DRIVER_FEATURE_SELECT = 0x08,
	COMMON_DRIVER_FEATURE = 0x0c,
	COMMON_CONFIG_VECTOR = 0x10,
	COMMON_STATUS = 0x14,
	COMMON_QUEUE_SELECT = 0x16,
	COMMON_QUEUE_SIZE = 0x18,
	COMMON_QUEUE_VECTOR = 0x1a,
	COMMON_QUEUE_ENABLE = 0x1c,
	COMMON_QUEUE_NOTIFY = 0x1e,
	COMMON_QUEUE_DESC = 0x20,
	COMMON_QUEUE_DRIVER = 0x28,
	COMMON_QUEUE_DEVICE = 0x30,
};
enum { FEATURE_RO = 5, FEATURE_FLUSH = 9, FEATURE_VERSION_1 = 32 };
enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4, BLK_GET_ID = 8 };
enum { DESC_NEXT = 1, DESC_WRITE = 2 };

struct vd_desc {
	uint64_t address;
	uint32_t len;
	uint16_t flags, next;
};

struct vd_request {
	uint32_t type, reserved;
	uint64_t sector;
	uint8_t status, pad[15];
};

struct vd_used {
	uint32_t id, len;
};

/* One page that the device reads and writes. */
struct vd_ring {
	struct vd_desc desc[QUEUE_SIZE];
	struct {
		uint16_t flags, index, ring[QUEUE_SIZE], event;
	} available;
	struct {
		uint16_t flags, index;
		struct vd_used ring[QUEUE_SIZE];
		uint16_t event;
	} used __attribute__((aligned(4)));
	struct vd_request requests[HOST_DISK_SLOTS];
};

_Static_assert(sizeof(struct vd_ring) <= PAGE_BYTES, "fits");

struct vd {
	struct host_disk disk;
	volatile uint8_t *common, *notify, *device;
	uint32_t notify_multiplier;
	struct vd_ring *ring;
	uint16_t seen;
	bool has_flush;
};

_Static_assert(sizeof(struct vd) <= PAGE_BYTES << STATE_ORDER, "fits");

static uint32_t common_read32(const struct vd *v, enum common_reg reg)
{
	return *(volatile uint32_t *)(v->common + reg);
}

static void common_write32(const struct vd *v, enum common_reg reg, uint32_t value)
{
	*(volatile uint32_t *)(v->common + reg) = value;
}

static uint16_t common_read16(const struct vd *v, enum common_reg reg)
{
	return *(volatile uint16_t *)(v->common + reg);
}

static void common_write16(const struct vd *v, enum common_reg reg, uint16_t value)
{
	*(volatile uint16_t *)(v->common + reg) = value;
}

static void common_write64(const struct vd *v, enum common_reg reg, uint64_t value)
{
	common_write32(v, reg, (uint32_t)value);
	*(volatile uint32_t *)(v->common + reg + 4) = (uint32_t)(value >> 32);
}

/* 4.1.4 Virtio Structure PCI Capabilities. */
static bool structures_find(const struct hpci *pci, const struct hpci_device *d, struct vd *v)
{
	unsigned cap = 0;

	while ((cap = hpci_capability(pci, d, HPCI_CAP_VENDOR, cap))) {
		uint32_t kind = hpci_read(pci, d, cap + 3, 1), bar = hpci_read(pci, d, cap + 4, 1);
		uint32_t offset = hpci_read(pci, d, cap + 8, 4);
		if (kind != CFG_COMMON && kind != CFG_NOTIFY && kind != CFG_DEVICE)
			continue;
		volatile uint8_t *at = hpci_bar(pci, d, bar, (uint64_t)offset + STRUCTURE_BYTES);
		if (!at)
			continue;
		at += offset;
		if (kind == CFG_COMMON && !v->common)
			v->common = at;
		if (kind == CFG_DEVICE && !v->device)
			v->device = at;
		if (kind == CFG_NOTIFY && !v->notify) {
			v->notify = at;
			v->notify_multiplier = hpci_read(pci, d, cap + 16, 4);
		}
	}
	return v->common && v->notify && v->device;
}

static uint64_t features_read(const struct vd *v)
{
	common_write32(v, COMMON_DEVICE_FEATURE_SELECT, 0);
	uint64_t low = common_read32(v, COMMON_DEVICE_FEATURE);
	common_write32(v, COMMON_DEVICE_FEATURE_SELECT, 1);
	return (uint64_t)common_read32(v, COMMON_DEVICE_FEATURE) << 32 | low;
}

static int negotiate(struct vd *v)
{
	volatile uint8_t *status = v->common + COMMON_STATUS;

	*status = 0;
	for (unsigned i = 0; *status && i < RESET_POLLS; i++)
		__builtin_ia32_pause();
	*status = STATUS_ACKNOWLEDGE;
	*status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
	uint64_t offered = features_read(v);
	uint64_t wanted = UINT64_C(1) << FEATURE_VERSION_1 | UINT64_C(1) << FEATURE_RO |
			  UINT64_C(1) << FEATURE_FLUSH;
	uint64_t both = offered & wanted;
	if (!(both >> FEATURE_VERSION_1))
		return -EPROTO;
	v->has_flush = both >> FEATURE_FLUSH & 1;
	v->disk.disk.read_only = both >> FEATURE_RO & 1;
	common_write32(v, COMMON_DRIVER_FEATURE_SELECT, 0);
	common_write32(v, COMMON_DRIVER_FEATURE, (uint32_t)both);
	common_write32(v, COMMON_DRIVER_FEATURE_SELECT, 1);
	common_write32(v, COMMON_DRIVER_FEATURE, (uint32_t)(both >> 32));
	*status = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;
	return *status & STATUS_FEATURES_OK ? 0 : -EPROTO;
}

static int queue_start(struct vd *v, bool has_msix)
{
	v->ring = page_alloc(0);
	if (!v->ring)
		return -ENOMEM;
	common_write16(v, COMMON_QUEUE_SELECT, 0);
	if (common_read16(v, COMMON_QUEUE_SIZE) < QUEUE_SIZE)
		return -EPROTO;
	common_write16(v, COMMON_QUEUE_SIZE, QUEUE_SIZE);
	common_write16(v, COMMON_CONFIG_VECTOR, 0xffff);
	common_write16(v, COMMON_QUEUE_VECTOR, has_msix ? 0 : 0xffff);
	common_write64(v, COMMON_QUEUE_DESC, ptr_to_phys(v->ring->desc));
	common_write64(v, COMMON_QUEUE_DRIVER, ptr_to_phys(&v->ring->available));
	common_write64(v, COMMON_QUEUE_DEVICE, ptr_to_phys(&v->ring->used));
	v->notify += (uint64_t)common_read16(v, COMMON_QUEUE_NOTIFY) * v->notify_multiplier;
	common_write16(v, COMMON_QUEUE_ENABLE, 1);
	v->common[COMMON_STATUS] =
		STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
	return 0;
}

/* Descriptors 3 * slot and on: the head, the data if any, the status. */
static void vd_put(struct vd *v, unsigned slot, uint32_t type, uint64_t sector, uint32_t len,
		   bool is_read)
{
	struct vd_request *request = &v->ring->requests[slot];
	struct vd_desc *desc = &v->ring->desc[slot * 3];
	uint16_t first = (uint16_t)(slot * 3), n = 1;

	*request = (struct vd_request){ .type = type, .sector = sector, .status = 0xff };
	desc[0] = (struct vd_desc){ ptr_to_phys(request), 16, DESC_NEXT, (uint16_t)(first + 1) };
	if (len) {
		desc[1] = (struct vd_desc){ ptr_to_phys(v->disk.slots[slot].buffer), len,
					    (uint16_t)(DESC_NEXT | (is_read ? DESC_WRITE : 0)),
					    (uint16_t)(first + 2) };
		n = 2;
	}
	desc[n] = (struct vd_desc){ ptr_to_phys(&request->status), 1, DESC_WRITE, 0 };
	v->ring->available.ring[v->ring->available.index % QUEUE_SIZE] = first;
	__atomic_store_n(&v->ring->available.index, (uint16_t)(v->ring->available.index + 1),
			 __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*(volatile uint16_t *)v->notify = 0;
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

	for (unsigned i = 0; i < QUEUE_SIZE; i++) {
		if (__atomic_load_n(&v->ring->used.index, __ATOMIC_ACQUIRE) == v->seen)
			return;
		uint32_t slot = v->ring->used.ring[v->seen++ % QUEUE_SIZE].id / 3;
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
	uint64_t sectors = *(volatile uint32_t *)v->device |
			   (uint64_t) * (volatile uint32_t *)(v->device + 4) << 32;

	if (!sectors || sectors > UINT64_MAX / DISK_SECTOR_BYTES)
		return -EIO;
	v->disk.driver = &vd_driver;
	v->disk.sector_bytes = DISK_SECTOR_BYTES;
	v->disk.disk.size_bytes = sectors * DISK_SECTOR_BYTES;
	int r = host_disk_init(&v->disk, "vd", number);
	return r == 0 && !disks_add(&v->disk) ? -ENOSPC : r;
}

int virtio_disk_probe(const struct hpci *pci, const struct hpci_device *device, unsigned *number)
{
	if (device->vendor != VIRTIO_VENDOR ||
	    (device->device != VIRTIO_BLK_DEVICE && device->device != VIRTIO_BLK_OLD))
		return -ENODEV;
	struct vd *v = page_alloc(STATE_ORDER);
	if (!v)
		return -ENOMEM;
	hpci_enable(pci, device);
	int r = structures_find(pci, device, v) ? negotiate(v) : -EPROTO;
	if (r < 0) {
		page_free(v, STATE_ORDER);
		return r;
	}
	int vector = trap_vector_take(disks_interrupt, &v->disk);
	bool has_msix = vector >= 0 && hpci_msi(pci, device, (uint8_t)vector);
	if (vector >= 0 && !has_msix)
		trap_vector_give(vector);
	r = queue_start(v, has_msix);
	r = r < 0 ? r : vd_init(v, *number);
	if (r < 0)
		return r; /* the device knows the memory: it stays its own */
	(*number)++;
	return 0;
}
