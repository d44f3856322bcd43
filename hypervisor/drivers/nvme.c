/* SPDX-License-Identifier: Apache-2.0 */
/* NVMe: a controller is found, and its commands put and collected. */
#include "drivers/nvme.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "core/page.h"
#include "core/trap.h"
#include "drivers/disks.h"
#include "drivers/hpci.h"
#include "drivers/iommu.h"

#define NVME_CLASS  UINT32_C(0x010802)
#define STATE_ORDER 2U

_Static_assert(sizeof(struct nvme) <= PAGE_BYTES << STATE_ORDER, "fits");

static int nvme_start(struct host_disk *base, unsigned slot, enum disk_op op, uint64_t offset_bytes,
		      uint32_t len_bytes)
{
	struct nvme *n = container_of(base, struct nvme, disk);
	uint64_t lba = offset_bytes / base->sector_bytes,
		 buffer = ptr_to_phys(base->slots[slot].buffer);
	struct nvme_command command = { .nsid = n->identity.nsid };
	uint32_t opcode = op == DISK_READ    ? NVME_IO_READ
			  : op == DISK_WRITE ? NVME_IO_WRITE
					     : NVME_IO_FLUSH;

	if (n->is_dead)
		return -EIO;
	command.head = opcode | slot << 16;
	if (op != DISK_FLUSH) {
		command.prp1 = buffer;
		if (len_bytes > 2 * PAGE_BYTES)
			command.prp2 = ptr_to_phys(n->prps[slot]);
		else if (len_bytes > PAGE_BYTES)
			command.prp2 = buffer + PAGE_BYTES;
		command.dword[0] = (uint32_t)lba;
		command.dword[1] = (uint32_t)(lba >> 32);
		command.dword[2] = len_bytes / base->sector_bytes - 1;
	}
	n->commands[slot] = command;
	n->under_way |= UINT32_C(1) << slot;
	if (n->state == NVME_RUNS)
		nvme_queue_put(&n->io, &command);
	return 0;
}

static void nvme_poll(struct host_disk *base)
{
	struct nvme *n = container_of(base, struct nvme, disk);
	uint16_t id, status;

	if (n->state != NVME_RUNS) {
		nvme_recover(n);
		return;
	}
	for (unsigned i = 0; i < NVME_QUEUE_ENTRIES && nvme_queue_get(&n->io, &id, &status); i++) {
		if (id >= HOST_DISK_SLOTS || !(n->under_way >> id & 1))
			continue; /* a device that says it twice */
		n->under_way &= ~(UINT32_C(1) << id);
		host_disk_finished(base, id, status ? -EIO : 0);
	}
}

static unsigned nvme_reset(struct host_disk *base, unsigned expired)
{
	nvme_take_back(container_of(base, struct nvme, disk), UINT32_C(1) << expired);
	return expired;
}

static const struct host_disk_driver nvme_driver = {
	.name = "nvme",
	.start = nvme_start,
	.poll = nvme_poll,
	.reset = nvme_reset,
};

/* One list a slot, in one page: the addresses of its buffer's pages but the first never change. */
static int prps_init(struct nvme *n)
{
	const unsigned pages = HOST_DISK_BUFFER_BYTES / PAGE_BYTES;
	uint64_t *lists = page_alloc(0);

	if (!lists)
		return -ENOMEM;
	for (unsigned i = 0; i < HOST_DISK_SLOTS; i++) {
		n->prps[i] = lists + (size_t)i * pages;
		for (unsigned k = 1; k < pages; k++)
			n->prps[i][k - 1] = ptr_to_phys(n->disk.slots[i].buffer) + k * PAGE_BYTES;
	}
	return iommu_allow(n->dma, lists, PAGE_BYTES, true);
}

_Static_assert(HOST_DISK_SLOTS *(HOST_DISK_BUFFER_BYTES / PAGE_BYTES) * 8 <= PAGE_BYTES,
	       "one page");

static int nvme_init(struct nvme *n, unsigned number)
{
	int r = nvme_bring_up(n);

	if (r < 0)
		return r;
	memcpy(n->disk.disk.id, n->identity.serial, sizeof(n->disk.disk.id));
	n->disk.sector_bytes = n->identity.sector_bytes;
	n->disk.disk.size_bytes = n->identity.size_bytes;
	n->disk.driver = &nvme_driver;
	r = host_disk_init(&n->disk, "nvme", number);
	r = r < 0 ? r : disks_allow(&n->disk, n->dma);
	r = r < 0 ? r : prps_init(n);
	return r == 0 && !disks_add(&n->disk) ? -ENOSPC : r;
}

int nvme_probe(const struct hpci *pci, const struct hpci_device *device, unsigned *number)
{
	if (device->class_code != NVME_CLASS)
		return -ENODEV;
	struct nvme *n = page_alloc(STATE_ORDER);
	if (!n)
		return -ENOMEM;
	int r = iommu_attach(device, "nvme", &n->dma);
	if (r < 0) {
		page_free(n, STATE_ORDER);
		return r == -ENODEV ? -EIO : r;
	}
	hpci_enable(pci, device);
	n->regs = hpci_bar(pci, device, 0, NVME_BAR_BYTES);
	/* Before its queues are made: QEMU's has interrupts for those only that are made while MSI-X is on. */
	int vector = trap_vector_take(disks_interrupt, &n->disk);
	if (vector >= 0 && !iommu_msi(pci, device, (uint8_t)vector)) {
		trap_vector_give(vector);
		vector = -ENODEV;
	}
	r = n->regs ? nvme_init(n, *number) : -EIO;
	if (r < 0) { /* what the controller was told of stays its own: it may still write there */
		if (vector >= 0)
			trap_vector_give(vector);
		return r == -ENODEV ? -EIO : r;
	}
	(*number)++;
	return 0;
}
