/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * By which names an IOMMU knows a function, and which unit is in charge of it.
 * Sources: Intel VT-d 4.1, Device Scope Structure; PCI Express to PCI/PCI-X Bridge Specification 1.0, Transaction Ordering and Requester ID.
 */
#include "drivers/dmar.h"
#include "drivers/hpci.h"

#define REQUESTERS 3U

static inline uint16_t requesters_id(const struct hpci_device *d)
{
	return (uint16_t)(d->bus << 8 | d->slot << 3 | d->function);
}

/*
 * requesters_of() - its own name, and those that a conventional bridge above it puts in its place
 * @ret: REQUESTERS of them   Return: how many, at least 1.
 */
unsigned requesters_of(const struct hpci *pci, const struct hpci_device *device, uint16_t *ret);
/* requesters_find() - the function at the end of a scope's path, bus, slot and function set. Return: false: it is not there. */
bool requesters_find(const struct hpci *pci, const struct dmar_scope *scope,
		     struct hpci_device *ret);
/* requesters_unit() - index of the unit in charge of it; -1: none */
int requesters_unit(const struct hpci *pci, const struct dmar *dmar,
		    const struct hpci_device *device);
