/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/core/macros.h"
#include "storage/disk/qcow2_sync.h"

/* Size, encryption (none) and the L1 table: neighbours, in one sector, so that one write changes them all or none. */
static int resize_header(const struct disk_file *file, uint64_t size_bytes, uint32_t l1_n,
			 uint64_t l1_offset, struct err *err)
{
	uint8_t fields[QCOW2_H_L1_OFFSET + 8 - QCOW2_H_SIZE] = { 0 };

	be64_store(fields, size_bytes);
	be32_store(fields + (QCOW2_H_L1_N - QCOW2_H_SIZE), l1_n);
	be64_store(fields + (QCOW2_H_L1_OFFSET - QCOW2_H_SIZE), l1_offset);
	int r = disk_file_write(file, QCOW2_H_SIZE, fields, sizeof(fields), err);
	return r == 0 ? disk_file_sync(file, err) : r;
}

/* A larger L1 table at the end of the file; the old one is given back once the header names the new one. */
static int resize_move_l1(const struct disk_file *file, const struct qcow2_header *h,
			  uint64_t size_bytes, uint32_t l1_n, struct err *err)
{
	AUTO(qcow2_sync_fini) struct qcow2_sync s = { 0 };
	uint64_t cluster = UINT64_C(1) << h->cluster_bits, host;
	uint64_t bytes = ((uint64_t)l1_n * 8 + cluster - 1) & ~(cluster - 1);
	struct be64 *l1 = calloc(1, bytes);

	int r = l1 ? disk_file_read(file, h->l1_offset, l1, (size_t)h->l1_n * 8, err)
		   : err_set(err, ENOMEM, "resize disk %s", file->path);
	if (r == 0)
		r = qcow2_sync_init(&s, file, h, err);
	if (r == 0)
		r = qcow2_sync_alloc(&s, bytes / cluster, &host, err);
	if (r == 0)
		r = disk_file_write(file, host, l1, bytes, err);
	if (r == 0)
		r = disk_file_sync(file, err);
	if (r == 0)
		r = resize_header(file, size_bytes, l1_n, host, err);
	if (r == 0)
		r = qcow2_sync_release(&s, h->l1_offset, (uint64_t)h->l1_n * 8, err);
	free(l1);
	return r;
}

/* The table grows into the rest of its last cluster, which it must find empty. */
static int resize_in_place(const struct disk_file *file, const struct qcow2_header *h,
			   uint64_t size_bytes, uint32_t l1_n, struct err *err)
{
	size_t more = (size_t)(l1_n - h->l1_n) * 8;
	int r = 0;

	if (more) {
		void *zeroes = calloc(1, more);
		r = zeroes ? disk_file_write(file, h->l1_offset + (uint64_t)h->l1_n * 8, zeroes,
					     more, err)
			   : err_set(err, ENOMEM, "resize disk %s", file->path);
		free(zeroes);
		if (r == 0)
			r = disk_file_sync(file, err);
	}
	return r == 0 ? resize_header(file, size_bytes, l1_n, h->l1_offset, err) : r;
}

static int resize_check(const char *path, const struct qcow2_header *h, uint64_t size_bytes,
			struct err *err)
{
	if (size_bytes % DISK_SECTOR_BYTES)
		return err_say(err, EINVAL, "disk %s: %llu bytes are not a multiple of 512", path,
			       (unsigned long long)size_bytes);
	if (size_bytes < h->size_bytes)
		return err_say(
			err, EINVAL,
			"disk %s has %llu bytes, and can only grow: what lies past its new end "
			"would be lost",
			path, (unsigned long long)h->size_bytes);
	if (qcow2_l1_entries(size_bytes, h->cluster_bits) * 8 > QCOW2_L1_BYTES_MAX)
		return err_say(err, EINVAL, "disk %s: %llu bytes are too many", path,
			       (unsigned long long)size_bytes);
	return qcow2_header_write_check(h, path, err);
}

int qcow2_resize(const char *path, uint64_t size_bytes, struct err *err)
{
	AUTO(disk_file_close) struct disk_file file = DISK_FILE_NONE;
	struct qcow2_header h;

	int r = disk_file_open(path, false, 0, &file, err);
	if (r == 0)
		r = qcow2_header_read(&file, &h, err);
	if (r == 0)
		r = resize_check(path, &h, size_bytes, err);
	if (r < 0 || size_bytes == h.size_bytes)
		return r;
	uint64_t cluster = UINT64_C(1) << h.cluster_bits;
	uint32_t needed = (uint32_t)qcow2_l1_entries(size_bytes, h.cluster_bits);
	uint32_t l1_n = needed > h.l1_n ? needed : h.l1_n;
	uint64_t room = ((uint64_t)h.l1_n * 8 + cluster - 1) & ~(cluster - 1);
	if ((uint64_t)l1_n * 8 <= room)
		return resize_in_place(&file, &h, size_bytes, l1_n, err);
	return resize_move_l1(&file, &h, size_bytes, l1_n, err);
}
