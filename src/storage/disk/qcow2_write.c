/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/core/macros.h"
#include "storage/disk/qcow2_private.h"

static void write_next(struct qtask *task);
static void write_fill_next(struct qtask *task);

static struct qrequest *write_of(struct qtask *task)
{
	return container_of(task, struct qrequest, task);
}

/* The request's memory, from pos on; zeroes are written without any. */
static void write_submit(struct qrequest *r, uint64_t host, void (*fn)(struct qtask *task))
{
	bool zeroes = r->req->op != DISK_WRITE;

	qio_submit(
		r->q, &r->io,
		&(struct aio_request){ .op = AIO_WRITE,
				       .fd = r->q->top->file.fd,
				       .offset_bytes = host,
				       .len_bytes = r->len,
				       .iov = zeroes ? NULL : r->req->iov,
				       .n_iov = zeroes ? 0 : r->req->n_iov,
				       .skip_bytes = zeroes ? 0 : r->pos - r->req->offset_bytes },
		&r->task, fn);
}

static void write_piece_done(struct qtask *task)
{
	struct qrequest *r = write_of(task);

	if (task->result < 0) {
		qcow2_request_done(r, (int)task->result);
		return;
	}
	r->pos += r->len;
	task->result = 0;
	write_next(task);
}

/* ---- giving back what was allocated in vain ---- */

static void write_undo(struct qtask *task)
{
	struct qrequest *r = write_of(task);
	struct qcow2 *q = r->q;

	if (task->result < 0 && q->meta.owner != task) { /* no meta: the clusters are leaked */
		qcow2_request_done(r, r->error);
		return;
	}
	while (task->result >= 0 && r->clusters > 0) {
		int n = qcow2_unref(q, (r->host >> q->cluster_bits) + r->clusters - 1, task,
				    write_undo);
		if (n == 0)
			return;
		if (n < 0)
			break;
		r->clusters--;
	}
	qcow2_meta_release(q);
	qcow2_request_done(r, r->error);
}

static void write_fail(struct qrequest *r, int64_t error)
{
	r->error = (int)error;
	qcow2_meta_take(r->q, &r->task, write_undo);
}

/* ---- the new clusters become the disk's ---- */

static void write_link_entries(struct qrequest *r, struct slice *slice, unsigned byte)
{
	struct qcow2 *q = r->q;

	for (uint64_t i = 0; i < r->clusters; i++, byte += 8) {
		qcow2_free_later(q, be64_load(slice->data + byte));
		be64_store(slice->data + byte, (r->host + (i << q->cluster_bits)) | QCOW2_COPIED);
	}
	qcow2_slice_dirty(q, slice);
}

static void write_link(struct qtask *task)
{
	struct qrequest *r = write_of(task);
	struct qcow2 *q = r->q;

	if (task->result < 0) {
		bool held = q->meta.owner == task;
		r->error = (int)task->result;
		if (held)
			qcow2_meta_release(q);
		write_fail(r, r->error);
		return;
	}
	uint64_t at = qcow2_l2_at(q->top, r->start);
	struct slice *slice = qcow2_slice(q, q->top, at, false, task, write_link);
	if (!slice)
		return;
	write_link_entries(r, slice, (unsigned)(at - slice->offset));
	qcow2_meta_release(q);
	r->pos += r->len;
	write_next(task);
}

static void write_data_done(struct qtask *task)
{
	struct qrequest *r = write_of(task);

	if (task->result < 0)
		write_fail(r, task->result);
	else
		qcow2_meta_take(r->q, task, write_link);
}

static void write_data(struct qrequest *r)
{
	write_submit(r, r->host + (r->pos - r->start), write_data_done);
}

/* ---- what the first and the last new cluster hold beside the data ---- */

/* The two stretches around the data: false: there is none. */
static bool write_fill_range(const struct qrequest *r, uint64_t *at, uint64_t *len)
{
	uint64_t end = r->start + (r->clusters << r->q->cluster_bits);

	*at = r->fill_step == 0 ? r->start : r->pos + r->len;
	*len = r->fill_step == 0 ? r->pos - r->start : end - *at;
	return *len > 0;
}

static void write_fill_read(struct qtask *task)
{
	struct qrequest *r = write_of(task);
	uint64_t at = 0, len = 0;

	if (task->result < 0) {
		write_fill_next(task);
		return;
	}
	(void)write_fill_range(r, &at, &len);
	r->fill_step++;
	qio_submit(r->q, &r->io,
		   &(struct aio_request){ .op = AIO_WRITE,
					  .fd = r->q->top->file.fd,
					  .offset_bytes = r->host + (at - r->start),
					  .len_bytes = len,
					  .iov = &r->fill_iov,
					  .n_iov = 1 },
		   task, write_fill_next);
}

/* fill is held. */
static void write_fill_next(struct qtask *task)
{
	struct qrequest *r = write_of(task);
	struct qcow2 *q = r->q;
	uint64_t at = 0, len = 0;

	if (task->result < 0) {
		qlock_release(q, &q->fill);
		write_fail(r, task->result);
		return;
	}
	while (r->fill_step < 2 && !write_fill_range(r, &at, &len))
		r->fill_step++;
	if (r->fill_step == 2) {
		qlock_release(q, &q->fill);
		write_data(r);
		return;
	}
	r->fill_iov = (struct mem_iov){ q->fill_data, len };
	qcow2_read(q, &r->read, at, at + len, &r->fill_iov, 1, task, write_fill_read);
}

/* Nothing to fill where the clusters are covered, or read as the zeroes that they are to hold. */
static bool write_needs_fill(const struct qrequest *r)
{
	uint64_t bytes = r->clusters << r->q->cluster_bits;
	bool was_zero = r->kind == QMAP_ZERO || (r->kind == QMAP_NONE && r->q->n_layers == 1);

	return r->len < bytes && !(r->fresh && was_zero);
}

/* ---- new clusters ---- */

static void write_allocated(struct qtask *task)
{
	struct qrequest *r = write_of(task);
	struct qcow2 *q = r->q;

	qcow2_meta_release(q);
	if (task->result < 0) {
		qcow2_request_done(r, (int)task->result);
		return;
	}
	r->clusters = (uint64_t)task->result;
	r->host = q->alloc.host;
	r->fresh = q->alloc.fresh;
	uint64_t have = r->start + (r->clusters << q->cluster_bits) - r->pos;
	if (r->len > have)
		r->len = have;
	r->fill_step = 0;
	if (write_needs_fill(r))
		qlock_take(q, &q->fill, task, write_fill_next);
	else
		write_data(r);
}

static void write_allocate(struct qtask *task)
{
	struct qrequest *r = write_of(task);
	struct qcow2 *q = r->q;

	if (task->result < 0) {
		if (q->meta.owner == task)
			qcow2_meta_release(q);
		qcow2_request_done(r, (int)task->result);
		return;
	}
	if (qcow2_l2_at(q->top, r->start) == 0)
		qcow2_l2_make(q, qcow2_l1_index(q->top, r->start), task, write_allocate);
	else
		qcow2_alloc(q, (unsigned)r->clusters, task, write_allocated);
}

/* The piece: within one slice of the L2 table, and no more old clusters to let go than a change may. */
static void write_new(struct qrequest *r, const struct qrun *run)
{
	struct qcow2 *q = r->q;
	uint64_t slice_covers = (uint64_t)(q->slice_bytes / 8) << q->cluster_bits;
	uint64_t inside = r->pos & (q->cluster_bytes - 1);
	uint64_t most = slice_covers - (r->pos & (slice_covers - 1));

	if (run->has_old && most > ((uint64_t)QCOW2_FREES_STEP << q->cluster_bits) - inside)
		most = ((uint64_t)QCOW2_FREES_STEP << q->cluster_bits) - inside;
	r->kind = run->kind;
	r->start = r->pos - inside;
	r->len = run->len < most ? run->len : most;
	r->clusters = (inside + r->len + q->cluster_bytes - 1) >> q->cluster_bits;
	qcow2_meta_take(q, &r->task, write_allocate);
}

static void write_next(struct qtask *task)
{
	struct qrequest *r = write_of(task);
	struct qcow2 *q = r->q;
	struct qrun run;
	int n = task->result < 0 ? (int)task->result : q->failed ? -EIO : 1;

	if (n > 0 && r->pos == r->stop) {
		r->after(r);
		return;
	}
	if (n > 0)
		n = qcow2_map(q, q->top, r->pos, r->stop - r->pos, task, write_next, &run);
	if (n == 0)
		return;
	/* A shared holder saw all its clusters in place, and nobody else could change that. */
	if (n < 0 || !((run.kind == QMAP_DATA && run.owned) || r->exclusive) ||
	    (run.kind == QMAP_DATA && run.owned && !qcow2_host_ok(q, run.host, run.len))) {
		qcow2_request_done(r, n < 0 ? n : -EIO);
		return;
	}
	if (run.kind == QMAP_DATA && run.owned) {
		r->len = run.len;
		write_submit(r, run.host, write_piece_done);
	} else {
		write_new(r, &run);
	}
}

void qcow2_write(struct qrequest *r)
{
	r->task.result = 0;
	write_next(&r->task);
}
