/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AHCI: SATA disks, one command at a time on each port (no NCQ: what is put while another runs waits in the controller).
 * Sources: Serial ATA AHCI 1.3.1: HBA Memory Registers; Command List; ATA/ATAPI-8: IDENTIFY DEVICE, READ and WRITE DMA EXT.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "core/clock.h"
#include "core/page.h"
#include "core/trap.h"
#include "drivers/disks.h"
#include "drivers/hpci.h"
#include "drivers/iommu.h"

#define AHCI_CLASS	   UINT32_C(0x010601)
#define AHCI_BAR	   5U
#define BAR_BYTES	   0x1100U
#define PORTS		   32U
#define STATE_ORDER	   1U
#define STOP_TIMEOUT_NS	   UINT64_C(1000000000)
#define COMMAND_TIMEOUT_NS UINT64_C(5000000000)
#define SIGNATURE_DISK	   UINT32_C(0x00000101)

enum hba_reg { HBA_CAP = 0x00, HBA_GHC = 0x04, HBA_IS = 0x08, HBA_PI = 0x0c, HBA_PORTS = 0x100 };
enum port_reg {
	PORT_CLB = 0x00,
	PORT_FB = 0x08,
	PORT_IS = 0x10,
	PORT_IE = 0x14,
	PORT_CMD = 0x18,
	PORT_TFD = 0x20,
	PORT_SIG = 0x24,
	PORT_SSTS = 0x28,
	PORT_SERR = 0x30,
	PORT_CI = 0x38,
};
enum { GHC_AE = 1U << 31, GHC_IE = 2 };
enum { CMD_ST = 1, CMD_FRE = 0x10, CMD_FR = 0x4000, CMD_CR = 0x8000 };
#define IS_ERRORS UINT32_C(0x78000000) /* task file, host bus, interface */
enum { TFD_ERR = 1, TFD_DRQ = 8, TFD_BSY = 0x80 };
enum {
	ATA_READ_DMA_EXT = 0x25,
	ATA_WRITE_DMA_EXT = 0x35,
	ATA_FLUSH_EXT = 0xea,
	ATA_IDENTIFY = 0xec
};

struct ahci_head {
	uint16_t flags; /* length of the FIS in words, 0x40: write */
	uint16_t n_prd;
	uint32_t bytes;
	uint64_t table;
	uint32_t reserved[4];
};

struct ahci_table {
	uint8_t fis[64], atapi[64];
	struct {
		uint64_t address;
		uint32_t reserved, len; /* bytes less one */
	} prd[1];
	uint8_t pad[112]; /* to 256 */
};

_Static_assert(sizeof(struct ahci_head) == 32 && sizeof(struct ahci_table) == 256, "AHCI 1.3.1");

/* A page: the list, what the device sends, the tables. */
struct ahci_memory {
	struct ahci_head list[32];
	uint8_t received[256];
	uint8_t pad[768];
	struct ahci_table tables[HOST_DISK_SLOTS];
};

_Static_assert(sizeof(struct ahci_memory) == PAGE_BYTES, "a page");

struct ahci {
	struct host_disk disk;
	struct iommu_domain *dma;
	volatile uint8_t *hba, *port;
	unsigned index; /* of the port */
	struct ahci_memory *memory;
	uint32_t under_way; /* slots */
};

_Static_assert(sizeof(struct ahci) <= PAGE_BYTES << STATE_ORDER, "fits");

static uint32_t reg_get(volatile uint8_t *base, unsigned reg)
{
	return *(volatile uint32_t *)(base + reg);
}

static void reg_set(volatile uint8_t *base, unsigned reg, uint32_t value)
{
	*(volatile uint32_t *)(base + reg) = value;
}

static bool wait_clear(volatile uint8_t *base, unsigned reg, uint32_t bits, uint64_t ns)
{
	uint64_t end = clock_ns() + ns;

	while (reg_get(base, reg) & bits) {
		if (clock_ns() > end)
			return false;
		__builtin_ia32_pause();
	}
	return true;
}

/* Register Host to Device FIS. */
static void ahci_put(struct ahci *a, unsigned slot, uint8_t command, uint64_t lba, uint16_t sectors,
		     uint64_t buffer, uint32_t len, bool is_write)
{
	struct ahci_table *table = &a->memory->tables[slot];

	memset(table->fis, 0, sizeof(table->fis));
	table->fis[0] = 0x27;
	table->fis[1] = 0x80; /* a command */
	table->fis[2] = command;
	table->fis[7] = 0x40; /* LBA */
	for (unsigned i = 0; i < 3; i++) {
		table->fis[4 + i] = (uint8_t)(lba >> (8 * i));
		table->fis[8 + i] = (uint8_t)(lba >> (24 + 8 * i));
	}
	le16_store(&table->fis[12], sectors);
	table->prd[0].address = buffer;
	table->prd[0].len = len ? len - 1 : 0;
	a->memory->list[slot] = (struct ahci_head){
		.flags = (uint16_t)(5 | (is_write ? 0x40 : 0)),
		.n_prd = len ? 1 : 0,
		.table = ptr_to_phys(table),
	};
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	a->under_way |= UINT32_C(1) << slot;
	reg_set(a->port, PORT_CI, UINT32_C(1) << slot);
}

static int ahci_start(struct host_disk *base, unsigned slot, enum disk_op op, uint64_t offset_bytes,
		      uint32_t len_bytes)
{
	struct ahci *a = container_of(base, struct ahci, disk);
	uint8_t command = op == DISK_READ    ? ATA_READ_DMA_EXT
			  : op == DISK_WRITE ? ATA_WRITE_DMA_EXT
					     : ATA_FLUSH_EXT;

	ahci_put(a, slot, command, offset_bytes / base->sector_bytes,
		 (uint16_t)(len_bytes / base->sector_bytes), ptr_to_phys(base->slots[slot].buffer),
		 len_bytes, op == DISK_WRITE);
	return 0;
}

static bool port_stop(volatile uint8_t *port)
{
	reg_set(port, PORT_CMD, reg_get(port, PORT_CMD) & ~(uint32_t)(CMD_ST | CMD_FRE));
	return wait_clear(port, PORT_CMD, CMD_FR | CMD_CR, STOP_TIMEOUT_NS);
}

static void port_run(volatile uint8_t *port)
{
	reg_set(port, PORT_SERR, UINT32_MAX);
	reg_set(port, PORT_IS, UINT32_MAX);
	reg_set(port, PORT_CMD, reg_get(port, PORT_CMD) | CMD_FRE);
	reg_set(port, PORT_CMD, reg_get(port, PORT_CMD) | CMD_ST);
}

/* An error stops the port's list: all that is under way fails, and the port is started again (AHCI 1.3.1, Error Recovery). */
static void ahci_recover(struct ahci *a)
{
	uint32_t failed = a->under_way;

	(void)port_stop(
		a->port); /* one that does not stop answers nothing any more either: later commands time out */
	port_run(a->port);
	a->under_way = 0;
	for (unsigned slot = 0; slot < HOST_DISK_SLOTS; slot++) {
		if (failed >> slot & 1)
			host_disk_finished(&a->disk, slot, -EIO);
	}
}

static void ahci_poll(struct host_disk *base)
{
	struct ahci *a = container_of(base, struct ahci, disk);
	uint32_t status = reg_get(a->port, PORT_IS);

	reg_set(a->port, PORT_IS, status);
	reg_set(a->hba, HBA_IS, UINT32_C(1) << a->index);
	if (status & IS_ERRORS) {
		ahci_recover(a);
		return;
	}
	uint32_t over = a->under_way & ~reg_get(a->port, PORT_CI);
	a->under_way &= ~over;
	for (unsigned slot = 0; slot < HOST_DISK_SLOTS; slot++) {
		if (over >> slot & 1)
			host_disk_finished(base, slot, 0);
	}
}

static const struct host_disk_driver ahci_driver = {
	.name = "ahci",
	.start = ahci_start,
	.poll = ahci_poll,
};

/* ATA strings have the bytes of each word swapped, and spaces at the end. */
static void serial_set(struct ahci *a, const uint8_t *identify)
{
	char *id = a->disk.disk.id;
	size_t len = 20;

	for (size_t i = 0; i < len; i++)
		id[i] = (char)identify[20 + (i ^ 1)];
	while (len && (id[len - 1] == ' ' || !id[len - 1]))
		len--;
	id[len] = 0;
}

static int ahci_identify(struct ahci *a)
{
	uint8_t *page = page_alloc(0);
	int r = page ? iommu_allow(a->dma, page, PAGE_BYTES, false) : -ENOMEM;

	if (r < 0) {
		page_free(page, 0);
		return r;
	}
	ahci_put(a, 0, ATA_IDENTIFY, 0, 0, ptr_to_phys(page), 512, false);
	bool is_done = wait_clear(a->port, PORT_CI, 1, COMMAND_TIMEOUT_NS);
	a->under_way = 0;
	if (!is_done || reg_get(a->port, PORT_TFD) & (TFD_ERR | TFD_BSY))
		return -EIO; /* the page is the device's */
	r = iommu_forbid(a->dma, page, PAGE_BYTES);
	if (r < 0)
		return r;
	uint64_t sectors = le64_load(page + 200) & UINT64_C(0xffffffffffff); /* words 100 .. 103 */
	if (!(le16_load(page + 166) & 0x400) || !sectors) {		     /* word 83: 48 bits */
		page_free(page, 0);
		return -ENODEV;
	}
	uint16_t sizes = le16_load(page + 212); /* word 106: a sector is longer, words 117, 118 */
	uint32_t bytes = DISK_SECTOR_BYTES;
	if ((sizes & 0xd000) == 0x5000)
		bytes = le32_load(page + 234) * 2;
	serial_set(a, page);
	page_free(page, 0);
	if (bytes != 512 && bytes != 4096)
		return -ENODEV;
	a->disk.sector_bytes = bytes;
	a->disk.disk.size_bytes = sectors * bytes;
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
	reg_set(a->port, PORT_CLB, (uint32_t)list);
	reg_set(a->port, PORT_CLB + 4, (uint32_t)(list >> 32));
	reg_set(a->port, PORT_FB, (uint32_t)received);
	reg_set(a->port, PORT_FB + 4, (uint32_t)(received >> 32));
	reg_set(a->port, PORT_IE, IS_ERRORS | 0x1f); /* any FIS that ends a command */
	port_run(a->port);
	if (!wait_clear(a->port, PORT_TFD, TFD_BSY | TFD_DRQ, COMMAND_TIMEOUT_NS))
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
	return (reg_get(port, PORT_SSTS) & 0xf) == 3 && reg_get(port, PORT_SIG) == SIGNATURE_DISK;
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
	reg_set(hba, HBA_GHC, reg_get(hba, HBA_GHC) | GHC_AE);
	if (!(reg_get(hba, HBA_CAP) >>
	      31)) /* no 64-bit addresses: our buffers may be above 4 GiB */
		return -EOPNOTSUPP;
	uint32_t ports = reg_get(hba, HBA_PI);
	unsigned before = *number;
	for (unsigned i = 0; i < PORTS; i++) {
		int failed = ports >> i & 1 ? port_probe(hba, i, dma, number) : 0;
		if (failed < 0 && failed != -ENODEV)
			r = failed;
	}
	int vector = *number > before ? trap_vector_take(disks_interrupt, NULL) : -ENODEV;
	if (vector >= 0 && iommu_msi(pci, device, (uint8_t)vector))
		reg_set(hba, HBA_GHC, reg_get(hba, HBA_GHC) | GHC_IE);
	else if (vector >= 0)
		trap_vector_give(vector);
	return r;
}
