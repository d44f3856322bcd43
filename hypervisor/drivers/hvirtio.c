/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/hvirtio.h"

#include <errno.h>

#include "core/page.h"

#define STRUCTURE_BYTES 0x1000U
#define RESET_POLLS	10000000U
#define NO_VECTOR	0xffffU

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

static uint32_t common_read32(const struct hvirtio *v, enum common_reg reg)
{
	return *(volatile uint32_t *)(v->common + reg);
}

static void common_write32(const struct hvirtio *v, enum common_reg reg, uint32_t value)
{
	*(volatile uint32_t *)(v->common + reg) = value;
}

static uint16_t common_read16(const struct hvirtio *v, enum common_reg reg)
{
	return *(volatile uint16_t *)(v->common + reg);
}

static void common_write16(const struct hvirtio *v, enum common_reg reg, uint16_t value)
{
	*(volatile uint16_t *)(v->common + reg) = value;
}

static void common_write64(const struct hvirtio *v, enum common_reg reg, uint64_t value)
{
	common_write32(v, reg, (uint32_t)value);
	*(volatile uint32_t *)(v->common + reg + 4) = (uint32_t)(value >> 32);
}

/* 4.1.4 Virtio Structure PCI Capabilities. */
static bool structures_find(const struct hpci *pci, const struct hpci_device *d, struct hvirtio *v)
{
	unsigned cap = 0;

	while ((cap = hpci_capability(pci, d, HPCI_CAP_VENDOR, cap))) {
		uint32_t kind = hpci_read(pci, d, cap + 3, 1), bar = hpci_read(pci, d, cap + 4, 1);
		uint32_t offset = hpci_read(pci, d, cap + 8, 4);
		uint32_t len = hpci_read(pci, d, cap + 12, 4);
		if (kind != CFG_COMMON && kind != CFG_NOTIFY && kind != CFG_DEVICE)
			continue;
		uint64_t least = len > STRUCTURE_BYTES ? len : STRUCTURE_BYTES;
		volatile uint8_t *at = hpci_bar(pci, d, bar, offset + least);
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
			v->notify_bytes = len;
		}
	}
	return v->common && v->notify && v->device;
}

static uint64_t features_read(const struct hvirtio *v)
{
	common_write32(v, COMMON_DEVICE_FEATURE_SELECT, 0);
	uint64_t low = common_read32(v, COMMON_DEVICE_FEATURE);
	common_write32(v, COMMON_DEVICE_FEATURE_SELECT, 1);
	return (uint64_t)common_read32(v, COMMON_DEVICE_FEATURE) << 32 | low;
}

void hvirtio_stop(struct hvirtio *v)
{
	volatile uint8_t *status = v->common + COMMON_STATUS;

	*status = 0;
	for (unsigned i = 0; *status && i < RESET_POLLS; i++)
		__builtin_ia32_pause();
}

int hvirtio_agree(struct hvirtio *v, uint64_t wanted, uint64_t *ret)
{
	volatile uint8_t *status = v->common + COMMON_STATUS;

	*status = STATUS_ACKNOWLEDGE;
	*status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
	*ret = features_read(v) &
	       (wanted | UINT64_C(1) << HVIRTIO_VERSION_1 | UINT64_C(1) << HVIRTIO_PLATFORM);
	if (!(*ret >> HVIRTIO_VERSION_1 & 1))
		return -EPROTO;
	common_write32(v, COMMON_DRIVER_FEATURE_SELECT, 0);
	common_write32(v, COMMON_DRIVER_FEATURE, (uint32_t)*ret);
	common_write32(v, COMMON_DRIVER_FEATURE_SELECT, 1);
	common_write32(v, COMMON_DRIVER_FEATURE, (uint32_t)(*ret >> 32));
	*status = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;
	return *status & STATUS_FEATURES_OK ? 0 : -EPROTO;
}

int hvirtio_start(struct hvirtio *v, const struct hpci *pci, const struct hpci_device *device,
		  uint64_t wanted, uint64_t *ret)
{
	if (!structures_find(pci, device, v))
		return -EPROTO;
	hvirtio_stop(v);
	return hvirtio_agree(v, wanted, ret);
}

int hvirtio_queue_start(struct hvirtio *v, struct hvirtio_queue *q, uint16_t number)
{
	common_write16(v, COMMON_QUEUE_SELECT, number);
	if (common_read16(v, COMMON_QUEUE_SIZE) < HVIRTIO_QUEUE_SIZE)
		return -EPROTO;
	/* 4.1.4.4.1: it says where, and the structure is at least as long. */
	uint64_t doorbell = (uint64_t)common_read16(v, COMMON_QUEUE_NOTIFY) * v->notify_multiplier;
	if (doorbell + sizeof(*q->doorbell) > v->notify_bytes)
		return -EPROTO;
	common_write16(v, COMMON_QUEUE_SIZE, HVIRTIO_QUEUE_SIZE);
	common_write16(v, COMMON_CONFIG_VECTOR, NO_VECTOR);
	common_write16(v, COMMON_QUEUE_VECTOR, v->has_msix ? 0 : NO_VECTOR);
	common_write64(v, COMMON_QUEUE_DESC, ptr_to_phys(q->ring->desc));
	common_write64(v, COMMON_QUEUE_DRIVER, ptr_to_phys(&q->ring->available));
	common_write64(v, COMMON_QUEUE_DEVICE, ptr_to_phys(&q->ring->used));
	q->doorbell = (volatile uint16_t *)(v->notify + doorbell);
	q->number = number;
	common_write16(v, COMMON_QUEUE_ENABLE, 1);
	return 0;
}

void hvirtio_ready(struct hvirtio *v)
{
	v->common[COMMON_STATUS] =
		STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
}

void hvirtio_offer(struct hvirtio_queue *q, uint16_t head)
{
	uint16_t index = q->ring->available.index;

	q->ring->available.ring[index % HVIRTIO_QUEUE_SIZE] = head;
	__atomic_store_n(&q->ring->available.index, (uint16_t)(index + 1), __ATOMIC_RELEASE);
}

void hvirtio_kick(struct hvirtio_queue *q)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*q->doorbell = q->number;
}

bool hvirtio_has(const struct hvirtio_queue *q)
{
	return __atomic_load_n(&q->ring->used.index, __ATOMIC_ACQUIRE) != q->seen;
}

bool hvirtio_take(struct hvirtio_queue *q, struct hvirtio_used *ret)
{
	if (!hvirtio_has(q))
		return false;
	*ret = q->ring->used.ring[q->seen++ % HVIRTIO_QUEUE_SIZE];
	return true;
}
