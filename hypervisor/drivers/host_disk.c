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

#define SYNC_TIMEOUT_NS                                                                            \
	UINT64_C(20000000000) /* less than HOST_DISK_ANSWER_NS: nothing is lost by then */

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
	slot->begun_ns = clock_ns();
	if (op == DISK_WRITE)
		slot_copy(slot, false);
	if (op == DISK_WRITE_ZEROES) {
		memset(slot->buffer, 0, slot->piece_bytes);
		op = DISK_WRITE;
	}
	return disk->driver->start(disk, index, op, slot->base_bytes + slot->pos_bytes,
				   slot->piece_bytes);
}

/* What a request keeps here while it waits: where it is on the disk, what of it is done. */
enum { KEPT_BASE = DISK_ROW_NEXT + 1, KEPT_POS };

static void request_wait(struct host_disk *disk, struct disk_request *req, uint64_t pos_bytes)
{
	req->backend[KEPT_POS] = (void *)(uintptr_t)pos_bytes;
	disk_row_put(&disk->waiting, req);
}

static void slot_take(struct host_disk_slot *slot, struct disk_request *req)
{
	slot->req = req;
	slot->base_bytes = (uintptr_t)req->backend[KEPT_BASE];
	slot->pos_bytes = slot->iov_bytes = (uintptr_t)req->backend[KEPT_POS];
	for (slot->iov = 0; slot->iov < req->n_iov && slot->iov_bytes >= req->iov[slot->iov].len;
	     slot->iov++)
		slot->iov_bytes -= req->iov[slot->iov].len;
	slot->is_over = false;
}

/* Gives waiting requests to free slots; what fails at once is left over and finished by the caller. Locked. */
static void disk_dispatch(struct host_disk *disk)
{
	for (unsigned i = 0; i < HOST_DISK_SLOTS && disk->waiting.first; i++) {
		struct host_disk_slot *slot = &disk->slots[i];
		if (slot->req || slot->is_lost)
			continue;
		slot_take(slot, disk_row_take(&disk->waiting));
		int r = disk_request_is_unwanted(slot->req) ? -ECANCELED : slot_next(disk, i);
		if (r < 0)
			host_disk_finished(disk, i, r);
	}
}

/* The next piece of one that is not over: now, or once others had theirs. Return: 0, or -errno: there is none. */
static int slot_go_on(struct host_disk *disk, unsigned index)
{
	struct host_disk_slot *slot = &disk->slots[index];

	if (disk_request_is_unwanted(slot->req))
		return -ECANCELED;
	if (!disk->waiting.first)
		return slot_next(disk, index);
	request_wait(disk, slot->req, slot->pos_bytes);
	slot->req = NULL;
	return 0;
}

void host_disk_finished(struct host_disk *disk, unsigned index, int result)
{
	struct host_disk_slot *slot = &disk->slots[index];

	slot->is_lost = false; /* it answers after all */
	if (!slot->req || slot->is_over)
		return; /* a device that says it twice */
	if (result == 0 && slot->req->op != DISK_FLUSH) {
		if (slot->req->op == DISK_READ)
			slot_copy(slot, true);
		slot->pos_bytes += slot->piece_bytes;
		if (slot->pos_bytes < slot->req->len_bytes) {
			result = slot_go_on(disk, index);
			if (result == 0)
				return;
		}
	}
	slot->is_over = true;
	slot->result = result;
}

void host_disk_lost(struct host_disk *disk, unsigned index, int result)
{
	struct host_disk_slot *slot = &disk->slots[index];

	slot->is_lost = true;
	if (!slot->req || slot->is_over)
		return;
	slot->is_over = true;
	slot->result = result;
}

void host_disk_lost_all(struct host_disk *disk, uint32_t slots)
{
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++) {
		if (slots >> i & 1)
			host_disk_lost(disk, i, -EIO);
	}
}

uint32_t host_disk_recovered(struct host_disk *disk, uint32_t again)
{
	disk->is_resetting = false;
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++) {
		struct host_disk_slot *slot = &disk->slots[i];
		slot->begun_ns = clock_ns();
		if (slot->is_lost || (slot->req && disk_request_is_unwanted(slot->req)))
			again &= ~(UINT32_C(1) << i);
		if (!(again >> i & 1))
			host_disk_finished(disk, i, -EIO);
	}
	return again;
}

/* Not answered in time; of one that nobody waits for any more that was said by whoever did. */
static bool is_late(const struct host_disk_slot *slot, uint64_t now)
{
	if (!slot->req)
		return slot->is_lost;
	return !slot->is_over && now - slot->begun_ns >= HOST_DISK_ANSWER_NS;
}

/* Of a device that can be reset only one is given up: the others waited for that. */
static void disk_reset(struct host_disk *disk, uint64_t now)
{
	unsigned first = HOST_DISK_SLOTS;

	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++) {
		if (is_late(&disk->slots[i], now) &&
		    (first == HOST_DISK_SLOTS ||
		     disk->slots[i].begun_ns < disk->slots[first].begun_ns))
			first = i;
	}
	if (first < HOST_DISK_SLOTS)
		host_disk_lost(disk, disk->driver->reset(disk, first), -ETIMEDOUT);
}

/* Pieces that the device has had for too long. Locked. */
static void slots_expire(struct host_disk *disk)
{
	uint64_t now = clock_ns();

	if (disk->is_resetting)
		return;
	if (disk->driver->reset) {
		disk_reset(disk, now);
		return;
	}
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++) {
		if (disk->slots[i].req && is_late(&disk->slots[i], now))
			host_disk_lost(disk, i, -ETIMEDOUT);
	}
}

static bool has_lost_all(const struct host_disk *disk)
{
	bool is_lost = true;

	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++)
		is_lost &= disk->slots[i].is_lost;
	return is_lost;
}

/* A request that is over, its slot free again, or that no slot will ever take; NULL: none. Locked. */
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
	*ret_result = -EIO;
	return has_lost_all(disk) ? disk_row_take(&disk->waiting) : NULL;
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
	slots_expire(disk);
	disk_dispatch(disk); /* of what made room for others */
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
	req->backend[KEPT_BASE] = (void *)(uintptr_t)(start_bytes + req->offset_bytes);
	spin_lock(&disk->lock);
	request_wait(disk, req, 0);
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

/* It goes to the operator's terminal. */
static void id_clean(char id[21])
{
	for (unsigned i = 0; id[i]; i++)
		id[i] = id[i] < ' ' || id[i] > '~' ? '?' : id[i];
}

int host_disk_init(struct host_disk *disk, const char *name, unsigned number)
{
	id_clean(disk->disk.id);
	disk->disk.ops = &host_disk_ops;
	disk->disk.block_bytes = disk->sector_bytes < 4096 ? 4096 : disk->sector_bytes;
	disk_row_init(&disk->waiting);
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

static struct host_disk *disk_behind(struct disk *base, uint64_t *ret_start)
{
	if (base->ops != &host_part_ops) {
		*ret_start = 0;
		return container_of(base, struct host_disk, disk);
	}
	struct host_part *part = container_of(base, struct host_part, disk);
	*ret_start = part->start_bytes;
	return part->parent;
}

bool host_disk_overlap(struct disk *a, struct disk *b)
{
	uint64_t at_a, at_b;

	return disk_behind(a, &at_a) == disk_behind(b, &at_b) && at_a < at_b + b->size_bytes &&
	       at_b < at_a + a->size_bytes;
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

/* Nobody waits for it any more, and what it points to goes. Return: false: it is done, or just being done. */
static bool disk_forget(struct host_disk *disk, const struct disk_request *req)
{
	spin_lock(&disk->lock);
	bool was_there = disk_row_remove(&disk->waiting, req);
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++) {
		struct host_disk_slot *slot = &disk->slots[i];
		if (slot->req != req)
			continue;
		slot->is_lost |= !slot->is_over;
		slot->req = NULL;
		was_there = true;
	}
	spin_unlock(&disk->lock);
	return was_there;
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
	uint64_t start;
	struct host_disk *disk = disk_behind(base, &start);
	uint64_t end = clock_ns() + SYNC_TIMEOUT_NS;

	base->ops->submit(base, &sync.req);
	while (!__atomic_load_n(&sync.is_done, __ATOMIC_ACQUIRE)) {
		if (clock_ns() > end && disk_forget(disk, &sync.req))
			return -ETIMEDOUT;
		host_disk_poll(disk);
		__builtin_ia32_pause();
	}
	return sync.result;
}
