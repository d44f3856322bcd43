/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/guest_disk.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "core/page.h"
#include "drivers/disks.h"
#include "vm/guest.h"

#define KICK_QUEUE   1U
#define KICK_CONTROL 2U

/* Where a request of the device keeps what is ours while the server's disk has it; that uses 0 and 1. */
enum { SLOT_NEXT = 4, SLOT_RESULT, SLOT_DISK, SLOT_DONE };

static unsigned disk_order(void)
{
	unsigned order = 0;

	while ((uint64_t)PAGE_BYTES << order < sizeof(struct guest_disk))
		order++;
	return order;
}

static void disk_kick(struct virtio_host *host, struct virtio_dev *dev, uint16_t queue)
{
	struct guest_disk *d = container_of(host, struct guest_disk, host);

	(void)dev;
	__atomic_fetch_or(&d->kicked, queue == VIRTIO_CONTROL ? KICK_CONTROL : KICK_QUEUE,
			  __ATOMIC_SEQ_CST);
	guest_service_ask(d->guest);
}

static const struct virtio_host_ops disk_host_ops = { .kick = disk_kick };

/* ---- in memory ---- */

static void memory_copy(struct guest_disk *d, const struct disk_request *req)
{
	uint8_t *at = d->data + req->offset_bytes;

	for (unsigned i = 0; i < req->n_iov; i++) {
		if (req->op == DISK_READ)
			memcpy(req->iov[i].hva, at, req->iov[i].len);
		else
			memcpy(at, req->iov[i].hva, req->iov[i].len);
		at += req->iov[i].len;
	}
}

static void memory_submit(struct disk *disk, struct disk_request *req)
{
	struct guest_disk *d = container_of(disk, struct guest_disk, disk);

	if (req->op == DISK_READ || req->op == DISK_WRITE)
		memory_copy(d, req);
	else if (req->op == DISK_WRITE_ZEROES)
		memset(d->data + req->offset_bytes, 0, req->len_bytes);
	req->done(req, 0);
}

static void disk_close(struct disk *disk)
{
	(void)disk; /* borrowed */
}

static const struct disk_ops memory_ops = {
	.name = "memory",
	.submit = memory_submit,
	.close = disk_close,
};

/* ---- on the server's disk ---- */

/* On any CPU. */
static void server_done(struct disk_request *req, int result)
{
	struct guest_disk *d = req->backend[SLOT_DISK];

	req->backend[SLOT_RESULT] = (void *)(intptr_t)result;
	spin_lock(&d->lock);
	req->backend[SLOT_NEXT] = d->over;
	d->over = req;
	spin_unlock(&d->lock);
	guest_service_ask(d->guest);
}

static void server_submit(struct disk *disk, struct disk_request *req)
{
	struct guest_disk *d = container_of(disk, struct guest_disk, disk);

	req->backend[SLOT_DISK] = d;
	req->backend[SLOT_DONE] = (void *)(uintptr_t)req->done;
	req->done = server_done;
	d->server->ops->submit(d->server, req);
}

static const struct disk_ops server_ops = {
	.name = "server",
	.submit = server_submit,
	.close = disk_close,
};

static void server_deliver(struct guest_disk *d)
{
	spin_lock(&d->lock);
	struct disk_request *req = d->over;
	d->over = NULL;
	spin_unlock(&d->lock);
	while (req) {
		struct disk_request *next = req->backend[SLOT_NEXT];
		int result = (int)(intptr_t)req->backend[SLOT_RESULT];
		req->done =
			(void (*)(struct disk_request *, int))(uintptr_t)req->backend[SLOT_DONE];
		req->done(req, result);
		req = next;
	}
}

/* ---- the device ---- */

static void disk_serve(struct guest_disk *d)
{
	server_deliver(d);
	uint32_t kicked = __atomic_exchange_n(&d->kicked, 0, __ATOMIC_SEQ_CST);
	if (kicked & KICK_CONTROL)
		virtio_queue_run(&d->blk.virtio, VIRTIO_CONTROL);
	if (kicked & KICK_QUEUE)
		virtio_queue_run(&d->blk.virtio, 0);
}

static void disk_fill(struct guest_disk *d, const struct guest_disk_config *config)
{
	d->server = config->server;
	d->data = config->data;
	if (config->server) {
		d->disk = *config->server;
		d->disk.ops = &server_ops;
	} else {
		d->disk.ops = &memory_ops;
		d->disk.size_bytes = config->len;
		d->disk.block_bytes = PAGE_BYTES;
	}
	d->disk.read_only |= config->read_only;
	d->host.ops = &disk_host_ops;
}

int guest_disks_init(struct guest *g, struct err *err)
{
	for (unsigned i = 0; i < g->config.n_disks; i++) {
		struct guest_disk *d = page_alloc(disk_order());
		if (!d)
			return err_say(err, ENOMEM, "guest %s: no memory for disk %u", g->name, i);
		const struct virtio_place place = { &g->mem, &d->host };
		d->guest = g;
		disk_fill(d, &g->config.disks[i]);
		virtio_blk_init(&d->blk, &place, &d->disk);
		g->disks[g->n_disks++] = d;
		int r = virtio_pci_attach(&d->pci, &d->blk.virtio, &g->pci, -1, err);
		if (r < 0)
			return r;
	}
	return 0;
}

void guest_disks_serve(struct guest *g)
{
	for (unsigned i = 0; i < g->n_disks; i++)
		disk_serve(g->disks[i]);
}

void guest_disks_fini(struct guest *g)
{
	for (unsigned i = 0; i < g->n_disks; i++) {
		while (!virtio_stop(&g->disks[i]->blk.virtio)) {
			disks_poll();
			server_deliver(g->disks[i]);
		}
		page_free(g->disks[i], disk_order());
	}
	g->n_disks = 0;
}
