/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What kvm-unit-tests expect of a PC under test, as QEMU's pc-testdev has it: a port that remembers (0xe0, and 0xe8
 * byte by byte), one that makes the host drop a page of its mapping of the guest (0xe4), one for every interrupt line
 * (0x2000 + GSI), and 64 KiB of memory that is a device (0xff000000).
 *
 * Thread rule: any vcpu thread, under pc_testdev.lock. kvm-unit-tests raise lines from several vcpus at once.
 */
#include <stdint.h>

#include "base/core/err.h"
#include "machine/bus.h"
#include "machine/irq.h"
#include "machine/types.h"

#define PC_TESTDEV_MEMORY_BYTES 0x10000U

/* A region that remembers what was written. */
struct testdev_store {
	struct bus_region region;
	uint8_t *data; /* of the region's size */
};

struct pc_testdev {
	struct lock lock;
	struct testdev_store word, bytes, memory; /* word and bytes: the same value */
	struct bus_region flush, lines;
	struct irq_sink *irq;
	/* Optional, set after init: the page at gpa is to fault in again at the next access. Lock held. */
	void (*flush_page)(struct pc_testdev *dev, gpa_t gpa, void *arg);
	void *flush_arg;
	uint8_t value[4];
	uint8_t data[PC_TESTDEV_MEMORY_BYTES];
};

/* pc_testdev_init() - everything is borrowed. Return: 0, or the bus's error, and then nothing was added. */
int pc_testdev_init(struct pc_testdev *dev, struct bus *mmio, struct bus *pio, struct irq_sink *irq,
		    struct err *err);
