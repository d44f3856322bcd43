/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/ioapic.h"

#include <string.h>

#include "base/core/macros.h"
#include "machine/layout.h"

/* Memory-mapped registers, and those behind the window: Register Descriptions. */
enum { WINDOW_SELECT = 0x00, WINDOW_DATA = 0x10, WINDOW_EOI = 0x40 };
enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_ENTRIES = 0x10 };

#define VERSION_VALUE (0x20U | (IOAPIC_PINS - 1) << 16)

/* I/O Redirection Table Registers */
#define ENTRY_VECTOR	 UINT64_C(0xff)
#define ENTRY_LOGICAL	 UINT64_C(0x800)
#define ENTRY_REMOTE_IRR UINT64_C(0x4000)
#define ENTRY_LEVEL	 UINT64_C(0x8000)
#define ENTRY_MASKED	 UINT64_C(0x10000)
#define ENTRY_WRITABLE	 UINT64_C(0xff0000000001afff)

/* The pin's message. A level-triggered one that was taken waits for its EOI. The lock is held. */
static void ioapic_send(struct ioapic *ioapic, unsigned pin)
{
	uint64_t entry = ioapic->entries[pin];
	uint8_t delivery = entry >> 8 & 7;
	/* NMI, INIT and the like are edges whatever the entry says: Delivery Mode. */
	bool is_level = entry & ENTRY_LEVEL && delivery <= LAPIC_LOWEST;
	struct lapic_msg msg = { .dest = (uint32_t)(entry >> 56),
				 .vector = entry & ENTRY_VECTOR,
				 .delivery = delivery,
				 .is_logical = entry & ENTRY_LOGICAL,
				 .is_level = is_level };

	/* Its EOI may come from another CPU at once, and then waits for our lock. */
	if (lapic_bus_send(ioapic->bus, &msg) && is_level)
		ioapic->entries[pin] |= ENTRY_REMOTE_IRR;
}

/* A level-triggered pin asks as long as it is asserted. The lock is held. */
static void ioapic_service(struct ioapic *ioapic, unsigned pin)
{
	uint64_t entry = ioapic->entries[pin];

	if (ioapic->levels >> pin & 1 && entry & ENTRY_LEVEL &&
	    !(entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
		ioapic_send(ioapic, pin);
}

void ioapic_line(struct ioapic *ioapic, unsigned pin, bool level)
{
	if (pin >= IOAPIC_PINS)
		return;
	lock_acquire(&ioapic->lock);
	bool rises = level && !(ioapic->levels >> pin & 1);
	ioapic->levels = (ioapic->levels & ~(1U << pin)) | (uint32_t)level << pin;
	uint64_t entry = ioapic->entries[pin];
	if (entry & ENTRY_LEVEL)
		ioapic_service(ioapic, pin);
	else if (rises && !(entry & ENTRY_MASKED)) /* a masked edge is lost: Interrupt Mask */
		ioapic_send(ioapic, pin);
	lock_release(&ioapic->lock);
}

static void ioapic_eoi_locked(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t entry = ioapic->entries[pin];
		if (!(entry & ENTRY_REMOTE_IRR) || (entry & ENTRY_VECTOR) != vector)
			continue;
		ioapic->entries[pin] = entry & ~ENTRY_REMOTE_IRR;
		ioapic_service(ioapic, pin);
	}
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	lock_acquire(&ioapic->lock);
	ioapic_eoi_locked(ioapic, vector);
	lock_release(&ioapic->lock);
}

static uint32_t ioapic_reg_read(const struct ioapic *ioapic)
{
	unsigned at = ioapic->select - (unsigned)REG_ENTRIES;

	switch (ioapic->select) {
	case REG_ID:
	case REG_ARBITRATION:
		return (uint32_t)ioapic->id << 24;
	case REG_VERSION:
		return VERSION_VALUE;
	default:
		if (ioapic->select < REG_ENTRIES || at / 2 >= IOAPIC_PINS)
			return 0;
		return (uint32_t)(ioapic->entries[at / 2] >> (at % 2 ? 32 : 0));
	}
}

static void ioapic_entry_write(struct ioapic *ioapic, unsigned pin, bool high, uint32_t value)
{
	uint64_t old = ioapic->entries[pin];
	uint64_t entry = high ? (old & UINT32_MAX) | (uint64_t)value << 32
			      : (old & ~(uint64_t)UINT32_MAX) | value;

	entry = (entry & ENTRY_WRITABLE) | (old & ENTRY_REMOTE_IRR);
	/* Guests end a stuck interrupt by a moment of edge mode. */
	if (!(entry & ENTRY_LEVEL))
		entry &= ~ENTRY_REMOTE_IRR;
	ioapic->entries[pin] = entry;
	ioapic_service(ioapic, pin);
}

static void ioapic_reg_write(struct ioapic *ioapic, uint32_t value)
{
	unsigned at = ioapic->select - (unsigned)REG_ENTRIES;

	if (ioapic->select == REG_ID)
		ioapic->id = value >> 24 & 0xf;
	else if (ioapic->select >= REG_ENTRIES && at / 2 < IOAPIC_PINS)
		ioapic_entry_write(ioapic, at / 2, at % 2, value);
}

static uint64_t ioapic_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct ioapic *ioapic = container_of(region, struct ioapic, region);

	(void)len;
	if (offset == WINDOW_SELECT)
		return ioapic->select;
	return offset == WINDOW_DATA ? ioapic_reg_read(ioapic) : 0;
}

static void ioapic_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct ioapic *ioapic = container_of(region, struct ioapic, region);

	if (offset == WINDOW_SELECT)
		ioapic->select = (uint8_t)value;
	else if (offset == WINDOW_DATA && len >= 4)
		ioapic_reg_write(ioapic, (uint32_t)value);
	else if (offset == WINDOW_EOI)
		ioapic_eoi_locked(ioapic, (uint8_t)value);
}

static const struct bus_ops ioapic_ops = {
	.name = "ioapic",
	.read = ioapic_read,
	.write = ioapic_write,
};

void ioapic_reset(struct ioapic *ioapic)
{
	lock_acquire(&ioapic->lock);
	ioapic->select = 0;
	ioapic->id = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->entries[pin] = ENTRY_MASKED;
	lock_release(&ioapic->lock);
}

void ioapic_init(struct ioapic *ioapic, struct lapic_bus *bus)
{
	memset(ioapic, 0, sizeof(*ioapic));
	ioapic->bus = bus;
	ioapic->region = (struct bus_region){ .ops = &ioapic_ops,
					      .lock = &ioapic->lock,
					      .base = LAYOUT_IOAPIC,
					      .size = LAYOUT_IOAPIC_BYTES };
	ioapic_reset(ioapic);
}
