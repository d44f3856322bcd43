/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * qcow2 images: making, growing, describing and checking them. Nothing here is asynchronous; a running machine's
 * disk is opened by disk_open() (disk.h).
 * Source of the format: QEMU, docs/interop/qcow2.txt (in what follows: "qcow2").
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "storage/disk/disk.h"

#define QCOW2_MAGIC	      "QFI\xfb" /* qcow2, Header */
#define QCOW2_BACKING_MAX     1023U	/* bytes of a backing file's name: qcow2, Header */
#define QCOW2_CLUSTER_BITS    16U	/* of images that we make: 64 KiB */
#define QCOW2_CLUSTER_BITS_LO 9U
#define QCOW2_CLUSTER_BITS_HI 21U /* 2 MiB: QEMU's limit too */
#define QCOW2_CHAIN_MAX	      8U  /* images in a backing chain, the top one included */

struct qcow2_create_opts {
	uint64_t size_bytes;   /* 0 with a backing file: as large as that; else a multiple of 512 */
	unsigned cluster_bits; /* 0: QCOW2_CLUSTER_BITS */
	const char *backing;   /* NULL: none; relative to the image's directory, or absolute */
	enum disk_format format; /* of the backing file: raw or qcow2, never auto */
};
/*
 * qcow2_create() - a new image, version 3, durable when this returns
 * Errors: -EEXIST, -EINVAL, -ENOSPC and what open(2) says; nothing is left behind then.
 */
int qcow2_create(const char *path, const struct qcow2_create_opts *opts, struct err *err);

/*
 * qcow2_resize() - a larger image; killed at any moment it has its old size or its new one
 * Errors: -EINVAL: smaller than it is, or not a multiple of 512; -EBUSY: in use; -EPROTO: see disk_open().
 */
int qcow2_resize(const char *path, uint64_t size_bytes, struct err *err);

struct qcow2_info {
	unsigned version, cluster_bits, refcount_order;
	uint64_t size_bytes;
	uint32_t snapshots;
	bool dirty, corrupt;
	enum disk_format backing_format;     /* auto: the image does not say */
	char backing[QCOW2_BACKING_MAX + 1]; /* "" for none */
};
int qcow2_info(const char *path, struct qcow2_info *ret, struct err *err);

struct qcow2_check {
	uint64_t clusters; /* that the image refers to */
	uint64_t leaks;	   /* counted, and referred to by nothing (or fewer): space lost, no harm */
	uint64_t errors;   /* everything else: the image must not be written to */
	uint64_t low;	   /* refcounts that are too low: errors, too, if they are not repaired */
	bool not_closed;   /* it had the mark of a writer that never closed it */
	bool marked;	   /* it had the mark of a writer that found it damaged */
	bool repaired; /* what is counted here was put right: there were no errors of another kind */
	char first[160]; /* the first error in words, "" without one */
};
/*
 * qcow2_check() - compare every refcount with what refers to the cluster, and look at every table entry
 * @repair: set refcounts right where nothing but refcounts is wrong, and clear both marks
 * For images of refcount order 4 without snapshots: -EPROTO for others. -EBUSY: in use.
 * Return: 0, whatever was found.
 */
int qcow2_check(const char *path, bool repair, struct qcow2_check *ret, struct err *err);

#define QCOW2_FINDS_MAX 1000 /* told one by one; all are counted */
struct qcow2_finds {
	void (*found)(void *arg, const char *text); /* "3 leaked clusters at 0x50000" */
	void *arg;
};
/* qcow2_check_tell() - the same, and each find in words; NULL: none */
int qcow2_check_tell(const char *path, bool repair, const struct qcow2_finds *finds,
		     struct qcow2_check *ret, struct err *err);
