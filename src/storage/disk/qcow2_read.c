/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "storage/disk/qcow2_private.h"

static void read_step(struct qtask *task);

static struct qread *read_of(struct qtask *task)
{
	return container_of(task, struct qread, task);
}

static void read_finish(struct qread *rd, int64_t result)
{
	qtask_ready(rd->q, rd->caller, result);
}

/* Copies len bytes to where [at, at + len) of the request belongs; from NULL: zeroes. */
static void read_copy(const struct qread *rd, uint64_t at, const uint8_t *from, uint64_t len)
{
	uint64_t skip = at - rd->base;

	for (unsigned i = 0; i < rd->n_iov && len > 0; i++) {
		const struct mem_iov *iov = &rd->iov[i];
		if (skip >= iov->len) {
			skip -= iov->len;
			continue;
		}
		uint64_t n = iov->len - skip < len ? iov->len - skip : len;
		uint8_t *to = (uint8_t *)iov->hva + skip;
		if (from) {
			memcpy(to, from, n);
			from += n;
		} else {
			memset(to, 0, n);
		}
		len -= n;
		skip = 0;
	}
}

/* The piece at pos is there: go on from the top of the chain. */
static void read_advance(struct qread *rd, uint64_t len)
{
	rd->pos += len;
	rd->level = 0;
	rd->limit = rd->end;
}

static void read_data_done(struct qtask *task)
{
	struct qread *rd = read_of(task);

	if (task->result < 0) {
		read_finish(rd, task->result);
		return;
	}
	/* A file that ends earlier reads as zeroes: QEMU leaves off the end of a last cluster. */
	uint64_t got = (uint64_t)task->result;
	if (got < rd->run.len)
		read_copy(rd, rd->pos + got, NULL, rd->run.len - got);
	read_advance(rd, rd->run.len);
	task->result = 0;
	read_step(task);
}

static void read_data(struct qread *rd)
{
	qio_submit(rd->q, &rd->io,
		   &(struct aio_request){ .op = AIO_READ,
					  .fd = rd->q->layers[rd->level].file.fd,
					  .offset_bytes = rd->run.host,
					  .len_bytes = rd->run.len,
					  .iov = rd->iov,
					  .n_iov = rd->n_iov,
					  .skip_bytes = rd->pos - rd->base },
		   &rd->task, read_data_done);
}

/* unpack is held, and plain_data holds the cluster. */
static void read_unpacked(struct qread *rd)
{
	struct qcow2 *q = rd->q;
	uint64_t cluster = UINT64_C(1) << q->layers[rd->level].cluster_bits;

	read_copy(rd, rd->pos, q->plain_data + (rd->pos & (cluster - 1)), rd->run.len);
	qlock_release(q, &q->unpack);
	read_advance(rd, rd->run.len);
	rd->task.result = 0;
	read_step(&rd->task);
}

static void read_packed_done(struct qtask *task)
{
	struct qread *rd = read_of(task);
	struct qcow2 *q = rd->q;
	const struct qlayer *layer = &q->layers[rd->level];
	int64_t r = task->result;

	if (r >= 0)
		r = qcow2_unpack(q, (size_t)r, (size_t)1 << layer->cluster_bits);
	if (r < 0) {
		qlock_release(q, &q->unpack);
		read_finish(rd, r);
		return;
	}
	q->plain_layer = layer;
	q->plain_entry = rd->run.entry;
	read_unpacked(rd);
}

/* unpack is held. */
static void read_packed(struct qtask *task)
{
	struct qread *rd = read_of(task);
	struct qcow2 *q = rd->q;
	const struct qlayer *layer = &q->layers[rd->level];
	struct qcow2_packed packed = qcow2_packed_of(rd->run.entry, layer->cluster_bits);

	if (q->plain_layer == layer && q->plain_entry == rd->run.entry) {
		read_unpacked(rd);
		return;
	}
	q->plain_layer = NULL;
	q->packed_iov = (struct mem_iov){ q->packed_data, packed.len };
	qio_submit(q, &rd->io,
		   &(struct aio_request){ .op = AIO_READ,
					  .fd = layer->file.fd,
					  .offset_bytes = packed.offset,
					  .len_bytes = packed.len,
					  .iov = &q->packed_iov,
					  .n_iov = 1 },
		   &rd->task, read_packed_done);
}

/* What the image at rd->level says of pos: 1, 0 (waits), or -EIO. */
static int read_map(struct qread *rd)
{
	const struct qlayer *layer = &rd->q->layers[rd->level];

	if (rd->pos >= layer->size_bytes) {
		rd->run = (struct qrun){ .kind = QMAP_ZERO, .len = rd->limit - rd->pos };
		return 1;
	}
	if (rd->limit > layer->size_bytes)
		rd->limit = layer->size_bytes;
	if (!layer->is_qcow2) {
		rd->run = (struct qrun){ .kind = QMAP_DATA,
					 .host = rd->pos,
					 .len = rd->limit - rd->pos };
		return 1;
	}
	return qcow2_map(rd->q, layer, rd->pos, rd->limit - rd->pos, &rd->task, read_step,
			 &rd->run);
}

static void read_step(struct qtask *task)
{
	struct qread *rd = read_of(task);
	int64_t r = task->result;

	while (r >= 0 && rd->pos < rd->end) {
		r = read_map(rd);
		if (r == 0)
			return;
		if (r < 0)
			break;
		if (rd->run.kind == QMAP_NONE && rd->level + 1 < rd->q->n_layers) {
			rd->limit = rd->pos + rd->run.len;
			rd->level++;
		} else if (rd->run.kind == QMAP_DATA) {
			read_data(rd);
			return;
		} else if (rd->run.kind == QMAP_PACKED) {
			qlock_take(rd->q, &rd->q->unpack, task, read_packed);
			return;
		} else {
			read_copy(rd, rd->pos, NULL, rd->run.len);
			read_advance(rd, rd->run.len);
		}
	}
	read_finish(rd, r < 0 ? r : 0);
}

void qcow2_read(struct qcow2 *q, struct qread *rd, uint64_t base, uint64_t end,
		const struct mem_iov *iov, unsigned n_iov, struct qtask *caller,
		void (*fn)(struct qtask *task))
{
	*rd = (struct qread){ .q = q,
			      .caller = caller,
			      .base = base,
			      .pos = base,
			      .end = end,
			      .limit = end,
			      .iov = iov,
			      .n_iov = n_iov };
	caller->run = fn;
	rd->task.run = read_step;
	qtask_ready(q, &rd->task, 0);
}
