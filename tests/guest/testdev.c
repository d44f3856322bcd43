/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices that kvm-unit-tests expect: QEMU's pc-testdev and pci-testdev. Wants both ("test_devices" of a spec). "bells=0":
 * the host takes no doorbells, and each write of the eventfd tests is counted by the device. Source: QEMU,
 * hw/misc/pc-testdev.c for the addresses, docs/specs/pci-testdev.rst.
 */
#include "lib/irq.h"
#include "lib/pci.h"

#define WORD   0xe0
#define FLUSH  0xe4
#define BYTES  0xe8
#define LINES  0x2000
#define MEMORY 0xff000000ULL
#define GSI    11
#define VECTOR 0x54
#define TESTS  3
#define WRITES 100
#define PAGE   4096

static void registers(void)
{
	out32(WORD, 0x12345678);
	check_equal("word", in32(WORD), 0x12345678);
	check_equal("byte_of_the_word", in8(BYTES + 1), 0x56);
	out8(BYTES + 3, 0x9a);
	check_equal("byte_written", in32(WORD), 0x9a345678);
	write64(MEMORY + 8, 0x1122334455667788);
	check_equal("memory", read32(MEMORY + 12), 0x11223344);
	write8(MEMORY + 0xffff, 0x77);
	check_equal("last_byte_of_it", read8(MEMORY + 0xffff), 0x77);
}

static void flush(void)
{
	volatile uint32_t *page = mem_alloc(PAGE, PAGE);
	bool same = true;

	for (uint32_t i = 0; i < 20; i++) {
		page[i] = i * 3 + 1;
		out32(FLUSH, (uint32_t)(uintptr_t)page);
		same = same && page[i] == i * 3 + 1 && page[0] == 1;
	}
	check("a_flushed_page_keeps_what_it_holds", same);
	out32(FLUSH, 0xfffff000); /* no memory of ours: nothing happens */
	check_equal("nor_does_a_flush_of_nothing_harm", page[19], 58);
}

static void lines(void)
{
	lapic_init();
	irq_set(VECTOR, irq_counter);
	ioapic_route(GSI, VECTOR, 0, lapic_id());
	for (uint32_t i = 1; i <= 3; i++) {
		out8(LINES + GSI, 1);
		check("line_rises", irq_wait(VECTOR, i, 10));
		out8(LINES + GSI, 0);
	}
	ioapic_route(GSI, VECTOR, IOAPIC_MASKED, lapic_id());
}

/* A place that a write goes to: by a port or by memory. */
static void put8(bool is_port, uint64_t at, uint8_t value)
{
	if (is_port)
		out8((uint16_t)at, value);
	else
		write8(at, value);
}

static uint32_t get32(bool is_port, uint64_t at)
{
	return is_port ? in32((uint16_t)at) : read32(at);
}

/* How many of the writes the device counted itself. */
static uint32_t counted(bool is_port, uint64_t base, uint8_t test, uint8_t skew)
{
	put8(is_port, base, test);
	uint64_t at = base + get32(is_port, base + 4);
	uint8_t data = (uint8_t)get32(is_port, base + 8);
	for (unsigned i = 0; i < WRITES; i++)
		put8(is_port, at, (uint8_t)(data + skew));
	return get32(is_port, base + 12);
}

static void doorbells(bool is_port, uint64_t base)
{
	uint32_t wild = option_number("bells", 1) ? 0 : WRITES;

	check_equal(is_port ? "port_writes_are_counted" : "memory_writes_are_counted",
		    counted(is_port, base, 0, 0), WRITES);
	check_equal(is_port ? "port_wildcard_is_a_doorbell" : "memory_wildcard_is_a_doorbell",
		    counted(is_port, base, 1, 0), wild);
	check_equal(is_port ? "port_value_is_a_doorbell" : "memory_value_is_a_doorbell",
		    counted(is_port, base, 2, 0), wild);
	check_equal(is_port ? "another_port_value_is_none" : "another_memory_value_is_none",
		    counted(is_port, base, 2, 1), WRITES);
	check_equal(is_port ? "port_writes_are_counted_again" : "memory_writes_are_counted_again",
		    counted(is_port, base, 0, 0), WRITES);
	put8(is_port, base, TESTS);
	check_equal(is_port ? "ports_have_no_more_tests" : "memory_has_no_more_tests",
		    get32(is_port, base) >> 8 & 0xff, 0);
}

/* Its doorbell goes with its BAR. */
static void moves(unsigned slot)
{
	uint64_t home = pci_bar(slot, 0), other = 0xe8000000;
	uint32_t wild = option_number("bells", 1) ? 0 : WRITES;

	put8(false, home, 1);
	pci_bar_move(slot, 0, other);
	check_equal("moved_doorbell", counted(false, other, 1, 0), wild);
	pci_bar_move(slot, 0, home);
	check_equal("doorbell_back_home", counted(false, home, 1, 0), wild);
}

void guest_main(void)
{
	int slot = pci_find(0x1b36, 5, 0);

	if (slot < 0)
		fatal("there is no pci-testdev");
	registers();
	flush();
	lines();
	doorbells(false, pci_bar((unsigned)slot, 0));
	doorbells(true, pci_read32((unsigned)slot, PCI_BAR0 + 4) & ~3U);
	moves((unsigned)slot);
}
