/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/core/macros.h"
#include "base/os/fd.h"
#include "storage/disk/qcow2_sync.h"

#define CREATE_HEADER_BYTES 104U

/*
 * A new image: header | refcount table | refcount block(s) | L1 table. The first block counts what is there.
 */
struct create {
	unsigned bits;
	uint64_t size_bytes;
	uint64_t l1_n, l1_clusters, rt_clusters, rt_at, block_at, l1_at, end; /* clusters */
};

static int create_layout(const char *path, const struct qcow2_create_opts *o, struct create *ret,
			 struct err *err)
{
	struct create c = { .bits = o->cluster_bits ? o->cluster_bits : QCOW2_CLUSTER_BITS,
			    .size_bytes = o->size_bytes };

	if (c.bits < QCOW2_CLUSTER_BITS_LO || c.bits > QCOW2_CLUSTER_BITS_HI)
		return err_say(err, EINVAL, "disk %s: clusters of 2^%u bytes: 2^9 to 2^21", path,
			       c.bits);
	if (c.size_bytes == 0 || c.size_bytes % DISK_SECTOR_BYTES)
		return err_say(err, EINVAL,
			       "disk %s: its size, %llu, is not a multiple of 512, or zero", path,
			       (unsigned long long)c.size_bytes);
	c.l1_n = qcow2_l1_entries(c.size_bytes, c.bits);
	/* What one refcount block cannot count of the image's own tables would need more of them. */
	if (c.l1_n * 8 > QCOW2_L1_BYTES_MAX ||
	    (c.l1_n * 8 >> c.bits) + 4 > (UINT64_C(1) << (c.bits - 1)))
		return err_say(err, EINVAL, "disk %s: %llu bytes are too many", path,
			       (unsigned long long)c.size_bytes);
	c.l1_clusters = (c.l1_n * 8 + (UINT64_C(1) << c.bits) - 1) >> c.bits;
	c.rt_clusters = 1;
	c.rt_at = 1;
	c.block_at = 2;
	c.l1_at = 3;
	c.end = c.l1_at + c.l1_clusters;
	*ret = c;
	return 0;
}

/* The header, its extension and the backing file's name: into the first cluster, which is zeroed. */
static int create_header(const struct create *c, const struct qcow2_create_opts *o, uint8_t *data,
			 const char *path, struct err *err)
{
	const char *format = o->format == DISK_FORMAT_QCOW2 ? "qcow2" : "raw";
	size_t at = CREATE_HEADER_BYTES, n = o->backing ? strlen(o->backing) : 0;

	memcpy(data, QCOW2_MAGIC, 4);
	be32_store(data + 4, 3);
	be32_store(data + 20, c->bits);
	be64_store(data + QCOW2_H_SIZE, c->size_bytes);
	be32_store(data + QCOW2_H_L1_N, (uint32_t)c->l1_n);
	be64_store(data + QCOW2_H_L1_OFFSET, c->l1_at << c->bits);
	be64_store(data + QCOW2_H_RT_OFFSET, c->rt_at << c->bits);
	be32_store(data + QCOW2_H_RT_CLUSTERS, (uint32_t)c->rt_clusters);
	be32_store(data + 96, QCOW2_REFCOUNT_ORDER);
	be32_store(data + 100, CREATE_HEADER_BYTES);
	if (!o->backing)
		return 0;
	if (n == 0 || n > QCOW2_BACKING_MAX || at + 24 + n > (size_t)1 << c->bits)
		return err_say(err, EINVAL, "disk %s: the name of its backing file is too long",
			       path);
	be32_store(data + at, QCOW2_EXT_BACKING_FORMAT);
	be32_store(data + at + 4, (uint32_t)strlen(format));
	memcpy(data + at + 8, format, strlen(format));
	at += 24; /* 8, the format padded to 8, and the end of the extensions */
	memcpy(data + at, o->backing, n);
	be64_store(data + 8, at);
	be32_store(data + 16, (uint32_t)n);
	return 0;
}

static void create_tables(const struct create *c, uint8_t *data)
{
	be64_store(data + (c->rt_at << c->bits), c->block_at << c->bits);
	for (uint64_t i = 0; i < c->end; i++)
		be16_store(data + (c->block_at << c->bits) + i * 2, 1);
}

static int create_write(int fd, const struct create *c, const struct qcow2_create_opts *o,
			const char *path, struct err *err)
{
	size_t bytes = (size_t)(c->l1_at << c->bits); /* the L1 table is a hole */
	uint8_t *data = calloc(1, bytes);

	if (!data)
		return err_set(err, ENOMEM, "make disk %s", path);
	int r = create_header(c, o, data, path, err);
	if (r == 0) {
		create_tables(c, data);
		r = fd_write_all(fd, data, bytes);
		if (r == 0 && (ftruncate(fd, (off_t)(c->end << c->bits)) < 0 || fsync(fd) < 0))
			r = -errno;
		if (r < 0)
			(void)err_set(err, -r, "make disk %s", path);
	}
	free(data);
	return r;
}

/* The size of a backing file, by its own header or its length. */
static int create_backing_size(const char *path, const struct qcow2_create_opts *o, uint64_t *ret,
			       struct err *err)
{
	AUTO(buf_fini) struct buf backing = { 0 };
	AUTO(disk_file_close) struct disk_file file = DISK_FILE_NONE;
	struct qcow2_header h = { 0 };

	if (qcow2_backing_path(path, o->backing, &backing) < 0)
		return err_set(err, ENOMEM, "make disk %s", path);
	int r = disk_file_open(backing.data, true, 0, &file, err);
	if (r == 0 && o->format == DISK_FORMAT_QCOW2)
		r = qcow2_header_read(&file, &h, err);
	if (r == 0)
		*ret = o->format == DISK_FORMAT_QCOW2 ? h.size_bytes : file.size_bytes;
	return r;
}

int qcow2_create(const char *path, const struct qcow2_create_opts *opts, struct err *err)
{
	struct qcow2_create_opts o = *opts;
	struct create c = { 0 };
	int r = 0;

	if (o.backing && o.format == DISK_FORMAT_AUTO)
		return err_say(err, EINVAL, "disk %s: the format of its backing file must be said",
			       path);
	if (o.backing && o.size_bytes == 0)
		r = create_backing_size(path, &o, &o.size_bytes, err);
	if (r == 0)
		r = create_layout(path, &o, &c, err);
	if (r < 0)
		return r;
	AUTO(fd_close_p) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, errno, "make disk %s", path);
	r = create_write(fd, &c, &o, path, err);
	if (r == 0)
		r = disk_sync_dir(path, err);
	if (r < 0)
		(void)unlink(path); /* made just now, by us alone */
	return r;
}

int qcow2_info(const char *path, struct qcow2_info *ret, struct err *err)
{
	AUTO(disk_file_close) struct disk_file file = DISK_FILE_NONE;
	struct qcow2_header h;

	/* No lock: what is shown here may be in use. */
	file.path = strdup(path);
	file.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (!file.path || file.fd < 0)
		return err_set(err, file.path ? errno : ENOMEM, "open disk %s", path);
	int r = qcow2_header_read(&file, &h, err);
	if (r < 0)
		return r;
	*ret = (struct qcow2_info){ .version = h.version,
				    .cluster_bits = h.cluster_bits,
				    .refcount_order = h.refcount_order,
				    .size_bytes = h.size_bytes,
				    .snapshots = h.snapshots,
				    .dirty = h.incompatible & QCOW2_DIRTY,
				    .corrupt = h.incompatible & QCOW2_CORRUPT,
				    .backing_format = h.backing_format };
	memcpy(ret->backing, h.backing, sizeof(ret->backing));
	return 0;
}
