/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/devices.h"

#include <errno.h>
#include <stdlib.h>

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
	int r = pci_bus_init(&d->pci, &vmm->mmio, &vmm->pio, vmm->irq, err);

	if (r == 0)
		r = debug_exit_init(&d->debug_exit, &vmm->pio, &d->events, err);
	return r;
}

int vmm_devices_create(struct vmm *vmm, struct err *err)
{
	struct vmm_devices *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(err, ENOMEM, "devices");
	d->vmm = vmm;
	d->events.ops = &events_ops;
	vmm->devices = d;
	return devices_board(vmm, d, err);
}

void vmm_devices_drain(struct vmm *vmm)
{
	(void)vmm;
}

void vmm_devices_destroy(struct vmm *vmm)
{
	free(vmm->devices);
	vmm->devices = NULL;
}
