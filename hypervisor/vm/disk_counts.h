/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What went through one of a guest's disks. The device's turn writes them; anybody reads. */
#include "machine/ops.h"

struct disk_counts {
	uint64_t reads, writes, read_bytes, write_bytes;
};

static inline void disk_count(struct disk_counts *c, const struct disk_request *req)
{
	if (req->op == DISK_READ) {
		c->reads++;
		c->read_bytes += req->len_bytes;
	} else if (req->op == DISK_WRITE) {
		c->writes++;
		c->write_bytes += req->len_bytes;
	}
}
