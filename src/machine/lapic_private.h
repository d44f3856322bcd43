/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the LAPIC's files share. Register layout: Intel SDM 3A, Local APIC Register Address Map. */
#include "machine/lapic.h"

/* MMIO offset / 16 is the MSR's number past 0x800. */
enum {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_RRD = 0x0c,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT = 0x32,
	REG_INITIAL_COUNT = 0x38,
	REG_CURRENT_COUNT = 0x39,
	REG_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,
};

/* Integrated APIC, 6 entries in the vector table, EOI broadcasts can be suppressed. Local APIC Version Register. */
#define VERSION_VALUE (0x14U | (LVT_COUNT - 1) << 16 | 1U << 24)

#define SVR_ENABLED	 0x100U /* Spurious-Interrupt Vector Register */
#define SVR_NO_BROADCAST 0x1000U
#define SVR_WRITABLE	 0x13ffU

#define LVT_VECTOR	 0xffU /* Local Vector Table */
#define LVT_DELIVERY	 0x700U
#define LVT_REMOTE_IRR	 0x4000U
#define LVT_LEVEL	 0x8000U
#define LVT_MASKED	 0x10000U
#define LVT_TIMER_MODE	 0x60000U
#define LVT_ONE_SHOT	 0x00000U
#define LVT_PERIODIC	 0x20000U
#define LVT_TSC_DEADLINE 0x40000U

#define ERROR_SEND_VECTOR      0x20U /* Error Status Register */
#define ERROR_RECEIVE_VECTOR   0x40U
#define ERROR_ILLEGAL_REGISTER 0x80U

#define EVENT_SIPI_VECTOR 0xffU
#define EVENT_SIPI	  0x100U
#define EVENT_INIT	  0x200U
#define EVENT_NMI	  0x400U
#define EVENT_EXTINT	  0x800U
#define EVENT_NMI_SECOND                                                                           \
	0x1000U /* with EVENT_NMI: one to be served, one that is latched meanwhile */
#define EVENT_NMIS (EVENT_NMI | EVENT_NMI_SECOND)

#define VECTOR_LOWEST 16U /* those below are illegal: Valid Interrupt Vectors */

static inline uint32_t word_load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void word_store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline uint64_t lapic_base_load(const struct lapic *lapic)
{
	return __atomic_load_n(&lapic->base, __ATOMIC_RELAXED);
}

static inline bool lapic_is_on(const struct lapic *lapic)
{
	return lapic_base_load(lapic) & LAPIC_BASE_EN;
}

static inline bool lapic_is_x2(const struct lapic *lapic)
{
	return lapic_base_load(lapic) & LAPIC_BASE_X2;
}

/* Takes interrupts: on, and not disabled by software. */
static inline bool lapic_is_enabled(const struct lapic *lapic)
{
	return lapic_is_on(lapic) && word_load(&lapic->svr) & SVR_ENABLED;
}

static inline enum lapic_delivery lvt_delivery(uint32_t lvt)
{
	return (enum lapic_delivery)((lvt & LVT_DELIVERY) >> 8);
}

static inline void lapic_wake(struct lapic *lapic)
{
	lapic->bus->ops->wake(lapic->bus, lapic->index);
}

/* lapic.c: the interrupt state */
int lapic_isr_highest(const struct lapic *lapic);	 /* vector, or -1 */
uint8_t lapic_ppr(const struct lapic *lapic);		 /* Task and Processor Priorities */
void lapic_eoi(struct lapic *lapic);			 /* owner */
void lapic_error(struct lapic *lapic, uint32_t error);	 /* any thread */
void lapic_event_set(struct lapic *lapic, uint32_t set); /* any thread */
void lapic_nmi_set(struct lapic *lapic);		 /* any thread */
void lapic_init_registers(struct lapic *lapic);		 /* as INIT does; owner */
void lapic_lvt_set(struct lapic *lapic, enum lapic_lvt source, uint32_t value); /* owner */

/* lapic_bus.c: IPIs; owner. False: the vector is illegal. */
void lapic_icr_send(struct lapic *lapic, uint32_t low, uint32_t dest);

/* lapic_timer.c; all but the first two by the owner */
void lapic_timer_fired(struct timer *timer);
void lapic_timer_stop(struct lapic *lapic);
void lapic_timer_mode_set(struct lapic *lapic, uint32_t old_lvt, uint32_t new_lvt); /* locked */
void lapic_timer_count_set(struct lapic *lapic, uint32_t count);
uint32_t lapic_timer_count(struct lapic *lapic);
void lapic_timer_divide_set(struct lapic *lapic, uint32_t divide);
uint64_t lapic_timer_deadline(struct lapic *lapic);
void lapic_timer_deadline_set(struct lapic *lapic, uint64_t tsc);
