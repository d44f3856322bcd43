/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A few LAPICs on a bus that notes what it is told, and their registers by name. */
#include "scratch.h"

#include "fake_clock.h"
#include "machine/lapic.h"
#include "machine/layout.h"

#define APICS 4

enum {
	ID = 0x20,
	VERSION = 0x30,
	TPR = 0x80,
	PPR = 0xa0,
	EOI = 0xb0,
	LDR = 0xd0,
	DFR = 0xe0,
	SVR = 0xf0,
	ISR = 0x100,
	TMR = 0x180,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR_HIGH = 0x310,
	TIMER = 0x320,
	PERF = 0x340,
	LINT0 = 0x350,
	LINT1 = 0x360,
	ERROR = 0x370,
	INITIAL = 0x380,
	CURRENT = 0x390,
	DIVIDE = 0x3e0,
};

struct apics {
	struct lapic_bus bus;
	struct fake_clock clock;
	struct lapic lapic[APICS];
	unsigned wakes[LAPIC_MAX]; /* atomic */
	unsigned eois;
	uint8_t eoi_vector;
};

static inline void apics_wake(struct lapic_bus *bus, unsigned index)
{
	struct apics *s = container_of(bus, struct apics, bus);

	__atomic_fetch_add(&s->wakes[index], 1, __ATOMIC_SEQ_CST);
}

static inline void apics_eoi(struct lapic_bus *bus, uint8_t vector)
{
	struct apics *s = container_of(bus, struct apics, bus);

	s->eois++;
	s->eoi_vector = vector;
}

/* A TSC of 2 GHz that started with the clock. */
static inline uint64_t apics_tsc_to_ns(struct lapic_bus *bus, unsigned index, uint64_t tsc)
{
	(void)bus;
	(void)index;
	return tsc / 2;
}

static inline uint32_t get(struct lapic *lapic, uint32_t reg)
{
	return (uint32_t)lapic_mmio_read(lapic, reg, 4);
}

static inline void put(struct lapic *lapic, uint32_t reg, uint32_t value)
{
	lapic_mmio_write(lapic, reg, 4, value);
}

static inline void apics_init(struct apics *s)
{
	static const struct lapic_bus_ops ops = { .wake = apics_wake,
						  .eoi = apics_eoi,
						  .tsc_to_ns = apics_tsc_to_ns };

	memset(s, 0, sizeof(*s));
	fake_clock_init(&s->clock);
	s->bus.ops = &ops;
	for (unsigned i = 0; i < APICS; i++) {
		assert_int_equal(lapic_init(&s->lapic[i], &s->bus, &s->clock.clock, 40), 0);
		put(&s->lapic[i], SVR, 0x1ff);
	}
}

/* Into x2APIC mode. */
static inline void apics_x2(struct lapic *lapic)
{
	assert_int_equal(lapic_msr_write(lapic, MSR_APIC_BASE, lapic_base(lapic) | LAPIC_BASE_X2),
			 0);
}
