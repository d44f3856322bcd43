/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/virtio_pci.h"

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "devices/virtio/virtio_dev.h"

#define VIRTIO_PCI_VENDOR 0x1af4U
#define VIRTIO_PCI_ID	  0x1040U /* plus the device's: 4.1.2 PCI Device Discovery */

/* 4.1.4 Virtio Structure PCI Capabilities */
#define PCI_CAP_VENDOR 0x09U
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_ACCESS };
#define CAP_BYTES      16U
#define CAP_LONG_BYTES 20U /* notify: and the multiplier; access: and the data */
#define CAP_LEN_AT     2U
#define CAP_TYPE_AT    3U
#define CAP_BAR_AT     4U
#define CAP_OFFSET_AT  8U
#define CAP_LENGTH_AT  12U
#define CAP_EXTRA_AT   16U
#define COMMON_BYTES   60U
#define PAGE_BYTES     0x1000U
#define NOTIFY_LAST    (VIRTIO_QUEUES * VIRTIO_PCI_NOTIFY_STEP)
#define ISR_QUEUE      1U
#define ISR_CONFIG     2U
#define PCI_COMMAND_AT 4U
#define PCI_BAR_AT     0x10U

/* 4.1.4.3 Common configuration structure layout */
enum common_field {
	COMMON_DEVICE_FEATURE_SELECT = 0,
	COMMON_DEVICE_FEATURE = 4,
	COMMON_DRIVER_FEATURE_SELECT = 8,
	COMMON_DRIVER_FEATURE = 12,
	COMMON_CONFIG_VECTOR = 16,
	COMMON_NUM_QUEUES = 18,
	COMMON_STATUS = 20,
	COMMON_GENERATION = 21,
	COMMON_QUEUE_SELECT = 22,
	COMMON_QUEUE_SIZE = 24,
	COMMON_QUEUE_VECTOR = 26,
	COMMON_QUEUE_ENABLE = 28,
	COMMON_QUEUE_NOTIFY_OFF = 30,
	COMMON_QUEUE_DESC = 32,
	COMMON_QUEUE_DRIVER = 40,
	COMMON_QUEUE_DEVICE = 48,
	COMMON_QUEUE_NOTIFY_DATA = 56,
	COMMON_QUEUE_RESET = 58,
};

static struct virtio_pci *virtio_pci_of(const struct virtio_dev *dev)
{
	return dev->transport_of;
}

static struct virtio_pci *virtio_pci_at(struct bus_region *region)
{
	struct pci_dev *pci = container_of(region, struct pci_bar, region)->dev;

	return container_of(pci, struct virtio_pci, pci);
}

/* ---- interrupts ---- */

static void virtio_pci_irq(struct virtio_pci *vp, uint16_t vector, uint8_t isr)
{
	if (pci_msix_enabled(&vp->pci)) {
		if (vector != VIRTIO_NO_VECTOR)
			pci_msix_fire(&vp->pci, vector);
		return;
	}
	vp->isr |= isr;
	pci_intx_set(&vp->pci, true);
}

static void virtio_pci_queue_irq(struct virtio_dev *dev, uint16_t queue)
{
	virtio_pci_irq(virtio_pci_of(dev), dev->vectors[queue], ISR_QUEUE);
}

static void virtio_pci_config_irq(struct virtio_dev *dev)
{
	virtio_pci_irq(virtio_pci_of(dev), dev->config_vector, ISR_CONFIG);
}

static void virtio_pci_reset(struct virtio_dev *dev)
{
	struct virtio_pci *vp = virtio_pci_of(dev);

	vp->isr = 0;
	vp->queue_select = 0;
	vp->device_feature_select = vp->driver_feature_select = 0;
	pci_intx_set(&vp->pci, false);
}

static const struct virtio_transport_ops virtio_pci_transport = {
	.queue_irq = virtio_pci_queue_irq,
	.config_irq = virtio_pci_config_irq,
	.reset = virtio_pci_reset,
};

/* 4.1.4.5: a read of the ISR status clears it, and the line with it. */
static uint64_t virtio_pci_isr_read(struct virtio_pci *vp, uint64_t offset)
{
	if (offset != 0)
		return 0;
	uint8_t isr = vp->isr;
	vp->isr = 0;
	pci_intx_set(&vp->pci, false);
	return isr;
}

/* ---- the common structure ---- */

/* NULL: no such queue, and its fields read as zero (4.1.4.3.1: queue_size 0 says that). */
static struct virtq *common_queue(struct virtio_pci *vp)
{
	return vp->queue_select < vp->dev->n_queues ? &vp->dev->queues[vp->queue_select] : NULL;
}

static gpa_t *common_address(struct virtq *vq, uint64_t offset)
{
	return offset < COMMON_QUEUE_DRIVER   ? &vq->desc_gpa
	       : offset < COMMON_QUEUE_DEVICE ? &vq->avail_gpa
					      : &vq->used_gpa;
}

/* An address is read and written whole, or by halves. */
static bool common_is_address(uint64_t offset, unsigned len)
{
	return offset >= COMMON_QUEUE_DESC && offset < COMMON_QUEUE_NOTIFY_DATA &&
	       ((len == 4 && offset % 4 == 0) || (len == 8 && offset % 8 == 0));
}

static uint64_t common_read_queue(struct virtio_pci *vp, uint64_t offset, unsigned len)
{
	struct virtq *vq = common_queue(vp);

	if (!vq)
		return offset == COMMON_QUEUE_VECTOR ? VIRTIO_NO_VECTOR : 0;
	if (common_is_address(offset, len))
		return *common_address(vq, offset) >> (offset % 8 * 8);
	if (len != 2)
		return 0;
	switch (offset) {
	case COMMON_QUEUE_SIZE:
		return vq->size;
	case COMMON_QUEUE_VECTOR:
		return vp->dev->vectors[vp->queue_select];
	case COMMON_QUEUE_ENABLE:
		return vq->enabled;
	case COMMON_QUEUE_NOTIFY_OFF:
	case COMMON_QUEUE_NOTIFY_DATA:
		return vp->queue_select;
	default:
		return 0; /* COMMON_QUEUE_RESET: not offered */
	}
}

static uint32_t common_features(uint64_t features, uint32_t half)
{
	return half > 1 ? 0 : (uint32_t)(features >> (32 * half));
}

static unsigned common_field_bytes(uint64_t offset)
{
	return offset < COMMON_CONFIG_VECTOR				? 4
	       : offset == COMMON_STATUS || offset == COMMON_GENERATION ? 1
									: 2;
}

static uint64_t common_read(struct virtio_pci *vp, uint64_t offset, unsigned len)
{
	struct virtio_dev *dev = vp->dev;

	if (offset >= COMMON_QUEUE_SIZE)
		return common_read_queue(vp, offset, len);
	if (len != common_field_bytes(offset))
		return 0;
	switch (offset) {
	case COMMON_DEVICE_FEATURE_SELECT:
		return vp->device_feature_select;
	case COMMON_DEVICE_FEATURE:
		return common_features(dev->offered, vp->device_feature_select);
	case COMMON_DRIVER_FEATURE_SELECT:
		return vp->driver_feature_select;
	case COMMON_DRIVER_FEATURE:
		return common_features(dev->accepted, vp->driver_feature_select);
	case COMMON_CONFIG_VECTOR:
		return dev->config_vector;
	case COMMON_NUM_QUEUES:
		return dev->n_queues;
	case COMMON_STATUS:
		return dev->status;
	case COMMON_GENERATION:
		return dev->generation;
	case COMMON_QUEUE_SELECT:
		return vp->queue_select;
	default:
		return 0;
	}
}

/* 4.1.5.1.2.1: a vector that cannot be had reads back as none. */
static uint16_t common_vector(const struct virtio_pci *vp, uint64_t value)
{
	return value < vp->pci.msix.vectors ? (uint16_t)value : VIRTIO_NO_VECTOR;
}

static void common_write_address(struct virtq *vq, uint64_t offset, unsigned len, uint64_t value)
{
	gpa_t *address = common_address(vq, offset);

	if (len == 8)
		*address = value;
	else if (offset % 8)
		*address = (*address & UINT32_MAX) | value << 32;
	else
		*address = (*address & ~(uint64_t)UINT32_MAX) | value;
}

static void common_write_queue(struct virtio_pci *vp, uint64_t offset, unsigned len, uint64_t value)
{
	struct virtq *vq = common_queue(vp);

	if (!vq || vp->dev->reset_wanted)
		return;
	if (common_is_address(offset, len)) {
		if (!vq->enabled)
			common_write_address(vq, offset, len, value);
	} else if (len == 2 && offset == COMMON_QUEUE_SIZE) {
		if (!vq->enabled)
			vq->size = (uint16_t)value;
	} else if (len == 2 && offset == COMMON_QUEUE_VECTOR) {
		vp->dev->vectors[vp->queue_select] = common_vector(vp, value);
	} else if (len == 2 && offset == COMMON_QUEUE_ENABLE && value == 1) {
		virtio_queue_enable(vp->dev, vp->queue_select);
	}
}

static void common_write(struct virtio_pci *vp, uint64_t offset, unsigned len, uint64_t value)
{
	if (offset >= COMMON_QUEUE_SIZE) {
		common_write_queue(vp, offset, len, value);
		return;
	}
	if (len != common_field_bytes(offset))
		return;
	switch (offset) {
	case COMMON_DEVICE_FEATURE_SELECT:
		vp->device_feature_select = (uint32_t)value;
		break;
	case COMMON_DRIVER_FEATURE_SELECT:
		vp->driver_feature_select = (uint32_t)value;
		break;
	case COMMON_DRIVER_FEATURE:
		virtio_features_set(vp->dev, vp->driver_feature_select, (uint32_t)value);
		break;
	case COMMON_CONFIG_VECTOR:
		vp->dev->config_vector = common_vector(vp, value);
		break;
	case COMMON_STATUS:
		virtio_status_set(vp->dev, (uint8_t)value);
		break;
	case COMMON_QUEUE_SELECT:
		vp->queue_select = (uint16_t)value;
		break;
	default:
		break;
	}
}

/* ---- the BAR ---- */

static uint64_t virtio_pci_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct virtio_pci *vp = virtio_pci_at(region);
	uint64_t value = 0;

	lock_acquire(&vp->dev->lock);
	switch (offset - offset % PAGE_BYTES) {
	case VIRTIO_PCI_COMMON:
		value = common_read(vp, offset, len);
		break;
	case VIRTIO_PCI_ISR:
		value = virtio_pci_isr_read(vp, offset % PAGE_BYTES);
		break;
	case VIRTIO_PCI_DEVICE:
		value = virtio_config_read(vp->dev, offset % PAGE_BYTES, len);
		break;
	default: /* doorbells */
		break;
	}
	lock_release(&vp->dev->lock);
	return value;
}

/* The queue's number is in the address; what is written (4.1.4.4) says the same. */
static void virtio_pci_notify(struct virtio_pci *vp, uint64_t offset)
{
	uint64_t queue = offset / VIRTIO_PCI_NOTIFY_STEP;

	if (queue < vp->dev->n_queues)
		vp->dev->host->ops->kick(vp->dev->host, vp->dev, (uint16_t)queue);
}

static void virtio_pci_write(struct bus_region *region, uint64_t offset, unsigned len,
			     uint64_t value)
{
	struct virtio_pci *vp = virtio_pci_at(region);

	if (offset >= VIRTIO_PCI_NOTIFY) {
		virtio_pci_notify(vp, offset - VIRTIO_PCI_NOTIFY);
		return;
	}
	lock_acquire(&vp->dev->lock);
	if (offset < VIRTIO_PCI_ISR)
		common_write(vp, offset, len, value);
	else if (offset >= VIRTIO_PCI_DEVICE)
		virtio_config_put(vp->dev, offset - VIRTIO_PCI_DEVICE, len, value);
	lock_release(&vp->dev->lock);
}

static const struct bus_ops virtio_pci_bar_ops = {
	.name = "virtio-pci",
	.read = virtio_pci_read,
	.write = virtio_pci_write,
};

/* ---- configuration space ---- */

gpa_t virtio_pci_doorbell(const struct virtio_dev *dev, uint16_t queue)
{
	const struct pci_bar *bar = &virtio_pci_of(dev)->pci.bars[VIRTIO_PCI_BAR];

	return bar->mapped ? bar->region.base + VIRTIO_PCI_NOTIFY +
				     (uint64_t)queue * VIRTIO_PCI_NOTIFY_STEP
			   : 0;
}

/* 4.1.4.9: the guest describes an access to a BAR, and the data's bytes do it. NULL: it makes no sense. */
static struct bus_region *access_region(struct virtio_pci *vp, uint32_t *ret_offset,
					unsigned *ret_len)
{
	const uint8_t *cap = &vp->pci.config[vp->access_cap];
	const uint32_t offset = le32_load(&cap[CAP_OFFSET_AT]),
		       len = le32_load(&cap[CAP_LENGTH_AT]);

	if (cap[CAP_BAR_AT] != VIRTIO_PCI_BAR || (len != 1 && len != 2 && len != 4) ||
	    offset % len || offset >= VIRTIO_PCI_BAR_BYTES)
		return NULL;
	*ret_offset = offset;
	*ret_len = len;
	return &vp->pci.bars[VIRTIO_PCI_BAR].region;
}

static bool access_is_data(const struct virtio_pci *vp, unsigned offset, unsigned len)
{
	const unsigned data = vp->access_cap + CAP_EXTRA_AT;

	return offset < data + 4 && data < offset + len;
}

static void virtio_pci_config_reads(struct pci_dev *pci, unsigned offset, unsigned len)
{
	struct virtio_pci *vp = container_of(pci, struct virtio_pci, pci);
	uint32_t at;
	unsigned n;

	if (!access_is_data(vp, offset, len))
		return;
	struct bus_region *region = access_region(vp, &at, &n);
	if (region)
		le32_store(&pci->config[vp->access_cap + CAP_EXTRA_AT],
			   (uint32_t)virtio_pci_read(region, at, n));
}

static void virtio_pci_config_wrote(struct pci_dev *pci, unsigned offset, unsigned len)
{
	struct virtio_pci *vp = container_of(pci, struct virtio_pci, pci);
	uint32_t at;
	unsigned n;

	struct bus_region *region =
		access_is_data(vp, offset, len) ? access_region(vp, &at, &n) : NULL;
	if (region) {
		uint64_t value = le32_load(&pci->config[vp->access_cap + CAP_EXTRA_AT]);
		virtio_pci_write(region, at, n, value & (UINT32_MAX >> (32 - 8 * n)));
	}
}

static void virtio_pci_bar_moved(struct pci_dev *pci, unsigned bar)
{
	struct virtio_pci *vp = container_of(pci, struct virtio_pci, pci);

	if (bar == VIRTIO_PCI_BAR && vp->dev->host->ops->doorbells_moved)
		vp->dev->host->ops->doorbells_moved(vp->dev->host, vp->dev);
}

static const struct pci_dev_ops virtio_pci_dev_ops = {
	.name = "virtio",
	.config_reads = virtio_pci_config_reads,
	.config_wrote = virtio_pci_config_wrote,
	.bar_moved = virtio_pci_bar_moved,
};

/* ---- attaching ---- */

static int virtio_pci_cap(struct virtio_pci *vp, uint8_t type, uint32_t offset, uint32_t length,
			  unsigned bytes)
{
	int at = pci_cap_add(&vp->pci, PCI_CAP_VENDOR, bytes);

	if (at < 0)
		return at;
	uint8_t *cap = &vp->pci.config[at];
	cap[CAP_LEN_AT] = (uint8_t)bytes;
	cap[CAP_TYPE_AT] = type;
	cap[CAP_BAR_AT] = VIRTIO_PCI_BAR;
	le32_store(&cap[CAP_OFFSET_AT], offset);
	le32_store(&cap[CAP_LENGTH_AT], length);
	return at;
}

static void virtio_pci_access_cap(struct virtio_pci *vp, int at)
{
	uint8_t *writable = &vp->pci.writable[at];

	vp->access_cap = (uint8_t)at;
	writable[CAP_BAR_AT] = 0xff;
	le32_store(&writable[CAP_OFFSET_AT], UINT32_MAX);
	le32_store(&writable[CAP_LENGTH_AT], UINT32_MAX);
	le32_store(&writable[CAP_EXTRA_AT], UINT32_MAX);
}

static int virtio_pci_caps(struct virtio_pci *vp)
{
	const uint32_t config = vp->dev->config_bytes;
	int r = virtio_pci_cap(vp, CAP_COMMON, VIRTIO_PCI_COMMON, COMMON_BYTES, CAP_BYTES);

	if (r >= 0)
		r = virtio_pci_cap(vp, CAP_NOTIFY, VIRTIO_PCI_NOTIFY, NOTIFY_LAST, CAP_LONG_BYTES);
	if (r >= 0)
		le32_store(&vp->pci.config[(unsigned)r + CAP_EXTRA_AT], VIRTIO_PCI_NOTIFY_STEP);
	if (r >= 0)
		r = virtio_pci_cap(vp, CAP_ISR, VIRTIO_PCI_ISR, 1, CAP_BYTES);
	if (r >= 0 && config) /* 4.1.4.6: only where the device has one */
		r = virtio_pci_cap(vp, CAP_DEVICE, VIRTIO_PCI_DEVICE, config, CAP_BYTES);
	if (r >= 0)
		r = virtio_pci_cap(vp, CAP_ACCESS, 0, 0, CAP_LONG_BYTES);
	if (r >= 0)
		virtio_pci_access_cap(vp, r);
	return r < 0 ? r
		     : pci_msix_init(&vp->pci, VIRTIO_PCI_MSIX_BAR,
				     (uint16_t)(vp->dev->n_queues + 1));
}

int virtio_pci_attach(struct virtio_pci *vp, struct virtio_dev *dev, struct pci_bus *bus, int slot,
		      struct err *err)
{
	const uint16_t id = (uint16_t)(VIRTIO_PCI_ID + dev->ops->device_id);
	const struct pci_ids ids = {
		.vendor = VIRTIO_PCI_VENDOR,
		.device = id,
		.subsystem_vendor = VIRTIO_PCI_VENDOR,
		.subsystem = id,
		.class_code = dev->ops->class_code,
		.revision = 1, /* 4.1.2.1 */
	};

	vp->dev = dev;
	pci_dev_init(&vp->pci, &virtio_pci_dev_ops, &ids);
	pci_bar_set(&vp->pci, VIRTIO_PCI_BAR, &virtio_pci_bar_ops, NULL, VIRTIO_PCI_BAR_BYTES,
		    false, false);
	int r = virtio_pci_caps(vp);
	if (r < 0)
		return err_say(err, -r, "add %s: its capabilities do not fit", dev->ops->name);
	dev->transport_of = vp;
	r = pci_add(bus, &vp->pci, slot, err);
	if (r < 0)
		return r;
	dev->transport = &virtio_pci_transport;
	return 0;
}
