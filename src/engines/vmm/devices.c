/* SPDX-License-Identifier: Apache-2.0 */
/* The board: what every machine has, whichever engine runs it, in the order in which the parts need each other. */
#include "engines/vmm/devices.h"

#include <errno.h>
#include <stdlib.h>

#include "engines/vmm/vmm_agent.h"
#include "machine/acpi.h"
#include "machine/layout.h"

static struct vmm *events_vmm(struct machine_events *events)
{
	return container_of(events, struct vmm_devices, events)->vmm;
}

static void events_power_off(struct machine_events *events)
{
	vmm_end(events_vmm(events), VMM_POWER_OFF, 0);
}

static void events_reset(struct machine_events *events)
{
	vmm_end(events_vmm(events), VMM_RESET, 0);
}

static void events_exit(struct machine_events *events, int status)
{
	vmm_end(events_vmm(events), VMM_EXIT, status);
}

static const struct machine_event_ops events_ops = {
	.power_off = events_power_off,
	.reset = events_reset,
	.exit = events_exit,
};

static int devices_board(struct vmm *vmm, struct vmm_devices *d, struct err *err)
{
	struct clock *clock = &vmm->clock.clock;
	uint64_t ram = vmm->memory.size_bytes;
	uint64_t low = ram < LAYOUT_LOW_RAM_MAX ? ram : LAYOUT_LOW_RAM_MAX;
	int r = pci_bus_init(&d->pci, &vmm->mmio, &vmm->pio, vmm->irq, err);

	if (r == 0)
		r = pm_init(&d->pm, &vmm->pio, &d->pci, clock, vmm->irq, &d->events, err);
	if (r == 0)
		r = rtc_init(&d->rtc, &vmm->pio, vmm->irq, clock, low, ram - low, err);
	if (r == 0)
		r = i8042_init(&d->i8042, &vmm->pio, vmm->irq, &d->events, err);
	if (r == 0)
		r = fwcfg_init(&d->fwcfg, &vmm->pio, &vmm->mem, vmm->n_vcpus, err);
	return r == 0 ? debug_exit_init(&d->debug_exit, &vmm->pio, &d->events, err) : r;
}

/* With an agent the standard streams are the workload's: what its kernel says is shown on request only. */
static int devices_serial(struct vmm *vmm, struct vmm_devices *d, struct err *err)
{
	bool ours = !vmm->spec->vm.agent;
	bool shown = ours || vmm->spec->vm.console;
	int r = 0;

	console_tail_init(&d->serial_tail);
	if (shown)
		r = console_fd_init(&d->serial_console, vmm->loop, ours ? vmm->fds.in : -EBADF,
				    ours ? vmm->fds.out : vmm->fds.err, err);
	if (r == 0)
		r = serial_init(&d->serial, &vmm->pio, PORT_SERIAL_1,
				shown ? &d->serial_console.console : &d->serial_tail.console,
				vmm->irq, GSI_SERIAL_1, err);
	if (r == 0)
		(void)serial_service(&d->serial); /* what waits on standard input already */
	return r;
}

static int devices_acpi(struct vmm *vmm, struct err *err)
{
	const struct acpi_config config = {
		.vcpus = vmm->n_vcpus, .serial = true, .rtc = true, .fwcfg = true
	};

	/* A machine too small to have memory there is too small for a guest that looks. */
	return mem_hva(&vmm->mem, LAYOUT_ACPI, LAYOUT_ACPI_BYTES)
		       ? acpi_install(&config, &vmm->mem, err)
		       : 0;
}

int vmm_devices_create(struct vmm *vmm, struct err *err)
{
	struct vmm_devices *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(err, ENOMEM, "devices");
	d->vmm = vmm;
	d->events.ops = &events_ops;
	vmm->devices = d;
	int r = devices_board(vmm, d, err);
	if (r == 0)
		r = devices_serial(vmm, d, err);
	if (r == 0)
		r = vmm_test_devices_create(vmm, err);
	if (r == 0)
		r = vmm_disks_create(vmm, err);
	if (r == 0)
		r = vmm_extras_create(vmm, err);
	if (r == 0)
		r = vmm_shares_create(vmm, err);
	if (r == 0 && vmm->spec->vm.agent)
		r = vmm_agent_create(vmm, err);
	return r == 0 ? devices_acpi(vmm, err) : r;
}

void vmm_devices_drain(struct vmm *vmm)
{
	if (!vmm->devices)
		return;
	(void)serial_service(&vmm->devices->serial); /* what nobody takes now is lost */
	vmm_disks_drain(vmm);
}
