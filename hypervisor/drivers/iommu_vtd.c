/* SPDX-License-Identifier: Apache-2.0 */
/* A server with Intel's VT-d: the units that the DMAR table names. */
#include <errno.h>

#include "drivers/dmar.h"
#include "drivers/iommu_unit.h"
#include "drivers/requesters.h"
#include "drivers/vtd.h"

_Static_assert(DMAR_UNITS <= IOMMU_UNITS, "each has a place");

/* One server; the boot CPU's. */
static struct {
	struct dmar dmar;
	struct vtd_unit units[DMAR_UNITS];
} vtd;

static int server_read(const struct firmware *firmware)
{
	if (!firmware->dmar)
		return -ENOENT;
	int r = dmar_read(firmware->dmar, firmware->dmar_len, &vtd.dmar);
	if (r < 0)
		vtd.dmar.n_units = 0;
	return r < 0 ? r : (int)vtd.dmar.n_units;
}

static int server_start(const struct hpci *pci, unsigned index, uint8_t vector,
			struct iommu_unit **ret)
{
	(void)pci;
	*ret = &vtd.units[index].unit;
	return vtd_start(&vtd.units[index], vtd.dmar.units[index].base, vector,
			 vtd.dmar.has_interrupts);
}

static int server_unit_of(const struct hpci *pci, const struct hpci_device *device)
{
	return requesters_unit(pci, &vtd.dmar, device);
}

static void server_reserved(const struct hpci *pci, void *arg,
			    void (*each)(void *arg, const struct iommu_range *range,
					 const struct hpci_device *device))
{
	for (unsigned i = 0; i < vtd.dmar.n_reserved; i++) {
		const struct dmar_reserved *from = &vtd.dmar.reserved[i];
		const struct iommu_range range = { .start = from->start, .len = from->len };
		for (unsigned k = 0; k < from->scopes.n; k++) {
			struct hpci_device d;
			if (requesters_find(pci, &from->scopes.at[k], &d))
				each(arg, &range, &d);
		}
	}
}

const struct iommu_server_ops iommu_vtd = {
	.name = "VT-d",
	.read = server_read,
	.start = server_start,
	.unit_of = server_unit_of,
	.names = requesters_of,
	.reserved = server_reserved,
};
