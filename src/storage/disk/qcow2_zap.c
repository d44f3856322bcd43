/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/core/macros.h"
#include "storage/disk/qcow2_private.h"

/*
 * DISK_DISCARD and DISK_WRITE_ZEROES: whole clusters change their L2 entries, what is left of a range that does
 * not fit is written as zeroes, or, for a discard, left alone. A discarded cluster reads as zeroes, never as
 * what the backing image has there.
 */

static void zap_next(struct qtask *task);

static struct qrequest *zap_of(struct qtask *task)
{
	return container_of(task, struct qrequest, task);
}

static bool zap_unmaps(const struct qrequest *r)
{
	return r->req->op == DISK_DISCARD || r->req->may_unmap;
}

/* Version 2 cannot say that a cluster is zero, where there is something under it. */
static bool zap_by_entry(const struct qcow2 *q)
{
	return q->top->version >= 3 || q->n_layers == 1;
}

/* What an L2 entry becomes: as it was, where that reads as zeroes already. */
static uint64_t zap_entry(const struct qrequest *r, uint64_t old)
{
	const struct qcow2 *q = r->q;
	struct qrun run;

	if (!qcow2_entry(q->top, old, &run))
		return old; /* damaged: reading it says so */
	if (run.kind == QMAP_NONE && q->n_layers == 1)
		return old;
	if (run.kind == QMAP_ZERO && !(run.has_old && zap_unmaps(r)))
		return old;
	if (run.kind == QMAP_DATA && run.owned && !zap_unmaps(r) && q->top->version >= 3)
		return old | QCOW2_ZERO;
	return q->n_layers == 1 ? 0 : QCOW2_ZERO;
}

/* Whole clusters of [pos, end) that lie in one slice; the disk's last cluster may be less than whole. */
static uint64_t zap_clusters(const struct qrequest *r)
{
	const struct qcow2 *q = r->q;
	uint64_t slice_covers = (uint64_t)(q->slice_bytes / 8) << q->cluster_bits;
	uint64_t end = r->end;

	if (r->pos & (q->cluster_bytes - 1))
		return 0;
	if (end == q->disk.size_bytes)
		end = (end + q->cluster_bytes - 1) & ~(q->cluster_bytes - 1);
	uint64_t most = slice_covers - (r->pos & (slice_covers - 1));
	return (end - r->pos < most ? end - r->pos : most) >> q->cluster_bits;
}

static void zap_advance(struct qrequest *r, uint64_t bytes)
{
	r->pos = bytes < r->end - r->pos ? r->pos + bytes : r->end;
}

static void zap_entries(struct qrequest *r, struct slice *slice, unsigned byte)
{
	struct qcow2 *q = r->q;
	uint64_t n = zap_clusters(r), i;

	for (i = 0; i < n && q->n_frees < QCOW2_FREES; i++, byte += 8) {
		uint64_t old = be64_load(slice->data + byte), new = zap_entry(r, old);
		if (new == old)
			continue;
		if (!(new &QCOW2_OFFSET_MASK))
			qcow2_free_later(q, old);
		be64_store(slice->data + byte, new);
		qcow2_slice_dirty(q, slice);
	}
	zap_advance(r, i << q->cluster_bits);
}

/* meta is held. */
static void zap_locked(struct qtask *task)
{
	struct qrequest *r = zap_of(task);
	struct qcow2 *q = r->q;
	uint64_t at = qcow2_l2_at(q->top, r->pos);

	if (task->result < 0) {
		if (q->meta.owner == task)
			qcow2_meta_release(q);
		qcow2_request_done(r, (int)task->result);
		return;
	}
	if (at == 0) { /* there is a backing image, which must not show through */
		qcow2_l2_make(q, qcow2_l1_index(q->top, r->pos), task, zap_locked);
		return;
	}
	struct slice *slice = qcow2_slice(q, q->top, at, false, task, zap_locked);
	if (!slice)
		return;
	zap_entries(r, slice, (unsigned)(at - slice->offset));
	qcow2_meta_release(q);
	zap_next(task);
}

static void zap_written(struct qrequest *r)
{
	r->task.result = 0;
	zap_next(&r->task);
}

/* To the end of this cluster, or further where entries cannot say it. */
static void zap_write(struct qrequest *r)
{
	struct qcow2 *q = r->q;
	uint64_t left = q->cluster_bytes - (r->pos & (q->cluster_bytes - 1));

	if (!zap_by_entry(q))
		left = r->end - r->pos;
	if (r->req->op == DISK_DISCARD) {
		zap_advance(r, left);
		zap_next(&r->task);
		return;
	}
	struct qrun run;
	int n = qcow2_map(q, q->top, r->pos, left < r->end - r->pos ? left : r->end - r->pos,
			  &r->task, zap_next, &run);
	if (n == 0)
		return;
	if (n > 0 && (run.kind == QMAP_ZERO || (run.kind == QMAP_NONE && q->n_layers == 1))) {
		zap_advance(r, run.len);
		qtask_ready(q, &r->task, 0);
		r->task.run = zap_next;
		return;
	}
	r->stop = left < r->end - r->pos ? r->pos + left : r->end;
	r->after = zap_written;
	qcow2_write(r);
}

/* Nothing is mapped as far as one L1 entry reaches, and nothing is under it. */
static bool zap_skip(struct qrequest *r)
{
	const struct qcow2 *q = r->q;
	uint64_t cover = UINT64_C(1) << qcow2_cover_bits(q->cluster_bits);

	if (q->n_layers > 1 || qcow2_l2_at(q->top, r->pos) != 0)
		return false;
	zap_advance(r, cover - (r->pos & (cover - 1)));
	return true;
}

static void zap_next(struct qtask *task)
{
	struct qrequest *r = zap_of(task);
	struct qcow2 *q = r->q;

	if (q->failed || task->result < 0) {
		qcow2_request_done(r, q->failed ? -EIO : (int)task->result);
		return;
	}
	while (r->pos < r->end && zap_skip(r))
		;
	if (r->pos == r->end)
		qcow2_request_done(r, 0);
	else if (zap_by_entry(q) && zap_clusters(r) > 0)
		qcow2_meta_take(q, task, zap_locked);
	else
		zap_write(r);
}

void qcow2_zap(struct qrequest *r)
{
	r->task.result = 0;
	zap_next(&r->task);
}
