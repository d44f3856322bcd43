/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/virtio.h"

#include <string.h>

#include "base/core/bytes.h"
#include "devices/virtio/virtio_dev.h"

void virtio_dev_init(struct virtio_dev *dev, const struct virtio_dev_ops *ops,
		     const struct virtio_place *place, uint64_t features, uint16_t n_queues,
		     uint16_t queue_size, const void *config, uint16_t config_bytes)
{
	memset(dev, 0, sizeof(*dev));
	dev->ops = ops;
	dev->host = place->host;
	dev->mem = place->mem;
	dev->offered = features | VIRTIO_F_TRANSPORT;
	dev->n_queues = n_queues <= VIRTIO_QUEUES ? n_queues : VIRTIO_QUEUES;
	dev->config = config;
	dev->config_bytes = config_bytes;
	dev->config_vector = VIRTIO_NO_VECTOR;
	for (unsigned i = 0; i < dev->n_queues; i++) {
		dev->vectors[i] = VIRTIO_NO_VECTOR;
		dev->queues[i].size_max = queue_size;
		virtq_reset(&dev->queues[i]);
	}
}

uint16_t virtio_queues(const struct virtio_dev *dev)
{
	return dev->n_queues;
}

/* ---- reset ---- */

static void virtio_reset(struct virtio_dev *dev)
{
	if (dev->started && dev->ops->reset)
		dev->ops->reset(dev);
	for (unsigned i = 0; i < dev->n_queues; i++) {
		virtq_reset(&dev->queues[i]);
		dev->vectors[i] = VIRTIO_NO_VECTOR;
	}
	dev->config_vector = VIRTIO_NO_VECTOR;
	dev->accepted = 0;
	dev->status = 0;
	dev->started = dev->start_wanted = dev->reset_wanted = false;
	if (dev->transport)
		dev->transport->reset(dev);
}

static void virtio_reset_if_idle(struct virtio_dev *dev)
{
	if (dev->reset_wanted && dev->under_way == 0)
		virtio_reset(dev);
}

void virtio_begin(struct virtio_dev *dev)
{
	dev->under_way++;
}

void virtio_end(struct virtio_dev *dev)
{
	dev->under_way--;
	virtio_reset_if_idle(dev);
}

bool virtio_stop(struct virtio_dev *dev)
{
	lock_acquire(&dev->lock);
	dev->reset_wanted = true;
	bool idle = dev->under_way == 0;
	virtio_reset_if_idle(dev);
	lock_release(&dev->lock);
	return idle;
}

/* ---- the driver's wishes ---- */

static bool virtio_features_ok(struct virtio_dev *dev)
{
	if (dev->accepted & ~dev->offered || !virtio_has(dev, VIRTIO_F_VERSION_1))
		return false;
	return !dev->ops->features_ok || dev->ops->features_ok(dev, dev->accepted);
}

static void virtio_reset_ask(struct virtio_dev *dev)
{
	/* Before DRIVER_OK the I/O thread has seen nothing of it. */
	if (!dev->started && !dev->start_wanted) {
		virtio_reset(dev);
		return;
	}
	dev->reset_wanted = true;
	dev->host->ops->kick(dev->host, dev, VIRTIO_CONTROL);
}

void virtio_status_set(struct virtio_dev *dev, uint8_t status)
{
	const uint8_t was = dev->status;

	if (dev->reset_wanted)
		return;
	if (status == 0) {
		virtio_reset_ask(dev);
		return;
	}
	uint8_t fresh = (uint8_t)(status & ~was & ~VIRTIO_STATUS_NEEDS_RESET);
	if (fresh & VIRTIO_STATUS_FEATURES_OK && !virtio_features_ok(dev))
		fresh &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK; /* 2.2.2: the driver looks */
	if (!((was | fresh) & VIRTIO_STATUS_FEATURES_OK))
		fresh &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
	dev->status = (uint8_t)(was | fresh);
	if (fresh & VIRTIO_STATUS_DRIVER_OK) {
		dev->start_wanted = true;
		dev->host->ops->kick(dev->host, dev, VIRTIO_CONTROL);
	}
}

void virtio_features_set(struct virtio_dev *dev, uint32_t half, uint32_t bits)
{
	if (dev->status & VIRTIO_STATUS_FEATURES_OK || dev->reset_wanted || half > 1)
		return;
	dev->accepted &= ~((uint64_t)UINT32_MAX << (32 * half));
	dev->accepted |= (uint64_t)bits << (32 * half);
}

void virtio_queue_enable(struct virtio_dev *dev, uint16_t queue)
{
	struct virtq *vq = &dev->queues[queue];

	if (vq->enabled || dev->reset_wanted || !(dev->status & VIRTIO_STATUS_FEATURES_OK))
		return;
	if (virtq_enable(vq, dev->mem, virtio_has(dev, VIRTIO_F_EVENT_IDX),
			 virtio_has(dev, VIRTIO_F_INDIRECT_DESC)) < 0)
		virtio_broken(dev);
}

uint64_t virtio_config_read(struct virtio_dev *dev, uint64_t offset, unsigned len)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < len && offset + i < dev->config_bytes; i++)
		value |= (uint64_t)dev->config[offset + i] << (8 * i);
	return value;
}

void virtio_config_put(struct virtio_dev *dev, uint64_t offset, unsigned len, uint64_t value)
{
	uint8_t bytes[8];

	if (!dev->ops->config_write || dev->reset_wanted || offset >= dev->config_bytes ||
	    len > dev->config_bytes - offset)
		return;
	le64_store(bytes, value);
	dev->ops->config_write(dev, (unsigned)offset, bytes, len);
}

/* ---- running ---- */

bool virtio_live(const struct virtio_dev *dev, uint16_t queue)
{
	return dev->started && !dev->reset_wanted && !(dev->status & VIRTIO_STATUS_NEEDS_RESET) &&
	       queue < dev->n_queues && dev->queues[queue].enabled;
}

void virtio_serve(struct virtio_dev *dev, uint16_t queue)
{
	if (virtio_live(dev, queue) && dev->ops->handle(dev, queue) < 0)
		virtio_broken(dev);
}

static void virtio_start(struct virtio_dev *dev)
{
	dev->start_wanted = false;
	dev->started = true;
	if (dev->ops->start)
		dev->ops->start(dev);
	for (uint16_t i = 0; i < dev->n_queues; i++)
		virtio_serve(dev, i);
}

void virtio_queue_run(struct virtio_dev *dev, uint16_t queue)
{
	lock_acquire(&dev->lock);
	if (dev->reset_wanted)
		virtio_reset_if_idle(dev);
	else if (dev->start_wanted)
		virtio_start(dev);
	else
		virtio_serve(dev, queue);
	lock_release(&dev->lock);
}

void virtio_signal(struct virtio_dev *dev, uint16_t queue)
{
	if (virtio_live(dev, queue) && virtq_publish(&dev->queues[queue]))
		dev->transport->queue_irq(dev, queue);
}

void virtio_again(struct virtio_dev *dev, uint16_t queue)
{
	dev->host->ops->kick(dev->host, dev, queue);
}

void virtio_broken(struct virtio_dev *dev)
{
	if (dev->status & VIRTIO_STATUS_NEEDS_RESET)
		return;
	dev->status |= VIRTIO_STATUS_NEEDS_RESET;
	/* 2.1.2: the notification is for a driver that is running. */
	if (dev->status & VIRTIO_STATUS_DRIVER_OK)
		virtio_config_changed(dev);
}

void virtio_config_changed(struct virtio_dev *dev)
{
	dev->generation++;
	if (dev->transport && dev->status & VIRTIO_STATUS_DRIVER_OK && !dev->reset_wanted)
		dev->transport->config_irq(dev);
}

void virtio_held(struct virtio_dev *dev, virtio_tell *tell, void *arg)
{
	lock_acquire(&dev->lock);
	for (unsigned i = 0; i < dev->n_queues; i++)
		virtq_held(&dev->queues[i], tell, arg);
	if (dev->ops->held)
		dev->ops->held(dev, tell, arg);
	lock_release(&dev->lock);
}

bool virtio_needs_reset(struct virtio_dev *dev)
{
	lock_acquire(&dev->lock);
	bool broken = dev->status & VIRTIO_STATUS_NEEDS_RESET;
	lock_release(&dev->lock);
	return broken;
}
