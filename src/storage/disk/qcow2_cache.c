/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "storage/disk/qcow2_private.h"

static struct slice *cache_find(struct qcow2 *q, const struct qlayer *layer, uint64_t offset)
{
	for (unsigned i = 0; i < QCOW2_SLICES; i++) {
		struct slice *slice = &q->slices[i];
		if (slice->state != SLICE_FREE && slice->offset == offset && slice->layer == layer)
			return slice;
	}
	return NULL;
}

/* A free one, or the clean one that was used least recently; NULL: all are dirty or being read. */
static struct slice *cache_victim(struct qcow2 *q)
{
	struct slice *victim = NULL;

	for (unsigned i = 0; i < QCOW2_SLICES; i++) {
		struct slice *slice = &q->slices[i];
		if (slice->state == SLICE_FREE)
			return slice;
		if (slice->state == SLICE_READY && !slice->dirty &&
		    (!victim || slice->used < victim->used))
			victim = slice;
	}
	return victim;
}

/* What a file is too short for reads as zeroes, as QEMU has it. */
static void cache_loaded(struct qtask *task)
{
	struct slice *slice = container_of(task, struct slice, load);
	struct qcow2 *q = slice->io.q;

	if (task->result < 0) {
		slice->state = SLICE_FREE;
	} else {
		memset(slice->data + task->result, 0, q->slice_bytes - (size_t)task->result);
		slice->state = SLICE_READY;
	}
	qtasks_ready_all(q, &slice->waiters, task->result < 0 ? task->result : 0);
	qtasks_ready_all(q, &q->slot_waiters, 0);
}

static struct slice *cache_claim(struct qcow2 *q, const struct qlayer *layer, uint64_t offset,
				 bool is_refcount, struct qtask *task,
				 void (*fn)(struct qtask *task))
{
	struct slice *slice = cache_victim(q);

	if (!slice) {
		task->run = fn;
		qtasks_add(&q->slot_waiters, task);
		return NULL;
	}
	slice->layer = layer;
	slice->offset = offset;
	slice->is_refcount = is_refcount;
	slice->used = ++q->tick;
	return slice;
}

struct slice *qcow2_slice(struct qcow2 *q, const struct qlayer *layer, uint64_t offset,
			  bool is_refcount, struct qtask *task, void (*fn)(struct qtask *task))
{
	uint64_t start = offset - offset % q->slice_bytes;
	struct slice *slice = cache_find(q, layer, start);

	if (slice && slice->state == SLICE_READY) {
		slice->used = ++q->tick;
		return slice;
	}
	if (!task)
		return NULL;
	if (!slice) {
		slice = cache_claim(q, layer, start, is_refcount, task, fn);
		if (!slice)
			return NULL;
		slice->state = SLICE_LOADING;
		slice->iov = (struct mem_iov){ slice->data, q->slice_bytes };
		qio_submit(q, &slice->io,
			   &(struct aio_request){ .op = AIO_READ,
						  .fd = layer->file.fd,
						  .offset_bytes = start,
						  .len_bytes = q->slice_bytes,
						  .iov = &slice->iov,
						  .n_iov = 1 },
			   &slice->load, cache_loaded);
	}
	task->run = fn;
	qtasks_add(&slice->waiters, task);
	return NULL;
}

struct slice *qcow2_slice_new(struct qcow2 *q, const struct qlayer *layer, uint64_t offset,
			      bool is_refcount, struct qtask *task, void (*fn)(struct qtask *task))
{
	uint64_t start = offset - offset % q->slice_bytes;
	struct slice *slice = cache_find(q, layer, start);

	/* A damaged image may have had somebody look there: whatever that read is overwritten. */
	if (slice && slice->state == SLICE_LOADING) {
		task->run = fn;
		qtasks_add(&slice->waiters, task);
		return NULL;
	}
	if (!slice)
		slice = cache_claim(q, layer, start, is_refcount, task, fn);
	if (!slice)
		return NULL;
	slice->state = SLICE_READY;
	slice->is_refcount = is_refcount;
	memset(slice->data, 0, q->slice_bytes);
	return slice;
}

void qcow2_slice_dirty(struct qcow2 *q, struct slice *slice)
{
	q->n_dirty += !slice->dirty;
	slice->dirty = true;
}

void qcow2_slice_clean(struct qcow2 *q, struct slice *slice)
{
	q->n_dirty -= slice->dirty;
	slice->dirty = false;
	qtasks_ready_all(q, &q->slot_waiters, 0);
}
