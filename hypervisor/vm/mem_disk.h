/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A disk that is memory: a file that the boot loader left. What is written is gone with the server's power. */
#include "machine/ops.h"

struct mem_disk {
	struct disk disk;
	uint8_t *bytes; /* borrowed */
};

/* mem_disk_init() - @len: down to a whole sector */
void mem_disk_init(struct mem_disk *d, void *bytes, uint64_t len, bool read_only, const char *id);
