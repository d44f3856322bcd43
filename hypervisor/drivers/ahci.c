/* SPDX-License-Identifier: Apache-2.0 */
/* AHCI: SATA disks are found, and their commands put and collected. */
#include "drivers/ahci.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "core/clock.h"
#include "core/trap.h"
#include "drivers/disks.h"
#include "drivers/hpci.h"
#include "drivers/iommu.h"

#define AHCI_CLASS	UINT32_C(0x010601)
#define AHCI_BAR	5U
#define BAR_BYTES	0x1100U
#define PORTS		32U
#define STATE_ORDER	1U
#define STOP_TIMEOUT_NS UINT64_C(20000000000)

_Static_assert(sizeof(struct ahci) <= PAGE_BYTES << STATE_ORDER, "fits");

static bool wait_clear(volatile uint8_t *base, unsigned reg, uint32_t bits, uint64_t ns)
{
	uint64_t end = clock_ns() + ns;

	while (ahci_get(base, reg) & bits) {
		if (clock_ns() > end)
			return false;
		__builtin_ia32_pause();
	}
	return true;
}

static int ahci_start(struct host_disk *base, unsigned slot, enum disk_op op, uint64_t offset_bytes,
		      uint32_t len_bytes)
{
	struct ahci *a = container_of(base, struct ahci, disk);

	if (a->is_dead)
		return -EIO;
	ahci_put(a, slot,
		 &(struct ahci_command){ .command = op == DISK_READ    ? ATA_READ_DMA_EXT
						    : op == DISK_WRITE ? ATA_WRITE_DMA_EXT
								       : ATA_FLUSH_EXT,
					 .lba = offset_bytes / base->sector_bytes,
					 .sectors = (uint16_t)(len_bytes / base->sector_bytes),
					 .buffer = ptr_to_phys(base->slots[slot].buffer),
					 .len = len_bytes,
					 .is_write = op == DISK_WRITE });
	a->under_way |= UINT32_C(1) << slot;
	if (a->state == AHCI_RUNS)
		ahci_issue(a, UINT32_C(1) << slot);
	return 0;
}

static bool port_stop(volatile uint8_t *port)
{
	ahci_set(port, PORT_CMD, ahci_get(port, PORT_CMD) & ~(uint32_t)(CMD_ST | CMD_FRE));
	return wait_clear(port, PORT_CMD, CMD_FR | CMD_CR, STOP_TIMEOUT_NS);
}

static unsigned first_of(uint32_t slots)
{
	return slots ? (unsigned)__builtin_ctz(slots) : 0;
}

static void ahci_poll(struct host_disk *base)
{
	struct ahci *a = container_of(base, struct ahci, disk);

	if (a->state != AHCI_RUNS) {
		ahci_recover(a);
		return;
	}
	uint32_t status = ahci_get(a->port, PORT_IS);
	ahci_set(a->port, PORT_IS, status);
	ahci_set(a->hba, HBA_IS, UINT32_C(1) << a->index);
	if (status &
	    IS_ERRORS) { /* whether what is not in CI went well is not to be known: it is issued again, too */
		ahci_fail(a, ahci_at(a, first_of(a->under_way)), false);
		ahci_recover(a);
		return;
	}
	uint32_t over = a->under_way & ~ahci_get(a->port, PORT_CI);
	a->under_way &= ~over;
	for (unsigned slot = 0; slot < HOST_DISK_SLOTS; slot++) {
		if (over >> slot & 1)
			host_disk_finished(base, slot, 0);
	}
}

static unsigned ahci_reset(struct host_disk *base, unsigned expired)
{
	struct ahci *a = container_of(base, struct ahci, disk);
	unsigned at = ahci_at(a, expired);

	if (clock_ns() - base->slots[at].begun_ns < HOST_DISK_ANSWER_NS)
		at = expired; /* emulated ones do not say where they are */
	ahci_fail(a, at, true);
	return at;
}

static const struct host_disk_driver ahci_driver = {
	.name = "ahci",
	.start = ahci_start,
	.poll = ahci_poll,
	.reset = ahci_reset,
};

static int ahci_identify(struct ahci *a)
{
	uint8_t *page = page_alloc(0);
	int r = page ? iommu_allow(a->dma, page, PAGE_BYTES, false) : -ENOMEM;

	if (r < 0) {
		page_free(page, 0);
		return r;
	}
	ahci_put(a, 0,
		 &(struct ahci_command){ .command = ATA_IDENTIFY,
					 .buffer = ptr_to_phys(page),
					 .len = DISK_SECTOR_BYTES });
	ahci_issue(a, 1);
	bool is_done = wait_clear(a->port, PORT_CI, 1, AHCI_COMMAND_NS);
	if (!is_done || ahci_get(a->port, PORT_TFD) & (TFD_ERR | TFD_BSY))
		return -EIO; /* the page is the device's */
	r = iommu_forbid(a->dma, page, PAGE_BYTES);
	if (r < 0)
		return r;
	r = ahci_identity(page, &a->identity);
	page_free(page, 0);
	if (r < 0)
		return r;
	memcpy(a->disk.disk.id, a->identity.serial, sizeof(a->disk.disk.id));
	a->disk.sector_bytes = a->identity.sector_bytes;
	a->disk.disk.size_bytes = a->identity.size_bytes;
	return 0;
}

static int port_init(struct ahci *a, unsigned number)
{
	if (!port_stop(a->port))
		return -EIO;
	a->memory = page_alloc(0);
	int r = a->memory ? iommu_allow(a->dma, a->memory, PAGE_BYTES, false) : -ENOMEM;
	if (r < 0)
		return r;
	uint64_t list = ptr_to_phys(a->memory->list), received = ptr_to_phys(a->memory->received);
	ahci_set(a->port, PORT_CLB, (uint32_t)list);
	ahci_set(a->port, PORT_CLB + 4, (uint32_t)(list >> 32));
	ahci_set(a->port, PORT_FB, (uint32_t)received);
	ahci_set(a->port, PORT_FB + 4, (uint32_t)(received >> 32));
	ahci_set(a->port, PORT_IE, IS_ERRORS | 0x1f); /* any FIS that ends a command */
	ahci_port_run(a->port);
	if (!wait_clear(a->port, PORT_TFD, TFD_BSY | TFD_DRQ, AHCI_COMMAND_NS))
		return -EIO;
	r = ahci_identify(a);
	if (r < 0)
		return r;
	a->disk.driver = &ahci_driver;
	r = host_disk_init(&a->disk, "ahci", number);
	r = r < 0 ? r : disks_allow(&a->disk, a->dma);
	if (r == 0 && !disks_add(&a->disk))
		r = -ENOSPC;
	return r;
}

static bool port_has_disk(volatile uint8_t *port)
{
	return (ahci_get(port, PORT_SSTS) & 0xf) == 3 &&
	       ahci_get(port, PORT_SIG) == AHCI_SIGNATURE_DISK;
}

static int port_probe(volatile uint8_t *hba, unsigned index, struct iommu_domain *dma,
		      unsigned *number)
{
	volatile uint8_t *port = hba + HBA_PORTS + (size_t)index * 0x80;

	if (!port_has_disk(port))
		return 0;
	struct ahci *a = page_alloc(STATE_ORDER);
	if (!a)
		return -ENOMEM;
	a->dma = dma;
	a->hba = hba;
	a->port = port;
	a->index = index;
	int r = port_init(a, *number);
	if (r < 0)
		return r;
	(*number)++;
	return 0;
}

/* One interrupt for all ports: every disk of every controller is looked at; it is cheap. */
int ahci_probe(const struct hpci *pci, const struct hpci_device *device, unsigned *number)
{
	struct iommu_domain *dma;

	if (device->class_code != AHCI_CLASS)
		return -ENODEV;
	int r = iommu_attach(device, "ahci", &dma);
	if (r < 0)
		return r == -ENODEV ? -EIO : r;
	hpci_enable(pci, device);
	volatile uint8_t *hba = hpci_bar(pci, device, AHCI_BAR, BAR_BYTES);
	if (!hba)
		return -EIO;
	ahci_set(hba, HBA_GHC, ahci_get(hba, HBA_GHC) | GHC_AE);
	if (!(ahci_get(hba, HBA_CAP) >>
	      31)) /* no 64-bit addresses: our buffers may be above 4 GiB */
		return -EOPNOTSUPP;
	uint32_t ports = ahci_get(hba, HBA_PI);
	unsigned before = *number;
	for (unsigned i = 0; i < PORTS; i++) {
		int failed = ports >> i & 1 ? port_probe(hba, i, dma, number) : 0;
		if (failed < 0 && failed != -ENODEV)
			r = failed;
	}
	int vector = *number > before ? trap_vector_take(disks_interrupt, NULL) : -ENODEV;
	if (vector >= 0 && iommu_msi(pci, device, (uint8_t)vector))
		ahci_set(hba, HBA_GHC, ahci_get(hba, HBA_GHC) | GHC_IE);
	else if (vector >= 0)
		trap_vector_give(vector);
	return r;
}
