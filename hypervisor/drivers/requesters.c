/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/requesters.h"

#include <stddef.h>

#define CAP_EXPRESS	 0x10U
#define PCI_BRIDGE_BELOW 7U /* Device/Port Type: PCI Express to PCI bridge */
#define DEPTH_MOST	 256U

static bool is_bridge(const struct hpci *pci, const struct hpci_device *d)
{
	return (hpci_read(pci, d, HPCI_HEADER, 1) & 0x7f) == 1;
}

static uint8_t bus_below(const struct hpci *pci, const struct hpci_device *d)
{
	return (uint8_t)(hpci_read(pci, d, HPCI_BUSES, 4) >> 8);
}

/* The bridge above a bus; NULL: there is none. */
static const struct hpci_device *bridge_above(const struct hpci *pci, uint8_t bus)
{
	for (unsigned i = 0; bus && i < pci->n; i++) {
		const struct hpci_device *d = &pci->devices[i];
		if (is_bridge(pci, d) && bus_below(pci, d) == bus)
			return d;
	}
	return NULL;
}

unsigned requesters_of(const struct hpci *pci, const struct hpci_device *device, uint16_t *ret)
{
	unsigned n = 1;
	const struct hpci_device *bridge = bridge_above(pci, device->bus);

	ret[0] = requesters_id(device);
	for (unsigned depth = 0; bridge && depth < DEPTH_MOST; depth++) {
		unsigned cap = hpci_capability(pci, bridge, CAP_EXPRESS, 0);
		unsigned type = cap ? hpci_read(pci, bridge, cap + 2, 2) >> 4 & 0xf : 0;
		if (!cap || type == PCI_BRIDGE_BELOW) { /* the highest such bridge decides */
			n = 1;
			ret[n++] = requesters_id(bridge);
		}
		if (type == PCI_BRIDGE_BELOW)
			ret[n++] = (uint16_t)(bus_below(pci, bridge) << 8);
		bridge = bridge_above(pci, bridge->bus);
	}
	return n;
}

bool requesters_find(const struct hpci *pci, const struct dmar_scope *scope,
		     struct hpci_device *ret)
{
	struct hpci_device d = { .bus = scope->bus };

	for (unsigned i = 0; i < scope->n_path; i++) {
		if (i && !is_bridge(pci, &d))
			return false;
		d.bus = i ? bus_below(pci, &d) : d.bus;
		d.slot = scope->path[i].slot;
		d.function = scope->path[i].function;
		if (hpci_read(pci, &d, HPCI_VENDOR, 2) == 0xffff)
			return false;
	}
	*ret = d;
	return scope->n_path;
}

static bool scope_has(const struct hpci *pci, const struct dmar_scope *scope,
		      const struct hpci_device *device)
{
	struct hpci_device d;

	if (!requesters_find(pci, scope, &d))
		return false;
	if (requesters_id(&d) == requesters_id(device))
		return true;
	if (scope->kind != DMAR_BRIDGE || !is_bridge(pci, &d))
		return false;
	uint8_t last = (uint8_t)(hpci_read(pci, &d, HPCI_BUSES, 4) >> 16);
	return device->bus >= bus_below(pci, &d) && device->bus <= last;
}

int requesters_unit(const struct hpci *pci, const struct dmar *dmar,
		    const struct hpci_device *device)
{
	int rest = -1;

	for (unsigned i = 0; i < dmar->n_units; i++) {
		const struct dmar_unit *unit = &dmar->units[i];
		for (unsigned k = 0; k < unit->scopes.n; k++) {
			if (scope_has(pci, &unit->scopes.at[k], device))
				return (int)i;
		}
		if (unit->has_rest)
			rest = (int)i;
	}
	return rest;
}
