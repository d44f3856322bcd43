/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A disk that is memory: a file that the boot loader left. What is written is gone with the server's power.
 *
 * Theory of operation. A guest asks for gigabytes by a few bytes (to discard them, or to read them into one page again and again),
 * in each of its requests. So each turn moves MEM_DISK_TURN_BYTES at most; what is left waits in a row, and another turn is asked for.
 * Between two turns the vcpu looks whether its CPU is somebody else's.
 *
 * Thread rule: submit() and mem_disk_serve() in the guest's turn, one at a time; done() is called in either.
 */
#include "machine/disk_row.h"
#include "vm/disk_counts.h"

#define MEM_DISK_TURN_BYTES (UINT64_C(1) << 20)

struct mem_disk {
	struct disk disk;
	uint8_t *bytes; /* borrowed */
	struct disk_counts counts;
	struct disk_row waiting;
	uint64_t left; /* of this turn */
	bool is_moving;
	void (*more)(struct mem_disk *d); /* ask for a turn */
};

/* mem_disk_init() - @len: down to a whole sector   @more: mem_disk_serve() is to be called; within submit() or that */
void mem_disk_init(struct mem_disk *d, void *bytes, uint64_t len, bool read_only, const char *id,
		   void (*more)(struct mem_disk *d));
/* mem_disk_serve() - a turn. */
void mem_disk_serve(struct mem_disk *d);
