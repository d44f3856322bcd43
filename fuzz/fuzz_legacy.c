/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that does what it likes to the ports of a PC: power management, fw_cfg with DMA, serial port, keyboard
 * controller, test devices. Each step is 8 bytes: what, length, port, value. Nothing is written outside guest memory,
 * and the console gets no more than was written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "devices/legacy/debug_exit.h"
#include "devices/legacy/i8042.h"
#include "devices/legacy/pc_testdev.h"
#include "devices/legacy/pci_testdev.h"
#include "devices/legacy/serial.h"
#include "machine/fwcfg.h"
#include "machine/layout.h"
#include "machine/pm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEP_BYTES 8U
#define RAM_BYTES  0x4000U

struct scene {
	struct bus mmio, pio;
	struct irq_sink irq;
	struct clock clock;
	struct machine_events events;
	struct console console;
	struct guest_mem mem;
	uint64_t now_ns;
	size_t written, sent, console_room;
	struct pci_bus pci;
	struct pm pm;
	struct fwcfg fwcfg;
	struct serial serial;
	struct i8042 kbc;
	struct debug_exit debug_exit;
	struct pc_testdev pc_testdev;
	struct pci_testdev pci_testdev;
	uint8_t ram[RAM_BYTES], guard[64];
};

static void scene_line(struct irq_sink *sink, uint32_t gsi, bool level)
{
	(void)sink;
	(void)level;
	if (gsi >= IRQ_GSI_COUNT)
		abort();
}

static void scene_msi(struct irq_sink *sink, uint64_t addr, uint32_t data)
{
	(void)sink;
	(void)addr;
	(void)data;
	abort(); /* none of these has MSI-X */
}

static const struct irq_sink_ops irq_ops = { .line = scene_line, .msi = scene_msi };

static uint64_t scene_now(struct clock *clock)
{
	return container_of(clock, struct scene, clock)->now_ns;
}

static void scene_arm(struct clock *clock, struct timer *timer, uint64_t deadline_ns)
{
	timer->armed = true;
	timer->deadline_ns = deadline_ns;
	if (deadline_ns <= scene_now(clock))
		abort(); /* the PM timer's next carry is ahead */
}

static void scene_cancel(struct clock *clock, struct timer *timer)
{
	(void)clock;
	timer->armed = false;
}

static const struct clock_ops clock_ops = {
	.now_ns = scene_now,
	.arm = scene_arm,
	.cancel = scene_cancel,
};

static void scene_event(struct machine_events *events)
{
	(void)events;
}

static void scene_exit(struct machine_events *events, int status)
{
	(void)events;
	if (status < 0 || status > 255 || !(status & 1))
		abort();
}

static const struct machine_event_ops event_ops = {
	.power_off = scene_event,
	.reset = scene_event,
	.exit = scene_exit,
};

static int64_t scene_console_write(struct console *console, const void *data, size_t len)
{
	struct scene *s = container_of(console, struct scene, console);
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)data)[i]);
	if (len > s->console_room)
		len = s->console_room;
	s->console_room -= len;
	s->sent += len;
	return (int64_t)len;
}

static int64_t scene_console_read(struct console *console, void *ret, size_t len)
{
	struct scene *s = container_of(console, struct scene, console);

	if (s->now_ns % 3 == 0)
		return 0;
	memset(ret, 'x', len);
	return (int64_t)len;
}

static const struct console_ops console_ops = {
	.write = scene_console_write,
	.read = scene_console_read,
};

static void scene_devices(struct scene *s)
{
	if (pci_bus_init(&s->pci, &s->mmio, &s->pio, &s->irq, NULL) < 0 ||
	    pm_init(&s->pm, &s->pio, &s->pci, &s->clock, &s->irq, &s->events, NULL) < 0 ||
	    fwcfg_init(&s->fwcfg, &s->pio, &s->mem, 2, NULL) < 0 ||
	    fwcfg_file_add(&s->fwcfg, "opt/x", "0123456789", 10, NULL) < 0 ||
	    serial_init(&s->serial, &s->pio, PORT_SERIAL_1, &s->console, &s->irq, GSI_SERIAL_1,
			NULL) < 0 ||
	    i8042_init(&s->kbc, &s->pio, &s->irq, &s->events, NULL) < 0 ||
	    debug_exit_init(&s->debug_exit, &s->pio, &s->events, NULL) < 0 ||
	    pc_testdev_init(&s->pc_testdev, &s->mmio, &s->pio, &s->irq, NULL) < 0)
		abort();
	pci_testdev_init(&s->pci_testdev);
	if (pci_testdev_add(&s->pci_testdev, &s->pci, NULL) < 0)
		abort();
}

static void scene_init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	s->irq.ops = &irq_ops;
	s->clock.ops = &clock_ops;
	s->events.ops = &event_ops;
	s->console.ops = &console_ops;
	if (mem_add(&s->mem, 0, RAM_BYTES, s->ram, false) < 0)
		abort();
	memset(s->guard, 0xa5, sizeof(s->guard));
	scene_devices(s);
}

static void scene_step(struct scene *s, const uint8_t *step)
{
	static const uint16_t ports[] = {
		PORT_PM1_EVENT,
		PORT_PM_TIMER,
		PORT_FW_CFG,
		PORT_FW_CFG + 4,
		PORT_SERIAL_1,
		PORT_I8042,
		0x92,
		PORT_DEBUG_EXIT,
		0xe0,
		0xe8,
		0x2000,
		0x2010,
		PORT_PCI_BARS,
		PORT_RESET - 1,
		PORT_PCI_ADDRESS,
	};
	unsigned len = 1U << step[1] % 3;
	uint64_t port = ports[step[2] % ARRAY_SIZE(ports)] + (step[3] & 7U);

	switch (step[0] % 8) {
	case 0:
	case 1:
	case 2:
		s->written += len;
		bus_write(&s->pio, port, len, le32_load(step + 4));
		break;
	case 3:
		(void)bus_read(&s->pio, port, len);
		break;
	case 4:
		s->ram[le16_load(step + 4) % RAM_BYTES] = step[6];
		break;
	case 5:
		s->now_ns += le32_load(step + 4) * UINT64_C(1000);
		if (s->pm.timer.armed && s->now_ns >= s->pm.timer.deadline_ns) {
			s->pm.timer.armed = false;
			s->pm.timer.fired(&s->pm.timer);
		}
		break;
	case 6:
		s->console_room = le16_load(step + 4);
		s->console.writable(&s->console, s->console.arg);
		s->console.readable(&s->console, s->console.arg);
		break;
	default:
		(void)pm_power_button(&s->pm);
		bus_write(&s->mmio, LAYOUT_PCI32 + (le32_load(step + 4) & 0xfff), len, step[3]);
		(void)bus_read(&s->mmio, 0xff000000 + (le32_load(step + 4) & 0xffff), len);
		break;
	}
}

static void scene_check(struct scene *s)
{
	for (unsigned i = 0; i < sizeof(s->guard); i++) {
		if (s->guard[i] != 0xa5)
			abort();
	}
	if (s->sent > s->written || s->serial.n_in > SERIAL_FIFO_BYTES ||
	    s->serial.n_line > SERIAL_LINE_BYTES || s->sent + s->serial.n_line > s->written)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scene s;

	scene_init(&s);
	for (; size >= STEP_BYTES; data += STEP_BYTES, size -= STEP_BYTES)
		scene_step(&s, data);
	scene_check(&s);
	return 0;
}
