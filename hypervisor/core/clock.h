/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Time: the TSC, calibrated once against the PIT (or the ACPI PM timer where there is none), and one one-shot alarm a CPU.
 * Nanoseconds since power-on of the hypervisor; the same on all CPUs as far as their TSCs are.
 */
#include <stdbool.h>
#include <stdint.h>

#define CLOCK_NEVER UINT64_MAX

/*
 * clock_init() - calibrate: 20 ms, seconds where it is let wait all the time. After apic_init(), once, by the boot CPU.
 * @pm_timer_port: of ACPI; 0: there is none
 * Return: false: nothing to calibrate against; a TSC of 1 GHz is assumed.
 */
bool clock_init(uint16_t pm_timer_port);

uint64_t clock_ns(void);
uint64_t clock_tsc_hz(void);
/* clock_tsc_at() - the TSC's value when clock_ns() will be ns */
uint64_t clock_tsc_at(uint64_t ns);

/*
 * clock_arm() - an interrupt TRAP_TIMER on this CPU at deadline_ns or, when that is past, at once; may come early (look at
 * clock_ns() and arm again). CLOCK_NEVER: none. There is one deadline a CPU: who shares it keeps the earliest (core/timer.h).
 */
void clock_arm(uint64_t deadline_ns);

/* A clock to measure the TSC by. */
enum clock_reference { CLOCK_PIT, CLOCK_PM_TIMER, CLOCK_HPET };
/*
 * clock_measure() - the TSC's rate by another clock, once more: 10 ms a look or less, CALIBRATE_MOST at most. The one alarm of this CPU is lost: before
 * sched_loop(), which arms it again.
 * @at: the PM timer's port, the HPET's address (mapped, and counting afterwards)   Return: Hz; 0: that clock does not go.
 */
uint64_t clock_measure(enum clock_reference reference, uint64_t at);

/* clock_delay_ns() - wait, spinning */
void clock_delay_ns(uint64_t ns);
