/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio.h"

#define VENDOR 0x1af4

/* Virtio Structure PCI Capabilities: cfg_type. */
enum { CFG_COMMON = 1, CFG_NOTIFY, CFG_ISR, CFG_DEVICE };

/* Common configuration structure layout. */
enum {
	DEVICE_FEATURE_SELECT = 0x00,
	DEVICE_FEATURE = 0x04,
	DRIVER_FEATURE_SELECT = 0x08,
	DRIVER_FEATURE = 0x0c,
	DEVICE_STATUS = 0x14,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_VECTOR = 0x1a,
	QUEUE_ENABLE = 0x1c,
	QUEUE_NOTIFY_OFF = 0x1e,
	QUEUE_DESC = 0x20,
	QUEUE_DRIVER = 0x28,
	QUEUE_DEVICE = 0x30,
};

static bool structures_find(struct virtio *v)
{
	for (unsigned cap = pci_cap(v->slot, PCI_CAP_VENDOR, 0); cap;
	     cap = pci_cap(v->slot, PCI_CAP_VENDOR, cap)) {
		uint8_t type = pci_read8(v->slot, cap + 3);
		if (type < CFG_COMMON || type > CFG_DEVICE)
			continue;
		uint64_t at = pci_bar(v->slot, pci_read8(v->slot, cap + 4)) +
			      pci_read32(v->slot, cap + 8);
		if (type == CFG_COMMON && !v->common) {
			v->common = at;
			v->common_bar = pci_read8(v->slot, cap + 4);
		}
		if (type == CFG_ISR && !v->isr)
			v->isr = at;
		if (type == CFG_DEVICE && !v->config)
			v->config = at;
		if (type == CFG_NOTIFY && !v->notify) {
			v->notify = at;
			v->notify_multiplier = pci_read32(v->slot, cap + 16);
		}
	}
	return v->common && v->notify && v->isr;
}

bool virtio_find(uint16_t type, unsigned nth, struct virtio *ret)
{
	int slot = pci_find(VENDOR, (uint16_t)(0x1040 + type), nth);

	if (slot < 0)
		return false;
	*ret = (struct virtio){ .slot = (unsigned)slot };
	uint16_t command = pci_read16(ret->slot, PCI_COMMAND);
	pci_write16(ret->slot, PCI_COMMAND, command | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return structures_find(ret);
}

uint8_t virtio_status(const struct virtio *v)
{
	return read8(v->common + DEVICE_STATUS);
}

void virtio_status_set(const struct virtio *v, uint8_t status)
{
	write8(v->common + DEVICE_STATUS, status);
}

bool virtio_reset(struct virtio *v)
{
	struct within w = { 0 };

	virtio_status_set(v, 0);
	while (virtio_status(v) != 0 && within(&w, 10))
		pause();
	return virtio_status(v) == 0;
}

uint64_t virtio_offered(const struct virtio *v)
{
	write32(v->common + DEVICE_FEATURE_SELECT, 0);
	uint64_t low = read32(v->common + DEVICE_FEATURE);
	write32(v->common + DEVICE_FEATURE_SELECT, 1);
	return low | (uint64_t)read32(v->common + DEVICE_FEATURE) << 32;
}

bool virtio_begin(struct virtio *v, uint64_t wanted)
{
	if (!virtio_reset(v))
		return false;
	virtio_status_set(v, STATUS_ACKNOWLEDGE);
	virtio_status_set(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	v->features = virtio_offered(v) & (wanted | VIRTIO_F_VERSION_1);
	write32(v->common + DRIVER_FEATURE_SELECT, 0);
	write32(v->common + DRIVER_FEATURE, (uint32_t)v->features);
	write32(v->common + DRIVER_FEATURE_SELECT, 1);
	write32(v->common + DRIVER_FEATURE, (uint32_t)(v->features >> 32));
	virtio_status_set(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	return (virtio_status(v) & STATUS_FEATURES_OK) && virtio_has(v, VIRTIO_F_VERSION_1);
}

static void address_write(uint64_t at, volatile const void *memory)
{
	write32(at, (uint32_t)(uintptr_t)memory);
	write32(at + 4, (uint32_t)((uintptr_t)memory >> 32));
}

/* The rings end where size says: a smaller queue is still laid out with room for VIRTQ_MAX. */
bool virtio_queue(struct virtio *v, uint16_t index, uint16_t size, uint16_t vector)
{
	struct virtq *q = &v->queues[index];

	write16(v->common + QUEUE_SELECT, index);
	uint16_t most = read16(v->common + QUEUE_SIZE);
	if (most == 0)
		return false;
	if (!q->desc) {
		q->desc = mem_alloc(VIRTQ_MAX * sizeof(struct virtq_desc), 16);
		q->avail = mem_alloc(sizeof(struct virtq_avail), 2);
		q->used = mem_alloc(sizeof(struct virtq_used), 4);
	}
	q->index = index;
	q->size = size < most ? size : most;
	q->free = q->seen = 0;
	q->avail->idx = q->used->idx = 0;
	write16(v->common + QUEUE_SIZE, q->size);
	write16(v->common + QUEUE_VECTOR, vector);
	address_write(v->common + QUEUE_DESC, q->desc);
	address_write(v->common + QUEUE_DRIVER, q->avail);
	address_write(v->common + QUEUE_DEVICE, q->used);
	q->notify =
		v->notify + (uint64_t)v->notify_multiplier * read16(v->common + QUEUE_NOTIFY_OFF);
	bool heard = read16(v->common + QUEUE_VECTOR) == vector;
	write16(v->common + QUEUE_ENABLE, 1);
	return heard;
}

void virtio_ready(struct virtio *v)
{
	virtio_status_set(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK |
				     STATUS_DRIVER_OK);
}

bool virtio_start(struct virtio *v, uint64_t wanted, uint16_t queues)
{
	if (!virtio_begin(v, wanted))
		return false;
	for (uint16_t i = 0; i < queues; i++) {
		if (!virtio_queue(v, i, VIRTQ_MAX, NO_VECTOR))
			return false;
	}
	virtio_ready(v);
	return true;
}

bool virtio_has(const struct virtio *v, uint64_t feature)
{
	return (v->features & feature) == feature;
}

void virtq_offer(struct virtq *q, uint16_t head)
{
	q->avail->ring[q->avail->idx % q->size] = head;
	barrier();
	q->avail->idx++;
}

uint16_t virtq_add(struct virtq *q, const struct piece *pieces, unsigned n_out, unsigned n_in)
{
	unsigned n = n_out + n_in;
	uint16_t head = q->free;

	for (unsigned i = 0; i < n; i++) {
		uint16_t at = (uint16_t)((head + i) % q->size);
		volatile struct virtq_desc *d = &q->desc[at];
		d->addr = (uintptr_t)pieces[i].data;
		d->len = pieces[i].len;
		d->next = (uint16_t)((at + 1) % q->size);
		d->flags =
			(uint16_t)((i + 1 < n ? VIRTQ_NEXT : 0) | (i >= n_out ? VIRTQ_WRITE : 0));
	}
	q->free = (uint16_t)((head + n) % q->size);
	virtq_offer(q, head);
	return head;
}

uint16_t virtq_add_indirect(struct virtq *q, struct virtq_desc *table, const struct piece *pieces,
			    unsigned n_out, unsigned n_in)
{
	unsigned n = n_out + n_in;
	uint16_t head = q->free;

	for (unsigned i = 0; i < n; i++) {
		table[i] = (struct virtq_desc){
			.addr = (uintptr_t)pieces[i].data,
			.len = pieces[i].len,
			.next = (uint16_t)(i + 1),
			.flags = (uint16_t)((i + 1 < n ? VIRTQ_NEXT : 0) |
					    (i >= n_out ? VIRTQ_WRITE : 0)),
		};
	}
	q->desc[head].addr = (uintptr_t)table;
	q->desc[head].len = n * (uint32_t)sizeof(*table);
	q->desc[head].flags = VIRTQ_INDIRECT;
	q->free = (uint16_t)((head + 1) % q->size);
	virtq_offer(q, head);
	return head;
}

void virtq_kick(struct virtq *q)
{
	fence();
	write16(q->notify, q->index);
}

bool virtq_wants_kick(const struct virtq *q, uint16_t from)
{
	fence();
	return (uint16_t)(q->avail->idx - q->used->avail_event - 1) <
	       (uint16_t)(q->avail->idx - from);
}

bool virtq_take(struct virtq *q, uint32_t *ret_head, uint32_t *ret_len)
{
	if (q->used->idx == q->seen)
		return false;
	barrier();
	volatile struct virtq_used_elem *e = &q->used->ring[q->seen % q->size];
	*ret_head = e->id;
	*ret_len = e->len;
	q->seen++;
	return true;
}

bool virtq_pop(struct virtq *q, uint32_t *ret_head, uint32_t *ret_len)
{
	if (!virtq_take(q, ret_head, ret_len))
		return false;
	q->avail->used_event = q->seen; /* used with EVENT_IDX alone */
	return true;
}

bool virtq_ask(struct virtq *q, uint16_t more)
{
	q->avail->used_event = (uint16_t)(q->seen + more - 1);
	fence();
	return (uint16_t)(q->used->idx - q->seen) < more;
}

bool virtq_wait(struct virtq *q, uint32_t *ret_head, uint32_t *ret_len, unsigned seconds)
{
	struct within w = { 0 };

	while (!virtq_pop(q, ret_head, ret_len)) {
		if (!within(&w, seconds))
			return false;
		pause();
	}
	return true;
}

int64_t virtq_do(struct virtq *q, const struct piece *pieces, unsigned n_out, unsigned n_in)
{
	uint32_t used, len;
	uint16_t head = virtq_add(q, pieces, n_out, n_in);

	virtq_kick(q);
	if (!virtq_wait(q, &used, &len, 10) || used != head)
		return -1;
	return len;
}
