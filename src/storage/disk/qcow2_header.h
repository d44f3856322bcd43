/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The header of a qcow2 image, checked, and the bits of its tables. */
#include "base/core/bytes.h"
#include "storage/disk/qcow2.h"

struct buf;
struct disk_file;

/* qcow2, Header: incompatible_features */
#define QCOW2_DIRTY	  (UINT64_C(1) << 0)
#define QCOW2_CORRUPT	  (UINT64_C(1) << 1)
#define QCOW2_DATA_FILE	  (UINT64_C(1) << 2)
#define QCOW2_COMPRESSION (UINT64_C(1) << 3)
#define QCOW2_EXTENDED_L2 (UINT64_C(1) << 4)

/* qcow2, Cluster mapping */
#define QCOW2_COPIED	  (UINT64_C(1) << 63) /* refcount is exactly one */
#define QCOW2_PACKED	  (UINT64_C(1) << 62) /* compressed */
#define QCOW2_ZERO	  UINT64_C(1)	      /* version 3: reads as zeroes */
#define QCOW2_OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define QCOW2_HOST_MAX	  (UINT64_C(1) << 56) /* table entries reach no further */

/* QEMU's limits: qcow2, Header, and Host cluster management */
#define QCOW2_L1_BYTES_MAX UINT64_C(0x2000000)
#define QCOW2_RT_BYTES_MAX UINT64_C(0x800000)

#define QCOW2_EXT_BACKING_FORMAT 0xe2792acaU /* qcow2, Header extensions */

#define QCOW2_REFCOUNT_ORDER 4U	    /* 16 bits, the one that we write */
#define QCOW2_HEADER_BYTES   65536U /* what qcow2_header_parse() looks at, at most */

struct qcow2_header {
	unsigned version, cluster_bits, refcount_order;
	uint32_t header_length;
	uint64_t size_bytes;
	uint64_t incompatible, autoclear;
	uint64_t l1_offset, rt_offset;
	uint32_t l1_n;	      /* entries */
	uint32_t l1_needed;   /* entries that the disk's size takes; <= l1_n */
	uint32_t rt_clusters; /* of the refcount table */
	uint32_t snapshots;
	enum disk_format backing_format; /* auto: not said */
	char backing[QCOW2_BACKING_MAX + 1];
};

/*
 * qcow2_header_parse() - check a header, and refuse by name what we do not have
 * @data: the image's first len bytes, zeroes past its end   @path: for errors
 */
int qcow2_header_parse(const uint8_t *data, size_t len, const char *path, struct qcow2_header *ret,
		       struct err *err);
int qcow2_header_read(const struct disk_file *file, struct qcow2_header *ret, struct err *err);
/* qcow2_header_write_check() - 0, or why an image that can be read cannot be written to. */
int qcow2_header_write_check(const struct qcow2_header *header, const char *path, struct err *err);
/* qcow2_backing_path() - a name in an image is relative to the image's own directory. Return: 0 or -ENOMEM. */
int qcow2_backing_path(const char *image, const char *backing, struct buf *ret);

/* qcow2_cover_bits() - of the bytes of a disk that one L1 entry covers */
static inline unsigned qcow2_cover_bits(unsigned cluster_bits)
{
	return 2 * cluster_bits - 3;
}

/* qcow2_l1_entries() - that a disk takes; size_bytes > 0 */
static inline uint64_t qcow2_l1_entries(uint64_t size_bytes, unsigned cluster_bits)
{
	return ((size_bytes - 1) >> qcow2_cover_bits(cluster_bits)) + 1;
}

/* Where a compressed cluster lies: qcow2, Compressed Clusters Descriptor. */
struct qcow2_packed {
	uint64_t offset, len; /* bytes: to the end of its last sector */
};
static inline struct qcow2_packed qcow2_packed_of(uint64_t entry, unsigned cluster_bits)
{
	unsigned x = 62 - (cluster_bits - 8);
	uint64_t offset = entry & ((UINT64_C(1) << x) - 1);
	uint64_t sectors = ((entry & ~QCOW2_COPIED & ~QCOW2_PACKED) >> x) + 1;

	return (struct qcow2_packed){ offset, sectors * 512 - offset % 512 };
}

/* Offsets of header fields, for those that are changed in place. */
#define QCOW2_H_SIZE	     24
#define QCOW2_H_L1_N	     36
#define QCOW2_H_L1_OFFSET    40
#define QCOW2_H_RT_OFFSET    48
#define QCOW2_H_RT_CLUSTERS  56
#define QCOW2_H_INCOMPATIBLE 72
#define QCOW2_H_AUTOCLEAR    88
