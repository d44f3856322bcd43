/* SPDX-License-Identifier: Apache-2.0 */
/* The board: what every guest's machine has, in the order in which the parts need each other. As engines/vmm/devices.c. */
#include "machine/acpi.h"
#include "machine/layout.h"
#include "vm/guest.h"

static struct guest *events_guest(struct machine_events *events)
{
	return container_of(events, struct guest, events);
}

static void events_power_off(struct machine_events *events)
{
	guest_end(events_guest(events), GUEST_POWER_OFF, 0);
}

static void events_reset(struct machine_events *events)
{
	guest_end(events_guest(events), GUEST_RESET, 0);
}

static void events_exit(struct machine_events *events, int status)
{
	guest_end(events_guest(events), GUEST_EXIT, status);
}

static const struct machine_event_ops events_ops = {
	.power_off = events_power_off,
	.reset = events_reset,
	.exit = events_exit,
};

/* A console that nobody reads, and nobody types at. */
static int64_t nobody_write(struct console *console, const void *data, size_t len)
{
	(void)console;
	(void)data;
	return (int64_t)len;
}

static int64_t nobody_read(struct console *console, void *ret, size_t len)
{
	(void)console;
	(void)ret;
	(void)len;
	return 0;
}

static void nobody_close(struct console *console)
{
	(void)console;
}

static const struct console_ops nobody_ops = {
	.write = nobody_write,
	.read = nobody_read,
	.close = nobody_close,
};

static int devices_board(struct guest *g, struct err *err)
{
	struct clock *clock = &g->clock.clock;
	struct irq_sink *irq = &g->chip.sink;
	uint64_t ram = g->config.memory_bytes;
	uint64_t low = ram < LAYOUT_LOW_RAM_MAX ? ram : LAYOUT_LOW_RAM_MAX;
	int r = pci_bus_init(&g->pci, &g->mmio, &g->pio, irq, err);

	if (r == 0)
		r = pm_init(&g->pm, &g->pio, &g->pci, clock, irq, &g->events, err);
	if (r == 0)
		r = rtc_init(&g->rtc, &g->pio, irq, clock, low, ram - low, err);
	if (r == 0)
		r = i8042_init(&g->i8042, &g->pio, irq, &g->events, err);
	if (r == 0)
		r = fwcfg_init(&g->fwcfg, &g->pio, &g->mem, g->n_vcpus, err);
	return r == 0 ? debug_exit_init(&g->debug_exit, &g->pio, &g->events, err) : r;
}

/* ---- a serial port that is written to faster than its console takes it ---- */

#define SERIAL_FULL (SERIAL_LINE_BYTES / 2)

static bool serial_is_full(const struct guest *guest)
{
	return __atomic_load_n(&guest->serial.n_line, __ATOMIC_RELAXED) >= SERIAL_FULL;
}

/* Whoever serves the guest may be told so, too; it waits until then, no longer. */
void guest_serial_full(struct guest *guest)
{
	for (unsigned i = 0; serial_is_full(guest) && i < guest->n_vcpus; i++) {
		struct guest_vcpu *v = &guest->vcpus[i];
		if (!hv_vcpu_is_here(v->vcpu))
			continue;
		__atomic_store_n(&v->writes, true, __ATOMIC_SEQ_CST);
		__atomic_store_n(&v->attention, true, __ATOMIC_SEQ_CST);
	}
}

void guest_serial_drained(struct guest *guest)
{
	for (unsigned i = 0; i < guest->n_vcpus; i++) {
		if (__atomic_load_n(&guest->vcpus[i].writes, __ATOMIC_SEQ_CST))
			guest_vcpu_wake(&guest->vcpus[i]);
	}
}

bool guest_serial_waits(struct guest_vcpu *v)
{
	if (!v->writes)
		return false;
	if (!serial_is_full(v->guest))
		__atomic_store_n(&v->writes, false, __ATOMIC_SEQ_CST);
	return v->writes;
}

static int devices_serial(struct guest *g, struct err *err)
{
	struct console *console = g->config.console ? g->config.console : &g->no_console;

	g->no_console.ops = &nobody_ops;
	return serial_init(&g->serial, &g->pio, PORT_SERIAL_1, console, &g->chip.sink, GSI_SERIAL_1,
			   err);
}

int guest_devices_init(struct guest *g, struct err *err)
{
	const struct acpi_config acpi = {
		.vcpus = g->n_vcpus, .serial = true, .rtc = true, .fwcfg = true
	};

	g->events.ops = &events_ops;
	int r = devices_board(g, err);
	if (r == 0)
		r = devices_serial(g, err);
	if (r == 0)
		r = guest_tests_init(g, err);
	return r == 0 ? acpi_install(&acpi, &g->mem, err) : r;
}

void guest_devices_fini(struct guest *g)
{
	guest_virtio_fini(g);
	guest_tests_fini(g);
	if (g->rtc.clock)
		rtc_fini(&g->rtc);
	if (g->pm.clock)
		pm_fini(&g->pm);
}
