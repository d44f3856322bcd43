/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/core/macros.h"
#include "storage/disk/qcow2_private.h"

static void request_begin(struct qtask *task);

static struct qrequest *request_of(struct qtask *task)
{
	return container_of(task, struct qrequest, task);
}

/* Whether every cluster is there and ours, as far as the cache knows: then the mapping stays as it is. */
static bool request_in_place(struct qcow2 *q, const struct qrequest *r)
{
	uint64_t pos = r->pos;
	struct qrun run;

	while (pos < r->end) {
		if (qcow2_map(q, q->top, pos, r->end - pos, NULL, NULL, &run) != 1 ||
		    run.kind != QMAP_DATA || !run.owned)
			return false;
		pos += run.len;
	}
	return true;
}

static bool request_conflicts(const struct qrequest *a, const struct qrequest *b)
{
	return (a->exclusive || b->exclusive) && a->first <= b->last && b->first <= a->last;
}

/* A request starts when no earlier one, started or not, stands in its way. */
static bool request_may_start(struct qcow2 *q, struct qrequest *r)
{
	r->exclusive =
		r->req->op != DISK_READ && !(r->req->op == DISK_WRITE && request_in_place(q, r));
	for (const struct qrequest *o = q->requests; o != r; o = o->next) {
		if (request_conflicts(o, r))
			return false;
	}
	return true;
}

static void request_start(struct qcow2 *q, struct qrequest *r)
{
	r->active = true;
	r->task.run = request_begin;
	qtask_ready(q, &r->task, 0);
}

static void request_start_blocked(struct qcow2 *q)
{
	if (q->n_blocked == 0)
		return;
	for (struct qrequest *r = q->requests; r; r = r->next) {
		if (!r->active && request_may_start(q, r)) {
			q->n_blocked--;
			request_start(q, r);
		}
	}
}

static void request_take(struct qcow2 *q, struct qrequest *r, struct disk_request *req)
{
	struct qrequest **end = &q->requests;

	*r = (struct qrequest){ .q = q, .req = req };
	r->pos = req->offset_bytes;
	r->end = r->stop = req->offset_bytes + req->len_bytes;
	while (*end)
		end = &(*end)->next;
	*end = r;
	if (req->op == DISK_FLUSH) {
		/* Of no cluster: in nobody's way. */
		r->first = UINT64_MAX;
		r->last = 0;
		request_start(q, r);
		return;
	}
	r->first = r->pos >> q->cluster_bits;
	r->last = (r->end - 1) >> q->cluster_bits;
	if (request_may_start(q, r))
		request_start(q, r);
	else
		q->n_blocked++;
}

void qcow2_request_done(struct qrequest *r, int result)
{
	struct qcow2 *q = r->q;
	struct disk_request *req = r->req, *next = disk_row_take(&q->waiting);
	struct qrequest **at = &q->requests;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	if (next) {
		request_take(q, r, next);
	} else {
		r->next = q->free_requests;
		q->free_requests = r;
	}
	request_start_blocked(q);
	req->done(req, result);
}

static void request_ended(struct qtask *task)
{
	qcow2_request_done(request_of(task), task->result < 0 ? (int)task->result : 0);
}

static void request_synced(struct qtask *task)
{
	struct qrequest *r = request_of(task);

	r->q->failed |= task->result < 0;
	request_ended(task);
}

static void request_flush(struct qrequest *r)
{
	struct qcow2 *q = r->q;

	if (q->failed)
		qcow2_request_done(r, -EIO);
	else if (!qcow2_is_clean(q))
		qcow2_commit(q, &r->task, request_ended);
	else if (q->unsafe)
		qcow2_request_done(r, 0);
	else
		qio_submit(q, &r->io,
			   &(struct aio_request){ .op = AIO_SYNC, .fd = q->top->file.fd }, &r->task,
			   request_synced);
}

static void request_written(struct qrequest *r)
{
	qcow2_request_done(r, 0);
}

static void request_begin(struct qtask *task)
{
	struct qrequest *r = request_of(task);

	r->after = request_written;
	switch (r->req->op) {
	case DISK_READ:
		qcow2_read(r->q, &r->read, r->pos, r->end, r->req->iov, r->req->n_iov, task,
			   request_ended);
		break;
	case DISK_WRITE:
		qcow2_write(r);
		break;
	case DISK_FLUSH:
		request_flush(r);
		break;
	case DISK_DISCARD:
	case DISK_WRITE_ZEROES:
	default:
		qcow2_zap(r);
		break;
	}
}

void qcow2_submit(struct disk *disk, struct disk_request *req)
{
	struct qcow2 *q = container_of(disk, struct qcow2, disk);
	struct qrequest *r = q->free_requests;
	int error = disk_request_check(disk, req);

	if (error < 0 || (req->op == DISK_FLUSH ? disk->read_only : !req->len_bytes)) {
		req->done(req, error);
		return;
	}
	if (r) {
		q->free_requests = r->next;
		request_take(q, r, req);
		qcow2_run(q);
		return;
	}
	disk_row_put(&q->waiting, req);
}
