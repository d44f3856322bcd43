/* SPDX-License-Identifier: Apache-2.0 */
/* The PCI bus itself, power management, and the devices that tests use. */
#include "driver.h"

#include <string.h>

#define VENDOR_TESTDEV 0x1b36

bool drive_pci(struct board *b)
{
	uint32_t id = config_read(b, 0, 0);

	EXPECT(id != UINT32_MAX);
	EXPECT(config_read(b, 0, 8) >> 16 == 0x0600); /* a host bridge */
	EXPECT(bus_read(&b->mmio, LAYOUT_ECAM, 4) == id);
	EXPECT(config_read(b, 31, 0) == UINT32_MAX);
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

static bool drive_pci_testdev(struct board *b)
{
	int slot = pci_find(b, VENDOR_TESTDEV, 0x0005);
	char name[16];

	EXPECT(slot >= 0);
	uint64_t bar = config_read(b, (unsigned)slot, 0x10) & ~15U;
	bus_write(&b->mmio, bar, 1, 0); /* the first test */
	for (unsigned i = 0; i < sizeof(name); i++)
		name[i] = (char)bus_read(&b->mmio, bar + 16 + i, 1);
	EXPECT(memcmp(name, "no-eventfd", 11) == 0);
	uint32_t offset = (uint32_t)bus_read(&b->mmio, bar + 4, 4);
	uint8_t data = (uint8_t)bus_read(&b->mmio, bar + 8, 1);
	for (unsigned i = 0; i < 3; i++)
		bus_write(&b->mmio, bar + offset, (unsigned)bus_read(&b->mmio, bar + 1, 1), data);
	EXPECT(bus_read(&b->mmio, bar + 12, 4) == 3);
	/* It moves: the old place is empty, the new one answers. */
	config_write(b, (unsigned)slot, 0x10, LAYOUT_PCI32_END - 0x10000);
	EXPECT(bus_read(&b->mmio, bar + 12, 4) == UINT32_MAX);
	EXPECT(bus_read(&b->mmio, LAYOUT_PCI32_END - 0x10000 + 12, 4) == 3);
	return true;
}

bool drive_testdevs(struct board *b)
{
	out(b, 0xe0, 4, 0x12345678);
	EXPECT(in(b, 0xe0, 4) == 0x12345678);
	bus_write(&b->mmio, 0xff000010, 8, UINT64_C(0x1122334455667788));
	EXPECT(bus_read(&b->mmio, 0xff000014, 4) == 0x11223344);
	return drive_pci_testdev(b);
}
