/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/lapic.h"

#include <errno.h>
#include <string.h>

#include "machine/lapic_private.h"
#include "machine/layout.h"

/* ---- 256 bits ---- */

/* The highest bit that is set, or -1. */
static int bits_highest(const uint32_t *words)
{
	for (int i = (int)LAPIC_WORDS - 1; i >= 0; i--) {
		uint32_t word = __atomic_load_n(&words[i], __ATOMIC_SEQ_CST);
		if (word)
			return 32 * i + 31 - __builtin_clz(word);
	}
	return -1;
}

/* Return: whether it was set before. */
static bool bit_set(uint32_t *words, uint8_t vector)
{
	uint32_t bit = 1U << vector % 32;

	return __atomic_fetch_or(&words[vector / 32], bit, __ATOMIC_SEQ_CST) & bit;
}

static bool bit_clear(uint32_t *words, uint8_t vector)
{
	uint32_t bit = 1U << vector % 32;

	return __atomic_fetch_and(&words[vector / 32], ~bit, __ATOMIC_SEQ_CST) & bit;
}

static bool bit_test(const uint32_t *words, uint8_t vector)
{
	return __atomic_load_n(&words[vector / 32], __ATOMIC_SEQ_CST) >> vector % 32 & 1;
}

/* ---- life ---- */

/* Local APIC State After Power-Up or Reset. */
void lapic_init_registers(struct lapic *lapic)
{
	lapic_timer_stop(lapic);
	for (unsigned i = 0; i < LAPIC_WORDS; i++) {
		word_store(&lapic->irr[i], 0);
		word_store(&lapic->isr[i], 0);
		word_store(&lapic->tmr[i], 0);
	}
	word_store(&lapic->errors, 0);
	word_store(&lapic->svr, 0xff);
	word_store(&lapic->tpr, 0);
	word_store(&lapic->ldr, 0);
	word_store(&lapic->dfr, UINT32_MAX);
	lock_acquire(&lapic->lock);
	for (unsigned i = 0; i < LVT_COUNT; i++)
		word_store(&lapic->lvt[i], LVT_MASKED);
	lapic->divide = 0;
	lock_release(&lapic->lock);
	lapic->icr_low = lapic->icr_high = lapic->esr = 0;
}

void lapic_reset(struct lapic *lapic)
{
	bool is_boot = lapic->index == 0;

	lapic_init_registers(lapic);
	__atomic_store_n(&lapic->base,
			 LAYOUT_LAPIC | LAPIC_BASE_EN | (is_boot ? LAPIC_BASE_BSP : 0),
			 __ATOMIC_RELAXED);
	word_store(&lapic->events, 0);
	lapic->wait_sipi = !is_boot;
}

int lapic_init(struct lapic *lapic, struct lapic_bus *bus, struct clock *clock, uint8_t phys_bits)
{
	if (bus->n == LAPIC_MAX)
		return -ENOSPC;
	memset(lapic, 0, sizeof(*lapic));
	lapic->bus = bus;
	lapic->clock = clock;
	lapic->index = bus->n;
	lapic->phys_bits = phys_bits;
	lapic->timer.fired = lapic_timer_fired;
	bus->lapics[bus->n++] = lapic;
	lapic_reset(lapic);
	return 0;
}

void lapic_fini(struct lapic *lapic)
{
	if (lapic->bus)
		lapic_timer_stop(lapic);
}

void lapic_virtual_wire(struct lapic *lapic)
{
	word_store(&lapic->svr, SVR_ENABLED | 0xff);
	lapic_lvt_set(lapic, LVT_LINT0, LAPIC_EXTINT << 8);
	lapic_lvt_set(lapic, LVT_LINT1, LAPIC_NMI << 8);
}

/* ---- what is pending ---- */

int lapic_isr_highest(const struct lapic *lapic)
{
	return bits_highest(lapic->isr);
}

uint8_t lapic_ppr(const struct lapic *lapic)
{
	uint8_t tpr = (uint8_t)word_load(&lapic->tpr);
	int isr = lapic_isr_highest(lapic);
	uint8_t in_service = isr < 0 ? 0 : (uint8_t)isr;

	return tpr >> 4 >= in_service >> 4 ? tpr : in_service & 0xf0;
}

int lapic_highest(const struct lapic *lapic)
{
	int vector = lapic_is_on(lapic) ? bits_highest(lapic->irr) : -1;

	if (vector < 0)
		return -1; /* asked between any two exits: what is in service is looked at only then */
	return vector >> 4 > lapic_ppr(lapic) >> 4 ? vector : -1;
}

uint8_t lapic_held(const struct lapic *lapic)
{
	uint8_t tpr = (uint8_t)word_load(&lapic->tpr) >> 4;

	if (!tpr || !lapic_is_on(lapic))
		return 0;
	int class = bits_highest(lapic->irr) >> 4, in_service = lapic_isr_highest(lapic) >> 4;
	return class > in_service && class > 0 && class <= tpr ? (uint8_t) class : 0;
}

bool lapic_accept(struct lapic *lapic, uint8_t vector)
{
	if (lapic_highest(lapic) < vector || !bit_clear(lapic->irr, vector))
		return false;
	(void)bit_set(lapic->isr, vector);
	return true;
}

/* End of the interrupt in service: Signaling Interrupt Servicing Completion. */
void lapic_eoi(struct lapic *lapic)
{
	int vector = lapic_isr_highest(lapic);

	if (vector < 0)
		return;
	(void)bit_clear(lapic->isr, (uint8_t)vector);
	if (!bit_test(lapic->tmr, (uint8_t)vector))
		return;
	for (unsigned pin = 0; pin < 2; pin++) {
		uint32_t *lvt = &lapic->lvt[LVT_LINT0 + pin];
		lock_acquire(&lapic->lock);
		bool ours = *lvt & LVT_REMOTE_IRR && (*lvt & LVT_VECTOR) == (unsigned)vector;
		if (ours)
			word_store(lvt, *lvt & ~LVT_REMOTE_IRR);
		bool level = lapic->lint_levels >> pin & 1;
		lock_release(&lapic->lock);
		if (ours && level)
			lapic_lint(lapic, pin, true);
	}
	if (!(word_load(&lapic->svr) & SVR_NO_BROADCAST))
		lapic->bus->ops->eoi(lapic->bus, (uint8_t)vector);
}

bool lapic_post(struct lapic *lapic, uint8_t vector, bool is_level)
{
	if (!lapic_is_enabled(lapic))
		return false;
	if (vector < VECTOR_LOWEST) {
		lapic_error(lapic, ERROR_RECEIVE_VECTOR);
		return false;
	}
	if (is_level)
		(void)bit_set(lapic->tmr, vector);
	else
		(void)bit_clear(lapic->tmr, vector);
	if (!bit_set(lapic->irr, vector))
		lapic_wake(lapic);
	return true;
}

void lapic_event_set(struct lapic *lapic, uint32_t set)
{
	__atomic_fetch_or(&lapic->events, set, __ATOMIC_SEQ_CST);
	lapic_wake(lapic);
}

/*
 * A CPU that serves no NMI takes one and latches another (SDM 3A, Handling Multiple NMIs): two that come before the vcpu looks are
 * both its own to count.
 */
void lapic_nmi_set(struct lapic *lapic)
{
	if (__atomic_fetch_or(&lapic->events, EVENT_NMI, __ATOMIC_SEQ_CST) & EVENT_NMI)
		__atomic_fetch_or(&lapic->events, EVENT_NMI_SECOND, __ATOMIC_SEQ_CST);
	lapic_wake(lapic);
}

/* An error is reported once until the guest has read it, so an error of the error's own entry ends there. */
void lapic_error(struct lapic *lapic, uint32_t error)
{
	if (!(__atomic_fetch_or(&lapic->errors, error, __ATOMIC_SEQ_CST) & error))
		lapic_local(lapic, LVT_ERROR);
}

void lapic_restart(const struct lapic *lapic, enum lapic_event event, uint8_t vector,
		   struct x86_state *ret)
{
	x86_state_reset(ret, lapic->index == 0);
	if (event == LAPIC_EVENT_SIPI)
		x86_state_sipi(ret, vector);
	ret->apic_base = lapic_base(lapic);
}

enum lapic_event lapic_event_take(struct lapic *lapic, uint8_t *ret_vector)
{
	uint32_t events = __atomic_load_n(&lapic->events, __ATOMIC_SEQ_CST);

	if (events & EVENT_INIT) {
		/* A SIPI that is there came after it, or is one too early that does no harm. */
		__atomic_fetch_and(&lapic->events,
				   ~(EVENT_INIT | EVENT_NMI | EVENT_NMI_SECOND | EVENT_EXTINT),
				   __ATOMIC_SEQ_CST);
		lapic_init_registers(lapic);
		lapic->wait_sipi = lapic->index != 0;
		return LAPIC_EVENT_INIT;
	}
	if (events & EVENT_SIPI) {
		events = __atomic_fetch_and(&lapic->events, ~(EVENT_SIPI | EVENT_SIPI_VECTOR),
					    __ATOMIC_SEQ_CST);
		if (lapic->wait_sipi) {
			lapic->wait_sipi = false;
			*ret_vector = events & EVENT_SIPI_VECTOR;
			return LAPIC_EVENT_SIPI;
		}
	}
	if (events & EVENT_NMIS && !lapic->wait_sipi) {
		uint32_t one = events & EVENT_NMI_SECOND ? EVENT_NMI_SECOND : EVENT_NMI;
		__atomic_fetch_and(&lapic->events, ~one, __ATOMIC_SEQ_CST);
		return LAPIC_EVENT_NMI;
	}
	return LAPIC_EVENT_NONE;
}

bool lapic_extint(const struct lapic *lapic)
{
	if (__atomic_load_n(&lapic->events, __ATOMIC_SEQ_CST) & EVENT_EXTINT)
		return true;
	uint32_t levels = __atomic_load_n(&lapic->lint_levels, __ATOMIC_SEQ_CST);
	if (!lapic_is_on(
		    lapic)) /* LINT0 is the CPU's INTR then: Enabling or Disabling the Local APIC */
		return levels & 1;
	for (unsigned pin = 0; pin < 2; pin++) {
		uint32_t lvt = word_load(&lapic->lvt[LVT_LINT0 + pin]);
		if (levels >> pin & 1 && !(lvt & LVT_MASKED) && lvt_delivery(lvt) == LAPIC_EXTINT)
			return true;
	}
	return false;
}

void lapic_extint_taken(struct lapic *lapic)
{
	__atomic_fetch_and(&lapic->events, ~EVENT_EXTINT, __ATOMIC_SEQ_CST);
}

bool lapic_has_work(const struct lapic *lapic)
{
	uint32_t events = __atomic_load_n(&lapic->events, __ATOMIC_SEQ_CST);

	if (lapic->wait_sipi)
		return events & (EVENT_INIT | EVENT_SIPI);
	return events & (EVENT_INIT | EVENT_NMIS) || lapic_highest(lapic) >= 0 ||
	       lapic_extint(lapic);
}

bool lapic_waits(const struct lapic *lapic)
{
	return lapic->wait_sipi;
}

uint8_t lapic_cr8_get(const struct lapic *lapic)
{
	return (uint8_t)(word_load(&lapic->tpr) >> 4);
}

void lapic_cr8_set(struct lapic *lapic, uint8_t cr8)
{
	if (lapic_cr8_get(lapic) != (cr8 & 0xf)) /* else the sub-class that was written stays */
		word_store(&lapic->tpr, (cr8 & 0xfU) << 4);
}

/* ---- local sources ---- */

void lapic_local(struct lapic *lapic, enum lapic_lvt source)
{
	uint32_t lvt = word_load(&lapic->lvt[source]);

	if (!lapic_is_on(lapic) || lvt & LVT_MASKED)
		return;
	if (source == LVT_PERF) { /* masked until the handler unmasks it: Local Vector Table */
		lock_acquire(&lapic->lock);
		word_store(&lapic->lvt[source], lapic->lvt[source] | LVT_MASKED);
		lock_release(&lapic->lock);
	}
	switch (source == LVT_TIMER || source == LVT_ERROR ? LAPIC_FIXED : lvt_delivery(lvt)) {
	case LAPIC_FIXED:
		(void)lapic_post(lapic, lvt & LVT_VECTOR, false);
		break;
	case LAPIC_NMI:
		lapic_nmi_set(lapic);
		break;
	case LAPIC_INIT:
		lapic_event_set(lapic, EVENT_INIT);
		break;
	default: /* no system management mode here; ExtINT is a level that the run loop looks at */
		break;
	}
}

/*
 * A pin's level or entry changed. Level-triggered fixed interrupts set remote IRR until their EOI; whether one is to be
 * posted. The lock is held.
 */
static bool lint_level_due(struct lapic *lapic, unsigned pin)
{
	uint32_t lvt = lapic->lvt[LVT_LINT0 + pin];

	if (!(lapic->lint_levels >> pin & 1) || lvt & (LVT_MASKED | LVT_REMOTE_IRR) ||
	    !(lvt & LVT_LEVEL) || lvt_delivery(lvt) != LAPIC_FIXED || !lapic_is_enabled(lapic) ||
	    (lvt & LVT_VECTOR) < VECTOR_LOWEST)
		return false;
	word_store(&lapic->lvt[LVT_LINT0 + pin], lvt | LVT_REMOTE_IRR);
	return true;
}

void lapic_lint(struct lapic *lapic, unsigned pin, bool level)
{
	enum lapic_lvt source = LVT_LINT0 + (pin & 1);

	pin &= 1;
	lock_acquire(&lapic->lock);
	bool rises = level && !(lapic->lint_levels >> pin & 1);
	uint32_t levels = (lapic->lint_levels & ~(1U << pin)) | (uint32_t)level << pin;
	__atomic_store_n(&lapic->lint_levels, levels, __ATOMIC_SEQ_CST);
	uint32_t lvt = lapic->lvt[source];
	bool post = lint_level_due(lapic, pin);
	lock_release(&lapic->lock);

	if (post) {
		(void)lapic_post(lapic, lvt & LVT_VECTOR, true);
	} else if (rises && !lapic_is_on(lapic)) { /* the CPU's own INTR and NMI pins */
		if (pin == 0)
			lapic_wake(lapic);
		else
			lapic_nmi_set(lapic);
	} else if (rises && !(lvt & LVT_MASKED)) {
		if (lvt_delivery(lvt) == LAPIC_EXTINT)
			lapic_wake(lapic);
		else if (lvt_delivery(lvt) != LAPIC_FIXED || !(lvt & LVT_LEVEL))
			lapic_local(lapic, source);
	}
}

/* Which bits of an entry the guest writes: Local Vector Table. */
static uint32_t lvt_writable(const struct lapic *lapic, enum lapic_lvt source)
{
	switch (source) {
	case LVT_TIMER:
		return LVT_VECTOR | LVT_MASKED | LVT_PERIODIC |
		       (lapic->bus->ops->tsc_to_ns ? LVT_TSC_DEADLINE : 0);
	case LVT_LINT0:
	case LVT_LINT1:
		return LVT_VECTOR | LVT_DELIVERY | 0x2000U | LVT_LEVEL | LVT_MASKED;
	case LVT_ERROR:
		return LVT_VECTOR | LVT_MASKED;
	default:
		return LVT_VECTOR | LVT_DELIVERY | LVT_MASKED;
	}
}

void lapic_lvt_set(struct lapic *lapic, enum lapic_lvt source, uint32_t value)
{
	value &= lvt_writable(lapic, source);
	if (!(word_load(&lapic->svr) & SVR_ENABLED))
		value |= LVT_MASKED; /* Local APIC State After It Has Been Software Disabled */
	lock_acquire(&lapic->lock);
	uint32_t old = lapic->lvt[source];
	bool keeps_level = value & LVT_LEVEL && lvt_delivery(value) == LAPIC_FIXED;
	word_store(&lapic->lvt[source], value | (keeps_level ? old & LVT_REMOTE_IRR : 0));
	if (source == LVT_TIMER)
		lapic_timer_mode_set(lapic, old, value);
	bool is_pin = source == LVT_LINT0 || source == LVT_LINT1;
	bool post = is_pin && lint_level_due(lapic, source - LVT_LINT0);
	lock_release(&lapic->lock);
	if (post)
		(void)lapic_post(lapic, value & LVT_VECTOR, true);
}
