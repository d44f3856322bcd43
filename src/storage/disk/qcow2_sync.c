/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/disk/qcow2_sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"

static unsigned sync_block_bits(const struct qcow2_sync *s)
{
	return s->header->cluster_bits -
	       1; /* of the clusters that a block of 16-bit refcounts counts */
}

static uint64_t sync_cluster_bytes(const struct qcow2_sync *s)
{
	return UINT64_C(1) << s->header->cluster_bits;
}

static int sync_damaged(const struct qcow2_sync *s, struct err *err)
{
	return err_say(err, EINVAL, "disk %s: a damaged qcow2 image: its refcount table",
		       s->file->path);
}

int qcow2_sync_init(struct qcow2_sync *s, const struct disk_file *file,
		    const struct qcow2_header *header, struct err *err)
{
	size_t bytes = (size_t)header->rt_clusters << header->cluster_bits;

	*s = (struct qcow2_sync){ .file = file, .header = header };
	s->rt = malloc(bytes);
	if (!s->rt)
		return err_set(err, ENOMEM, "open disk %s", file->path);
	s->rt_n = (uint32_t)(bytes / 8);
	s->end = (file->size_bytes + sync_cluster_bytes(s) - 1) >> header->cluster_bits;
	return disk_file_read(file, header->rt_offset, s->rt, bytes, err);
}

void qcow2_sync_fini(struct qcow2_sync *s)
{
	free(s->rt);
	s->rt = NULL;
}

/* *ret: where the refcount is, 0 where there is no block. */
static int sync_at(const struct qcow2_sync *s, uint64_t cluster, uint64_t *ret, struct err *err)
{
	uint64_t k = cluster >> sync_block_bits(s);
	uint64_t block = k < s->rt_n ? be64_get(s->rt[k]) : 0;

	if (block & (sync_cluster_bytes(s) - 1) || block >= QCOW2_HOST_MAX)
		return sync_damaged(s, err);
	*ret = block ? block + (cluster & ((UINT64_C(1) << sync_block_bits(s)) - 1)) * 2 : 0;
	return 0;
}

int qcow2_sync_get(struct qcow2_sync *s, uint64_t cluster, uint16_t *ret, struct err *err)
{
	struct be16 v = { 0 };
	uint64_t at = 0;

	int r = sync_at(s, cluster, &at, err);
	if (r == 0 && at)
		r = disk_file_read(s->file, at, &v, sizeof(v), err);
	if (r == 0)
		*ret = be16_get(v);
	return r;
}

/* A block that counts itself: `cluster` lies in the range that has no block, where all is free. */
static int sync_make_block(struct qcow2_sync *s, uint64_t cluster, struct err *err)
{
	uint64_t bytes = sync_cluster_bytes(s), k = cluster >> sync_block_bits(s);
	uint64_t entry = cluster & ((UINT64_C(1) << sync_block_bits(s)) - 1);
	uint8_t *block;

	if (k >= s->rt_n || cluster << s->header->cluster_bits >= QCOW2_HOST_MAX)
		return err_set(err, ENOSPC, "refcounts of disk %s", s->file->path);
	block = calloc(1, bytes);
	if (!block)
		return err_set(err, ENOMEM, "refcounts of disk %s", s->file->path);
	be16_store(block + entry * 2, 1);
	int r = disk_file_write(s->file, cluster << s->header->cluster_bits, block, bytes, err);
	free(block);
	if (r == 0)
		r = disk_file_sync(s->file, err);
	if (r < 0)
		return r;
	s->rt[k] = be64_of(cluster << s->header->cluster_bits);
	if (cluster >= s->end)
		s->end = cluster + 1;
	return s->rt_moves
		       ? 0
		       : disk_file_write(s->file, s->header->rt_offset + k * 8, &s->rt[k], 8, err);
}

/* Where a block for the range of `cluster` goes: the first place past the end that lies in it, or is counted already. */
static int sync_need_block(struct qcow2_sync *s, uint64_t cluster, struct err *err)
{
	uint64_t range = cluster >> sync_block_bits(s), at = 0;
	uint64_t place = range << sync_block_bits(s);

	int r = sync_at(s, cluster, &at, err);
	if (r < 0 || at)
		return r;
	if (place < s->end)
		place = s->end;
	if (place >> sync_block_bits(s) != range)
		return err_say(err, EINVAL, "disk %s: clusters in use have no refcount block",
			       s->file->path);
	return sync_make_block(s, place, err);
}

int qcow2_sync_set(struct qcow2_sync *s, uint64_t cluster, uint16_t count, struct err *err)
{
	struct be16 v = be16_of(count);
	uint64_t at = 0;

	int r = sync_need_block(s, cluster, err);
	if (r == 0)
		r = sync_at(s, cluster, &at, err);
	return r == 0 ? disk_file_write(s->file, at, &v, sizeof(v), err) : r;
}

/* The first cluster from which n are free, each with a block to be counted in. */
static int sync_find(struct qcow2_sync *s, uint64_t n, uint64_t *ret, struct err *err)
{
	uint64_t first = s->end;

	for (uint64_t i = 0; i < n;) {
		uint64_t at = 0;
		uint16_t count = 0;
		int r = sync_at(s, first + i, &at, err);
		if (r == 0 && at)
			r = qcow2_sync_get(s, first + i, &count, err);
		else if (r == 0)
			r = sync_make_block(s, first + i, err);
		if (r < 0)
			return r;
		if (count || !at) { /* taken, or by the new block itself */
			first += i + 1;
			i = 0;
		} else {
			i++;
		}
	}
	*ret = first;
	return 0;
}

int qcow2_sync_alloc(struct qcow2_sync *s, uint64_t n, uint64_t *ret_host, struct err *err)
{
	uint64_t first = 0;

	int r = sync_find(s, n, &first, err);
	for (uint64_t i = 0; r == 0 && i < n; i++)
		r = qcow2_sync_set(s, first + i, 1, err);
	if (r == 0)
		r = disk_file_sync(s->file, err);
	if (r < 0)
		return r;
	s->end = first + n;
	*ret_host = first << s->header->cluster_bits;
	return 0;
}

int qcow2_sync_release(struct qcow2_sync *s, uint64_t host, uint64_t bytes, struct err *err)
{
	uint64_t first = host >> s->header->cluster_bits;
	uint64_t n = (bytes + sync_cluster_bytes(s) - 1) >> s->header->cluster_bits;
	uint16_t count = 0;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < n; i++) {
		r = qcow2_sync_get(s, first + i, &count, err);
		if (r == 0 && count > 0)
			r = qcow2_sync_set(s, first + i, (uint16_t)(count - 1), err);
	}
	return r == 0 ? disk_file_sync(s->file, err) : r;
}

/* ---- the refcount table of a disk that will be written to ---- */

/* Entries that count every cluster the file could come to have: what it has, and the whole disk anew. */
static uint64_t sync_rt_needed(const struct qcow2_header *h, uint64_t file_bytes)
{
	unsigned bits = h->cluster_bits;
	uint64_t clusters = (file_bytes >> bits) + (h->size_bytes >> bits) + 2;

	clusters += (clusters >> (bits - 3)) + 1; /* L2 tables */
	clusters += (clusters >> (bits - 1)) + 1; /* refcount blocks */
	return (clusters >> (bits - 1)) + 1;
}

static int sync_write_rt_header(const struct disk_file *file, uint64_t offset, uint32_t clusters,
				struct err *err)
{
	uint8_t fields[12];

	/* One sector, one write: a reader sees the old table or the new one. */
	_Static_assert(QCOW2_H_RT_CLUSTERS == QCOW2_H_RT_OFFSET + 8, "the fields are neighbours");
	be64_store(fields, offset);
	be32_store(fields + 8, clusters);
	int r = disk_file_write(file, QCOW2_H_RT_OFFSET, fields, sizeof(fields), err);
	return r == 0 ? disk_file_sync(file, err) : r;
}

/* The new table is at the end of the file, and counts itself, before the header names it. */
static int sync_rt_grow(struct qcow2_sync *s, struct qcow2_header *h, uint64_t needed,
			struct err *err)
{
	uint64_t cluster = sync_cluster_bytes(s), old = h->rt_offset;
	uint64_t old_bytes = (uint64_t)h->rt_clusters * cluster, host;
	/* Half as much again: room for what this growth itself takes, and for the next. */
	uint64_t bytes = (needed + needed / 2 + 64) * 8;

	bytes = (bytes + cluster - 1) & ~(cluster - 1);
	if (bytes > QCOW2_RT_BYTES_MAX)
		return err_say(
			err, EPROTO,
			"disk %s is too large for its clusters of %llu bytes: qemu-img convert "
			"makes larger ones",
			s->file->path, (unsigned long long)cluster);
	struct be64 *rt = calloc(1, bytes);
	if (!rt)
		return err_set(err, ENOMEM, "refcounts of disk %s", s->file->path);
	memcpy(rt, s->rt, (size_t)s->rt_n * 8);
	free(s->rt);
	s->rt = rt;
	s->rt_n = (uint32_t)(bytes / 8);
	s->rt_moves = true;
	int r = qcow2_sync_alloc(s, bytes / cluster, &host, err);
	if (r == 0)
		r = disk_file_write(s->file, host, s->rt, bytes, err);
	if (r == 0)
		r = disk_file_sync(s->file, err);
	if (r == 0)
		r = sync_write_rt_header(s->file, host, (uint32_t)(bytes / cluster), err);
	if (r < 0)
		return r;
	h->rt_offset = host;
	h->rt_clusters = (uint32_t)(bytes / cluster);
	s->rt_moves = false;
	return qcow2_sync_release(s, old, old_bytes, err);
}

int qcow2_sync_refcount_table(const struct disk_file *file, struct qcow2_header *header,
			      struct be64 **ret, uint32_t *ret_n, struct err *err)
{
	AUTO(qcow2_sync_fini) struct qcow2_sync s = { 0 };
	uint64_t needed = sync_rt_needed(header, file->size_bytes);

	int r = qcow2_sync_init(&s, file, header, err);
	if (r == 0 && needed > s.rt_n)
		r = sync_rt_grow(&s, header, needed, err);
	if (r < 0)
		return r;
	*ret_n = needed < s.rt_n ? (uint32_t)needed : s.rt_n;
	struct be64 *less = realloc(s.rt, (size_t)*ret_n * 8);
	*ret = less ? less : s.rt;
	s.rt = NULL;
	return 0;
}

int qcow2_sync_autoclear(const struct disk_file *file, struct qcow2_header *header, struct err *err)
{
	struct be64 none = { 0 };
	int r = disk_file_write(file, QCOW2_H_AUTOCLEAR, &none, sizeof(none), err);

	if (r == 0)
		r = disk_file_sync(file, err);
	if (r == 0)
		header->autoclear = 0;
	return r;
}
