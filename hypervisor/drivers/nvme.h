/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An NVMe controller: one admin queue, one queue for I/O, namespace 1 (or the first active one).
 *
 * Theory of operation. A controller that does not answer a command may still write to its buffer; only once it has been stopped it does
 * not. So it is taken back, by the same steps as it is brought up at first (nvme_control.c), one each time that somebody polls; nothing is
 * waited for in between:
 *
 *	NVME_STOPS -> NVME_STARTS -> NVME_ASKED -> NVME_RUNS, or NVME_DEAD
 *
 * CC.EN off, until CSTS.RDY is: all buffers are ours. On, until it is ready; then the admin commands, one after the other: its queues are
 * made, and it says what it is: the same disk. The command that was not answered is over by then, all others are put again from their
 * slots. Meanwhile new ones are put into slots, too. A controller that does not come back, or is another one, is dead: its requests fail
 * at once, and it is tried again every HOST_DISK_ANSWER_NS.
 *
 * Everything under the disk's lock, but for the start.
 * Source: NVM Express Base Specification 1.4: Controller Registers; Admin Command Set; NVM Command Set; Controller Level Resets.
 */
#include <stddef.h>

#include "drivers/host_disk.h"

struct iommu_domain;

#define NVME_QUEUE_ENTRIES 32U /* more than slots: never full */
#define NVME_BAR_BYTES	   0x4000U

enum nvme_reg {
	NVME_CAP = 0x0,
	NVME_CAP_HIGH = 0x4,
	NVME_CC = 0x14,
	NVME_CSTS = 0x1c,
	NVME_AQA = 0x24,
	NVME_ASQ = 0x28,
	NVME_ACQ = 0x30,
	NVME_DOORBELLS = 0x1000
};
enum { NVME_IO_FLUSH = 0x00, NVME_IO_WRITE = 0x01, NVME_IO_READ = 0x02 };

struct nvme_command {
	uint32_t head; /* opcode, flags, command id << 16 */
	uint32_t nsid, reserved[2];
	uint64_t metadata, prp1, prp2;
	uint32_t dword[6]; /* 10 .. 15 */
};

struct nvme_completion {
	uint32_t result, reserved;
	uint16_t sq_head, sq_id, id, status; /* status: bit 0 is the phase */
};

_Static_assert(sizeof(struct nvme_command) == 64 && sizeof(struct nvme_completion) == 16,
	       "NVMe 1.4");

struct nvme_queue {
	struct nvme_command *commands; /* a page each */
	volatile struct nvme_completion *completions;
	volatile uint32_t *tail_doorbell, *head_doorbell;
	uint16_t tail, head, phase;
};

struct nvme_identity {
	char serial[21];
	uint32_t nsid, sector_bytes;
	uint64_t size_bytes;
};

enum nvme_state { NVME_RUNS, NVME_STOPS, NVME_STARTS, NVME_ASKED, NVME_DEAD };

struct nvme {
	struct host_disk disk;
	struct iommu_domain *dma;
	volatile uint8_t *regs;
	struct nvme_queue admin, io;
	uint8_t *page; /* what it says of itself */
	enum nvme_state state;
	unsigned question;		      /* of NVME_ASKED */
	uint64_t until_ns;		      /* the state's end */
	uint32_t under_way, victim;	      /* slots; victim: the one that is given up */
	bool is_dead;			      /* that was said: nothing is until it answers again */
	struct nvme_identity identity, found; /* at the start; this time */
	struct nvme_command commands[HOST_DISK_SLOTS];
	uint64_t *prps[HOST_DISK_SLOTS]; /* a list each: pages 2.. of the slot's buffer */
};

/* ---- nvme_control.c ---- */

/* nvme_queue_put(), nvme_queue_get() - of a queue; get: false: nothing is over; *ret_status: 0 is success */
void nvme_queue_put(struct nvme_queue *queue, const struct nvme_command *command);
bool nvme_queue_get(struct nvme_queue *queue, uint16_t *ret_id, uint16_t *ret_status);

/* nvme_bring_up() - before anything uses it. Return: 0, n->identity is there; or -errno. */
int nvme_bring_up(struct nvme *n);
/* nvme_take_back() - it has not answered. @slots: are given up */
void nvme_take_back(struct nvme *n, uint32_t slots);
/* nvme_recover() - the next step, while it does not run */
void nvme_recover(struct nvme *n);
