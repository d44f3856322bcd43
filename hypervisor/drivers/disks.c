/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/disks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/core/gpt.h"
#include "base/core/macros.h"
#include "core/hv.h"
#include "core/page.h"
#include "core/print.h"
#include "core/timer.h"
#include "core/trap.h"
#include "drivers/extent_disks.h"
#include "drivers/hpci.h"
#include "drivers/iommu.h"
#include "hw/barrier.h"

#define INTERRUPTS_TO_ALL                                                                          \
	UINT64_C(0xfeeff000) /* SDM 3A, Message Address Register Format: destination 0xff */
#define POLL_NS                                                                                    \
	UINT64_C(10000000) /* beside the interrupts: for what has none, and for one that was lost */
#define TABLE_ORDER 5U	   /* 128 KiB */
#define MIB_SHIFT   20U
#define TEST_ORDER  8U /* 1 MiB */
#define PARTS_ORDER 1U

_Static_assert(sizeof(struct host_part) * HOST_DISK_PARTS <= PAGE_BYTES << PARTS_ORDER, "fits");
_Static_assert(GPT_PARTS == HOST_DISK_PARTS, "one for each");

/* One server; written at start, by the boot CPU. */
static struct {
	struct hpci pci;
	struct host_disk *at[DISKS_MAX];
	unsigned n;
	struct extent_disks extents;
	struct hv_timer timer;
	unsigned n_forged; /* interrupts of interrupt_test_asked() */
} disks;

bool disks_add(struct host_disk *disk)
{
	if (disks.n == DISKS_MAX)
		return false;
	disks.at[disks.n++] = disk;
	return true;
}

int disks_allow(const struct host_disk *disk, struct iommu_domain *domain)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < HOST_DISK_SLOTS; i++)
		r = iommu_allow(domain, disk->slots[i].buffer, HOST_DISK_BUFFER_BYTES, false);
	return r;
}

void disks_interrupt(void *arg)
{
	barrier_foreign();
	for (unsigned i = 0; i < disks.n; i++) {
		if (!arg || arg == disks.at[i])
			host_disk_poll(disks.at[i]);
	}
}

void disks_poll(void)
{
	barrier_foreign();
	for (unsigned i = 0; i < disks.n; i++)
		host_disk_poll(disks.at[i]);
}

static void disks_tick(struct hv_timer *timer)
{
	disks_poll();
	timer_arm(timer, clock_ns() + POLL_NS);
}

static void parts_add(struct host_disk *disk, const struct gpt_part *parts, int n)
{
	struct host_part *all = n > 0 ? page_alloc(PARTS_ORDER) : NULL;

	for (int i = 0; all && i < n; i++) {
		struct host_part *part = &all[i];
		host_part_init(part, disk, parts[i].number, parts[i].start_bytes,
			       parts[i].len_bytes);
		memcpy(part->type, parts[i].type, sizeof(part->type));
		memcpy(part->label, parts[i].label, sizeof(part->label));
		disk->parts[disk->n_parts++] = part;
		print("  %s: %lu MiB, \"%s\"\n", part->name, part->disk.size_bytes >> MIB_SHIFT,
		      part->label);
		(void)extent_disks_read(&disks.extents, part);
	}
}

/* From the header at a sector; buffer of 128 KiB and a sector. Return: 0, -ENODATA, -errno. */
static int parts_read(struct host_disk *disk, uint64_t lba, uint8_t *buffer)
{
	uint64_t n_sectors = disk->disk.size_bytes / disk->sector_bytes, entries;
	uint8_t *table = buffer + disk->sector_bytes;
	struct gpt_part parts[GPT_PARTS];
	uint32_t bytes;

	int r = host_disk_sync(&disk->disk, DISK_READ, lba * disk->sector_bytes, buffer,
			       disk->sector_bytes);
	r = r < 0 ? r : gpt_header(buffer, disk->sector_bytes, lba, n_sectors, &entries, &bytes);
	if (r < 0)
		return r;
	uint64_t whole = (bytes + disk->sector_bytes - 1) & ~(uint64_t)(disk->sector_bytes - 1);
	r = host_disk_sync(&disk->disk, DISK_READ, entries * disk->sector_bytes, table, whole);
	r = r < 0 ? r : gpt_table(buffer, table, bytes, disk->sector_bytes, n_sectors, parts);
	if (r < 0)
		return r;
	parts_add(disk, parts, r);
	return 0;
}

static void disk_describe(struct host_disk *disk)
{
	uint8_t *buffer = page_alloc(TABLE_ORDER + 1);

	print("disk %s: %lu MiB, sectors of %u, \"%s\"\n", disk->name,
	      disk->disk.size_bytes >> MIB_SHIFT, disk->sector_bytes, disk->disk.id);
	if (!buffer || disk->disk.size_bytes < 64 * (uint64_t)disk->sector_bytes) {
		page_free(buffer, TABLE_ORDER + 1);
		return;
	}
	int r = parts_read(disk, 1, buffer);
	if (r < 0 && r != -ENODATA) {
		print("  %s: its partition table is broken (error %d), the copy at the end is tried\n",
		      disk->name, -r);
		r = parts_read(disk, disk->disk.size_bytes / disk->sector_bytes - 1, buffer);
	}
	if (r < 0 && r != -ENODATA)
		print("  %s: no partition table can be read: error %d\n", disk->name, -r);
	page_free(buffer, TABLE_ORDER + 1);
}

/* Fills a piece of the disk with numbers of our own and reads them back; what was there is lost. */
static int disk_test(struct disk *disk, uint64_t offset_bytes, uint64_t *buffer, uint64_t len_bytes)
{
	for (uint64_t i = 0; i < len_bytes / 8; i++)
		buffer[i] = (offset_bytes + i) * UINT64_C(0x9e3779b97f4a7c15);
	int r = host_disk_sync(disk, DISK_WRITE, offset_bytes, buffer, len_bytes);
	r = r < 0 ? r : host_disk_sync(disk, DISK_FLUSH, 0, NULL, 0);
	memset(buffer, 0, len_bytes);
	r = r < 0 ? r : host_disk_sync(disk, DISK_READ, offset_bytes, buffer, len_bytes);
	for (uint64_t i = 0; r == 0 && i < len_bytes / 8; i++) {
		if (buffer[i] != (offset_bytes + i) * UINT64_C(0x9e3779b97f4a7c15))
			r = -EILSEQ;
	}
	return r;
}

/* The word disk-test=NAME: the first MiB of a disk or partition, in transfers of several lengths. */
static void disk_test_asked(const struct boot_info *info)
{
	char name[HOST_DISK_NAME_BYTES];

	if (!boot_info_word(info, "disk-test", name, sizeof(name)))
		return;
	struct disk *disk = disk_find(name);
	uint64_t *buffer = page_alloc(TEST_ORDER);
	uint64_t sector = disk ? disk->block_bytes : 1, room = PAGE_BYTES << TEST_ORDER;
	int r = !disk || disk->size_bytes < 2 * room ? -ENODEV : !buffer ? -ENOMEM : 0;
	for (uint64_t len = sector; r == 0 && len <= room; len = len * 2 + sector)
		r = disk_test(disk, len, buffer, len);
	page_free(buffer, TEST_ORDER);
	if (r < 0)
		print("disk test of %s: failed, error %d\n", name, -r);
	else
		print("disk test of %s: what was written is read\n", name);
}

static struct host_disk *host_disk_named(const char *name)
{
	struct host_disk *disk = NULL;

	for (unsigned i = 0; i < disks.n; i++)
		disk = strcmp(disks.at[i]->name, name) == 0 ? disks.at[i] : disk;
	return disk;
}

/*
 * The word dma-test=NAME: a disk is told to write to a page that is not its buffer. Where an IOMMU keeps it, the page stays as it was.
 * The page is never used again: what a device that was not kept still does to it harms nobody.
 */
static void dma_test_asked(const struct boot_info *info)
{
	char name[HOST_DISK_NAME_BYTES];

	if (!boot_info_word(info, "dma-test", name, sizeof(name)))
		return;
	struct host_disk *disk = host_disk_named(name);
	uint8_t *wrong = page_alloc(0), *read = page_alloc(0);
	if (!disk || !wrong || !read) {
		print("DMA test of %s: there is no such disk, or no memory\n", name);
		return;
	}
	memset(wrong, 0xa5, PAGE_BYTES);
	uint8_t *right = disk->slots[0].buffer;
	uint64_t before = iommu_faults();
	disk->slots[0].buffer = wrong;
	int r = host_disk_sync(&disk->disk, DISK_READ, 0, read, PAGE_BYTES);
	disk->slots[0].buffer = right;
	trap_open(); /* the unit's interrupt says it */
	uint64_t blocked = iommu_faults() - before;
	unsigned same = 0;
	while (same < PAGE_BYTES && wrong[same] == 0xa5)
		same++;
	print("DMA test of %s: a page that is not its own %s, error %d, %lu blocked\n", name,
	      same == PAGE_BYTES ? "is as it was" : "was written to", -r, blocked);
}

static void interrupt_came(void *arg)
{
	(void)arg;
	disks.n_forged++;
}

/*
 * The word interrupt-test=NAME: the numbers of an interrupt are put on a disk, which is then told to read them to where interrupts are
 * written, for all CPUs. Where an IOMMU remaps interrupts, none comes. Real disks write more than an interrupt at once: this is for emulated
 * ones. What was on the disk is lost.
 */
static void interrupt_test_asked(const struct boot_info *info)
{
	char name[HOST_DISK_NAME_BYTES];

	if (!boot_info_word(info, "interrupt-test", name, sizeof(name)))
		return;
	struct host_disk *disk = host_disk_named(name);
	int vector = trap_vector_take(interrupt_came, NULL);
	uint32_t *numbers = page_alloc(0);
	if (!disk || vector < 0 || !numbers) {
		print("interrupt test of %s: there is no such disk, or no memory\n", name);
		return;
	}
	for (unsigned i = 0; i < PAGE_BYTES / sizeof(*numbers); i++)
		numbers[i] = (uint32_t)vector;
	int r = host_disk_sync(&disk->disk, DISK_WRITE, 0, numbers, PAGE_BYTES);
	uint8_t *right = disk->slots[0].buffer;
	disk->slots[0].buffer = phys_to_ptr(INTERRUPTS_TO_ALL);
	r = r < 0 ? r : host_disk_sync(&disk->disk, DISK_READ, 0, numbers, PAGE_BYTES);
	disk->slots[0].buffer = right;
	trap_open();
	print("interrupt test of %s: %s, error %d\n", name,
	      disks.n_forged ? "one that is not its own came" : "none that is not its own came",
	      -r);
	page_free(numbers, 0);
}

void hv_disks_start(const struct boot_info *info, const struct firmware *firmware)
{
	unsigned numbers[3] = { 0, 0, 0 };
	static int (*const probes[])(const struct hpci *pci, const struct hpci_device *device,
				     unsigned *number) = { nvme_probe, ahci_probe,
							   virtio_disk_probe };

	hpci_scan(&disks.pci, firmware);
	iommu_start(info, firmware, &disks.pci);
	for (unsigned i = 0; i < disks.pci.n; i++) {
		const struct hpci_device *d = &disks.pci.devices[i];
		for (unsigned k = 0; k < ARRAY_SIZE(probes); k++) {
			int r = probes[k](&disks.pci, d, &numbers[k]);
			if (r == -ENODEV)
				continue;
			if (r < 0)
				print("disk controller %x:%x.%u: does not start: error %d\n",
				      d->bus, d->slot, d->function, -r);
			break;
		}
	}
	for (unsigned i = 0; i < disks.n; i++)
		disk_describe(disks.at[i]);
	dma_test_asked(info);
	interrupt_test_asked(info);
	disk_test_asked(info);
	if (!disks.n)
		return;
	disks.timer.fired = disks_tick;
	timer_arm(&disks.timer, clock_ns() + POLL_NS);
}

static uint32_t disk_flags(const struct disk *disk, bool is_part)
{
	return (disk->read_only ? CHANNEL_DISK_READ_ONLY : 0) |
	       (is_part ? CHANNEL_DISK_PARTITION : 0);
}

/* Number n of the extents, which come behind all disks. */
static bool extent_nth(uint32_t n, struct channel_disk *ret)
{
	if (n >= disks.extents.n)
		return false;
	const struct host_part *part = &disks.extents.at[n]->part;
	uint32_t parent = 1;
	for (unsigned i = 0; disks.at[i] != part->parent; i++)
		parent += 1 + disks.at[i]->n_parts;
	*ret = (struct channel_disk){ .flags = disk_flags(&part->disk, true),
				      .size_bytes = part->disk.size_bytes,
				      .parent = parent };
	(void)snprintf(ret->name, sizeof(ret->name), "%s", part->name);
	return true;
}

/* Number n: disks in order, each with its partitions behind it; then the extents. */
static bool disk_nth(uint32_t n, struct channel_disk *ret)
{
	uint32_t number = 0, parent;

	for (unsigned i = 0; i < disks.n; i++) {
		const struct host_disk *disk = disks.at[i];
		parent = ++number;
		if (number == n) {
			*ret = (struct channel_disk){ .flags = disk_flags(&disk->disk, false),
						      .size_bytes = disk->disk.size_bytes };
			(void)snprintf(ret->name, sizeof(ret->name), "%s", disk->name);
			return true;
		}
		if (n - number > disk->n_parts) {
			number += disk->n_parts;
			continue;
		}
		const struct host_part *part = disk->parts[n - number - 1];
		*ret = (struct channel_disk){ .flags = disk_flags(&part->disk, true),
					      .size_bytes = part->disk.size_bytes,
					      .parent = parent };
		(void)snprintf(ret->name, sizeof(ret->name), "%s", part->name);
		(void)snprintf(ret->label, sizeof(ret->label), "%s", part->label);
		return true;
	}
	return extent_nth(n - number - 1, ret);
}

bool disks_next(uint32_t after, struct channel_disk *ret)
{
	bool is_there = after < UINT32_MAX && disk_nth(after + 1, ret);

	if (is_there)
		ret->number = after + 1;
	return is_there;
}

unsigned disks_count(void)
{
	unsigned n = disks.n + disks.extents.n;

	for (unsigned i = 0; i < disks.n; i++)
		n += disks.at[i]->n_parts;
	return n;
}

const struct hpci *disks_pci(void)
{
	return &disks.pci;
}

struct disk *disk_find(const char *name)
{
	bool is_label = strncmp(name, "label:", 6) == 0;

	for (unsigned i = 0; i < disks.n; i++) {
		struct host_disk *disk = disks.at[i];
		if (strcmp(disk->name, name) == 0)
			return &disk->disk;
		for (unsigned k = 0; k < disk->n_parts; k++) {
			struct host_part *part = disk->parts[k];
			if (strcmp(is_label ? part->label : part->name,
				   is_label ? name + 6 : name) == 0)
				return &part->disk;
		}
	}
	return extent_disks_find(&disks.extents, name);
}
