/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A disk in memory that answers at once, or when it is told to, in any order. */
#include "machine/ops.h"

#define FAKE_DISK_BYTES	   (UINT64_C(256) << 10)
#define FAKE_DISK_REQUESTS 256U

struct fake_disk {
	struct disk disk;
	uint8_t data[FAKE_DISK_BYTES];
	bool async;
	int fail; /* the result of the next request that reaches the disk, once */
	struct disk_request *waiting[FAKE_DISK_REQUESTS];
	unsigned n_waiting, n_ops[DISK_WRITE_ZEROES + 1];
	bool last_may_unmap;
};

void fake_disk_init(struct fake_disk *d); /* the data is left as it is */
void fake_disk_fill(struct fake_disk *d); /* every sector another */
/* fake_disk_complete() - the i-th of those that wait; false: there is none. */
bool fake_disk_complete(struct fake_disk *d, unsigned i);
