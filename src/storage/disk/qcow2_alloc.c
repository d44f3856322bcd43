/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/core/macros.h"
#include "storage/disk/qcow2_private.h"

/*
 * First fit from q->hint, below which nothing is free. A file's end needs no special care: past it every refcount is
 * zero, and so are the blocks that no refcount table entry names.
 */

static struct qcow2 *alloc_of(struct qtask *task)
{
	return container_of(task, struct qcow2, alloc.task);
}

static void alloc_finish(struct qcow2 *q, int64_t result)
{
	qtask_ready(q, q->alloc.caller, result);
}

/* 16-bit refcounts: clusters that one refcount block counts. */
static unsigned alloc_block_bits(const struct qcow2 *q)
{
	return q->cluster_bits - 1;
}

/* Where the refcount of a cluster is in the file; 0: no block, or a damaged table. */
static uint64_t alloc_refcount_at(const struct qcow2 *q, uint64_t cluster)
{
	uint64_t k = cluster >> alloc_block_bits(q);
	uint64_t block = k < q->rt_n ? be64_get(q->rt[k]) : 0;

	if (block & (q->cluster_bytes - 1) || block >= QCOW2_HOST_MAX)
		return 0;
	return block ? block + (cluster & ((UINT64_C(1) << alloc_block_bits(q)) - 1)) * 2 : 0;
}

static void alloc_set(struct qcow2 *q, struct slice *slice, unsigned byte, uint16_t count)
{
	be16_store(slice->data + byte, count);
	qcow2_slice_dirty(q, slice);
}

static void alloc_grow_high_water(struct qcow2 *q, uint64_t end)
{
	if (end > q->high_water)
		q->high_water = end;
}

/* Free clusters in this slice, from q->alloc.index on: how many were taken. */
static unsigned alloc_in_slice(struct qcow2 *q, struct slice *slice, unsigned byte)
{
	unsigned n = 0;

	for (; byte < q->slice_bytes && be16_load(slice->data + byte) != 0; byte += 2)
		q->alloc.index++;
	for (; byte < q->slice_bytes && n < q->alloc.want && be16_load(slice->data + byte) == 0;
	     byte += 2)
		n++;
	q->alloc.host = q->alloc.index << q->cluster_bits;
	if (n == 0 || !qcow2_host_ok(q, q->alloc.host, (uint64_t)n << q->cluster_bits))
		return n;
	for (unsigned i = 0; i < n; i++)
		alloc_set(q, slice, byte - 2 * (i + 1), 1);
	q->alloc.fresh = q->alloc.host >= q->high_water;
	alloc_grow_high_water(q, q->alloc.host + ((uint64_t)n << q->cluster_bits));
	return n;
}

/* ---- a refcount block where there is none: it is the first that it counts ---- */

static void alloc_scan(struct qtask *task);

static void alloc_block_slice(struct qtask *task)
{
	struct qcow2 *q = alloc_of(task);
	uint64_t at = alloc_refcount_at(q, q->alloc.index);
	struct slice *slice = qcow2_slice_new(q, q->top, at, true, task, alloc_block_slice);

	if (!slice)
		return;
	alloc_set(q, slice, (unsigned)(at - slice->offset), 1);
	q->hint = ++q->alloc.index;
	task->result = 0;
	alloc_scan(task);
}

static void alloc_block_written(struct qtask *task)
{
	struct qcow2 *q = alloc_of(task);
	uint64_t k = q->alloc.index >> alloc_block_bits(q);

	if (task->result < 0) {
		alloc_finish(q, task->result);
		return;
	}
	q->rt[k] = be64_of(q->alloc.index << q->cluster_bits);
	qspan_add(&q->rt_dirty, (uint32_t)k);
	alloc_grow_high_water(q, (q->alloc.index + 1) << q->cluster_bits);
	task->result = 0;
	alloc_block_slice(task);
}

static void alloc_zeroes(struct qcow2 *q, struct qio *io, uint64_t host, struct qtask *task,
			 void (*fn)(struct qtask *task))
{
	qio_submit(q, io,
		   &(struct aio_request){ .op = AIO_WRITE,
					  .fd = q->top->file.fd,
					  .offset_bytes = host,
					  .len_bytes = q->cluster_bytes },
		   task, fn);
}

static void alloc_block(struct qcow2 *q)
{
	uint64_t host = q->alloc.index << q->cluster_bits;

	if (be64_get(q->rt[q->alloc.index >> alloc_block_bits(q)]) ||
	    !qcow2_host_ok(q, host, q->cluster_bytes)) {
		q->failed = true; /* a damaged image: what is in use is counted as free */
		alloc_finish(q, -EIO);
		return;
	}
	alloc_zeroes(q, &q->alloc.io, host, &q->alloc.task, alloc_block_written);
}

static void alloc_scan(struct qtask *task)
{
	struct qcow2 *q = alloc_of(task);

	while (task->result >= 0) {
		if (q->alloc.index >> alloc_block_bits(q) >= q->rt_n ||
		    q->alloc.index >= QCOW2_HOST_MAX >> q->cluster_bits) {
			alloc_finish(q, -ENOSPC);
			return;
		}
		uint64_t at = alloc_refcount_at(q, q->alloc.index);
		if (at == 0) {
			alloc_block(q);
			return;
		}
		struct slice *slice = qcow2_slice(q, q->top, at, true, task, alloc_scan);
		if (!slice)
			return;
		unsigned n = alloc_in_slice(q, slice, (unsigned)(at - slice->offset));
		q->hint = q->alloc.index + n;
		if (n > 0) {
			bool ok = qcow2_host_ok(q, q->alloc.host, (uint64_t)n << q->cluster_bits);
			q->failed |= !ok;
			alloc_finish(q, ok ? (int)n : -EIO);
			return;
		}
	}
	alloc_finish(q, task->result);
}

void qcow2_alloc(struct qcow2 *q, unsigned want, struct qtask *caller,
		 void (*fn)(struct qtask *task))
{
	caller->run = fn;
	q->alloc.caller = caller;
	q->alloc.want = want;
	q->alloc.index = q->hint;
	q->alloc.task.run = alloc_scan;
	qtask_ready(q, &q->alloc.task, 0);
}

/* ---- L2 tables ---- */

static struct qcow2 *l2_of(struct qtask *task)
{
	return container_of(task, struct qcow2, l2.task);
}

/* The table is all zeroes in the file before the commit that lets an L1 entry name it. */
static void l2_written(struct qtask *task)
{
	struct qcow2 *q = l2_of(task);

	if (task->result >= 0) {
		q->top->l1[q->l2.l1_index] = be64_of(q->l2.host | QCOW2_COPIED);
		qspan_add(&q->l1_dirty, (uint32_t)q->l2.l1_index);
	}
	qtask_ready(q, q->l2.caller, task->result < 0 ? task->result : 0);
}

static void l2_allocated(struct qtask *task)
{
	struct qcow2 *q = l2_of(task);

	if (task->result < 0) {
		qtask_ready(q, q->l2.caller, task->result);
		return;
	}
	q->l2.host = q->alloc.host;
	alloc_zeroes(q, &q->l2.io, q->l2.host, task, l2_written);
}

void qcow2_l2_make(struct qcow2 *q, uint64_t l1_index, struct qtask *caller,
		   void (*fn)(struct qtask *task))
{
	caller->run = fn;
	q->l2.caller = caller;
	q->l2.l1_index = l1_index;
	qcow2_alloc(q, 1, &q->l2.task, l2_allocated);
}

/* ---- the way back ---- */

int qcow2_unref(struct qcow2 *q, uint64_t cluster, struct qtask *task,
		void (*fn)(struct qtask *task))
{
	uint64_t at = alloc_refcount_at(q, cluster);
	struct slice *slice;

	if (at == 0)
		return -EIO;
	slice = qcow2_slice(q, q->top, at, true, task, fn);
	if (!slice)
		return 0;
	unsigned byte = (unsigned)(at - slice->offset);
	uint16_t count = be16_load(slice->data + byte);
	if (count == 0)
		return -EIO;
	alloc_set(q, slice, byte, (uint16_t)(count - 1));
	if (count > 1)
		return 2;
	if (cluster < q->hint)
		q->hint = cluster;
	return 1;
}

void qcow2_free_later(struct qcow2 *q, uint64_t l2_entry)
{
	struct qfree *last = q->n_frees ? &q->frees[q->n_frees - 1] : NULL;
	struct qrun run;

	if (!qcow2_entry(q->top, l2_entry, &run) || !run.has_old)
		return;
	if (run.kind != QMAP_PACKED && last && !last->is_packed &&
	    last->offset + last->len == run.host) {
		last->len += q->cluster_bytes;
		return;
	}
	if (q->n_frees == QCOW2_FREES)
		return; /* leaked; whoever holds meta asked for room */
	struct qfree *entry = &q->frees[q->n_frees++];
	if (run.kind == QMAP_PACKED) {
		struct qcow2_packed packed = qcow2_packed_of(l2_entry, q->cluster_bits);
		*entry = (struct qfree){ packed.offset, packed.len, true };
	} else {
		*entry = (struct qfree){ run.host, q->cluster_bytes, false };
	}
}
