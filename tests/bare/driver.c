/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <string.h>

#include "base/core/bytes.h"

/* 4.1.4.3 Common configuration structure layout */
enum {
	DEVICE_FEATURE_SELECT = 0,
	DEVICE_FEATURE = 4,
	DRIVER_FEATURE_SELECT = 8,
	DRIVER_FEATURE = 12,
	CONFIG_VECTOR = 16,
	DEVICE_STATUS = 20,
	QUEUE_SELECT = 22,
	QUEUE_SIZE = 24,
	QUEUE_VECTOR = 26,
	QUEUE_ENABLE = 28,
	QUEUE_NOTIFY_OFF = 30,
	QUEUE_DESC = 32,
	QUEUE_DRIVER = 40,
	QUEUE_DEVICE = 48,
};

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
enum { DESC_NEXT = 1, DESC_WRITE = 2 };
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4 };

#define VENDOR	  0x1af4
#define VERSION_1 (UINT64_C(1) << 32)
#define VECTOR	  0x60 /* of the first queue's interrupt, on vcpu 0 */

/* ---- PCI ---- */

uint32_t config_read(struct board *b, unsigned slot, unsigned offset)
{
	out(b, PORT_PCI_ADDRESS, 4, 0x80000000 | slot << 11 | (offset & 0xfc));
	return (uint32_t)in(b, PORT_PCI_DATA, 4);
}

void config_write(struct board *b, unsigned slot, unsigned offset, uint32_t value)
{
	out(b, PORT_PCI_ADDRESS, 4, 0x80000000 | slot << 11 | (offset & 0xfc));
	out(b, PORT_PCI_DATA, 4, value);
}

int pci_find(struct board *b, uint16_t vendor, uint16_t device)
{
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		if (config_read(b, slot, 0) == ((uint32_t)device << 16 | vendor))
			return (int)slot;
	}
	return -1;
}

static uint8_t config_byte(struct board *b, unsigned slot, unsigned offset)
{
	return (uint8_t)(config_read(b, slot, offset) >> 8 * (offset & 3));
}

static uint64_t bar_base(struct board *b, unsigned slot, unsigned bar)
{
	uint32_t low = config_read(b, slot, 0x10 + 4 * bar);
	uint64_t base = low & ~UINT32_C(15);

	if ((low & 6) == 4)
		base |= (uint64_t)config_read(b, slot, 0x14 + 4 * bar) << 32;
	return base;
}

/* 4.1.4 Virtio Structure PCI Capabilities */
static void driver_cap(struct driver *d, unsigned at)
{
	struct board *b = d->b;
	uint64_t where = bar_base(b, d->slot, config_byte(b, d->slot, at + 4)) +
			 config_read(b, d->slot, at + 8);

	switch (config_byte(b, d->slot, at + 3)) {
	case CAP_COMMON:
		d->common = where;
		break;
	case CAP_NOTIFY:
		d->notify = where;
		d->notify_step = config_read(b, d->slot, at + 16);
		break;
	case CAP_ISR:
		d->isr = where;
		break;
	case CAP_DEVICE:
		d->config = where;
		break;
	default:
		break;
	}
}

/* PCI Local Bus 3.0, 6.8.2 MSI-X: each entry has a vector of its own, on vcpu 0. */
static void driver_msix(struct driver *d, unsigned at)
{
	struct board *b = d->b;
	uint32_t head = config_read(b, d->slot, at), table = config_read(b, d->slot, at + 4);
	uint64_t base = bar_base(b, d->slot, table & 7) + (table & ~7U);

	for (unsigned i = 0; i <= (head >> 16 & 0x7ff); i++) {
		bus_write(&b->mmio, base + 16 * i, 4, 0xfee00000);
		bus_write(&b->mmio, base + 16 * i + 4, 4, 0);
		bus_write(&b->mmio, base + 16 * i + 8, 4, VECTOR + i);
		bus_write(&b->mmio, base + 16 * i + 12, 4, 0);
	}
	config_write(b, d->slot, at, head | UINT32_C(1) << 31);
}

static bool driver_find(struct driver *d, uint16_t type)
{
	struct board *b = d->b;
	int slot = pci_find(b, VENDOR, 0x1040 + type);

	EXPECT(slot >= 0);
	d->slot = (unsigned)slot;
	config_write(b, d->slot, 4, config_read(b, d->slot, 4) | 6); /* memory, bus master */
	uint8_t at = config_byte(b, d->slot, 0x34);
	for (unsigned caps = 0; at && caps < 48; caps++) {
		uint8_t id = config_byte(b, d->slot, at);
		if (id == 0x09)
			driver_cap(d, at);
		if (id == 0x11) {
			driver_msix(d, at);
			d->msix = at;
		}
		at = config_byte(b, d->slot, at + 1U);
	}
	EXPECT(d->common && d->notify && d->isr && d->msix);
	return true;
}

/* ---- 3.1 Device Initialization ---- */

static void common_set(struct driver *d, unsigned offset, unsigned len, uint64_t value)
{
	bus_write(&d->b->mmio, d->common + offset, len, value);
}

static uint64_t common(struct driver *d, unsigned offset, unsigned len)
{
	return bus_read(&d->b->mmio, d->common + offset, len);
}

static bool driver_negotiate(struct driver *d, uint64_t wanted)
{
	uint64_t offered = 0;

	for (unsigned half = 0; half < 2; half++) {
		common_set(d, DEVICE_FEATURE_SELECT, 4, half);
		offered |= common(d, DEVICE_FEATURE, 4) << 32 * half;
	}
	EXPECT(offered & VERSION_1);
	d->features = offered & (wanted | VERSION_1);
	for (unsigned half = 0; half < 2; half++) {
		common_set(d, DRIVER_FEATURE_SELECT, 4, half);
		common_set(d, DRIVER_FEATURE, 4, d->features >> 32 * half & UINT32_MAX);
	}
	common_set(d, DEVICE_STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	EXPECT(common(d, DEVICE_STATUS, 1) & FEATURES_OK);
	return true;
}

static bool driver_queue_setup(struct driver *d, unsigned index)
{
	struct driver_queue *q = &d->queues[index];

	q->desc = board_alloc(d->b, 16 * DRIVER_QUEUE_SIZE, 16);
	q->avail = board_alloc(d->b, 6 + 2 * DRIVER_QUEUE_SIZE, 2);
	q->used = board_alloc(d->b, 6 + 8 * DRIVER_QUEUE_SIZE, 4);
	common_set(d, QUEUE_SELECT, 2, index);
	EXPECT(common(d, QUEUE_SIZE, 2) >= DRIVER_QUEUE_SIZE);
	common_set(d, QUEUE_SIZE, 2, DRIVER_QUEUE_SIZE);
	common_set(d, QUEUE_VECTOR, 2, index);
	EXPECT(common(d, QUEUE_VECTOR, 2) == index);
	common_set(d, QUEUE_DESC, 4, q->desc);
	common_set(d, QUEUE_DESC + 4, 4, 0);
	common_set(d, QUEUE_DRIVER, 8, q->avail);
	common_set(d, QUEUE_DEVICE, 8, q->used);
	q->doorbell = d->notify + common(d, QUEUE_NOTIFY_OFF, 2) * d->notify_step;
	common_set(d, QUEUE_ENABLE, 2, 1);
	EXPECT(common(d, QUEUE_ENABLE, 2) == 1);
	return true;
}

bool driver_start(struct driver *d, struct board *b, uint16_t type, uint64_t wanted, unsigned n)
{
	memset(d, 0, sizeof(*d));
	d->b = b;
	if (!driver_find(d, type) || !driver_reset(d))
		return false;
	common_set(d, DEVICE_STATUS, 1, ACKNOWLEDGE | DRIVER);
	if (!driver_negotiate(d, wanted))
		return false;
	common_set(d, CONFIG_VECTOR, 2, n);
	EXPECT(common(d, CONFIG_VECTOR, 2) == n);
	d->n_queues = n;
	for (unsigned i = 0; i < n; i++) {
		if (!driver_queue_setup(d, i))
			return false;
	}
	common_set(d, DEVICE_STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	board_service(b);
	EXPECT(common(d, DEVICE_STATUS, 1) == (ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK));
	return true;
}

uint8_t driver_status(struct driver *d)
{
	return (uint8_t)common(d, DEVICE_STATUS, 1);
}

bool driver_reset(struct driver *d)
{
	common_set(d, DEVICE_STATUS, 1, 0);
	board_service(d->b);
	EXPECT(common(d, DEVICE_STATUS, 1) == 0);
	return true;
}

/* ---- 2.7 Split Virtqueues ---- */

void driver_put(struct driver *d, unsigned queue, const struct piece *pieces, unsigned n)
{
	struct driver_queue *q = &d->queues[queue];
	uint8_t *desc = board_at(d->b, q->desc), *avail = board_at(d->b, q->avail);
	uint16_t index = le16_load(avail + 2);

	for (unsigned i = 0; i < n; i++) {
		uint8_t *at = desc + 16 * i;
		le64_store(at, pieces[i].gpa);
		le32_store(at + 8, pieces[i].len);
		le16_store(at + 12, (uint16_t)((i + 1 < n ? DESC_NEXT : 0) |
					       (pieces[i].is_device_writable ? DESC_WRITE : 0)));
		le16_store(at + 14, (uint16_t)(i + 1));
	}
	le16_store(avail + 4 + 2 * (index % DRIVER_QUEUE_SIZE), 0); /* the chain begins at 0 */
	le16_store(avail + 2, index + 1);
}

void driver_kick(struct driver *d, unsigned queue)
{
	bus_write(&d->b->mmio, d->queues[queue].doorbell, 2, queue);
	board_service(d->b);
}

void driver_irqs(struct driver *d)
{
	int vector;

	while ((vector = board_serve(d->b, 0)) >= 0) {
		unsigned entry = (unsigned)vector - VECTOR;
		if (entry <= DRIVER_QUEUES)
			d->irqs |= 1U << (entry == d->n_queues ? DRIVER_QUEUES : entry);
	}
}

bool driver_take(struct driver *d, unsigned queue, uint32_t *ret_len)
{
	struct driver_queue *q = &d->queues[queue];
	const uint8_t *used = board_at(d->b, q->used);

	EXPECT(le16_load(used + 2) == (uint16_t)(q->used_seen + 1));
	const uint8_t *entry = used + 4 + 8 * (q->used_seen % DRIVER_QUEUE_SIZE);
	EXPECT(le32_load(entry) == 0);
	*ret_len = le32_load(entry + 4);
	q->used_seen++;
	driver_irqs(d);
	EXPECT(d->irqs >> queue & 1);
	d->irqs &= ~(1U << queue);
	return true;
}

uint64_t driver_config(struct driver *d, unsigned offset, unsigned len)
{
	return bus_read(&d->b->mmio, d->config + offset, len);
}
