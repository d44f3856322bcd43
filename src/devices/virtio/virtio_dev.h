/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * virtio for who implements a device, or a transport: the state that every device has.
 *
 * Theory of operation.
 *
 *   vcpu threads                                  the device's I/O thread
 *   transport: status, features, queues,          virtio_queue_run()
 *   configuration; under dev->lock                  reset, start    once the guest asked and nothing is under way
 *        |                                          handle(queue)   pop, serve, virtio_signal()
 *        +-- kick() ----------------------------->  completions of the back end
 *
 * A driver that writes 0 to the status asks for a reset: queues stop at once, requests under way are waited for on the I/O
 * thread, and only then does the status read 0 (virtio 1.2, 4.1.4.3.1: the driver waits for that). A broken ring sets
 * DEVICE_NEEDS_RESET, with a configuration interrupt (2.1.2), and stops the device until it is reset.
 * Source: virtio 1.2, 2 Basic Facilities of a Virtio Device, 3 General Initialization and Device Operation.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/lock.h"
#include "devices/virtio/virtio.h"
#include "devices/virtio/virtq.h"

#define VIRTIO_BIT(n) (UINT64_C(1) << (n))

/* 6 Reserved Feature Bits */
#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX     29
#define VIRTIO_F_VERSION_1     32
#define VIRTIO_F_TRANSPORT                                                                         \
	(VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |                     \
	 VIRTIO_BIT(VIRTIO_F_VERSION_1))

/* 2.1 Device Status Field */
#define VIRTIO_STATUS_ACKNOWLEDGE 1U
#define VIRTIO_STATUS_DRIVER	  2U
#define VIRTIO_STATUS_DRIVER_OK	  4U
#define VIRTIO_STATUS_FEATURES_OK 8U
#define VIRTIO_STATUS_NEEDS_RESET 64U
#define VIRTIO_STATUS_FAILED	  128U

/* 5 Device Types */
enum virtio_id {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_RNG = 4,
	VIRTIO_ID_BALLOON = 5,
	VIRTIO_ID_VSOCK = 19,
	VIRTIO_ID_FS = 26,
};

#define VIRTIO_QUEUES	 34U /* of one device: a console of 16 ports */
#define VIRTIO_NO_VECTOR UINT16_C(0xffff)

/* A device's own; lock held in each. */
struct virtio_dev_ops {
	const char *name;    /* "virtio-rng" */
	uint16_t device_id;  /* enum virtio_id */
	uint32_t class_code; /* on PCI: base class, sub-class, programming interface */
	/*
	 * Mandatory. I/O thread: the queue was kicked, or the device started. Pops what there is, within a bound, and signals.
	 * Return: 0, or < 0: the device needs a reset.
	 */
	int (*handle)(struct virtio_dev *dev, uint16_t queue);
	/* Optional. I/O thread: the driver is there; every queue is handled right after. */
	void (*start)(struct virtio_dev *dev);
	/* Optional. I/O thread: after start(), nothing is under way; forget chains that are held. */
	void (*reset)(struct virtio_dev *dev);
	/*
	 * Optional. Any thread: every range of guest memory that it, or a back end for it, keeps an address of between its turns,
	 * but its queues. Mandatory for a device that does, where memory comes and goes.
	 */
	void (*held)(struct virtio_dev *dev, virtio_tell *tell, void *arg);
	/* Optional. vcpu thread: whether this subset of the offered bits holds together. */
	bool (*features_ok)(struct virtio_dev *dev, uint64_t features);
	/* Optional. vcpu thread: [offset, offset + len) is inside the configuration. Without it nothing is writable. */
	void (*config_write)(struct virtio_dev *dev, unsigned offset, const void *data,
			     unsigned len);
};

struct virtio_transport_ops {
	/* All mandatory; lock held. */
	void (*queue_irq)(struct virtio_dev *dev, uint16_t queue);
	void (*config_irq)(struct virtio_dev *dev);
	void (*reset)(struct virtio_dev *dev);
};

struct virtio_dev { /* embedded by the device */
	const struct virtio_dev_ops *ops;
	const struct virtio_transport_ops *transport; /* NULL until attached */
	void *transport_of;			      /* the transport's */
	struct virtio_host *host;
	struct guest_mem *mem;
	struct lock lock; /* of all that follows, and of the device */
	uint64_t offered, accepted;
	const uint8_t *config; /* the device's */
	uint16_t config_bytes;
	uint16_t n_queues;
	uint8_t status;
	uint8_t generation;	/* of the configuration: 2.5 */
	bool started;		/* start() was called */
	bool start_wanted;	/* DRIVER_OK was written */
	bool reset_wanted;	/* 0 was written */
	uint32_t under_way;	/* chains that a back end works on */
	uint16_t config_vector; /* the transport's, as the next */
	uint16_t vectors[VIRTIO_QUEUES];
	struct virtq queues[VIRTIO_QUEUES];
};

/* ---- for devices ---- */

/*
 * virtio_dev_init() - @features: device bits only; @queue_size: a power of two, <= VIRTQ_SIZE_MAX
 * @config: as the guest shall read it, changed under the lock only; borrowed
 */
void virtio_dev_init(struct virtio_dev *dev, const struct virtio_dev_ops *ops,
		     const struct virtio_place *place, uint64_t features, uint16_t n_queues,
		     uint16_t queue_size, const void *config, uint16_t config_bytes);
static inline bool virtio_has(const struct virtio_dev *dev, unsigned bit)
{
	return dev->accepted & VIRTIO_BIT(bit);
}
/* virtio_live() - lock held: the queue may be touched now. */
bool virtio_live(const struct virtio_dev *dev, uint16_t queue);
/* virtio_signal() - lock held: publish what was put, interrupt if the driver wants that. */
void virtio_signal(struct virtio_dev *dev, uint16_t queue);
/* virtio_again() - any thread: come back to this queue once others had their turn. */
void virtio_again(struct virtio_dev *dev, uint16_t queue);
/* virtio_broken() - lock held: the device needs a reset. */
void virtio_broken(struct virtio_dev *dev);
/* virtio_config_changed() - lock held, after the change. */
void virtio_config_changed(struct virtio_dev *dev);
/* virtio_serve() - lock held, I/O thread: handle() a queue if it is live, and what follows of a failure. */
void virtio_serve(struct virtio_dev *dev, uint16_t queue);
/* virtio_begin(), virtio_end() - lock held, I/O thread: a chain is with the back end; end() may reset the device. */
void virtio_begin(struct virtio_dev *dev);
void virtio_end(struct virtio_dev *dev);

/*
 * virtio_held() - any thread: tells of every range of guest memory that the device keeps an address of between its turns; a range may
 * come twice. Nothing else of the device runs meanwhile, or it may be out of date at once.
 */
void virtio_held(struct virtio_dev *dev, virtio_tell *tell, void *arg);

/* ---- for transports: lock held, vcpu thread ---- */

void virtio_status_set(struct virtio_dev *dev, uint8_t status);
/* virtio_features_set() - half 0 or 1 of what the driver accepts; ignored after FEATURES_OK. */
void virtio_features_set(struct virtio_dev *dev, uint32_t half, uint32_t bits);
/* virtio_queue_enable() - as the driver described it; one that cannot be breaks the device. */
void virtio_queue_enable(struct virtio_dev *dev, uint16_t queue);
/* virtio_config_read(), virtio_config_put() - any offset; what lies outside reads as zero. */
uint64_t virtio_config_read(struct virtio_dev *dev, uint64_t offset, unsigned len);
void virtio_config_put(struct virtio_dev *dev, uint64_t offset, unsigned len, uint64_t value);
