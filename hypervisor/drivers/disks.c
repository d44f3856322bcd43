/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/disks.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "core/hv.h"
#include "core/page.h"
#include "core/print.h"
#include "core/timer.h"
#include "drivers/gpt.h"
#include "drivers/hpci.h"

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
	struct hv_timer timer;
} disks;

bool disks_add(struct host_disk *disk)
{
	if (disks.n == DISKS_MAX)
		return false;
	disks.at[disks.n++] = disk;
	return true;
}

void disks_interrupt(void *arg)
{
	for (unsigned i = 0; i < disks.n; i++) {
		if (!arg || arg == disks.at[i])
			host_disk_poll(disks.at[i]);
	}
}

void disks_poll(void)
{
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

void hv_disks_start(const struct boot_info *info, const struct firmware *firmware)
{
	unsigned numbers[3] = { 0, 0, 0 };
	static int (*const probes[])(const struct hpci *pci, const struct hpci_device *device,
				     unsigned *number) = { nvme_probe, ahci_probe,
							   virtio_disk_probe };

	hpci_scan(&disks.pci, firmware);
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
	disk_test_asked(info);
	if (!disks.n)
		return;
	disks.timer.fired = disks_tick;
	timer_arm(&disks.timer, clock_ns() + POLL_NS);
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
	return NULL;
}
