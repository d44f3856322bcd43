/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/driver.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "machine/layout.h"

#define RIG_SLOT 3U

/* ---- the machine ---- */

static void rig_line(struct irq_sink *sink, uint32_t gsi, bool level)
{
	(void)gsi;
	container_of(sink, struct rig, irq)->line_level = level;
}

static void rig_msi(struct irq_sink *sink, uint64_t addr, uint32_t data)
{
	struct rig *rig = container_of(sink, struct rig, irq);

	__atomic_fetch_add(&rig->n_msis, 1, __ATOMIC_RELAXED);
	if (addr == RIG_MSI_ADDR && data < ARRAY_SIZE(rig->msis))
		__atomic_fetch_add(&rig->msis[data], 1, __ATOMIC_RELAXED);
}

static const struct irq_sink_ops rig_irq_ops = { .line = rig_line, .msi = rig_msi };

static void rig_kicked(struct virtio_host *host, struct virtio_dev *dev, uint16_t queue)
{
	struct rig *rig = container_of(host, struct rig, host);
	uint64_t bit = UINT64_C(1) << (queue == VIRTIO_CONTROL ? 63 : queue);

	(void)dev;
	__atomic_fetch_or(&rig->kicks, bit, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&rig->n_kicks, 1, __ATOMIC_RELAXED);
}

static void rig_moved(struct virtio_host *host, struct virtio_dev *dev)
{
	(void)dev;
	container_of(host, struct rig, host)->n_moves++;
}

static const struct virtio_host_ops rig_host_ops = { .kick = rig_kicked,
						     .doorbells_moved = rig_moved };

static void rig_wrote(struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	struct rig *rig = container_of(mem, struct rig, mem);

	if (!mem_hva_rw(mem, gpa, len))
		abort(); /* outside, or across slots */
	__atomic_fetch_add(&rig->wrote_bytes, len, __ATOMIC_RELAXED);
}

/* Zeroed, and touched only where it is used: a fuzz target makes many. */
static uint8_t *rig_map(size_t len)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

bool rig_init(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	rig->irq.ops = &rig_irq_ops;
	rig->host.ops = &rig_host_ops;
	rig->ram = rig_map(RIG_RAM);
	rig->rom = rig_map(RIG_ROM);
	if (!rig->ram || !rig->rom)
		return false;
	rig->mem.wrote = rig_wrote;
	rig->place = (struct virtio_place){ .mem = &rig->mem, .host = &rig->host };
	rig->next_data = RIG_DATA_GPA;
	return mem_add(&rig->mem, RIG_RAM_GPA, RIG_RAM, rig->ram, false) == 0 &&
	       mem_add(&rig->mem, RIG_ROM_GPA, RIG_ROM, rig->rom, true) == 0 &&
	       pci_bus_init(&rig->pci, &rig->mmio, &rig->pio, &rig->irq, NULL) == 0;
}

void rig_fini(struct rig *rig)
{
	(void)munmap(rig->ram, RIG_RAM);
	(void)munmap(rig->rom, RIG_ROM);
}

uint8_t *rig_at(struct rig *rig, gpa_t gpa)
{
	return rig->ram + (gpa - RIG_RAM_GPA);
}

gpa_t rig_alloc(struct rig *rig, uint32_t bytes)
{
	gpa_t gpa = rig->next_data;

	rig->next_data += (bytes + 15U) & ~15U;
	if (rig->next_data > RIG_RAM_GPA + RIG_RAM)
		abort(); /* the test's own mistake */
	return gpa;
}

void rig_run(struct rig *rig)
{
	for (unsigned round = 0; round < 1000; round++) {
		uint64_t kicks = __atomic_exchange_n(&rig->kicks, 0, __ATOMIC_SEQ_CST);
		if (!kicks)
			return;
		for (unsigned i = 64; i-- > 0;) {
			if (kicks >> i & 1)
				virtio_queue_run(rig->dev, i == 63 ? VIRTIO_CONTROL : (uint16_t)i);
		}
	}
}

/* ---- configuration space ---- */

static gpa_t rig_ecam(unsigned offset)
{
	return LAYOUT_ECAM + (RIG_SLOT << 15) + offset;
}

uint32_t rig_config_in(struct rig *rig, unsigned offset, unsigned len)
{
	return (uint32_t)bus_read(&rig->mmio, rig_ecam(offset), len);
}

void rig_config_out(struct rig *rig, unsigned offset, unsigned len, uint32_t value)
{
	bus_write(&rig->mmio, rig_ecam(offset), len, value);
}

static void rig_cap(struct rig *rig, unsigned at)
{
	const uint8_t type = (uint8_t)rig_config_in(rig, at + 3, 1);
	const unsigned bar = rig_config_in(rig, at + 4, 1);
	const gpa_t base = rig_config_in(rig, 0x10 + 4 * bar, 4) & ~15U;
	const gpa_t gpa = base + rig_config_in(rig, at + 8, 4);

	switch (type) {
	case 1:
		rig->common = gpa;
		break;
	case 2:
		rig->notify = gpa;
		rig->notify_step = rig_config_in(rig, at + 16, 4);
		break;
	case 3:
		rig->isr = gpa;
		break;
	case 4:
		rig->config = gpa;
		break;
	case 5:
		rig->access_cap = (uint8_t)at;
		break;
	default:
		break;
	}
}

bool rig_attach(struct rig *rig, struct virtio_dev *dev)
{
	rig->dev = dev;
	if (virtio_pci_attach(&rig->transport, dev, &rig->pci, RIG_SLOT, NULL) < 0)
		return false;
	unsigned at = rig_config_in(rig, 0x34, 1);
	for (unsigned i = 0; at && i < 48; i++) {
		if (rig_config_in(rig, at, 1) == 9)
			rig_cap(rig, at);
		at = rig_config_in(rig, at + 1, 1);
	}
	return rig->common && rig->notify && rig->isr && rig->access_cap;
}

void rig_msix_on(struct rig *rig)
{
	const gpa_t table = rig_config_in(rig, 0x10 + 4 * VIRTIO_PCI_MSIX_BAR, 4) & ~15U;
	const uint16_t n = virtio_queues(rig->dev);

	for (uint16_t i = 0; i <= n; i++) {
		bus_write(&rig->mmio, table + 16U * i, 4, RIG_MSI_ADDR);
		bus_write(&rig->mmio, table + 16U * i + 4, 4, 0);
		bus_write(&rig->mmio, table + 16U * i + 8, 4, i);
		bus_write(&rig->mmio, table + 16U * i + 12, 4, 0);
	}
	unsigned at = rig_config_in(rig, 0x34, 1);
	while (at && rig_config_in(rig, at, 1) != 0x11)
		at = rig_config_in(rig, at + 1, 1);
	rig_config_out(rig, at + 2, 2, 0x8000);
	for (uint16_t i = 0; i < n; i++) {
		rig_common_set(rig, CC_QUEUE_SELECT, 2, i);
		rig_common_set(rig, CC_QUEUE_VECTOR, 2, i);
	}
	rig_common_set(rig, CC_CONFIG_VECTOR, 2, n);
}

/* ---- the BAR ---- */

uint64_t rig_common(struct rig *rig, unsigned offset, unsigned len)
{
	return bus_read(&rig->mmio, rig->common + offset, len);
}

void rig_common_set(struct rig *rig, unsigned offset, unsigned len, uint64_t value)
{
	bus_write(&rig->mmio, rig->common + offset, len, value);
}

uint8_t rig_status(struct rig *rig)
{
	return (uint8_t)rig_common(rig, CC_STATUS, 1);
}

uint64_t rig_dev_config(struct rig *rig, unsigned offset, unsigned len)
{
	return bus_read(&rig->mmio, rig->config + offset, len);
}

uint64_t rig_offered(struct rig *rig)
{
	rig_common_set(rig, CC_DEVICE_FEATURE_SELECT, 4, 0);
	uint64_t low = rig_common(rig, CC_DEVICE_FEATURE, 4);
	rig_common_set(rig, CC_DEVICE_FEATURE_SELECT, 4, 1);
	return low | rig_common(rig, CC_DEVICE_FEATURE, 4) << 32;
}

bool rig_features(struct rig *rig, uint64_t features)
{
	rig_common_set(rig, CC_STATUS, 1, 1 | 2);
	rig_common_set(rig, CC_DRIVER_FEATURE_SELECT, 4, 0);
	rig_common_set(rig, CC_DRIVER_FEATURE, 4, (uint32_t)features);
	rig_common_set(rig, CC_DRIVER_FEATURE_SELECT, 4, 1);
	rig_common_set(rig, CC_DRIVER_FEATURE, 4, features >> 32);
	rig_common_set(rig, CC_STATUS, 1, 1 | 2 | ST_FEATURES_OK);
	return rig_status(rig) & ST_FEATURES_OK;
}

void rig_queue_setup(struct rig *rig, uint16_t index, uint16_t size)
{
	struct rig_queue *q = &rig->queues[index];
	const gpa_t base = RIG_QUEUE_GPA + 0x4000U * index;

	*q = (struct rig_queue){ .index = index,
				 .size = size,
				 .desc = base,
				 .avail = base + 0x2000,
				 .used = base + 0x3000 };
	memset(rig_at(rig, base), 0, 0x4000);
	rig_common_set(rig, CC_QUEUE_SELECT, 2, index);
	rig_common_set(rig, CC_QUEUE_SIZE, 2, size);
	rig_common_set(rig, CC_QUEUE_DESC, 4, (uint32_t)q->desc);
	rig_common_set(rig, CC_QUEUE_DESC + 4, 4, q->desc >> 32);
	rig_common_set(rig, CC_QUEUE_DRIVER, 8, q->avail);
	rig_common_set(rig, CC_QUEUE_DEVICE, 8, q->used);
	rig_common_set(rig, CC_QUEUE_ENABLE, 2, 1);
}

void rig_driver_ok(struct rig *rig)
{
	rig_common_set(rig, CC_STATUS, 1, rig_status(rig) | ST_DRIVER_OK);
	rig_run(rig);
}

bool rig_start(struct rig *rig, uint64_t features, uint16_t n_queues, uint16_t size)
{
	if (!rig_reset(rig) || !rig_features(rig, features))
		return false;
	for (uint16_t i = 0; i < n_queues; i++)
		rig_queue_setup(rig, i, size);
	rig_driver_ok(rig);
	return rig_status(rig) == (1 | 2 | ST_FEATURES_OK | ST_DRIVER_OK);
}

bool rig_reset(struct rig *rig)
{
	rig_common_set(rig, CC_STATUS, 1, 0);
	rig_run(rig);
	return rig_status(rig) == 0;
}

/* ---- rings: all words atomic, for the device may be on another thread ---- */

static void rig_store16(struct rig *rig, gpa_t gpa, uint16_t v, int order)
{
	uint16_t *at = (uint16_t *)(void *)rig_at(rig, gpa);

	if (order == __ATOMIC_RELEASE)
		__atomic_store_n(at, v, __ATOMIC_RELEASE);
	else
		__atomic_store_n(at, v, __ATOMIC_RELAXED);
}

static uint16_t rig_load16(struct rig *rig, gpa_t gpa)
{
	return __atomic_load_n((uint16_t *)(void *)rig_at(rig, gpa), __ATOMIC_ACQUIRE);
}

static void rig_desc_at(struct rig *rig, gpa_t gpa, uint64_t addr, uint32_t len, uint16_t flags,
			uint16_t next)
{
	uint64_t *d = (uint64_t *)(void *)rig_at(rig, gpa);

	__atomic_store_n(&d[0], addr, __ATOMIC_RELAXED);
	__atomic_store_n(&d[1], len | (uint64_t)flags << 32 | (uint64_t)next << 48,
			 __ATOMIC_RELAXED);
}

void rig_desc(struct rig *rig, uint16_t queue, uint16_t i, uint64_t addr, uint32_t len,
	      uint16_t flags, uint16_t next)
{
	rig_desc_at(rig, rig->queues[queue].desc + 16U * i, addr, len, flags, next);
}

void rig_avail(struct rig *rig, uint16_t queue, uint16_t head)
{
	struct rig_queue *q = &rig->queues[queue];

	rig_store16(rig, q->avail + 4 + 2U * (q->avail_idx % q->size), head, __ATOMIC_RELAXED);
	q->avail_idx++;
	rig_store16(rig, q->avail + 2, q->avail_idx, __ATOMIC_RELEASE);
}

static uint16_t rig_flags(const struct rig_buf *bufs, unsigned n, unsigned i)
{
	return (uint16_t)((bufs[i].is_in ? VD_WRITE : 0) | (i + 1 < n ? VD_NEXT : 0));
}

uint16_t rig_add(struct rig *rig, uint16_t queue, const struct rig_buf *bufs, unsigned n,
		 bool indirect)
{
	struct rig_queue *q = &rig->queues[queue];
	const uint16_t mask = (uint16_t)(q->size - 1), head = q->free_next & mask;

	if (indirect) {
		gpa_t table = rig_alloc(rig, 16U * n);
		for (unsigned i = 0; i < n; i++)
			rig_desc_at(rig, table + 16U * i, bufs[i].gpa, bufs[i].len,
				    rig_flags(bufs, n, i), (uint16_t)(i + 1));
		rig_desc(rig, queue, head, table, 16U * n, VD_INDIRECT, 0);
		q->free_next++;
	}
	for (unsigned i = 0; !indirect && i < n; i++) {
		uint16_t at = q->free_next++ & mask;
		rig_desc(rig, queue, at, bufs[i].gpa, bufs[i].len, rig_flags(bufs, n, i),
			 q->free_next & mask);
	}
	rig_avail(rig, queue, head);
	return head;
}

void rig_kick(struct rig *rig, uint16_t queue)
{
	bus_write(&rig->mmio, rig->notify + (gpa_t)rig->notify_step * queue, 2, queue);
}

bool rig_used(struct rig *rig, uint16_t queue, uint32_t *ret_head, uint32_t *ret_len)
{
	struct rig_queue *q = &rig->queues[queue];

	if (rig_load16(rig, q->used + 2) == q->used_seen)
		return false;
	const uint32_t *entry = (const uint32_t *)(const void *)rig_at(
		rig, q->used + 4 + 8U * (q->used_seen % q->size));
	*ret_head = __atomic_load_n(&entry[0], __ATOMIC_RELAXED);
	*ret_len = __atomic_load_n(&entry[1], __ATOMIC_RELAXED);
	q->used_seen++;
	return true;
}

uint16_t rig_used_flags(struct rig *rig, uint16_t queue)
{
	return rig_load16(rig, rig->queues[queue].used);
}

uint16_t rig_avail_event(struct rig *rig, uint16_t queue)
{
	return rig_load16(rig, rig->queues[queue].used + 4 + 8U * rig->queues[queue].size);
}

void rig_used_event_set(struct rig *rig, uint16_t queue, uint16_t event)
{
	rig_store16(rig, rig->queues[queue].avail + 4 + 2U * rig->queues[queue].size, event,
		    __ATOMIC_RELAXED);
}
