/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Alarms in any number over the one that each CPU has (core/clock.h), and the scheduler's among them. sched_loop() fires what is
 * due between two entities; an entity's run() must call timer_poll() after each exit from the guest.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/clock.h"

struct cpu;

struct hv_timer { /* embedded; zeroed is not armed */
	/* On the CPU that armed it, interrupts off, no lock held; may arm it again. */
	void (*fired)(struct hv_timer *timer);
	/* ---- the alarms' ---- */
	uint64_t deadline_ns; /* clock_ns() */
	struct hv_timer *next;
	struct cpu *cpu; /* in whose list it is; NULL: not armed. Atomic */
};

/* timer_arm() - fire on this CPU at deadline_ns; moves one that is armed, wherever. timer_cancel(): it may be firing just now. */
void timer_arm(struct hv_timer *timer, uint64_t deadline_ns);
void timer_cancel(struct hv_timer *timer);
/* timer_finish() - cancel, and wait for one that is firing: its memory may go. Not from its fired(), and nobody arms it any more. */
void timer_finish(struct hv_timer *timer);
/* timer_poll() - fire what is due on this CPU */
void timer_poll(void);
/* timer_slice() - the scheduler's own deadline on this CPU, CLOCK_NEVER: none; arms the clock with the earliest */
void timer_slice(uint64_t deadline_ns);
