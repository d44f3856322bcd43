/* SPDX-License-Identifier: Apache-2.0 */
#include "bare.h"

#include <string.h>

static uint8_t ram[BARE_RAM_BYTES] __attribute__((aligned(4096)));
static struct board board;

void bare_main(void);

gpa_t board_alloc(struct board *b, uint64_t len, uint64_t align)
{
	gpa_t at = (b->ram_used + align - 1) & ~(align - 1);

	if (at + len > BARE_RAM_BYTES) {
		print("the driver's memory is used up\n");
		quit(2);
	}
	b->ram_used = at + len;
	memset(b->ram + at, 0, len);
	return at;
}

void *board_at(struct board *b, gpa_t gpa)
{
	return b->ram + gpa;
}

/* ---- what the machine asks of its host ---- */

static void board_wake(struct irqchip *chip, unsigned index)
{
	(void)index;
	container_of(chip, struct board, chip)->wakes++;
}

/* A TSC of 1 GHz that began with the clock. */
static uint64_t board_tsc_to_ns(struct irqchip *chip, unsigned index, uint64_t tsc)
{
	(void)chip;
	(void)index;
	return tsc;
}

static void board_power_off(struct machine_events *events)
{
	container_of(events, struct board, events)->power_offs++;
}

static void board_reset(struct machine_events *events)
{
	container_of(events, struct board, events)->resets++;
}

static void board_exit(struct machine_events *events, int status)
{
	container_of(events, struct board, events)->exit_status = status;
}

static const struct irqchip_ops chip_ops = { .wake = board_wake, .tsc_to_ns = board_tsc_to_ns };
static const struct machine_event_ops event_ops = {
	.power_off = board_power_off,
	.reset = board_reset,
	.exit = board_exit,
};

static int board_init(struct board *b, struct err *err)
{
	struct irqchip_config chip = { .ops = &chip_ops,
				       .clock = &b->clock.clock,
				       .mmio = &b->mmio,
				       .pio = &b->pio,
				       .vcpus = 2,
				       .phys_bits = 40 };

	b->ram = ram;
	b->ram_used = 0x1000;
	b->exit_status = -1;
	b->events.ops = &event_ops;
	fake_clock_init(&b->clock);
	b->clock.wall_s = 1700000000;
	int r = mem_add(&b->mem, 0, BARE_RAM_BYTES, ram, false);
	if (r < 0)
		return err_say(err, -r, "add the memory");
	r = irqchip_init(&b->chip, &chip, err);
	if (r < 0)
		return r;
	r = pci_bus_init(&b->pci, &b->mmio, &b->pio, &b->chip.sink, err);
	if (r < 0)
		return r;
	r = pm_init(&b->pm, &b->pio, &b->pci, &b->clock.clock, &b->chip.sink, &b->events, err);
	if (r < 0)
		return r;
	return rtc_init(&b->rtc, &b->pio, &b->chip.sink, &b->clock.clock, BARE_RAM_BYTES, 0, err);
}

static const struct {
	const char *name;
	bool (*drive)(struct board *b);
} drives[] = {
	{ "core", drive_core }, { "lapic", drive_lapic }, { "ioapic", drive_ioapic },
	{ "pic", drive_pic },	{ "pit", drive_pit },	  { "rtc", drive_rtc },
	{ "pm", drive_pm },	{ "pci", drive_pci },
};

void bare_main(void)
{
	struct err err = { 0 };
	unsigned failed = 0;

	if (board_init(&board, &err) < 0) {
		print("FAIL board: %s\n", err.text);
		quit(1);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(drives); i++) {
		bool ok = drives[i].drive(&board);
		print("%s %s\n", ok ? "ok" : "FAIL", drives[i].name);
		failed += !ok;
	}
	print("end: %u passed, %u failed\n", (unsigned)ARRAY_SIZE(drives) - failed, failed);
	quit(failed != 0);
}
