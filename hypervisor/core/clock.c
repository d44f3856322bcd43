/* SPDX-License-Identifier: Apache-2.0 */
#include "core/clock.h"

#include "core/apic.h"
#include "core/calibrate.h"
#include "core/io.h"

#define PIT_HZ	     UINT64_C(1193182)
#define PM_TIMER_HZ  UINT64_C(3579545)
#define CALIBRATE_HZ 100U /* 10 ms */
/* Who is let run for 3 ms at a time never sees the end of 10: after so many looks, shorter ones, so many to a long one. */
#define LOOKS_LONG 16U
#define SHORT_ONES 5U
#define NS_PER_S   UINT64_C(1000000000)
#define POLLS_MOST UINT64_C(200000000)
#define FS_PER_S   UINT64_C(1000000000000000)
#define HPET_PERIOD_MOST                                                                           \
	UINT32_C(100000000) /* IA-PC HPET 1.0a, General Capabilities and ID Register: 100 ns */
#define FAR_NS                                                                                     \
	(UINT64_C(1)                                                                               \
	 << 60) /* 36 years: what a TSC of less than 16 GHz counts until then fits 64 bits */
#define PIT_TRIES    8U
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND  0x43
#define PORT_B	     0x61 /* bit 0: channel 2's gate, bit 1: speaker, bit 5: its output */

/* Written once by the boot CPU before the others run. */
static struct {
	uint64_t tsc_base, tsc_hz, apic_hz;
	uint64_t ns_per_tick_32; /* 32.32 */
	uint64_t apic_per_ns_32; /* 32.32 */
	uint64_t ticks_per_ns_32;
} clock;

static uint64_t scale(uint64_t value, uint64_t factor_32)
{
	return (uint64_t)((unsigned __int128)value * factor_32 >> 32);
}

/* a / b as 32.32; b < 2^63. There is no 128-bit division without the compiler's library. */
static uint64_t ratio_32(uint64_t a, uint64_t b)
{
	uint64_t whole = a / b, rest = a % b, fraction = 0;

	for (unsigned i = 0; i < 32; i++) {
		rest <<= 1;
		fraction <<= 1;
		if (rest >= b) {
			rest -= b;
			fraction |= 1;
		}
	}
	return whole << 32 | fraction;
}

/* A time by another clock, by the TSC: it began between the first two, and ended between the last two. */
struct span {
	uint64_t begin, begun, before_end, end;
};

/* Channel 2 in mode 0 counts down once; port B shows its output. */
static void pit_begin(unsigned hz)
{
	uint16_t count = (uint16_t)(PIT_HZ / hz);

	port_out8(PORT_B, (port_in8(PORT_B) & 0xfcU) | 1U);
	port_out8(PIT_COMMAND, 0xb0); /* channel 2, both bytes, mode 0 */
	port_out8(PIT_CHANNEL2, (uint8_t)count);
	port_out8(PIT_CHANNEL2, (uint8_t)(count >> 8));
}

/* Without one the port reads as ones; who is slow to look may find that it has fired. */
static bool pit_is_there(void)
{
	for (unsigned i = 0; i < PIT_TRIES; i++) {
		pit_begin(CALIBRATE_HZ);
		if (!(port_in8(PORT_B) & 0x20))
			return true;
	}
	return false;
}

/* Each returns whether it came to its end, and leaves the span's own end to look(). */
static bool wait_pit(unsigned hz, struct span *span)
{
	pit_begin(hz);
	span->begun = span->before_end = tsc_read();
	for (uint64_t i = 0; i < POLLS_MOST; i++) {
		uint64_t asked = tsc_read();
		if (port_in8(PORT_B) & 0x20)
			return true;
		span->before_end = asked; /* what it said was so then, at least */
	}
	return false;
}

/* ACPI 6.4, Power Management Timer: 24 bits are there always. */
static bool wait_pm_timer(uint16_t port, unsigned hz, struct span *span)
{
	uint32_t start = port_in32(port);

	span->begun = span->before_end = tsc_read();
	for (uint64_t i = 0; i < POLLS_MOST; i++) {
		uint64_t asked = tsc_read();
		if (((port_in32(port) - start) & 0xffffff) >= PM_TIMER_HZ / hz)
			return true;
		span->before_end = asked; /* what it said was so then, at least */
	}
	return false;
}

/* IA-PC HPET 1.0a: capabilities with the period in femtoseconds, configuration, main counter; its low half always counts. */
static bool wait_hpet(uint64_t at, unsigned hz, struct span *span)
{
	const volatile uint32_t *period = (const volatile uint32_t *)(uintptr_t)(at + 4);
	volatile uint32_t *config = (volatile uint32_t *)(uintptr_t)(at + 0x10);
	const volatile uint32_t *counter = (const volatile uint32_t *)(uintptr_t)(at + 0xf0);

	if (!*period || *period > HPET_PERIOD_MOST)
		return false;
	*config |= 1; /* it counts; its comparators stay as they are */
	uint32_t ticks = (uint32_t)(FS_PER_S / hz / *period), start = *counter;
	span->begun = span->before_end = tsc_read();
	for (uint64_t i = 0; i < POLLS_MOST; i++) {
		uint64_t asked = tsc_read();
		if (*counter - start >= ticks)
			return true;
		span->before_end = asked; /* what it said was so then, at least */
	}
	return false;
}

static bool wait_for(enum clock_reference reference, uint64_t at, unsigned hz, struct span *span)
{
	switch (reference) {
	case CLOCK_PIT:
		return wait_pit(hz, span);
	case CLOCK_PM_TIMER:
		return wait_pm_timer((uint16_t)at, hz, span);
	default:
		return wait_hpet(at, hz, span);
	}
}

/* One look at the TSC and the LAPIC's timer over 1 / @hz of another clock. Return: false: that clock is not there. */
static bool look(enum clock_reference reference, uint64_t at, unsigned hz, struct span *ret,
		 uint32_t *ret_apic)
{
	ret->begin = tsc_read();
	uint32_t apic = apic_timer_left();
	bool is_there = wait_for(reference, at, hz, ret);

	*ret_apic = apic - apic_timer_left();
	ret->end = tsc_read();
	return is_there;
}

/* Return: false: by that clock it cannot be measured. */
static bool measure(enum clock_reference reference, uint64_t at, struct calibration *ret)
{
	struct span span = { 0 };
	uint32_t apic;
	bool is_there = reference != CLOCK_PIT || pit_is_there(), more = true;

	*ret = (struct calibration){ 0 };
	while (is_there && more) {
		unsigned parts = ret->n < LOOKS_LONG ? 1 : SHORT_ONES;
		apic_timer_set(UINT32_MAX);
		is_there = look(reference, at, CALIBRATE_HZ * parts, &span, &apic);
		uint64_t gap = span.begun - span.begin + span.end - span.before_end;
		if (is_there)
			more = calibration_add(ret, (span.end - span.begin) * parts, gap * parts,
					       apic * parts);
	}
	apic_timer_set(0);
	return is_there;
}

bool clock_init(uint16_t pm_timer_port)
{
	struct calibration c;
	bool is_measured = measure(CLOCK_PIT, 0, &c) ||
			   (pm_timer_port && measure(CLOCK_PM_TIMER, pm_timer_port, &c));

	clock.tsc_base = tsc_read();
	clock.tsc_hz = is_measured ? c.tsc * CALIBRATE_HZ : NS_PER_S;
	clock.apic_hz = is_measured && c.apic ? (uint64_t)c.apic * CALIBRATE_HZ : NS_PER_S;
	clock.ns_per_tick_32 = ratio_32(NS_PER_S, clock.tsc_hz);
	clock.ticks_per_ns_32 = ratio_32(clock.tsc_hz, NS_PER_S);
	clock.apic_per_ns_32 = ratio_32(clock.apic_hz, NS_PER_S);
	return is_measured;
}

uint64_t clock_measure(enum clock_reference reference, uint64_t at)
{
	struct calibration c;

	return measure(reference, at, &c) ? c.tsc * CALIBRATE_HZ : 0;
}

uint64_t clock_ns(void)
{
	return scale(tsc_read() - clock.tsc_base, clock.ns_per_tick_32);
}

uint64_t clock_tsc_hz(void)
{
	return clock.tsc_hz;
}

uint64_t clock_tsc_at(uint64_t ns)
{
	return clock.tsc_base + scale(ns, clock.ticks_per_ns_32);
}

void clock_arm(uint64_t deadline_ns)
{
	if (deadline_ns >= FAR_NS) /* a guest's timer, or never */
		deadline_ns = CLOCK_NEVER;
	if (apic_has_tsc_deadline()) {
		apic_deadline_set(deadline_ns == CLOCK_NEVER ? 0 : clock_tsc_at(deadline_ns));
		return;
	}
	if (deadline_ns == CLOCK_NEVER) {
		apic_timer_set(0);
		return;
	}
	uint64_t now = clock_ns();
	uint64_t ticks = deadline_ns > now ? scale(deadline_ns - now, clock.apic_per_ns_32) : 0;
	apic_timer_set(ticks > UINT32_MAX ? UINT32_MAX : ticks ? (uint32_t)ticks : 1);
}

void clock_delay_ns(uint64_t ns)
{
	uint64_t end = clock_ns() + ns;

	while (clock_ns() < end)
		cpu_relax();
}
