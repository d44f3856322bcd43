/* SPDX-License-Identifier: Apache-2.0 */
/* The PCI bus itself, and power management. */
#include "bare.h"

static uint32_t config(struct board *b, unsigned slot, unsigned offset)
{
	out(b, PORT_PCI_ADDRESS, 4, 0x80000000 | slot << 11 | (offset & 0xfc));
	return (uint32_t)in(b, PORT_PCI_DATA, 4);
}

bool drive_pci(struct board *b)
{
	uint32_t id = config(b, 0, 0);

	EXPECT(id != UINT32_MAX);
	EXPECT(config(b, 0, 8) >> 16 == 0x0600); /* a host bridge */
	EXPECT(bus_read(&b->mmio, LAYOUT_ECAM, 4) == id);
	EXPECT(config(b, 31, 0) == UINT32_MAX);
	EXPECT(bus_read(&b->mmio, LAYOUT_ECAM + (31 << 15), 4) == UINT32_MAX);
	return true;
}

bool drive_pm(struct board *b)
{
	uint32_t before = (uint32_t)in(b, PORT_PM_TIMER, 4);

	fake_clock_advance(&b->clock, 1000000000);
	uint32_t ticks = ((uint32_t)in(b, PORT_PM_TIMER, 4) - before) & 0xffffff;
	EXPECT(ticks >= PM_TIMER_HZ - 1 && ticks <= PM_TIMER_HZ + 1);
	out(b, PORT_PM1_CONTROL, 2, 1 << 13 | 5 << 10); /* soft off: SLP_EN and S5's type */
	EXPECT(b->power_offs == 1);
	out(b, PORT_RESET, 1, 6);
	EXPECT(b->resets == 1);
	return true;
}
