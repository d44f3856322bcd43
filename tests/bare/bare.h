/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The proof that x86/, machine/ and devices/ are freestanding: this image has no operating system and no C library. It is
 * host and guest at once: it builds the machine over back ends in its own memory, and drives every device of it
 * through bus_read(), bus_write() and virtqueues as a driver would. Each device gets a line on COM1.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/legacy/rtc.h"
#include "fake_clock.h"
#include "machine/bus.h"
#include "machine/events.h"
#include "machine/irqchip.h"
#include "machine/layout.h"
#include "machine/mem.h"
#include "machine/pci.h"
#include "machine/pm.h"

#define BARE_RAM_BYTES (4U << 20)

/* The machine that is driven; one, with two vcpus that nobody runs. */
struct board {
	struct fake_clock clock;
	struct bus mmio, pio;
	struct guest_mem mem;
	struct irqchip chip;
	struct pci_bus pci;
	struct pm pm;
	struct rtc rtc;
	struct machine_events events;
	unsigned wakes, power_offs, resets;
	int exit_status;   /* what the guest wrote to the debug exit; -1: nothing */
	uint8_t *ram;	   /* at guest physical 0 */
	uint64_t ram_used; /* from the start: board_alloc() */
};

/* ---- runtime.c ---- */

void print(const char *fmt, ...) PRINTF_LIKE(1, 2);
_Noreturn void quit(int status); /* the status of isa-debug-exit; never returns */

/* ---- main.c ---- */

/* A step of a device's drive; the first that fails is shown, and ends the drive. */
#define EXPECT(cond)                                                                               \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			print("%s: not so: %s\n", ERR_HERE, #cond);                                \
			return false;                                                              \
		}                                                                                  \
	} while (0)

/* board_alloc() - guest memory for a driver, zeroed; @align: a power of two. */
gpa_t board_alloc(struct board *b, uint64_t len, uint64_t align);
void *board_at(struct board *b, gpa_t gpa);

static inline uint64_t in(struct board *b, uint16_t port, unsigned len)
{
	return bus_read(&b->pio, port, len);
}

static inline void out(struct board *b, uint16_t port, unsigned len, uint64_t value)
{
	bus_write(&b->pio, port, len, value);
}

/* ---- drive_*.c: true: it did all that was asked ---- */

bool drive_core(struct board *b);
bool drive_pic(struct board *b);
bool drive_pit(struct board *b);
bool drive_lapic(struct board *b);
bool drive_ioapic(struct board *b);
bool drive_rtc(struct board *b);
bool drive_pm(struct board *b);
bool drive_pci(struct board *b);
