/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/virtio_host.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/vmm/devices.h"

#define HOST_CONTROL (UINT64_C(1) << 63)

static uint64_t host_bit(uint16_t queue)
{
	return queue == VIRTIO_CONTROL ? HOST_CONTROL : UINT64_C(1) << (queue % 63);
}

static void host_kick(struct virtio_host *host, struct virtio_dev *dev, uint16_t queue)
{
	struct vmm_virtio *v = container_of(host, struct vmm_virtio, host);

	(void)dev;
	(void)__atomic_or_fetch(&v->pending, host_bit(queue), __ATOMIC_ACQ_REL);
	fd_poke(v->fd);
}

static int host_doorbell(struct vmm_virtio *v, unsigned queue, bool on)
{
	const struct cpu_ops *cpu = v->vmm->cpu;

	return cpu->doorbell_set(v->vmm->vm, v->armed_at + queue * VIRTIO_PCI_NOTIFY_STEP, 0, false,
				 false, 0, on ? v->fd : -1);
}

/* The lock is held. */
static void host_disarm(struct vmm_virtio *v)
{
	for (unsigned i = 0; v->armed >> i; i++) {
		if (v->armed >> i & 1)
			(void)host_doorbell(v, i, false); /* it was set: cannot fail */
	}
	v->armed = 0;
}

/* PCI bus lock held. What was armed elsewhere is not any more; the next ring is an exit and arms it anew. */
static void host_moved(struct virtio_host *host, struct virtio_dev *dev)
{
	struct vmm_virtio *v = container_of(host, struct vmm_virtio, host);

	lock_acquire(&v->lock);
	host_disarm(v);
	v->armed_at = virtio_pci_doorbell(dev, 0);
	lock_release(&v->lock);
}

static const struct virtio_host_ops host_ops = { .kick = host_kick, .doorbells_moved = host_moved };

/* Loop thread: these queues were rung by exits. An engine that is out of doorbells goes on with exits. */
static uint64_t host_arm(struct vmm_virtio *v, uint64_t rung)
{
	lock_acquire(&v->lock);
	uint64_t wanted = rung & ~v->armed & ~HOST_CONTROL;
	for (unsigned i = 0; v->armed_at && v->vmm->caps.doorbells && wanted >> i; i++) {
		if (wanted >> i & 1 && host_doorbell(v, i, true) == 0)
			v->armed |= UINT64_C(1) << i;
	}
	uint64_t armed = v->armed;
	lock_release(&v->lock);
	return armed;
}

static void host_rung(void *arg, uint32_t events)
{
	struct vmm_virtio *v = arg;

	(void)events;
	fd_calm(v->fd);
	uint64_t pending = __atomic_exchange_n(&v->pending, 0, __ATOMIC_ACQ_REL);
	uint64_t run = pending | host_arm(v, pending);
	if (run & HOST_CONTROL)
		virtio_queue_run(v->dev, VIRTIO_CONTROL);
	for (uint16_t i = 0; i < virtio_queues(v->dev); i++) {
		if (run & host_bit(i))
			virtio_queue_run(v->dev, i);
	}
}

int vmm_virtio_open(struct vmm_virtio *v, struct vmm *vmm, struct err *err)
{
	*v = (struct vmm_virtio){ .host = { &host_ops }, .vmm = vmm };
	v->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return v->fd < 0 ? err_set(err, errno, "eventfd") : 0;
}

int vmm_virtio_attach(struct vmm_virtio *v, struct virtio_dev *dev, struct err *err)
{
	v->dev = dev;
	int r = virtio_pci_attach(&v->pci, dev, &v->vmm->devices->pci, -1, err);
	if (r < 0)
		return r;
	return loop_add(v->vmm->loop, v->fd, EPOLLIN, host_rung, v, err);
}
