/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/server_disk.h"

#include <stddef.h>

#include "base/core/macros.h"
#include "hw/barrier.h"

/* Where a request keeps what is ours while the server's disk has it; that one uses 0 and 1 (drivers/host_disk.c). */
enum { SLOT_NEXT = 4, SLOT_RESULT, SLOT_DISK, SLOT_DONE };

static void server_disk_done(struct disk_request *req, int result)
{
	struct server_disk *d = req->backend[SLOT_DISK];

	req->backend[SLOT_RESULT] = (void *)(intptr_t)result;
	spin_lock(&d->lock);
	req->backend[SLOT_NEXT] = d->over;
	d->over = req;
	d->finished(d); /* whoever takes its guest apart polls: behind the lock both may be gone */
	spin_unlock(&d->lock);
}

static void server_disk_submit(struct disk *disk, struct disk_request *req)
{
	struct server_disk *d = container_of(disk, struct server_disk, disk);

	barrier_foreign(); /* it begins, and ends, what others wait for, too */
	disk_count(&d->counts, req);
	req->backend[SLOT_DISK] = d;
	req->backend[SLOT_DONE] = (void *)(uintptr_t)req->done;
	req->done = server_disk_done;
	d->server->ops->submit(d->server, req);
}

static void server_disk_close(struct disk *disk)
{
	(void)disk; /* borrowed */
}

static const struct disk_ops server_disk_ops = {
	.name = "server",
	.submit = server_disk_submit,
	.close = server_disk_close,
};

void server_disk_init(struct server_disk *d, struct disk *server, bool read_only,
		      void (*finished)(struct server_disk *d))
{
	*d = (struct server_disk){ .disk = *server, .server = server, .finished = finished };
	d->disk.ops = &server_disk_ops;
	d->disk.read_only |= read_only;
}

void server_disk_deliver(struct server_disk *d)
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
