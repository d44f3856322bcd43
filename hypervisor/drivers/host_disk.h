/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A disk of the server, and its partitions, as disk_ops (src/machine/ops.h).
 *
 * Theory of operation. A driver knows one thing: to start a transfer between the disk and a buffer of ours, in one of HOST_DISK_SLOTS slots, and
 * to say when one is over. Everything else is here: a request takes a slot, or waits for one, and goes through the slot's buffer piece by
 * piece. So a device only ever reaches memory that is the hypervisor's own, whatever the guest's buffers look like, and what a guest
 * changes while it is under way harms nobody. Where the server has an IOMMU, the device cannot reach anything else (drivers/iommu.h).
 * Completion comes by the device's interrupt, or by polling: host_disk_poll(); done() is called there, with no lock held.
 * Any CPU may submit (the lock is the disk's own); done() runs on the CPU that polled.
 *
 * Requests of several guests wait in one row. Who has had a piece goes to its end if others wait, so that no long request holds up
 * a short one for longer than it takes to give each of those before it a piece.
 *
 * A device that does not answer within HOST_DISK_ANSWER_NS has lost the piece: the request fails, and the slot with its buffer, to which
 * the device may still write, is not used again before it does answer. With no slot left requests fail at once. Without that a
 * guest whose request is lost could never be taken apart. A driver that can reset its device (AHCI, NVMe) does so then: what goes one
 * by one through the device would all be lost behind the first, and one that lost a piece may have lost more.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/spin.h"
#include "machine/disk_row.h"
#include "machine/ops.h"

#define HOST_DISK_SLOTS	       8U
#define HOST_DISK_BUFFER_ORDER 4U /* 64 KiB */
#define HOST_DISK_BUFFER_BYTES (4096U << HOST_DISK_BUFFER_ORDER)
#define HOST_DISK_NAME_BYTES   32U
#define HOST_DISK_PARTS	       16U
#define HOST_DISK_ANSWER_NS                                                                        \
	UINT64_C(30000000000) /* disks that are at rest take some ten seconds to begin */

struct host_disk;

struct host_disk_driver {
	const char *name; /* "nvme" */
	/*
	 * Begins one piece: op is DISK_READ, DISK_WRITE or DISK_FLUSH; offset and length are multiples of the disk's sector. Under the
	 * disk's lock. Return: 0, or -errno: nothing was begun.
	 */
	int (*start)(struct host_disk *disk, unsigned slot, enum disk_op op, uint64_t offset_bytes,
		     uint32_t len_bytes);
	/* Calls host_disk_finished() for every slot that is over. Under the disk's lock. */
	void (*poll)(struct host_disk *disk);
	/*
	 * Optional: a piece was not answered in time. The driver takes the device back: begins it here, sets is_resetting until poll() is done
	 * with it, and calls host_disk_finished() for this slot, or host_disk_lost() for all that stay the device's. The pieces of the
	 * others that somebody waits for begin again. @expired: the one that began first   Return: the slot that is given up: that, or the one the device was at.
	 * Under the disk's lock.
	 */
	unsigned (*reset)(struct host_disk *disk, unsigned expired);
};

struct host_disk_slot {
	uint8_t *buffer;	  /* HOST_DISK_BUFFER_BYTES, physically contiguous */
	struct disk_request *req; /* NULL: free */
	uint64_t base_bytes, pos_bytes;
	uint32_t piece_bytes;
	unsigned iov;	    /* where pos_bytes is */
	uint64_t iov_bytes; /* in it */
	bool is_over;
	bool is_lost;	   /* the device has not answered, and whoever waited was told */
	uint64_t begun_ns; /* this piece */
	int result;
};

struct host_part;

struct host_disk { /* embedded by the driver */
	struct disk disk;
	const struct host_disk_driver *driver;
	char name[HOST_DISK_NAME_BYTES]; /* "nvme0" */
	uint32_t sector_bytes;		 /* 512 or 4096 */
	struct spin lock;
	struct host_disk_slot slots[HOST_DISK_SLOTS];
	struct disk_row waiting;
	bool is_resetting; /* the driver's: no piece is late meanwhile */
	struct host_part *parts[HOST_DISK_PARTS];
	unsigned n_parts;
};

struct host_part {
	struct disk disk;
	struct host_disk *parent;
	uint64_t start_bytes;
	char name[HOST_DISK_NAME_BYTES]; /* "nvme0p1"; of an extent "strata:web" */
	char label[37];			 /* of the table, what of it is ASCII */
	uint8_t type[16];		 /* the GUID as it is on the disk */
};

/*
 * host_disk_init() - buffers and the ops table; disk->size_bytes, id, sector_bytes, driver are set already
 * Return: 0 or -ENOMEM.
 */
int host_disk_init(struct host_disk *disk, const char *name, unsigned number);
void host_disk_fini(struct host_disk *disk); /* gives the buffers back; nothing is under way */

/* host_disk_poll() - finish what is over. Any CPU. */
void host_disk_poll(struct host_disk *disk);
/* host_disk_finished() - for drivers, inside of poll() */
void host_disk_finished(struct host_disk *disk, unsigned slot, int result);
/* host_disk_lost() - the same, but the buffer stays the device's until host_disk_finished() */
void host_disk_lost(struct host_disk *disk, unsigned slot, int result);
/* host_disk_lost_all() - those slots, of a device that does not come back */
void host_disk_lost_all(struct host_disk *disk, uint32_t slots);
/*
 * host_disk_recovered() - the device was reset, and runs; no buffer is its own any more
 * @again: slots that were under way, but for what was given up; all others are over
 * Return: those of them to be begun again: somebody waits for them.
 */
uint32_t host_disk_recovered(struct host_disk *disk, uint32_t again);

/*
 * host_disk_sync() - a transfer that is waited for, polling; for what happens before guests run
 * @data: len bytes, multiples of a sector   Return: 0, -errno, -ETIMEDOUT: the disk has forgotten data by then.
 */
int host_disk_sync(struct disk *disk, enum disk_op op, uint64_t offset_bytes, void *data,
		   uint64_t len_bytes);

/* host_disk_overlap() - whether two of the server's, disks or partitions, have a byte in common */
bool host_disk_overlap(struct disk *a, struct disk *b);

/* host_part_init() - a part of a disk, whole sectors inside of it */
void host_part_init(struct host_part *part, struct host_disk *parent, unsigned number,
		    uint64_t start_bytes, uint64_t len_bytes);
