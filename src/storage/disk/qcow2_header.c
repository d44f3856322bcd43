/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/disk/qcow2_header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buf.h"
#include "base/core/macros.h"
#include "storage/disk/private.h"

#define HEADER_V2_BYTES 72U
#define HEADER_V3_BYTES 104U

#define EXT_END 0x00000000U /* qcow2, Header extensions */

/* A feature that we do not have; its own words in each case. */
static int header_check_features(const struct qcow2_header *h, uint32_t crypt, const char *path,
				 struct err *err)
{
	static const struct {
		uint64_t bit;
		const char *what;
	} features[] = {
		{ QCOW2_DATA_FILE, "an external data file" },
		{ QCOW2_COMPRESSION, "a compression other than zlib (zstd)" },
		{ QCOW2_EXTENDED_L2, "extended L2 entries (subclusters)" },
	};

	if (crypt)
		return err_say(err, EPROTO, "disk %s: encrypted qcow2 images (%s) cannot be used",
			       path, crypt == 1 ? "AES" : "LUKS");
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (h->incompatible & features[i].bit)
			return err_say(err, EPROTO,
				       "disk %s: a qcow2 image with %s cannot be used: qemu-img "
				       "convert -O qcow2 makes one without",
				       path, features[i].what);
	}
	uint64_t unknown = h->incompatible & ~(QCOW2_DIRTY | QCOW2_CORRUPT);
	if (unknown)
		return err_say(err, EPROTO,
			       "disk %s: a qcow2 image with unknown incompatible features (%#llx)",
			       path, (unsigned long long)unknown);
	return 0;
}

static int header_bad(const char *path, const char *what, struct err *err)
{
	return err_say(err, EINVAL, "disk %s: a damaged qcow2 image: %s", path, what);
}

static int header_check_tables(struct qcow2_header *h, const char *path, struct err *err)
{
	uint64_t cluster = UINT64_C(1) << h->cluster_bits;

	if (h->size_bytes == 0 || h->size_bytes % DISK_SECTOR_BYTES)
		return header_bad(path, "its disk's size is not a multiple of 512, or zero", err);
	uint64_t needed = qcow2_l1_entries(h->size_bytes, h->cluster_bits);
	if ((uint64_t)h->l1_n * 8 > QCOW2_L1_BYTES_MAX || needed > h->l1_n)
		return header_bad(path, "its L1 table does not fit the size of its disk", err);
	if (h->l1_offset % cluster || h->l1_offset == 0 || h->l1_offset >= QCOW2_HOST_MAX)
		return header_bad(path, "the offset of its L1 table", err);
	if (h->rt_offset % cluster || h->rt_offset == 0 || h->rt_offset >= QCOW2_HOST_MAX)
		return header_bad(path, "the offset of its refcount table", err);
	if (h->rt_clusters == 0 || (uint64_t)h->rt_clusters << h->cluster_bits > QCOW2_RT_BYTES_MAX)
		return header_bad(path, "the size of its refcount table", err);
	if (h->refcount_order > 6)
		return header_bad(path, "the width of its refcounts", err);
	h->l1_needed = (uint32_t)needed;
	return 0;
}

/* qcow2, Header extensions: only the format of the backing file matters here. */
static int header_extensions(const uint8_t *data, size_t len, size_t at, const char *path,
			     struct qcow2_header *h, struct err *err)
{
	while (at + 8 <= len) {
		uint32_t type = be32_load(data + at), n = be32_load(data + at + 4);
		const uint8_t *text = data + at + 8;

		if (type == EXT_END)
			return 0;
		if (n > len - at - 8)
			return header_bad(path, "a header extension that has no end", err);
		if (type == QCOW2_EXT_BACKING_FORMAT && n == 3 && memcmp(text, "raw", 3) == 0)
			h->backing_format = DISK_FORMAT_RAW;
		else if (type == QCOW2_EXT_BACKING_FORMAT && n == 5 &&
			 memcmp(text, "qcow2", 5) == 0)
			h->backing_format = DISK_FORMAT_QCOW2;
		else if (type == QCOW2_EXT_BACKING_FORMAT)
			return err_say(err, EPROTO,
				       "disk %s: its backing file's format, %.*s, is neither raw "
				       "nor qcow2",
				       path, n < 40 ? (int)n : 40, (const char *)text);
		at += 8 + (((size_t)n + 7) & ~(size_t)7);
	}
	return 0;
}

static int header_backing(const uint8_t *data, size_t len, const char *path, struct qcow2_header *h,
			  struct err *err)
{
	uint64_t offset = be64_load(data + 8);
	uint32_t n = be32_load(data + 16);

	if (offset == 0)
		return 0;
	if (n == 0 || n > QCOW2_BACKING_MAX || offset > len || n > len - offset ||
	    memchr(data + offset, '\0', n))
		return header_bad(path, "the name of its backing file", err);
	memcpy(h->backing, data + offset, n);
	h->backing[n] = '\0';
	return 0;
}

static int header_v3(const uint8_t *data, size_t len, const char *path, struct qcow2_header *h,
		     struct err *err)
{
	h->refcount_order = QCOW2_REFCOUNT_ORDER;
	h->header_length = HEADER_V2_BYTES;
	if (h->version == 2)
		return 0;
	h->incompatible = be64_load(data + 72);
	h->autoclear = be64_load(data + 88);
	h->refcount_order = be32_load(data + 96);
	h->header_length = be32_load(data + 100);
	if (h->header_length < HEADER_V3_BYTES || h->header_length % 8 || h->header_length > len)
		return header_bad(path, "the length of its header", err);
	return 0;
}

int qcow2_header_parse(const uint8_t *data, size_t len, const char *path, struct qcow2_header *ret,
		       struct err *err)
{
	struct qcow2_header h = { 0 };

	if (len < HEADER_V3_BYTES || memcmp(data, QCOW2_MAGIC, 4) != 0)
		return err_say(err, EINVAL, "disk %s is not a qcow2 image", path);
	h.version = be32_load(data + 4);
	if (h.version != 2 && h.version != 3)
		return err_say(err, EPROTO, "disk %s: version %u of qcow2 cannot be used", path,
			       h.version);
	h.cluster_bits = be32_load(data + 20);
	if (h.cluster_bits < QCOW2_CLUSTER_BITS_LO || h.cluster_bits > QCOW2_CLUSTER_BITS_HI)
		return header_bad(path, "the size of its clusters", err);
	if (len > UINT64_C(1) << h.cluster_bits)
		len = (size_t)1 << h.cluster_bits; /* the header is in the first cluster */
	h.size_bytes = be64_load(data + QCOW2_H_SIZE);
	h.l1_n = be32_load(data + QCOW2_H_L1_N);
	h.l1_offset = be64_load(data + QCOW2_H_L1_OFFSET);
	h.rt_offset = be64_load(data + QCOW2_H_RT_OFFSET);
	h.rt_clusters = be32_load(data + QCOW2_H_RT_CLUSTERS);
	h.snapshots = be32_load(data + 60);

	int r = header_v3(data, len, path, &h, err);
	if (r == 0)
		r = header_check_features(&h, be32_load(data + 32), path, err);
	if (r == 0)
		r = header_check_tables(&h, path, err);
	if (r == 0)
		r = header_extensions(data, len, h.header_length, path, &h, err);
	if (r == 0)
		r = header_backing(data, len, path, &h, err);
	if (r == 0)
		*ret = h;
	return r;
}

int qcow2_header_read(const struct disk_file *file, struct qcow2_header *ret, struct err *err)
{
	uint8_t *data = malloc(QCOW2_HEADER_BYTES);

	int r = data ? disk_file_read(file, 0, data, QCOW2_HEADER_BYTES, err)
		     : err_set(err, ENOMEM, "open disk %s", file->path);
	if (r == 0)
		r = qcow2_header_parse(data, QCOW2_HEADER_BYTES, file->path, ret, err);
	free(data);
	return r;
}

int qcow2_header_write_check(const struct qcow2_header *h, const char *path, struct err *err)
{
	if (h->incompatible & QCOW2_CORRUPT)
		return err_say(err, EPROTO,
			       "disk %s is marked as damaged: qemu-img check -r all, or use it "
			       "read-only",
			       path);
	if (h->incompatible & QCOW2_DIRTY)
		return err_say(err, EPROTO,
			       "disk %s was not closed (its refcounts are not to be trusted): "
			       "qemu-img check -r all, or use it read-only",
			       path);
	if (h->snapshots)
		return err_say(err, EPROTO,
			       "disk %s holds internal snapshots, which cannot be kept: use it "
			       "read-only, or as the backing file of a new image",
			       path);
	if (h->refcount_order != QCOW2_REFCOUNT_ORDER)
		return err_say(err, EPROTO,
			       "disk %s has refcounts of %u bits, and only those of 16 can be "
			       "written: use it read-only, or qemu-img convert -O qcow2",
			       path, 1U << h->refcount_order);
	return 0;
}

int qcow2_backing_path(const char *image, const char *backing, struct buf *ret)
{
	const char *slash = strrchr(image, '/');

	if (backing[0] != '/' && slash)
		(void)buf_add(ret, image, (size_t)(slash - image) + 1);
	return buf_adds(ret, backing);
}
