/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The PC's interval timer, an 8254: channel 0 interrupts, channel 1 has nobody to hear it, channel 2 is gated and read
 * through port 0x61. Counts are not kept but computed, from the tick at which they were loaded.
 *
 * Thread rule: any thread; pit.lock around everything. The clock and the interrupt line are called under it.
 * Sources: Intel 8254 Programmable Interval Timer data sheet, Mode Definitions and Programming the 8254; port 0x61:
 * I/O Controller Hub 9 data sheet, NMI Status and Control Register.
 */
#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/irq.h"
#include "machine/ops.h"

#define PIT_HZ	     UINT64_C(1193182)
#define PIT_CHANNELS 3U

struct pit_channel {
	uint8_t mode;	/* 0..5 */
	uint8_t access; /* 1 low byte, 2 high byte, 3 low then high */
	bool is_bcd;
	bool loaded;	/* a count was written since the mode was */
	bool triggered; /* modes 1 and 5 */
	bool gate;
	uint32_t count;	     /* 1..65536, in BCD 1..10000 */
	uint32_t next_count; /* 0, or the one that is to be loaded */
	uint64_t
		swap_tick; /* when: the end of the period in modes 2 and 3; else at the next trigger */
	uint64_t start_tick; /* when count was loaded */
	uint64_t held_ticks; /* how far it had come when the gate closed, modes 0 and 4 */

	uint8_t low_byte; /* of a count that is being written */
	bool high_is_next_write, high_is_next_read;
	uint16_t latch;
	uint8_t latch_bytes; /* of latch that are still to be read */
	bool status_latched;
	uint8_t status;
};

struct pit {
	struct irq_sink *irq;
	struct clock *clock;
	struct lock lock;
	struct timer timer; /* the next interrupt of channel 0 */
	uint64_t edge_tick; /* when; 0: none */
	bool irq_level;
	uint8_t system_b; /* the bits of port 0x61 that are kept: 0..3 */
	struct pit_channel channels[PIT_CHANNELS];
	struct bus_region ports, port_b;
};

/* pit_init() - nothing counts; its two regions are ready for bus_add(). @irq, @clock: borrowed */
void pit_init(struct pit *pit, struct irq_sink *irq, struct clock *clock);
void pit_reset(struct pit *pit);
/* pit_fini() - its timer is cancelled. */
void pit_fini(struct pit *pit);
