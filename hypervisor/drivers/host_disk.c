/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/host_disk.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "base/core/macros.h"
#include "core/clock.h"
#include "core/format.h"
#include "core/page.h"

#define SYNC_TIMEOUT_NS UINT64_C(10000000000)

static void name_set(char name[HOST_DISK_NAME_BYTES], const char *fmt, ...) PRINTF_LIKE(2, 3);
static void name_set(char name[HOST_DISK_NAME_BYTES], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)format_text(name, HOST_DISK_NAME_BYTES, fmt, args); /* a cut name is still one */
	va_end(args);
}

/* Between the slot's buffer and the request's pieces of memory. */
static void slot_copy(struct host_disk_slot *slot, bool to_guest)
{
	const struct disk_request *req = slot->req;
	uint32_t done = 0;

	while (done < slot->piece_bytes && slot->iov < req->n_iov) {
		const struct mem_iov *iov = &req->iov[slot->iov];
		uint64_t n = iov->len - slot->iov_bytes;
		if (n > slot->piece_bytes - done)
			n = slot->piece_bytes - done;
		uint8_t *guest = n ? (uint8_t *)iov->hva + slot->iov_bytes
				   : NULL; /* an empty piece is nowhere */
		if (n && to_guest)
			memcpy(guest, slot->buffer + done, n);
		else if (n)
			memcpy(slot->buffer + done, guest, n);
		done += (uint32_t)n;
		slot->iov_bytes += n;
		if (slot->iov_bytes == iov->len) {
			slot->iov++;
			slot->iov_bytes = 0;
		}
	}
}

/* Begins the next piece. Return: 0 or -errno. */
static int slot_next(struct host_disk *disk, unsigned index)
{
	struct host_disk_slot *slot = &disk->slots[index];
	struct disk_request *req = slot->req;
	uint64_t left = req->len_bytes - slot->pos_bytes;
	enum disk_op op = req->op;

	slot->piece_bytes = left < HOST_DISK_BUFFER_BYTES ? (uint32_t)left : HOST_DISK_BUFFER_BYTES;
	if (op == DISK_WRITE)
		slot_copy(slot, false);
	if (op == DISK_WRITE_ZEROES) {
		memset(slot->buffer, 0, slot->piece_bytes);
		op = DISK_WRITE;
	}
	return disk->driver->start(disk, index, op, slot->base_bytes + slot->pos_bytes,
				   slot->piece_bytes);
}

static void slot_take(struct host_disk_slot *slot, struct disk_request *req)
{
	slot->req = req;
	slot->base_bytes = (uintptr_t)req->backend[1];
	slot->pos_bytes = slot->iov_bytes = 0;
	slot->iov = 0;
	slot->is_over = false;
}

/* Gives waiting requests to free slots; what fails at once is left over and finished by the caller. Locked. */
static void disk_dispatch(struct host_disk *disk)
{
	for (unsigned i = 0; i < HOST_DISK_SLOTS && disk->waiting; i++) {
		struct host_disk_slot *slot = &disk->slots[i];
		if (slot->req)
			continue;
		struct disk_request *req = disk->waiting;
		disk->waiting = req->backend[0];
		if (!disk->waiting)
			disk->waiting_end = &disk->waiting;
		slot_take(slot, req);
		int r = slot_next(disk, i);
		if (r < 0)
			host_disk_finished(disk, i, r);
	}
}

void host_disk_finished(struct host_disk *disk, unsigned index, int result)
{
	struct host_disk_slot *slot = &disk->slots[index];

	if (!slot->req || slot->is_over)
		return; /* a device that says it twice */
	if (result == 0 && slot->req->op != DISK_FLUSH) {
		if (slot->req->op == DISK_READ)
			slot_copy(slot, true);
		slot->pos_bytes += slot->piece_bytes;
		if (slot->pos_bytes < slot->req->len_bytes)
			result = slot_next(disk, index);
		if (result == 0 && slot->pos_bytes < slot->req->len_bytes)
			return;
	}
	slot->is_over = true;
	slot->result = result;
}

/* A request that is over, its slot free again; NULL: none. Locked. */
static struct disk_request *disk_collect(struct host_disk *disk, int *ret_result)
{
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++) {
		struct host_disk_slot *slot = &disk->slots[i];
		if (!slot->req || !slot->is_over)
			continue;
		struct disk_request *req = slot->req;
		*ret_result = slot->result;
		slot->req = NULL;
		return req;
	}
	return NULL;
}

/* done() of all that is over; locked, and unlocked at the end. */
static void disk_deliver(struct host_disk *disk)
{
	struct disk_request *req;
	int result;

	while ((req = disk_collect(disk, &result))) {
		disk_dispatch(disk);
		spin_unlock(&disk->lock);
		req->done(req, result);
		spin_lock(&disk->lock);
	}
	spin_unlock(&disk->lock);
}

void host_disk_poll(struct host_disk *disk)
{
	spin_lock(&disk->lock);
	disk->driver->poll(disk);
	disk_deliver(disk);
}

static bool request_is_good(const struct host_disk *disk, const struct disk_request *req,
			    uint64_t size_bytes)
{
	uint64_t mask = disk->sector_bytes - 1;

	return !((req->offset_bytes | req->len_bytes) & mask) && req->offset_bytes <= size_bytes &&
	       req->len_bytes <= size_bytes - req->offset_bytes;
}

static void disk_submit_at(struct host_disk *disk, struct disk_request *req, uint64_t size_bytes,
			   uint64_t start_bytes)
{
	if (req->op == DISK_FLUSH)
		req->len_bytes = 0;
	else if (!request_is_good(disk, req, size_bytes)) {
		req->done(req, -EINVAL);
		return;
	}
	if (req->op == DISK_DISCARD || (req->op != DISK_FLUSH && !req->len_bytes)) {
		req->done(req, 0); /* advice, or nothing */
		return;
	}
	req->backend[0] = NULL;
	req->backend[1] = (void *)(uintptr_t)(start_bytes + req->offset_bytes);
	spin_lock(&disk->lock);
	*disk->waiting_end = req;
	disk->waiting_end = (struct disk_request **)(void *)&req->backend[0];
	disk_dispatch(disk);
	disk_deliver(disk);
}

static void host_disk_submit(struct disk *base, struct disk_request *req)
{
	disk_submit_at(container_of(base, struct host_disk, disk), req, base->size_bytes, 0);
}

static void host_part_submit(struct disk *base, struct disk_request *req)
{
	struct host_part *part = container_of(base, struct host_part, disk);

	disk_submit_at(part->parent, req, base->size_bytes, part->start_bytes);
}

static void host_disk_close(struct disk *base)
{
	(void)base; /* the server's disks stay */
}

static const struct disk_ops host_disk_ops = {
	.name = "server disk",
	.submit = host_disk_submit,
	.close = host_disk_close,
};

static const struct disk_ops host_part_ops = {
	.name = "server partition",
	.submit = host_part_submit,
	.close = host_disk_close,
};

int host_disk_init(struct host_disk *disk, const char *name, unsigned number)
{
	disk->disk.ops = &host_disk_ops;
	disk->disk.block_bytes = disk->sector_bytes < 4096 ? 4096 : disk->sector_bytes;
	disk->waiting = NULL;
	disk->waiting_end = &disk->waiting;
	name_set(disk->name, "%s%u", name, number);
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++) {
		disk->slots[i].buffer = page_alloc(HOST_DISK_BUFFER_ORDER);
		if (!disk->slots[i].buffer) {
			host_disk_fini(disk);
			return -ENOMEM;
		}
	}
	return 0;
}

void host_disk_fini(struct host_disk *disk)
{
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++) {
		page_free(disk->slots[i].buffer, HOST_DISK_BUFFER_ORDER);
		disk->slots[i].buffer = NULL;
	}
}

void host_part_init(struct host_part *part, struct host_disk *parent, unsigned number,
		    uint64_t start_bytes, uint64_t len_bytes)
{
	part->disk = parent->disk;
	part->disk.ops = &host_part_ops;
	part->disk.size_bytes = len_bytes;
	part->parent = parent;
	part->start_bytes = start_bytes;
	name_set(part->name, "%sp%u", parent->name, number);
}

struct sync_request {
	struct disk_request req;
	bool is_done;
	int result;
};

static void sync_done(struct disk_request *req, int result)
{
	struct sync_request *sync = container_of(req, struct sync_request, req);

	sync->result = result;
	__atomic_store_n(&sync->is_done, true, __ATOMIC_RELEASE);
}

int host_disk_sync(struct disk *base, enum disk_op op, uint64_t offset_bytes, void *data,
		   uint64_t len_bytes)
{
	const struct mem_iov iov = { data, len_bytes };
	struct sync_request sync = { .req = { .op = op,
					      .offset_bytes = offset_bytes,
					      .len_bytes = len_bytes,
					      .iov = &iov,
					      .n_iov = 1,
					      .done = sync_done } };
	struct host_disk *disk = base->ops == &host_part_ops
					 ? container_of(base, struct host_part, disk)->parent
					 : container_of(base, struct host_disk, disk);
	uint64_t end = clock_ns() + SYNC_TIMEOUT_NS;

	base->ops->submit(base, &sync.req);
	while (!__atomic_load_n(&sync.is_done, __ATOMIC_ACQUIRE)) {
		if (clock_ns() > end)
			return -ETIMEDOUT; /* the caller gives the disk up: it must not be used again */
		host_disk_poll(disk);
		__builtin_ia32_pause();
	}
	return sync.result;
}
