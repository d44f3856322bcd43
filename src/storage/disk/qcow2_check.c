/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "storage/disk/qcow2_sync.h"

#define CHECK_CLUSTERS_MAX (UINT64_C(1) << 30) /* 2 GiB of memory for the counts */

struct check {
	struct qcow2_sync sync;
	const struct qcow2_header *h;
	uint16_t *counts; /* references found, one a cluster of the file */
	uint64_t n;
	bool repair;
	uint64_t leak_at,
		leak_n; /* clusters, one after the other, that are leaked and not told yet */
	unsigned told;
	const struct qcow2_finds *finds; /* or NULL */
	struct qcow2_check *ret;
};

static void check_fini(struct check *c)
{
	qcow2_sync_fini(&c->sync);
	free(c->counts);
}

static void check_tell(struct check *c, const char *text)
{
	if (c->finds && c->told++ < QCOW2_FINDS_MAX)
		c->finds->found(c->finds->arg, text);
}

static void check_error(struct check *c, const char *what, uint64_t host)
{
	char text[sizeof(c->ret->first)];

	(void)snprintf(text, sizeof(text), "%s at %#llx", what, (unsigned long long)host);
	if (c->ret->errors++ == 0)
		memcpy(c->ret->first, text, sizeof(text));
	check_tell(c, text);
}

static void check_tell_leaks(struct check *c)
{
	char text[80];

	if (!c->leak_n)
		return;
	(void)snprintf(text, sizeof(text), "%llu leaked cluster%s at %#llx",
		       (unsigned long long)c->leak_n, c->leak_n == 1 ? "" : "s",
		       (unsigned long long)(c->leak_at << c->h->cluster_bits)); /* fits */
	c->leak_n = 0;
	check_tell(c, text);
}

static void check_leak(struct check *c, uint64_t cluster)
{
	c->ret->leaks++;
	if (c->leak_n && c->leak_at + c->leak_n == cluster) {
		c->leak_n++;
		return;
	}
	check_tell_leaks(c);
	c->leak_at = cluster;
	c->leak_n = 1;
}

static void check_low(struct check *c, uint64_t cluster)
{
	static const char what[] = "a refcount that is too low, of the cluster";
	uint64_t host = cluster << c->h->cluster_bits;
	char text[80];

	c->ret->low++;
	if (!c->repair) {
		check_error(c, what, host);
		return;
	}
	(void)snprintf(text, sizeof(text), "%s at %#llx", what, (unsigned long long)host);
	check_tell(c, text); /* put right at once: no error that stays */
}

static void check_ref(struct check *c, uint64_t host, uint64_t bytes, const char *what)
{
	unsigned bits = c->h->cluster_bits;
	uint64_t first = host >> bits, last = (host + bytes - 1) >> bits;

	for (uint64_t i = first; i <= last; i++) {
		if (i >= c->n) {
			check_error(c, what, host);
			return;
		}
		if (c->counts[i] < UINT16_MAX)
			c->counts[i]++;
	}
}

/* Tables are the image's own: nothing else may refer to their clusters. */
static void check_entry(struct check *c, uint64_t entry)
{
	unsigned bits = c->h->cluster_bits;
	uint64_t host = entry & QCOW2_OFFSET_MASK;

	if (entry & QCOW2_PACKED) {
		struct qcow2_packed packed = qcow2_packed_of(entry, bits);
		/* The last sector's end may lie past the end of the file. */
		uint64_t end = c->n << bits;
		uint64_t len = packed.offset < end && packed.len > end - packed.offset
				       ? end - packed.offset
				       : packed.len;
		check_ref(c, packed.offset, len, "a compressed cluster past the end of the file");
	} else if (host & ((UINT64_C(1) << bits) - 1)) {
		check_error(c, "a data cluster that is not aligned", host);
	} else if (host) {
		check_ref(c, host, 1, "a data cluster past the end of the file");
	}
}

static int check_l2(struct check *c, uint64_t host, struct be64 *table, struct err *err)
{
	size_t bytes = (size_t)1 << c->h->cluster_bits;

	if (host & (bytes - 1)) {
		check_error(c, "an L2 table that is not aligned", host);
		return 0;
	}
	check_ref(c, host, 1, "an L2 table past the end of the file");
	if (host >> c->h->cluster_bits >= c->n)
		return 0;
	int r = disk_file_read(c->sync.file, host, table, bytes, err);
	for (size_t i = 0; r == 0 && i < bytes / 8; i++)
		check_entry(c, be64_get(table[i]));
	return r;
}

static int check_tables(struct check *c, struct err *err)
{
	size_t cluster = (size_t)1 << c->h->cluster_bits, l1_bytes = (size_t)c->h->l1_n * 8;
	struct be64 *l1 = malloc(l1_bytes), *l2 = malloc(cluster);
	int r = l1 && l2 ? disk_file_read(c->sync.file, c->h->l1_offset, l1, l1_bytes, err)
			 : err_set(err, ENOMEM, "check disk %s", c->sync.file->path);

	check_ref(c, 0, 1, "the header");
	check_ref(c, c->h->l1_offset, l1_bytes, "the L1 table past the end of the file");
	check_ref(c, c->h->rt_offset, (uint64_t)c->h->rt_clusters << c->h->cluster_bits,
		  "the refcount table past the end of the file");
	for (uint32_t i = 0; r == 0 && i < c->h->l1_n; i++) {
		uint64_t host = be64_get(l1[i]) & QCOW2_OFFSET_MASK;
		if (host)
			r = check_l2(c, host, l2, err);
	}
	for (uint32_t i = 0; r == 0 && i < c->sync.rt_n; i++) {
		uint64_t host = be64_get(c->sync.rt[i]);
		if (host & (cluster - 1))
			check_error(c, "a refcount block that is not aligned", host);
		else if (host)
			check_ref(c, host, 1, "a refcount block past the end of the file");
	}
	free(l1);
	free(l2);
	return r;
}

static int check_compare_one(struct check *c, uint64_t cluster, uint16_t stored, struct err *err)
{
	uint16_t found = cluster < c->n ? c->counts[cluster] : 0;

	c->ret->clusters += found > 0;
	if (stored == found)
		return 0;
	if (stored > found)
		check_leak(c, cluster);
	else
		check_low(c, cluster);
	return c->repair ? qcow2_sync_set(&c->sync, cluster, found, err) : 0;
}

/* Every refcount that is stored, and every cluster of the file. */
static int check_compare(struct check *c, struct err *err)
{
	uint64_t per_block = UINT64_C(1) << (c->h->cluster_bits - 1);
	struct be16 *block = malloc(per_block * 2);
	int r = block ? 0 : err_set(err, ENOMEM, "check disk %s", c->sync.file->path);

	for (uint64_t k = 0; r == 0 && (k < c->sync.rt_n || k * per_block < c->n); k++) {
		uint64_t host = k < c->sync.rt_n ? be64_get(c->sync.rt[k]) : 0;
		bool there = host && !(host & (per_block * 2 - 1)) && host < QCOW2_HOST_MAX;
		if (!there && k * per_block >= c->n)
			continue;
		memset(block, 0, per_block * 2);
		if (there)
			r = disk_file_read(c->sync.file, host, block, per_block * 2, err);
		for (uint64_t i = 0; r == 0 && i < per_block; i++) {
			if (k * per_block + i < c->n || be16_get(block[i]))
				r = check_compare_one(c, k * per_block + i, be16_get(block[i]),
						      err);
		}
	}
	check_tell_leaks(c);
	free(block);
	return r;
}

static int check_init(struct check *c, const struct disk_file *file, const struct qcow2_header *h,
		      struct qcow2_check *ret, struct err *err)
{
	*ret = (struct qcow2_check){ 0 };
	c->h = h;
	c->ret = ret;
	c->n = (file->size_bytes + (UINT64_C(1) << h->cluster_bits) - 1) >> h->cluster_bits;
	if (c->n > CHECK_CLUSTERS_MAX)
		return err_say(err, EFBIG, "disk %s is too large to be checked", file->path);
	c->counts = calloc(c->n ? c->n : 1, sizeof(*c->counts));
	if (!c->counts)
		return err_set(err, ENOMEM, "check disk %s", file->path);
	return qcow2_sync_init(&c->sync, file, h, err);
}

/* Refcounts can be made from the tables, and only from tables that are sound. */
static int check_file(const struct disk_file *file, const struct qcow2_header *h, bool repair,
		      const struct qcow2_finds *finds, struct qcow2_check *ret, struct err *err)
{
	AUTO(check_fini) struct check c = { .finds = finds };

	int r = check_init(&c, file, h, ret, err);
	if (r == 0)
		r = check_tables(&c, err);
	c.repair = repair && ret->errors == 0;
	return r == 0 ? check_compare(&c, err) : r;
}

#define CHECK_MARKS (QCOW2_DIRTY | QCOW2_CORRUPT)

/* The header's marks that the image is not to be trusted: now it is. */
static int check_clear_marks(const struct disk_file *file, struct qcow2_header *h, struct err *err)
{
	struct be64 features = be64_of(h->incompatible & ~CHECK_MARKS);

	int r = disk_file_sync(file, err);
	if (r == 0)
		r = disk_file_write(file, QCOW2_H_INCOMPATIBLE, &features, sizeof(features), err);
	if (r == 0)
		r = disk_file_sync(file, err);
	if (r == 0)
		h->incompatible &= ~CHECK_MARKS;
	return r;
}

int qcow2_sync_mend(const struct disk_file *file, struct qcow2_header *header, struct err *err)
{
	struct qcow2_check found;

	if (header->snapshots || header->refcount_order != QCOW2_REFCOUNT_ORDER)
		return 0; /* qcow2_header_write_check() has the words */
	int r = check_file(file, header, true, NULL, &found, err);
	if (r == 0 && found.errors)
		return err_say(
			err, EINVAL,
			"disk %s was not closed, and cannot be mended (%s): qemu-img check -r "
			"all",
			file->path, found.first);
	return r == 0 ? check_clear_marks(file, header, err) : r;
}

int qcow2_check_tell(const char *path, bool repair, const struct qcow2_finds *finds,
		     struct qcow2_check *ret, struct err *err)
{
	AUTO(disk_file_close) struct disk_file file = DISK_FILE_NONE;
	struct qcow2_header h;

	int r = disk_file_open(path, !repair, 0, &file, err);
	if (r == 0)
		r = qcow2_header_read(&file, &h, err);
	if (r < 0)
		return r;
	if (h.snapshots || h.refcount_order != QCOW2_REFCOUNT_ORDER)
		return err_say(err, EPROTO,
			       "disk %s has snapshots, or refcounts of another width than 16 bits: "
			       "qemu-img check",
			       path);
	uint64_t marks = h.incompatible & CHECK_MARKS;
	r = check_file(&file, &h, repair, finds, ret, err);
	if (r < 0)
		return r;
	ret->not_closed = marks & QCOW2_DIRTY;
	ret->marked = marks & QCOW2_CORRUPT;
	ret->repaired = repair && ret->errors == 0;
	return ret->repaired && marks ? check_clear_marks(&file, &h, err) : 0;
}

int qcow2_check(const char *path, bool repair, struct qcow2_check *ret, struct err *err)
{
	return qcow2_check_tell(path, repair, NULL, ret, err);
}
