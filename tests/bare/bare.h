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

#include "backends.h"
#include "base/core/macros.h"
#include "devices/legacy/debug_exit.h"
#include "devices/legacy/i8042.h"
#include "devices/legacy/pc_testdev.h"
#include "devices/legacy/pci_testdev.h"
#include "devices/legacy/rtc.h"
#include "devices/legacy/serial.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/virtio_pci.h"
#include "devices/virtio/vsock.h"
#include "fake_clock.h"
#include "machine/bus.h"
#include "machine/events.h"
#include "machine/fwcfg.h"
#include "machine/irqchip.h"
#include "machine/layout.h"
#include "machine/mem.h"
#include "machine/pci.h"
#include "machine/pm.h"

#define BARE_RAM_BYTES (4U << 20)
#define BARE_DRIVERS   (2U << 20) /* from here up it is the drivers' */
#define BOARD_KICKS    64U
#define BARE_CID       3U

/* The machine that is driven; one, with two vcpus that nobody runs. */
struct board {
	struct fake_clock clock;
	struct bus mmio, pio;
	struct guest_mem mem;
	struct irqchip chip;
	struct pci_bus pci;
	struct pm pm;
	struct fwcfg fwcfg;
	struct rtc rtc;
	struct serial serial;
	struct i8042 kbc;
	struct debug_exit debug_exit;
	struct pc_testdev testdev;
	struct pci_testdev pci_testdev;
	struct virtio_blk blk;
	struct virtio_net net;
	struct virtio_console console;
	struct virtio_rng rng;
	struct virtio_balloon balloon;
	struct virtio_vsock vsock;
	struct virtio_pci blk_pci, net_pci, console_pci, rng_pci, balloon_pci, vsock_pci;

	struct ram_disk disk;
	struct ram_net wire;
	struct ram_console com, hvc, agent;
	struct counting_entropy entropy;
	struct echo_host echo;
	struct one_heap heap;
	uint8_t heap_block[VSOCK_BUFFER_BYTES];
	struct balloon_host balloon_host;
	gpa_t released; /* the page that the balloon took last */
	unsigned n_released;

	/* What the machine asked of its host. */
	struct machine_events events;
	unsigned wakes, power_offs, resets;
	int exit_status; /* what the guest wrote to the debug exit; -1: nothing */
	struct virtio_host host;
	struct {
		struct virtio_dev *dev;
		uint16_t queue;
	} kicks[BOARD_KICKS];
	unsigned n_kicks;

	uint8_t *ram;	   /* at guest physical 0 */
	uint64_t ram_used; /* below: loaders' and taken; board_alloc() */
};

/* ---- runtime.c ---- */

void print(const char *fmt, ...) PRINTF_LIKE(1, 2);
_Noreturn void quit(int status); /* the status of isa-debug-exit; never returns */

/* ---- board.c ---- */

int board_init(struct board *b, uint8_t *ram, uint8_t *disk, struct err *err);
/* board_alloc() - guest memory for a driver, zeroed; @align: a power of two. */
gpa_t board_alloc(struct board *b, uint64_t len, uint64_t align);
void *board_at(struct board *b, gpa_t gpa);
/* board_service() - what the I/O threads would do, until nothing is left to do. */
void board_service(struct board *b);

static inline uint64_t in(struct board *b, uint16_t port, unsigned len)
{
	return bus_read(&b->pio, port, len);
}

static inline void out(struct board *b, uint16_t port, unsigned len, uint64_t value)
{
	bus_write(&b->pio, port, len, value);
}

/* board_serve() - the vector that vcpu `cpu` would be interrupted by, handled in its LAPIC; -1: none. */
int board_serve(struct board *b, unsigned cpu);

/* A step of a device's drive; the first that fails is shown, and ends the drive. */
#define EXPECT(cond)                                                                               \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			print("%s: not so: %s\n", ERR_HERE, #cond);                                \
			return false;                                                              \
		}                                                                                  \
	} while (0)

/* ---- drive_*.c: true: it did all that was asked ---- */

bool drive_core(struct board *b);
bool drive_cpuid(struct board *b);
bool drive_acpi(struct board *b);
bool drive_boot(struct board *b);
bool drive_lapic(struct board *b);
bool drive_ioapic(struct board *b);
bool drive_pic(struct board *b);
bool drive_pit(struct board *b);
bool drive_rtc(struct board *b);
bool drive_pm(struct board *b);
bool drive_pci(struct board *b);
bool drive_fwcfg(struct board *b);
bool drive_serial(struct board *b);
bool drive_i8042(struct board *b);
bool drive_debug_exit(struct board *b);
bool drive_testdevs(struct board *b);
bool drive_blk(struct board *b);
bool drive_net(struct board *b);
bool drive_console(struct board *b);
bool drive_rng(struct board *b);
bool drive_balloon(struct board *b);
bool drive_vsock(struct board *b);
bool drive_intx(struct board *b);
bool drive_broken(struct board *b);
