/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/core/buf.h"
#include "base/core/macros.h"
#include "storage/disk/qcow2_private.h"
#include "storage/disk/qcow2_sync.h"

#define OPEN_COMMITS 3U /* of a close: more do not help */

/* ---- the end ---- */

static void layer_fini(struct qlayer *layer, struct aio *aio)
{
	if (layer->file.fd >= 0)
		aio_detach(aio, layer->file.fd);
	disk_file_close(&layer->file);
	free(layer->l1);
}

static void qcow2_free(struct qcow2 *q)
{
	for (unsigned i = 0; i < q->n_layers; i++)
		layer_fini(&q->layers[i], q->aio);
	if (q->arena)
		(void)munmap(q->arena, q->arena_bytes);
	free(q->layers);
	free(q->rt);
	free(q);
}

static void qcow2_free_p(struct qcow2 **q)
{
	if (*q)
		qcow2_free(*q);
}

struct open_close {
	struct qtask task;
	bool done;
};

static void open_closed(struct qtask *task)
{
	container_of(task, struct open_close, task)->done = true;
}

/*
 * Tables that were changed go to the file, in their order, and with its syncs: a power cut after a close must not
 * show new clusters without their data where something older was flushed. Whatever fails is lost.
 */
static void qcow2_close(struct disk *disk)
{
	struct qcow2 *q = container_of(disk, struct qcow2, disk);

	/* What one commit lets go of is counted in the next. */
	for (unsigned i = 0; i < OPEN_COMMITS && !q->failed && !qcow2_is_clean(q); i++) {
		struct open_close end = { 0 };
		qcow2_commit(q, &end.task, open_closed);
		qcow2_run(q);
		while (!end.done && aio_wait(q->aio) > 0)
			;
	}
	qcow2_free(q);
}

static const struct disk_ops qcow2_ops = {
	.name = "qcow2",
	.submit = qcow2_submit,
	.close = qcow2_close,
};

/* ---- the chain ---- */

/* What looks like a protocol (nbd:, json:) is no file. */
static int open_backing_path(const char *image, const char *backing, char **ret, struct err *err)
{
	AUTO(buf_fini) struct buf path = { 0 };
	size_t scheme = strcspn(backing, ":/");

	if (backing[scheme] == ':')
		return err_say(
			err, EPROTO,
			"disk %s: its backing file %s is not a file's name: protocols cannot be "
			"used",
			image, backing);
	(void)qcow2_backing_path(image, backing, &path);
	*ret = buf_steal(&path);
	return *ret ? 0 : err_set(err, ENOMEM, "open disk %s", image);
}

/* raw must be said: see disk.h, enum disk_format. */
static int open_backing_format(const struct disk_file *file, const char *image,
			       enum disk_format *format, struct err *err)
{
	uint8_t head[4];

	if (*format != DISK_FORMAT_AUTO)
		return 0;
	int r = disk_file_read(file, 0, head, sizeof(head), err);
	if (r < 0)
		return r;
	if (memcmp(head, QCOW2_MAGIC, sizeof(head)) != 0)
		return err_say(err, EINVAL,
			       "disk %s does not say the format of its backing file %s: qemu-img "
			       "rebase -u -F raw -b %s %s says it",
			       image, file->path, file->path, image);
	*format = DISK_FORMAT_QCOW2;
	return 0;
}

static int open_check_cycle(const struct qcow2 *q, const struct disk_file *file, struct err *err)
{
	for (unsigned i = 0; i < q->n_layers; i++) {
		if (q->layers[i].file.dev == file->dev && q->layers[i].file.ino == file->ino)
			return err_say(err, ELOOP, "disk %s is its own backing file",
				       q->layers[i].file.path);
	}
	if (q->n_layers == QCOW2_CHAIN_MAX)
		return err_say(err, ELOOP,
			       "disk %s has more than %u backing files, one under the other",
			       q->layers[0].file.path, QCOW2_CHAIN_MAX - 1);
	return 0;
}

/* What is past a file's end reads as zeros, and a table of zeros is an empty disk: a cut copy would pass for one. */
static int open_check_whole(const struct qlayer *layer, size_t l1_bytes, struct err *err)
{
	uint64_t end = layer->file.size_bytes;
	bool cut = layer->l1_offset + l1_bytes > end;

	for (uint32_t i = 0; !cut && i < layer->l1_n; i++)
		cut = (be64_get(layer->l1[i]) & QCOW2_OFFSET_MASK) >= end;
	return cut ? err_say(err, EPROTO, "disk %s is cut short: its tables lie past its end",
			     layer->file.path)
		   : 0;
}

static int open_l1(struct qlayer *layer, const struct qcow2_header *h, struct err *err)
{
	size_t bytes = (size_t)h->l1_needed * 8;

	layer->l1 = malloc(bytes);
	if (!layer->l1)
		return err_set(err, ENOMEM, "open disk %s", layer->file.path);
	layer->l1_n = h->l1_needed;
	layer->l1_bytes = (uint64_t)h->l1_n * 8;
	layer->l1_offset = h->l1_offset;
	int r = disk_file_read(&layer->file, h->l1_offset, layer->l1, bytes, err);
	return r == 0 ? open_check_whole(layer, bytes, err) : r;
}

/* One more image at the bottom; takes file. */
static int open_layer(struct qcow2 *q, struct disk_file *file, bool is_qcow2,
		      struct qcow2_header *h, struct err *err)
{
	int r = open_check_cycle(q, file, err);

	if (r < 0)
		return r;
	r = aio_attach(q->aio, file->fd);
	if (r < 0)
		return err_set(err, -r, "open disk %s", file->path);
	struct qlayer *layer = &q->layers[q->n_layers++];
	layer->file = *file;
	*file = (struct disk_file)DISK_FILE_NONE;
	layer->is_qcow2 = is_qcow2;
	layer->size_bytes = layer->file.size_bytes;
	if (!is_qcow2)
		return 0;
	r = qcow2_header_read(&layer->file, h, err);
	if (r < 0)
		return r;
	layer->size_bytes = h->size_bytes;
	layer->version = h->version;
	layer->cluster_bits = h->cluster_bits;
	return open_l1(layer, h, err);
}

static int open_backing(struct qcow2 *q, const struct qcow2_header *h, struct qcow2_header *ret,
			bool *ret_more, struct err *err)
{
	AUTO(disk_file_close) struct disk_file file = DISK_FILE_NONE;
	const char *image = q->layers[q->n_layers - 1].file.path;
	enum disk_format format = h->backing_format;
	char *path;

	int r = open_backing_path(image, h->backing, &path, err);
	if (r < 0)
		return r;
	r = disk_file_open(path, true, q->wait_ms, &file, err);
	free(path);
	if (r < 0 && err)
		return err_wrap(err, "backing file of disk %s", image);
	if (r == 0)
		r = open_backing_format(&file, image, &format, err);
	if (r == 0)
		r = open_layer(q, &file, format == DISK_FORMAT_QCOW2, ret, err);
	*ret_more = format == DISK_FORMAT_QCOW2 && ret->backing[0];
	return r;
}

static int open_chain(struct qcow2 *q, struct disk_file *file, bool no_backing,
		      struct qcow2_header *ret, struct err *err)
{
	struct qcow2_header *h = calloc(2, sizeof(*h));
	unsigned at = 0;
	bool more;

	if (!h)
		return err_set(err, ENOMEM, "open disk %s", file->path);
	int r = open_layer(q, file, true, &h[0], err);
	if (r == 0)
		*ret = h[0];
	more = r == 0 && h[0].backing[0];
	if (more && no_backing)
		r = err_say(err, EPROTO,
			    "disk %s has a backing file, %s, which is not allowed here",
			    q->layers[0].file.path, h[0].backing);
	for (; r == 0 && more; at ^= 1)
		r = open_backing(q, &h[at], &h[at ^ 1], &more, err);
	free(h);
	return r;
}

/* ---- the top image, to be written to ---- */

/* Without snapshots every L2 table is the active one's alone. */
static int open_check_l1(const struct qlayer *layer, struct err *err)
{
	for (uint32_t i = 0; i < layer->l1_n; i++) {
		uint64_t entry = be64_get(layer->l1[i]);
		if ((entry & QCOW2_OFFSET_MASK) && !(entry & QCOW2_COPIED))
			return err_say(
				err, EPROTO,
				"disk %s shares a table with a snapshot that is gone: qemu-img "
				"check -r all",
				layer->file.path);
	}
	return 0;
}

static int open_for_writing(struct qcow2 *q, struct qcow2_header *h, struct err *err)
{
	struct disk_file *file = &q->top->file;
	int r = 0;

	if (h->incompatible == QCOW2_DIRTY)
		r = qcow2_sync_mend(file, h, err);
	if (r == 0)
		r = qcow2_header_write_check(h, file->path, err);
	if (r == 0)
		r = open_check_l1(q->top, err);
	if (r == 0 && h->autoclear)
		r = qcow2_sync_autoclear(file, h, err);
	if (r == 0)
		r = qcow2_sync_refcount_table(file, h, &q->rt, &q->rt_n, err);
	q->rt_offset = h->rt_offset;
	q->rt_bytes = (uint64_t)h->rt_clusters << h->cluster_bits;
	return r;
}

/* ---- memory ---- */

static int open_arena(struct qcow2 *q, struct err *err)
{
	size_t slices = (size_t)QCOW2_SLICES * QCOW2_SLICE_BYTES;
	unsigned bits = q->cluster_bits;

	for (unsigned i = 0; i < q->n_layers; i++) {
		if (q->layers[i].is_qcow2 && q->layers[i].cluster_bits > bits)
			bits = q->layers[i].cluster_bits;
	}
	size_t cluster = (size_t)1 << bits;
	/* A compressed cluster's descriptor counts up to 2 * cluster bytes: qcow2, Compressed Clusters Descriptor. */
	q->arena_bytes = slices + 4 * cluster + QCOW2_ZLIB_BYTES;
	void *p = mmap(NULL, q->arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (p == MAP_FAILED)
		return err_set(err, errno, "open disk %s", q->top->file.path);
	q->arena = p;
	q->fill_data = q->arena + slices;
	q->plain_data = q->fill_data + cluster;
	q->packed_data = q->plain_data + cluster;
	q->zlib_data = q->packed_data + 2 * cluster;
	for (unsigned i = 0; i < QCOW2_SLICES; i++) {
		q->slices[i].data = q->arena + (size_t)i * QCOW2_SLICE_BYTES;
		qtasks_init(&q->slices[i].waiters);
	}
	return 0;
}

static void open_lists(struct qcow2 *q)
{
	qtasks_init(&q->ready);
	qtasks_init(&q->meta.waiters);
	qtasks_init(&q->fill.waiters);
	qtasks_init(&q->unpack.waiters);
	qtasks_init(&q->slot_waiters);
	qtasks_init(&q->commit.current);
	qtasks_init(&q->commit.next);
	q->commit.free_all = true;
	disk_row_init(&q->waiting);
	for (unsigned i = 0; i < QCOW2_REQUESTS; i++) {
		q->pool[i].next = q->free_requests;
		q->free_requests = &q->pool[i];
	}
}

static void open_disk(struct qcow2 *q)
{
	const struct qlayer *top = q->top;

	q->disk = (struct disk){ .ops = &qcow2_ops,
				 .size_bytes = top->size_bytes,
				 .block_bytes = QCOW2_SLICE_BYTES,
				 .read_only = top->file.read_only,
				 .can_discard = !top->file.read_only &&
						(top->version >= 3 || q->n_layers == 1) };
	/* A block device has no end past which nothing was ever written. */
	q->high_water = top->file.is_block ? UINT64_MAX
					   : (top->file.size_bytes + q->cluster_bytes - 1) &
						     ~(q->cluster_bytes - 1);
}

int qcow2_open(struct disk_file *file, const struct disk_open_opts *opts, struct aio *aio,
	       struct disk **ret, struct err *err)
{
	AUTO(qcow2_free_p) struct qcow2 *q = calloc(1, sizeof(*q));
	struct qcow2_header h = { 0 };

	if (!q)
		return err_set(err, ENOMEM, "open disk %s", file->path);
	q->aio = aio;
	q->wait_ms = opts->wait_ms;
	q->unsafe = opts->cache == DISK_CACHE_UNSAFE;
	q->layers = calloc(QCOW2_CHAIN_MAX, sizeof(*q->layers));
	if (!q->layers)
		return err_set(err, ENOMEM, "open disk %s", file->path);
	open_lists(q);
	int r = open_chain(q, file, opts->no_backing, &h, err);
	if (r < 0)
		return r;
	q->top = &q->layers[0];
	q->cluster_bits = q->top->cluster_bits;
	q->cluster_bytes = UINT64_C(1) << q->cluster_bits;
	q->slice_bytes =
		QCOW2_SLICE_BYTES; /* or less: a slice lies within a cluster of every image */
	for (unsigned i = 0; i < q->n_layers; i++) {
		if (q->layers[i].is_qcow2 && 1U << q->layers[i].cluster_bits < q->slice_bytes)
			q->slice_bytes = 1U << q->layers[i].cluster_bits;
	}
	if (!q->top->file.read_only)
		r = open_for_writing(q, &h, err);
	if (r == 0)
		r = open_arena(q, err);
	if (r < 0)
		return r;
	open_disk(q);
	*ret = &TAKE(q)->disk;
	return 0;
}
