/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/pm.h"

#include "base/core/macros.h"
#include "machine/acpi_parts.h"
#include "machine/layout.h"

/* 4.8.3.1 PM1 Event Grouping: bits of the status and the enable register. */
#define PM1_TIMER	 0x0001U
#define PM1_GLOBAL	 0x0020U
#define PM1_POWER_BUTTON 0x0100U
#define PM1_RTC		 0x0400U /* it never comes; but a driver that enables it looks whether it did */
#define PM1_WAKE	 0x8000U
#define PM1_ENABLES	 (PM1_TIMER | PM1_GLOBAL | PM1_POWER_BUTTON | PM1_RTC)

/* 4.8.3.2 PM1 Control Grouping */
#define PM1_SCI_ENABLED	     0x0001U /* always: there is no other mode */
#define PM1_WRITABLE	     0x1c02U /* SLP_TYP, BM_RLD */
#define PM1_SLEEP_TYPE_SHIFT 10U
#define PM1_SLEEP_TYPE	     0x7U
#define PM1_SLEEP_ENABLE     0x2000U

/* Offsets in the region */
#define PM_STATUS  0U
#define PM_ENABLE  2U
#define PM_CONTROL (PORT_PM1_CONTROL - PORT_PM1_EVENT)
#define PM_TIMER   (PORT_PM_TIMER - PORT_PM1_EVENT)
#define PM_BYTES   (PM_TIMER + 4)

#define RESET_CPU      0x04U
#define RESET_WRITABLE 0x0aU

#define NS_PER_S UINT64_C(1000000000)

/* ---- time ---- */

static uint64_t pm_ticks(const struct pm *pm)
{
	uint64_t ns = pm->clock->ops->now_ns(pm->clock);

	return ns / NS_PER_S * PM_TIMER_HZ + ns % NS_PER_S * PM_TIMER_HZ / NS_PER_S;
}

/* The first nanosecond at which pm_ticks() is ticks. */
static uint64_t pm_ticks_ns(uint64_t ticks)
{
	uint64_t rest = ticks % PM_TIMER_HZ;

	return ticks / PM_TIMER_HZ * NS_PER_S + (rest * NS_PER_S + PM_TIMER_HZ - 1) / PM_TIMER_HZ;
}

/* Bit 31 of the timer changed since the guest last saw its status: 4.8.4 PM Timer, TMR_STS. */
static void pm_carry(struct pm *pm)
{
	uint64_t carries = pm_ticks(pm) >> 31;

	if (carries != pm->carries)
		pm->status |= PM1_TIMER;
	pm->carries = carries;
}

/* ---- the SCI ---- */

static void pm_update(struct pm *pm)
{
	bool sci = pm->status & pm->enable & PM1_ENABLES;

	if (sci == pm->sci)
		return;
	pm->sci = sci;
	pm->irq->ops->line(pm->irq, GSI_SCI, sci);
}

static void pm_arm(struct pm *pm)
{
	if (pm->enable & PM1_TIMER)
		pm->clock->ops->arm(pm->clock, &pm->timer, pm_ticks_ns((pm->carries + 1) << 31));
	else
		pm->clock->ops->cancel(pm->clock, &pm->timer);
}

static void pm_fired(struct timer *timer)
{
	struct pm *pm = container_of(timer, struct pm, timer);

	lock_acquire(&pm->lock);
	if (pm->enable & PM1_TIMER) {
		pm_carry(pm);
		pm_update(pm);
		pm_arm(pm);
	}
	lock_release(&pm->lock);
}

bool pm_power_button(struct pm *pm)
{
	lock_acquire(&pm->lock);
	pm->status |= PM1_POWER_BUTTON;
	pm_update(pm);
	bool listens = pm->enable & PM1_POWER_BUTTON;
	lock_release(&pm->lock);
	return listens;
}

/* ---- registers: byte by byte, pm->lock held ---- */

static uint8_t pm_read_byte(struct pm *pm, unsigned offset)
{
	switch (offset) {
	case PM_STATUS:
		pm_carry(pm);
		return (uint8_t)pm->status;
	case PM_STATUS + 1:
		return (uint8_t)(pm->status >> 8);
	case PM_ENABLE:
		return (uint8_t)pm->enable;
	case PM_ENABLE + 1:
		return (uint8_t)(pm->enable >> 8);
	case PM_CONTROL:
		return (uint8_t)(pm->control | PM1_SCI_ENABLED);
	case PM_CONTROL + 1:
		return (uint8_t)(pm->control >> 8);
	default:
		return 0;
	}
}

static uint64_t pm_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct pm *pm = container_of(region, struct pm, region);
	uint64_t ticks = offset + len > PM_TIMER ? pm_ticks(pm) & 0xffffffff : 0;
	uint64_t value = 0;

	for (unsigned i = 0; i < len; i++) {
		unsigned at = (unsigned)offset + i;
		uint64_t byte = at >= PM_TIMER ? ticks >> (8 * (at - PM_TIMER)) & 0xff
					       : pm_read_byte(pm, at);
		value |= byte << (8 * i);
	}
	return value;
}

static void pm_control(struct pm *pm, uint16_t value)
{
	unsigned type = value >> PM1_SLEEP_TYPE_SHIFT & PM1_SLEEP_TYPE;

	pm->control = value & PM1_WRITABLE;
	if (value & PM1_SLEEP_ENABLE && type == ACPI_SLEEP_TYPE_S5)
		pm->events->ops->power_off(pm->events);
}

static uint16_t pm_merge(uint16_t word, unsigned byte, uint8_t value)
{
	return (uint16_t)((word & ~(0xffU << (8 * byte))) | (unsigned)value << (8 * byte));
}

/* A status bit that is written as one is cleared. */
static void pm_write_byte(struct pm *pm, unsigned offset, uint8_t value)
{
	switch (offset) {
	case PM_STATUS:
		pm_carry(pm);
		pm->status &= (uint16_t)~value;
		break;
	case PM_STATUS + 1:
		pm->status &= (uint16_t) ~(value << 8);
		break;
	case PM_ENABLE:
	case PM_ENABLE + 1:
		pm->enable = pm_merge(pm->enable, offset - PM_ENABLE, value) & PM1_ENABLES;
		break;
	case PM_CONTROL:
	case PM_CONTROL + 1:
		pm_control(pm, pm_merge(pm->control, offset - PM_CONTROL, value));
		break;
	default:
		break;
	}
}

static void pm_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct pm *pm = container_of(region, struct pm, region);
	bool timer = pm->enable & PM1_TIMER;

	for (unsigned i = 0; i < len; i++)
		pm_write_byte(pm, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
	pm_update(pm);
	if (timer != (bool)(pm->enable & PM1_TIMER)) {
		pm_carry(pm);
		pm_update(pm);
		pm_arm(pm);
	}
}

static const struct bus_ops pm_ops = { .name = "pm", .read = pm_read, .write = pm_write };

static uint64_t pm_reset_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	(void)offset;
	(void)len;
	return container_of(region, struct pm, reset)->reset_control;
}

static void pm_reset_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct pm *pm = container_of(region, struct pm, reset);

	(void)offset;
	(void)len;
	pm->reset_control = value & RESET_WRITABLE;
	if (value & RESET_CPU)
		pm->events->ops->reset(pm->events);
}

static const struct bus_ops pm_reset_ops = {
	.name = "reset",
	.read = pm_reset_read,
	.write = pm_reset_write,
};

int pm_init(struct pm *pm, struct bus *pio, struct pci_bus *pci, struct clock *clock,
	    struct irq_sink *irq, struct machine_events *events, struct err *err)
{
	*pm = (struct pm){
		.region = { &pm_ops, &pm->lock, PORT_PM1_EVENT, PM_BYTES },
		.reset = { &pm_reset_ops, &pm->lock, PORT_RESET, 1 },
		.clock = clock,
		.irq = irq,
		.events = events,
		.timer = { .fired = pm_fired },
	};
	int r = bus_add(pio, &pm->region);
	if (r < 0)
		return err_say(err, -r, "add power management: its ports are taken");
	pci_reset_port(pci, &pm->reset);
	return 0;
}

void pm_fini(struct pm *pm)
{
	lock_acquire(&pm->lock);
	pm->enable = 0;
	pm->clock->ops->cancel(pm->clock, &pm->timer);
	lock_release(&pm->lock);
}
