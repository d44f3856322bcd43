/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a driver of the hypervisor's disks calls, for tests of one that plays its controller: registers are memory, and the controller does
 * what it was told, a step each time that the driver looks at the clock.
 */
#include "scratch.h"

#include "drivers/host_disk.h"
#include "drivers/hpci.h"

#define RIG_SECTOR 512U
#define RIG_BYTES  (1U << 20)
#define RIG_PAGES  32U
#define MS	   UINT64_C(1000000)

struct disk_rig {
	uint32_t regs[0x4000 / 4]; /* of the BAR */
	unsigned bar;
	void (*step)(void); /* the controller's */
	uint64_t now;
	uint8_t bytes[RIG_BYTES]; /* the disk's; at the start each is its sector's number */
	struct host_disk *disk;	  /* that the driver added */
	void *pages[RIG_PAGES];	  /* blocks of page_alloc() */
	char said[1024];
};

extern struct disk_rig rig;

struct rig_request {
	struct disk_request req;
	struct mem_iov iov;
	uint8_t data[RIG_SECTOR]; /* 0xe0 each before */
	unsigned n_done;
	int result;
};

/* rig_end() - what the driver has not given back, too: some of it is the controller's for good */
void rig_begin(unsigned bar, void (*step)(void));
int rig_end(void **state);
/* rig_get(), rig_set() - a register */
uint32_t rig_get(unsigned at);
void rig_set(unsigned at, uint32_t value);

/* rig_submit() - of one sector */
void rig_submit(struct rig_request *r, enum disk_op op, unsigned sector);
void rig_poll(void);
/* rig_finish() - until it is over, by so much time at most */
void rig_finish(const struct rig_request *r, uint64_t ns);
/* rig_assert_read() - it is over, and what it read is that sector */
void rig_assert_read(const struct rig_request *r, unsigned sector);
/* rig_all_read() - the same of so many, from that sector on */
void rig_all_read(const struct rig_request *r, unsigned n, unsigned sector);
/* rig_all_read_but() - the same of request i for sector i, but one, which is over, too */
void rig_all_read_but(const struct rig_request *r, unsigned n, unsigned failed);
/* rig_unwanted_lost() - a read and writes of sector i each that nobody waits for any more, until the first was given up */
void rig_unwanted_lost(struct rig_request *r, unsigned n);
/* rig_assert_unwanted_over() - the others failed, too, soon after, and wrote nothing */
void rig_assert_unwanted_over(const struct rig_request *r, unsigned n);
/* rig_pass() - so much time; rig_comes_back() - until it does, by then at most */
void rig_pass(uint64_t ns);
void rig_comes_back(uint64_t ns);
