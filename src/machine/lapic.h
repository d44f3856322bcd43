/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The local interrupt controllers of the vcpus, as xAPIC (a page of registers) and x2APIC (MSRs), and the bus on
 * which interrupt messages travel between them, the IOAPIC and devices.
 *
 * Theory of operation. A message, a local source (timer, LINT pins, error) or an IPI sets a bit of irr, or of events
 * (NMI, INIT, SIPI, ExtINT), and calls wake() for the vcpu. The vcpu's run loop takes what is pending:
 *
 *	event = lapic_event_take()		INIT, SIPI, NMI: act on it, ask again until LAPIC_EVENT_NONE
 *	vector = lapic_highest()		>= 0: the engine can take an interrupt now?
 *	lapic_accept(vector)			irr -> isr, then inject it
 *
 * Thread rules. "Owner" is the thread that runs the vcpu.
 *  - irr, tmr, events, errors: atomic words; any thread posts without a lock, the owner takes.
 *  - base, svr, tpr, isr, ldr, dfr, lvt: written by the owner, read by senders (atomic words).
 *  - lint levels, remote IRR bits of lvt, everything of the timer: under lapic.lock, which is a leaf except that the
 *    clock's arm() and cancel() are called under it. Neither wake() nor eoi() is ever called with it held.
 *  - icr, esr, wait_sipi: the owner's alone.
 * Sources: Intel SDM 3A, Advanced Programmable Interrupt Controller (APIC): section titles are named where used.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/lock.h"
#include "machine/ops.h"
#include "machine/types.h"
#include "x86/msr.h"
#include "x86/state.h"

#define LAPIC_MAX      64U /* vcpus; ids are 0..63, so that 0xff is free to mean everybody */
#define LAPIC_WORDS    8U  /* 256 vectors, 32 a word */
#define LAPIC_BASE_BSP UINT64_C(0x100) /* IA32_APIC_BASE: Local APIC Status and Location */
#define LAPIC_BASE_X2  UINT64_C(0x400)
#define LAPIC_BASE_EN  UINT64_C(0x800)

/* Delivery modes: Local Vector Table; Message Data Register Format. */
enum lapic_delivery {
	LAPIC_FIXED = 0,
	LAPIC_LOWEST = 1,
	LAPIC_SMI = 2,
	LAPIC_NMI = 4,
	LAPIC_INIT = 5,
	LAPIC_SIPI = 6,
	LAPIC_EXTINT = 7,
};

/* An interrupt message on the bus. */
struct lapic_msg {
	uint32_t dest;
	uint8_t vector;
	uint8_t delivery; /* enum lapic_delivery; reserved values go nowhere */
	bool is_logical;
	bool is_wide;	/* dest has x2APIC's 32 bits; else 8 */
	bool is_level;	/* its end is to be told to the IOAPIC */
	bool is_lowest; /* to one of dest only: MSI's redirection hint */
};

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

struct lapic_bus;

struct lapic_bus_ops {
	/* Mandatory, any thread: vcpu `index` has something new to take. Kick it or end its halt; takes no lock of a device. */
	void (*wake)(struct lapic_bus *bus, unsigned index);
	/* Mandatory, owner of some vcpu: the end of a level-triggered interrupt. */
	void (*eoi)(struct lapic_bus *bus, uint8_t vector);
	/*
	 * Optional, owner: when vcpu `index`'s TSC reaches tsc, on the clock that lapic_init() was given; 0 or
	 * anything past when it has. NULL: no TSC-deadline mode (the CPU model must not offer it).
	 */
	uint64_t (*tsc_to_ns)(struct lapic_bus *bus, unsigned index, uint64_t tsc);
};

struct lapic {
	struct lapic_bus *bus;
	struct clock *clock;
	unsigned index; /* of the vcpu; also its APIC id */
	uint8_t phys_bits;

	uint32_t irr[LAPIC_WORDS], tmr[LAPIC_WORDS], isr[LAPIC_WORDS];
	uint32_t events; /* EVENT_*, and the vector of a SIPI */
	uint32_t errors; /* since the last write of ESR */
	uint64_t base;	 /* IA32_APIC_BASE */
	uint32_t svr, tpr, ldr, dfr;
	uint32_t lvt[LVT_COUNT];

	uint32_t icr_low, icr_high, esr;
	bool wait_sipi; /* an application processor that waits for its start */

	struct lock lock;
	uint32_t lint_levels; /* bit n: LINTn is asserted */
	struct timer timer;
	uint32_t initial_count, divide;
	bool counts;	      /* not one that ended before a change of mode */
	uint64_t start_ns;    /* when the count was initial_count */
	uint64_t deadline_ns; /* when it ends; 0: it does not run */
	uint64_t tsc_deadline;
};

struct lapic_bus {
	const struct lapic_bus_ops *ops;
	struct lapic *lapics[LAPIC_MAX]; /* by index; frozen when the first vcpu runs */
	unsigned n;
	uint32_t turn; /* who is next among equals for lowest-priority delivery; atomic */
};

/*
 * lapic_init() - as after power-up, and put on the bus as its next one
 * @phys_bits: guest physical address width, 36..52: what IA32_APIC_BASE may hold
 * Return: 0, or -ENOSPC when the bus is full.
 */
int lapic_init(struct lapic *lapic, struct lapic_bus *bus, struct clock *clock, uint8_t phys_bits);
/* lapic_reset() - as after power-up; the vcpu does not run. Application processors wait for their SIPI. */
void lapic_reset(struct lapic *lapic);
/* lapic_fini() - its timer is cancelled. */
void lapic_fini(struct lapic *lapic);
/*
 * lapic_virtual_wire() - as firmware leaves the boot processor: enabled, LINT0 takes the PIC's interrupts, LINT1 NMIs
 * Source: MultiProcessor Specification 1.4, Virtual Wire Mode.
 */
void lapic_virtual_wire(struct lapic *lapic);

/* ---- the guest's accesses; owner ---- */

/* lapic_owns() - whether a guest physical address is this vcpu's register page just now. */
bool lapic_owns(const struct lapic *lapic, gpa_t gpa);
/* lapic_mmio_read(), lapic_mmio_write() - @offset 0..0xfff in the page; @len 1..8. Only aligned 4-byte writes count. */
uint64_t lapic_mmio_read(struct lapic *lapic, uint32_t offset, unsigned len);
void lapic_mmio_write(struct lapic *lapic, uint32_t offset, unsigned len, uint64_t value);
/*
 * lapic_msr_read(), lapic_msr_write() - IA32_APIC_BASE, IA32_TSC_DEADLINE, 0x800..0x8ff
 * Return: 0; -ENOENT: not one of these; -EINVAL: the guest gets #GP.
 */
int lapic_msr_read(struct lapic *lapic, uint32_t index, uint64_t *ret);
int lapic_msr_write(struct lapic *lapic, uint32_t index, uint64_t value);
/* lapic_base() - IA32_APIC_BASE. */
uint64_t lapic_base(const struct lapic *lapic);
/*
 * lapic_base_follow() - for an engine that keeps IA32_APIC_BASE itself, and checked what the guest wrote: as CR8's
 * value, to be given before each look at the LAPIC
 */
void lapic_base_follow(struct lapic *lapic, uint64_t value);
/*
 * lapic_cr8_get(), lapic_cr8_set() - CR8 is the task priority's upper half (Task Priority in IA-32e Mode)
 * The guest writes CR8 without an exit: set it before each look at the LAPIC, and CR8 from it after each write.
 */
uint8_t lapic_cr8_get(const struct lapic *lapic);
void lapic_cr8_set(struct lapic *lapic, uint8_t cr8);

/* ---- the run loop; owner ---- */

enum lapic_event { LAPIC_EVENT_NONE, LAPIC_EVENT_INIT, LAPIC_EVENT_SIPI, LAPIC_EVENT_NMI };

/*
 * lapic_event_take() - the next thing that is not a vector
 * @ret_vector: for LAPIC_EVENT_SIPI: execution starts at vector << 12
 * At LAPIC_EVENT_INIT the registers are already reset; the vcpu is to be, and an application processor then waits.
 */
enum lapic_event lapic_event_take(struct lapic *lapic, uint8_t *ret_vector);
/*
 * lapic_restart() - the state of its vcpu after LAPIC_EVENT_INIT, or after LAPIC_EVENT_SIPI with its vector
 * Source: SDM 3A, Local APIC State After It Receives an INIT-Deassert IPI: IA32_APIC_BASE stays.
 */
void lapic_restart(const struct lapic *lapic, enum lapic_event event, uint8_t vector,
		   struct x86_state *ret);
/* lapic_highest() - the vector that the priorities let through, or -1. */
int lapic_highest(const struct lapic *lapic);
/*
 * lapic_held() - what nothing but the task priority holds back
 * Return: its class, 2..15: it is let through as soon as CR8 is below; 0: there is none.
 */
uint8_t lapic_held(const struct lapic *lapic);
/* lapic_accept() - it is being injected: irr -> isr. False: it is no longer pending. */
bool lapic_accept(struct lapic *lapic, uint8_t vector);
/* lapic_extint() - whether the PIC is asked for the vector: LINT0 in ExtINT mode asserted, or an ExtINT message came. */
bool lapic_extint(const struct lapic *lapic);
/* lapic_extint_taken() - the PIC has been asked: the message is used up. */
void lapic_extint_taken(struct lapic *lapic);
/* lapic_has_work() - whether a halted (or waiting) vcpu is to go on. */
bool lapic_has_work(const struct lapic *lapic);
/* lapic_waits() - whether the vcpu waits for a SIPI and must not run. */
bool lapic_waits(const struct lapic *lapic);

/* ---- any thread ---- */

/* lapic_post() - a vector into irr. False: refused (disabled, or an illegal vector). */
bool lapic_post(struct lapic *lapic, uint8_t vector, bool is_level);
/* lapic_local() - a local source fires: what its entry of the vector table says, unless it is masked. */
void lapic_local(struct lapic *lapic, enum lapic_lvt source);
/* lapic_lint() - level of LINT0 or LINT1. @pin: 0 or 1 */
void lapic_lint(struct lapic *lapic, unsigned pin, bool level);
/* lapic_bus_send() - deliver a message; how many took it. */
unsigned lapic_bus_send(struct lapic_bus *bus, const struct lapic_msg *msg);
/* lapic_bus_reset() - every LAPIC as after power-up; no vcpu runs. */
void lapic_bus_reset(struct lapic_bus *bus);
