/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/fake_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"

/* What the contract of disk_ops promises to a disk; abort(): the device broke it. */
static void fake_disk_check(const struct fake_disk *d, const struct disk_request *req)
{
	uint64_t sum = 0;

	if (req->offset_bytes % DISK_SECTOR_BYTES || req->len_bytes % DISK_SECTOR_BYTES ||
	    req->offset_bytes > d->disk.size_bytes ||
	    req->len_bytes > d->disk.size_bytes - req->offset_bytes)
		abort();
	if (d->disk.read_only && req->op != DISK_READ && req->op != DISK_FLUSH)
		abort();
	for (unsigned i = 0; i < req->n_iov; i++)
		sum += req->iov[i].len;
	if ((req->op == DISK_READ || req->op == DISK_WRITE) && sum != req->len_bytes)
		abort();
	if (req->op == DISK_FLUSH && req->len_bytes)
		abort();
}

static void fake_disk_run(struct fake_disk *d, struct disk_request *req)
{
	uint8_t *at = d->data + req->offset_bytes;
	int result = d->fail;

	d->fail = 0;
	d->n_ops[req->op]++;
	d->last_may_unmap = req->may_unmap;
	for (unsigned i = 0; result == 0 && i < req->n_iov; i++) {
		if (req->op == DISK_READ)
			memcpy(req->iov[i].hva, at, req->iov[i].len);
		else
			memcpy(at, req->iov[i].hva, req->iov[i].len);
		at += req->iov[i].len;
	}
	if (result == 0 && (req->op == DISK_DISCARD || req->op == DISK_WRITE_ZEROES))
		memset(at, 0, req->len_bytes);
	req->done(req, result);
}

static void fake_disk_submit(struct disk *disk, struct disk_request *req)
{
	struct fake_disk *d = container_of(disk, struct fake_disk, disk);

	fake_disk_check(d, req);
	if (!d->async)
		fake_disk_run(d, req);
	else if (d->n_waiting == FAKE_DISK_REQUESTS)
		abort();
	else
		d->waiting[d->n_waiting++] = req;
}

static void fake_disk_close(struct disk *disk)
{
	(void)disk;
}

static const struct disk_ops fake_disk_ops = {
	.name = "fake",
	.submit = fake_disk_submit,
	.close = fake_disk_close,
};

void fake_disk_init(struct fake_disk *d)
{
	d->async = d->last_may_unmap = false;
	d->fail = 0;
	d->n_waiting = 0;
	memset(d->n_ops, 0, sizeof(d->n_ops));
	d->disk = (struct disk){ .ops = &fake_disk_ops,
				 .size_bytes = FAKE_DISK_BYTES,
				 .block_bytes = 4096,
				 .can_discard = true,
				 .id = "serial-of-20-letters" };
}

void fake_disk_fill(struct fake_disk *d)
{
	for (uint64_t i = 0; i < FAKE_DISK_BYTES; i++)
		d->data[i] = (uint8_t)(i / DISK_SECTOR_BYTES + i);
}

bool fake_disk_complete(struct fake_disk *d, unsigned i)
{
	if (i >= d->n_waiting)
		return false;
	struct disk_request *req = d->waiting[i];
	d->waiting[i] = d->waiting[--d->n_waiting];
	fake_disk_run(d, req);
	return true;
}
