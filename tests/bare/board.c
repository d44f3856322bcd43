/* SPDX-License-Identifier: Apache-2.0 */
#include "bare.h"

#include <errno.h>
#include <string.h>

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

int board_serve(struct board *b, unsigned cpu)
{
	int vector = irqchip_pending(&b->chip, cpu) ? irqchip_accept(&b->chip, cpu) : -1;

	if (vector >= 0)
		lapic_mmio_write(&b->chip.lapics[cpu], 0xb0, 4, 0);
	return vector;
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

static void board_kick(struct virtio_host *host, struct virtio_dev *dev, uint16_t queue)
{
	struct board *b = container_of(host, struct board, host);

	for (unsigned i = 0; i < b->n_kicks; i++) {
		if (b->kicks[i].dev == dev && b->kicks[i].queue == queue)
			return;
	}
	if (b->n_kicks == BOARD_KICKS) {
		print("more kicks than there are queues\n");
		quit(2);
	}
	b->kicks[b->n_kicks].dev = dev;
	b->kicks[b->n_kicks++].queue = queue;
}

void board_service(struct board *b)
{
	do {
		while (b->n_kicks) {
			struct virtio_dev *dev = b->kicks[0].dev;
			uint16_t queue = b->kicks[0].queue;
			b->n_kicks--;
			memmove(&b->kicks[0], &b->kicks[1], b->n_kicks * sizeof(b->kicks[0]));
			virtio_queue_run(dev, queue);
		}
	} while (ram_net_tell(&b->wire) || echo_host_tell(&b->echo, &b->vsock));
}

static void board_release(struct balloon_host *host, gpa_t gpa, uint64_t len)
{
	struct board *b = container_of(host, struct board, balloon_host);

	b->released = gpa + len - GUEST_PAGE_BYTES;
	b->n_released += (unsigned)(len / GUEST_PAGE_BYTES);
}

static const struct irqchip_ops chip_ops = { .wake = board_wake, .tsc_to_ns = board_tsc_to_ns };
static const struct balloon_host_ops balloon_ops = { .release = board_release };
static const struct virtio_host_ops host_ops = { .kick = board_kick };
static const struct machine_event_ops event_ops = {
	.power_off = board_power_off,
	.reset = board_reset,
	.exit = board_exit,
};

/* ---- its parts ---- */

static int board_init_core(struct board *b, uint8_t *ram, struct err *err)
{
	struct irqchip_config chip = { .ops = &chip_ops,
				       .clock = &b->clock.clock,
				       .mmio = &b->mmio,
				       .pio = &b->pio,
				       .vcpus = 2,
				       .phys_bits = 40 };

	b->ram = ram;
	b->ram_used = BARE_DRIVERS;
	b->exit_status = -1;
	b->events.ops = &event_ops;
	b->host.ops = &host_ops;
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
	return pm_init(&b->pm, &b->pio, &b->pci, &b->clock.clock, &b->chip.sink, &b->events, err);
}

static int board_init_legacy(struct board *b, struct err *err)
{
	struct irq_sink *irq = &b->chip.sink;

	int r = rtc_init(&b->rtc, &b->pio, irq, &b->clock.clock, BARE_RAM_BYTES, 0, err);
	if (r < 0)
		return r;
	ram_console_init(&b->com);
	r = serial_init(&b->serial, &b->pio, PORT_SERIAL_1, &b->com.console, irq, GSI_SERIAL_1,
			err);
	if (r < 0)
		return r;
	r = i8042_init(&b->kbc, &b->pio, irq, &b->events, err);
	if (r < 0)
		return r;
	r = debug_exit_init(&b->debug_exit, &b->pio, &b->events, err);
	if (r < 0)
		return r;
	r = pc_testdev_init(&b->testdev, &b->mmio, &b->pio, irq, err);
	if (r < 0)
		return r;
	pci_testdev_init(&b->pci_testdev);
	r = pci_testdev_add(&b->pci_testdev, &b->pci, err);
	if (r < 0)
		return r;
	return fwcfg_init(&b->fwcfg, &b->pio, &b->mem, 2, err);
}

static void board_init_backends(struct board *b, uint8_t *disk)
{
	struct virtio_place place = { .mem = &b->mem, .host = &b->host };
	struct console_port_config ports[2] = {
		{ .console = &b->hvc.console, .is_console = true },
		{ .console = &b->agent.console, .name = "agent" },
	};
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };

	ram_disk_init(&b->disk, disk);
	ram_net_init(&b->wire);
	ram_console_init(&b->hvc);
	ram_console_init(&b->agent);
	counting_entropy_init(&b->entropy);
	echo_host_init(&b->echo);
	one_heap_init(&b->heap, b->heap_block, sizeof(b->heap_block));
	b->balloon_host.ops = &balloon_ops;
	virtio_blk_init(&b->blk, &place, &b->disk.disk);
	virtio_net_init(&b->net, &place, &b->wire.net, mac);
	virtio_console_init(&b->console, &place, ports, 2);
	virtio_rng_init(&b->rng, &place, &b->entropy.entropy);
	virtio_balloon_init(&b->balloon, &place, &b->balloon_host);
	virtio_vsock_init(&b->vsock, &place, BARE_CID, &b->echo.host, &b->heap.ops);
}

static int board_init_virtio(struct board *b, struct err *err)
{
	const struct {
		struct virtio_pci *pci;
		struct virtio_dev *dev;
	} devices[] = {
		{ &b->blk_pci, &b->blk.virtio },	 { &b->net_pci, &b->net.virtio },
		{ &b->console_pci, &b->console.virtio }, { &b->rng_pci, &b->rng.virtio },
		{ &b->balloon_pci, &b->balloon.virtio }, { &b->vsock_pci, &b->vsock.virtio },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++) {
		int r = virtio_pci_attach(devices[i].pci, devices[i].dev, &b->pci, -1, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int board_init(struct board *b, uint8_t *ram, uint8_t *disk, struct err *err)
{
	int r = board_init_core(b, ram, err);

	if (r >= 0)
		r = board_init_legacy(b, err);
	board_init_backends(b, disk);
	return r < 0 ? r : board_init_virtio(b, err);
}
