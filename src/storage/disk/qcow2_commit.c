/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/core/macros.h"
#include "storage/disk/qcow2_private.h"

/* The order of the steps, and why: qcow2_private.h, Theory of operation. meta is held from commit_begin() on. */

static void commit_start(struct qcow2 *q);
static void commit_refcounts(struct qcow2 *q);
static void commit_frees(struct qtask *task);

static struct qcow2 *commit_of(struct qtask *task)
{
	return container_of(task, struct qcow2, commit.task);
}

void qspan_add(struct qspan *span, uint32_t index)
{
	if (span->from == span->to)
		*span = (struct qspan){ index, index + 1 };
	if (index < span->from)
		span->from = index;
	if (index >= span->to)
		span->to = index + 1;
}

static bool qspan_is_empty(const struct qspan *span)
{
	return span->from == span->to;
}

bool qcow2_is_clean(const struct qcow2 *q)
{
	return q->n_dirty == 0 && q->n_frees == 0 && !q->commit.active &&
	       qspan_is_empty(&q->rt_dirty) && qspan_is_empty(&q->l1_dirty);
}

static void commit_finish(struct qcow2 *q, int64_t result)
{
	qcow2_meta_release(q);
	q->commit.active = false;
	qtasks_ready_all(q, &q->commit.current, result);
	if (q->commit.next.head)
		commit_start(q);
}

/* Whether the step before failed; then the commit is over. What is dirty stays so. */
static bool commit_failed(struct qcow2 *q)
{
	if (q->commit.task.result >= 0)
		return false;
	commit_finish(q, q->commit.task.result);
	return true;
}

static void commit_sync(struct qcow2 *q, void (*fn)(struct qtask *task))
{
	if (q->unsafe) {
		q->commit.task.run = fn;
		qtask_ready(q, &q->commit.task, 0);
		return;
	}
	qio_submit(q, &q->commit.io, &(struct aio_request){ .op = AIO_SYNC, .fd = q->top->file.fd },
		   &q->commit.task, fn);
}

static bool commit_sync_failed(struct qcow2 *q)
{
	q->failed |= q->commit.task.result < 0;
	return commit_failed(q);
}

/* ---- writing slices, all at once ---- */

static void commit_slice_written(struct qtask *task)
{
	struct slice *slice = container_of(task, struct slice, load);
	struct qcow2 *q = slice->io.q;

	if (task->result < 0)
		q->commit.error = (int)task->result;
	else
		qcow2_slice_clean(q, slice);
	if (--q->commit.left == 0)
		qtask_ready(q, &q->commit.task, q->commit.error);
}

/* fn runs when every dirty slice of the kind is in the file. */
static void commit_slices(struct qcow2 *q, bool refcounts, void (*fn)(struct qtask *task))
{
	q->commit.task.run = fn;
	q->commit.error = 0;
	q->commit.left = 1;
	for (unsigned i = 0; i < QCOW2_SLICES; i++) {
		struct slice *slice = &q->slices[i];
		if (!slice->dirty || slice->is_refcount != refcounts)
			continue;
		q->commit.left++;
		slice->iov = (struct mem_iov){ slice->data, q->slice_bytes };
		qio_submit(q, &slice->io,
			   &(struct aio_request){ .op = AIO_WRITE,
						  .fd = q->top->file.fd,
						  .offset_bytes = slice->offset,
						  .len_bytes = q->slice_bytes,
						  .iov = &slice->iov,
						  .n_iov = 1 },
			   &slice->load, commit_slice_written);
	}
	if (--q->commit.left == 0)
		qtask_ready(q, &q->commit.task, 0);
}

static void commit_entries(struct qcow2 *q, struct be64 *table, uint64_t offset,
			   const struct qspan *span, void (*fn)(struct qtask *task))
{
	q->commit.iov = (struct mem_iov){ table + span->from, (span->to - span->from) * 8ULL };
	qio_submit(q, &q->commit.io,
		   &(struct aio_request){ .op = AIO_WRITE,
					  .fd = q->top->file.fd,
					  .offset_bytes = offset + span->from * 8ULL,
					  .len_bytes = q->commit.iov.len,
					  .iov = &q->commit.iov,
					  .n_iov = 1 },
		   &q->commit.task, fn);
}

/* ---- 6: what is no longer referred to ---- */

static void commit_next_free(struct qcow2 *q)
{
	q->commit.free_i++;
	q->commit.free_index = 0;
	q->commit.free_all = true;
}

/* A hole is a favour to the host's disk: its failure is no error. */
static void commit_punched(struct qtask *task)
{
	struct qcow2 *q = commit_of(task);

	commit_next_free(q);
	task->result = 0;
	commit_frees(task);
}

/* 1: all its references are gone; 0: waits; -EAGAIN: too many dirty slices. */
static int commit_unref(struct qcow2 *q, const struct qfree *f)
{
	uint64_t first = f->offset >> q->cluster_bits;
	uint64_t last = (f->offset + f->len - 1) >> q->cluster_bits;

	while (first + q->commit.free_index <= last) {
		if (q->n_dirty > QCOW2_DIRTY_MAX)
			return -EAGAIN;
		int n = qcow2_unref(q, first + q->commit.free_index, &q->commit.task, commit_frees);
		if (n == 0)
			return 0;
		q->commit.free_all &= n == 1;
		q->commit.free_index++;
	}
	return 1;
}

static void commit_frees(struct qtask *task)
{
	struct qcow2 *q = commit_of(task);

	if (task->result < 0) { /* a refcount that cannot be read: that cluster is leaked */
		q->commit.free_all = false;
		q->commit.free_index++;
	}
	while (q->commit.free_i < q->n_frees) {
		const struct qfree *f = &q->frees[q->commit.free_i];
		int n = commit_unref(q, f);
		if (n == 0)
			return;
		if (n < 0) {
			commit_refcounts(q);
			return;
		}
		if (q->commit.free_all && !f->is_packed && qcow2_host_ok(q, f->offset, f->len)) {
			qio_submit(q, &q->commit.io,
				   &(struct aio_request){ .op = AIO_PUNCH,
							  .fd = q->top->file.fd,
							  .offset_bytes = f->offset,
							  .len_bytes = f->len },
				   task, commit_punched);
			return;
		}
		commit_next_free(q);
	}
	q->n_frees = 0;
	commit_finish(q, 0);
}

/* ---- 1 to 5 ---- */

static void commit_synced(struct qtask *task)
{
	if (!commit_sync_failed(commit_of(task)))
		commit_frees(task);
}

static void commit_l1_written(struct qtask *task)
{
	struct qcow2 *q = commit_of(task);

	if (commit_failed(q))
		return;
	q->l1_dirty = (struct qspan){ 0 };
	commit_sync(q, commit_synced);
}

static void commit_l2_written(struct qtask *task)
{
	struct qcow2 *q = commit_of(task);

	if (commit_failed(q))
		return;
	if (qspan_is_empty(&q->l1_dirty))
		commit_sync(q, commit_synced);
	else
		commit_entries(q, q->top->l1, q->top->l1_offset, &q->l1_dirty, commit_l1_written);
}

static void commit_rt_synced(struct qtask *task)
{
	struct qcow2 *q = commit_of(task);

	if (!commit_sync_failed(q))
		commit_slices(q, false, commit_l2_written);
}

static void commit_rt_written(struct qtask *task)
{
	struct qcow2 *q = commit_of(task);

	if (commit_failed(q))
		return;
	q->rt_dirty = (struct qspan){ 0 };
	commit_sync(q, commit_rt_synced);
}

static void commit_refcounts_synced(struct qtask *task)
{
	struct qcow2 *q = commit_of(task);

	if (commit_sync_failed(q))
		return;
	if (qspan_is_empty(&q->rt_dirty))
		commit_slices(q, false, commit_l2_written);
	else
		commit_entries(q, q->rt, q->rt_offset, &q->rt_dirty, commit_rt_written);
}

/* With nothing that refers to anything new, the last sync is enough. */
static void commit_refcounts_written(struct qtask *task)
{
	struct qcow2 *q = commit_of(task);

	if (commit_failed(q))
		return;
	if (q->n_dirty == 0 && qspan_is_empty(&q->rt_dirty) && qspan_is_empty(&q->l1_dirty))
		commit_sync(q, commit_synced);
	else
		commit_sync(q, commit_refcounts_synced);
}

static void commit_refcounts(struct qcow2 *q)
{
	commit_slices(q, true, commit_refcounts_written);
}

/* Who asks from here on may have changed what is not looked at again: the next commit is theirs. */
static void commit_begin(struct qtask *task)
{
	struct qcow2 *q = commit_of(task);
	struct qtask *waiter;

	while ((waiter = qtasks_pop(&q->commit.next)))
		qtasks_add(&q->commit.current, waiter);
	if (q->failed) {
		commit_finish(q, -EIO);
		return;
	}
	q->commit.free_i = 0;
	q->commit.free_index = 0;
	q->commit.free_all = true;
	commit_refcounts(q);
}

static void commit_start(struct qcow2 *q)
{
	q->commit.active = true;
	qlock_take(q, &q->meta, &q->commit.task, commit_begin);
}

void qcow2_commit(struct qcow2 *q, struct qtask *task, void (*fn)(struct qtask *task))
{
	task->run = fn;
	qtasks_add(&q->commit.next, task);
	if (!q->commit.active)
		commit_start(q);
}
