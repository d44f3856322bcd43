/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The real-time clock and its memory: an MC146818 at ports 0x70 and 0x71, with 128 bytes as PCs have them.
 *
 * The time is not kept but computed from the clock: set_s at set_ns, and corrected when the host's wall clock moves
 * away from that (the host's own was set, or the machine was paused). While SET is on, the guest's registers stand.
 *
 * Thread rule: any thread; rtc.lock around everything. The clock and the interrupt line are called under it.
 * Sources: Motorola MC146818 Real-Time Clock plus RAM data sheet (Address Map, Registers, Interrupts, Update Cycle);
 * the century byte is where ACPI 6.5, 5.2.9 Fixed ACPI Description Table, lets CENTURY point to; bytes about memory:
 * as the BIOSes of PCs leave them.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "machine/bus.h"
#include "machine/irq.h"
#include "machine/ops.h"

#define RTC_CMOS_BYTES 128U
#define RTC_CENTURY    0x32U

struct rtc {
	struct bus_region region;
	struct irq_sink *irq;
	struct clock *clock;
	struct lock lock;
	struct timer timer; /* the next interrupt that is enabled */
	uint8_t index;
	uint8_t cmos
		[RTC_CMOS_BYTES]; /* registers, too: the time's are fresh only while it stands */
	int64_t set_s;		  /* the guest's time, seconds since 1970 as its calendar says */
	int64_t wall_s;		  /* the host's, when set_s was right */
	uint64_t set_ns;	  /* and the clock; the seconds turn at this phase */
	uint64_t seen_ns;	  /* up to where register C's flags are right */
	bool irq_level;
};

/*
 * rtc_init() - the wall clock's time in BCD, 24 hours; every interrupt off; at PORT_RTC
 * @irq, @clock, @pio: borrowed
 * @low_ram_bytes, @high_ram_bytes: RAM from address 0 and from 4 GiB up, for the bytes about memory
 * Return: 0, or -EEXIST, -ENOSPC of the bus.
 */
int rtc_init(struct rtc *rtc, struct bus *pio, struct irq_sink *irq, struct clock *clock,
	     uint64_t low_ram_bytes, uint64_t high_ram_bytes, struct err *err);
/* rtc_fini() - its timer is cancelled. */
void rtc_fini(struct rtc *rtc);
/* rtc_cmos_set() - a byte of the memory from 0x0e up, before the guest runs. Out of range: no-op. */
void rtc_cmos_set(struct rtc *rtc, unsigned at, uint8_t value);
