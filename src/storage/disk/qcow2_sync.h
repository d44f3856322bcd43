/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Changes of an image's tables while nobody runs from it: everything blocks. Killed anywhere, clusters may be leaked. */
#include "storage/disk/private.h"
#include "storage/disk/qcow2_header.h"

/* An image's refcounts; the file is locked for writing by its owner. */
struct qcow2_sync {
	const struct disk_file *file;
	const struct qcow2_header *header;
	struct be64 *rt; /* owned: the whole refcount table */
	uint32_t rt_n;	 /* entries */
	uint64_t end;	 /* cluster: nothing from here on is in use */
	bool rt_moves;	 /* the table in the file is not to be touched: a new one will be written */
};

int qcow2_sync_init(struct qcow2_sync *s, const struct disk_file *file,
		    const struct qcow2_header *header, struct err *err);
void qcow2_sync_fini(struct qcow2_sync *s);
/* qcow2_sync_get() - a refcount; 0 where there is no block for it. */
int qcow2_sync_get(struct qcow2_sync *s, uint64_t cluster, uint16_t *ret, struct err *err);
/* qcow2_sync_set() - makes the block where it is missing. */
int qcow2_sync_set(struct qcow2_sync *s, uint64_t cluster, uint16_t count, struct err *err);
/* qcow2_sync_alloc() - n clusters at the end of the file, refcounts 1 and durable; *ret_host in bytes. */
int qcow2_sync_alloc(struct qcow2_sync *s, uint64_t n, uint64_t *ret_host, struct err *err);
/* qcow2_sync_release() - the clusters of a table that was replaced. */
int qcow2_sync_release(struct qcow2_sync *s, uint64_t host, uint64_t bytes, struct err *err);

/*
 * qcow2_sync_refcount_table() - what the disk may need of the table, in memory; the table is made larger where
 * the disk could grow past it, so that a running machine never has to
 * @header: its rt_offset and rt_clusters follow   @ret: the caller's to free()
 */
int qcow2_sync_refcount_table(const struct disk_file *file, struct qcow2_header *header,
			      struct be64 **ret, uint32_t *ret_n, struct err *err);
/* qcow2_sync_autoclear() - we keep no bitmaps up to date: qcow2, Header, autoclear_features. */
int qcow2_sync_autoclear(const struct disk_file *file, struct qcow2_header *header,
			 struct err *err);
/* qcow2_sync_mend() - rebuild the refcounts of an image that was not closed, and clear its dirty bit. */
int qcow2_sync_mend(const struct disk_file *file, struct qcow2_header *header, struct err *err);
