/* SPDX-License-Identifier: Apache-2.0 */
/* A server with AMD's AMD-Vi: the units that the IVRS table names. */
#include <errno.h>

#include "drivers/amdvi.h"
#include "drivers/dma_memory.h"
#include "drivers/iommu_unit.h"
#include "drivers/ivrs.h"
#include "drivers/requesters.h"

#define CAP_IOMMU    0x0fU
#define CAP_FEATURES (UINT32_C(1) << 27) /* EFRSup */

_Static_assert(IVRS_UNITS <= IOMMU_UNITS, "each has a place");

/* One server; the boot CPU's. */
static struct {
	struct ivrs ivrs;
	struct amdvi_shared shared;
	struct amdvi_unit units[IVRS_UNITS];
} amdvi;

/* Section "IVHD Device Entries": system management requests of a device are let pass, or not, as the firmware says. */
static void management_set(void)
{
	for (unsigned id = 0; id < AMDVI_ENTRIES; id++) {
		const struct ivrs_entry *e = ivrs_find(&amdvi.ivrs, (uint16_t)id);
		uint8_t what = e ? e->settings >> IVRS_MANAGEMENT_AT & IVRS_MANAGEMENT_MASK : 0;
		if (what)
			amdvi_entry_manage(amdvi.shared.table, &dma_memory, (uint16_t)id, what);
	}
}

/* Units interrupt by their own names. */
static void interrupts_set(void)
{
	struct amdvi_entry *table = amdvi.shared.table;

	for (unsigned i = 0; i < amdvi.ivrs.n_ioapics; i++)
		amdvi_entry_pass(table, &dma_memory, amdvi.ivrs.ioapics[i].id,
				 amdvi.ivrs.ioapics[i].settings);
	for (unsigned i = 0; i < amdvi.ivrs.n_units; i++)
		amdvi_entry_interrupts(table, &dma_memory, amdvi.ivrs.units[i].id);
}

static int server_read(const struct firmware *firmware)
{
	if (!firmware->ivrs)
		return -ENOENT;
	int r = ivrs_read(firmware->ivrs, firmware->ivrs_len, &amdvi.ivrs);
	r = r < 0 ? r : amdvi_shared_start(&amdvi.shared, amdvi.ivrs.n_ioapics);
	if (r < 0)
		return r;
	management_set();
	interrupts_set();
	return (int)amdvi.ivrs.n_units;
}

/* Section "IOMMU Capability Header": the unit's own function. */
static int server_start(const struct hpci *pci, unsigned index, uint8_t vector,
			struct iommu_unit **ret)
{
	const struct ivrs_unit *unit = &amdvi.ivrs.units[index];
	const struct hpci_device d = { .bus = (uint8_t)(unit->id >> 8),
				       .slot = unit->id >> 3 & 31,
				       .function = unit->id & 7 };
	uint32_t cap = unit->cap ? hpci_read(pci, &d, unit->cap, 4) : 0;
	bool is_there = (cap & 0xff) == CAP_IOMMU;

	if (vector && is_there) {
		hpci_enable(pci, &d);
		const struct hpci_message message = hpci_message(vector);
		vector = hpci_msi(pci, &d, &message) ? vector : 0;
	} else {
		vector = 0;
	}
	*ret = &amdvi.units[index].unit;
	return amdvi_start(&amdvi.units[index], &amdvi.shared, unit->base, unit->flags,
			   is_there && cap & CAP_FEATURES, vector);
}

static int server_unit_of(const struct hpci *pci, const struct hpci_device *device)
{
	const struct ivrs_entry *e = ivrs_find(&amdvi.ivrs, requesters_id(device));

	(void)pci;
	return e ? e->unit : -1;
}

static unsigned server_names(const struct hpci *pci, const struct hpci_device *device,
			     uint16_t *ret)
{
	const struct ivrs_entry *e = ivrs_find(&amdvi.ivrs, requesters_id(device));
	unsigned n = requesters_of(pci, device, ret);

	for (unsigned i = 0; e && e->has_alias && i < n; i++) {
		if (ret[i] == e->alias)
			return n;
	}
	if (e && e->has_alias)
		ret[n++] = e->alias;
	return n;
}

static void server_reserved(const struct hpci *pci, void *arg,
			    void (*each)(void *arg, const struct iommu_range *range,
					 const struct hpci_device *device))
{
	for (unsigned i = 0; i < amdvi.ivrs.n_reserved; i++) {
		const struct ivrs_reserved *from = &amdvi.ivrs.reserved[i];
		const struct iommu_range range = { from->start, from->len, from->read_only };
		for (unsigned k = 0; k < pci->n; k++) {
			uint16_t id = requesters_id(&pci->devices[k]);
			if (id >= from->first && id <= from->last)
				each(arg, &range, &pci->devices[k]);
		}
	}
}

const struct iommu_server_ops iommu_amdvi = {
	.name = "AMD-Vi",
	.read = server_read,
	.start = server_start,
	.unit_of = server_unit_of,
	.names = server_names,
	.reserved = server_reserved,
};
