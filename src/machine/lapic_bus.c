/* SPDX-License-Identifier: Apache-2.0 */
/* Who a message is for, and inter-processor interrupts. */
#include "machine/lapic_private.h"

#define BROADCAST_NARROW 0xffU
#define BROADCAST_WIDE	 UINT32_MAX

/* Interrupt Command Register */
#define ICR_LOGICAL	 0x800U
#define ICR_ASSERT	 0x4000U
#define ICR_LEVEL	 0x8000U
#define ICR_SHORTHAND	 0xc0000U
#define ICR_SELF	 0x40000U
#define ICR_ALL		 0x80000U
#define ICR_ALL_BUT_SELF 0xc0000U

/* Logical Destination Mode in x2APIC Mode: a cluster of 16 in the upper half, a bit for each in the lower. */
static bool match_cluster_x2(const struct lapic *lapic, uint32_t dest)
{
	return dest >> 16 == lapic->index >> 4 && dest >> (lapic->index & 15) & 1;
}

/* Logical Destination Mode: flat and cluster model. */
static bool match_logical_xapic(const struct lapic *lapic, uint32_t dest)
{
	uint32_t ours = word_load(&lapic->ldr) >> 24;

	if (dest > 0xff)
		return false;
	if (word_load(&lapic->dfr) >> 28 == 0xf)
		return dest & ours;
	return dest >> 4 == ours >> 4 && dest & ours & 0xf;
}

static bool match(const struct lapic *lapic, const struct lapic_msg *msg)
{
	if (!lapic_is_on(lapic))
		return false;
	/* All ones is everybody in every mode, the receiver's own included: Broadcast/Self Delivery Mode. */
	if (msg->dest == (msg->is_wide ? BROADCAST_WIDE : BROADCAST_NARROW))
		return true;
	if (!msg->is_logical)
		return msg->dest == lapic->index;
	return lapic_is_x2(lapic) ? match_cluster_x2(lapic, msg->dest)
				  : match_logical_xapic(lapic, msg->dest);
}

/* Lowest Priority Delivery Mode: the one with the lowest priority; among equals, by turns. */
static uint64_t pick_lowest(struct lapic_bus *bus, uint64_t candidates)
{
	unsigned turn = __atomic_fetch_add(&bus->turn, 1, __ATOMIC_RELAXED);
	unsigned best = LAPIC_MAX, best_ppr = 0;

	for (unsigned k = 0; k < bus->n; k++) {
		unsigned i = (turn + k) % bus->n;
		if (!(candidates >> i & 1) || !lapic_is_enabled(bus->lapics[i]))
			continue;
		unsigned ppr = lapic_ppr(bus->lapics[i]);
		if (best == LAPIC_MAX || ppr < best_ppr) {
			best = i;
			best_ppr = ppr;
		}
	}
	return best == LAPIC_MAX ? 0 : UINT64_C(1) << best;
}

/* SIPIs carry their vector: the last one before the vcpu takes it counts. */
static void post_sipi(struct lapic *lapic, uint8_t vector)
{
	uint32_t old = __atomic_load_n(&lapic->events, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(&lapic->events, &old,
					    (old & ~EVENT_SIPI_VECTOR) | EVENT_SIPI | vector, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
	lapic_wake(lapic);
}

/* INIT makes a start-up message that was not taken yet void. */
static void post_init(struct lapic *lapic)
{
	__atomic_fetch_and(&lapic->events, ~(EVENT_SIPI | EVENT_SIPI_VECTOR), __ATOMIC_SEQ_CST);
	lapic_event_set(lapic, EVENT_INIT);
}

/* Return: whether it was taken. */
static bool deliver_one(struct lapic *lapic, const struct lapic_msg *msg)
{
	switch ((enum lapic_delivery)msg->delivery) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		return lapic_post(lapic, msg->vector, msg->is_level);
	case LAPIC_NMI:
		lapic_nmi_set(lapic);
		return true;
	case LAPIC_INIT:
		post_init(lapic);
		return true;
	case LAPIC_SIPI:
		post_sipi(lapic, msg->vector);
		return true;
	case LAPIC_EXTINT:
		lapic_event_set(lapic, EVENT_EXTINT);
		return true;
	case LAPIC_SMI: /* taken, and nothing is done: there is no system management mode */
		return true;
	}
	return false;
}

static unsigned deliver(struct lapic_bus *bus, uint64_t to, const struct lapic_msg *msg)
{
	unsigned taken = 0;

	if (msg->delivery == LAPIC_LOWEST || msg->is_lowest)
		to = pick_lowest(bus, to);
	for (; to; to &= to - 1)
		taken += deliver_one(bus->lapics[__builtin_ctzll(to)], msg);
	return taken;
}

static uint64_t destinations(const struct lapic_bus *bus, const struct lapic_msg *msg)
{
	uint64_t to = 0;

	for (unsigned i = 0; i < bus->n; i++)
		to |= (uint64_t)match(bus->lapics[i], msg) << i;
	return to;
}

unsigned lapic_bus_send(struct lapic_bus *bus, const struct lapic_msg *msg)
{
	return deliver(bus, destinations(bus, msg), msg);
}

void lapic_bus_reset(struct lapic_bus *bus)
{
	for (unsigned i = 0; i < bus->n; i++)
		lapic_reset(bus->lapics[i]);
}

/* Every LAPIC that is on, for the shorthands. */
static uint64_t everybody(const struct lapic_bus *bus)
{
	uint64_t to = 0;

	for (unsigned i = 0; i < bus->n; i++)
		to |= (uint64_t)lapic_is_on(bus->lapics[i]) << i;
	return to;
}

/* Issuing Interprocessor Interrupts. */
void lapic_icr_send(struct lapic *lapic, uint32_t low, uint32_t dest)
{
	uint64_t self = UINT64_C(1) << lapic->index;
	struct lapic_msg msg = { .dest = dest,
				 .vector = low & 0xff,
				 .delivery = low >> 8 & 7,
				 .is_logical = low & ICR_LOGICAL,
				 .is_wide = lapic_is_x2(lapic) };

	if (msg.delivery == LAPIC_INIT && (low & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
		return; /* INIT level de-assert: nothing since the Pentium 4 */
	if (msg.delivery == LAPIC_EXTINT)
		return; /* reserved */
	if (msg.delivery <= LAPIC_LOWEST && msg.vector < VECTOR_LOWEST) {
		lapic_error(lapic, ERROR_SEND_VECTOR);
		return;
	}
	switch (low & ICR_SHORTHAND) {
	case ICR_SELF:
		if (msg.delivery == LAPIC_FIXED) /* Valid Combinations for the Local APIC's ICR */
			(void)deliver(lapic->bus, self, &msg);
		break;
	case ICR_ALL:
		(void)deliver(lapic->bus, everybody(lapic->bus), &msg);
		break;
	case ICR_ALL_BUT_SELF:
		(void)deliver(lapic->bus, everybody(lapic->bus) & ~self, &msg);
		break;
	default:
		(void)lapic_bus_send(lapic->bus, &msg);
		break;
	}
}
