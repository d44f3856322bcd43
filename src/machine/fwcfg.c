/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/fwcfg.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "machine/layout.h"

#define FWCFG_SIGNATURE	 0x00U
#define FWCFG_ID	 0x01U
#define FWCFG_RAM	 0x03U
#define FWCFG_NOGRAPHIC	 0x04U
#define FWCFG_CPUS	 0x05U
#define FWCFG_CPUS_MAX	 0x0fU
#define FWCFG_DIRECTORY	 0x19U
#define FWCFG_FILE_FIRST 0x20U

#define FWCFG_WRITE_CHANNEL 0x4000U /* a bit of the selector that no longer means anything */

#define FWCFG_ID_TRADITIONAL 1U
#define FWCFG_ID_DMA	     2U

#define FWCFG_CONTROL_BYTES   2U /* the selector, whose upper byte is the data register */
#define FWCFG_DIRECTORY_ENTRY 64U

#define FWCFG_DMA	 4U /* from PORT_FW_CFG */
#define FWCFG_DMA_ERROR	 0x01U
#define FWCFG_DMA_READ	 0x02U
#define FWCFG_DMA_SKIP	 0x04U
#define FWCFG_DMA_SELECT 0x08U
#define FWCFG_DMA_WRITE	 0x10U

/* A read past the end of an item gives zeros: so many at once, that a guest cannot keep the lock for long. */
#define FWCFG_DMA_ZEROS_MAX 0x100000U

struct fwcfg_item {
	uint8_t number[8]; /* for those that are one, little-endian */
	const uint8_t *data;
	uint64_t len;
};

/* Writes to item only: its data may point into itself. */
static void fwcfg_number(struct fwcfg_item *item, uint64_t value, unsigned bytes)
{
	le64_store(item->number, value);
	item->data = item->number;
	item->len = bytes;
}

/* What is selected; an item that does not exist is empty. */
static void fwcfg_item(const struct fwcfg *fwcfg, struct fwcfg_item *item)
{
	unsigned key = fwcfg->selected & ~FWCFG_WRITE_CHANNEL;

	item->data = NULL;
	item->len = 0;
	switch (key) {
	case FWCFG_SIGNATURE:
		item->data = (const uint8_t *)"QEMU";
		item->len = 4;
		return;
	case FWCFG_ID:
		fwcfg_number(item, FWCFG_ID_TRADITIONAL | FWCFG_ID_DMA, 4);
		return;
	case FWCFG_RAM:
		fwcfg_number(item, fwcfg->ram_bytes, 8);
		return;
	case FWCFG_NOGRAPHIC:
		fwcfg_number(item, 1, 2);
		return;
	case FWCFG_CPUS:
	case FWCFG_CPUS_MAX:
		fwcfg_number(item, fwcfg->vcpus, 2);
		return;
	case FWCFG_DIRECTORY:
		item->data = fwcfg->directory;
		item->len = sizeof(fwcfg->directory);
		return;
	default:
		break;
	}
	if (key >= FWCFG_FILE_FIRST && key - FWCFG_FILE_FIRST < fwcfg->n_files) {
		item->data = fwcfg->files[key - FWCFG_FILE_FIRST].data;
		item->len = fwcfg->files[key - FWCFG_FILE_FIRST].len;
	}
}

static void fwcfg_select(struct fwcfg *fwcfg, uint16_t key)
{
	fwcfg->selected = key;
	fwcfg->offset = 0;
}

/* ---- selector and data register ---- */

static uint8_t fwcfg_next(struct fwcfg *fwcfg)
{
	struct fwcfg_item item;

	fwcfg_item(fwcfg, &item);
	return fwcfg->offset < item.len ? item.data[fwcfg->offset++] : 0;
}

static uint64_t fwcfg_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct fwcfg *fwcfg = container_of(region, struct fwcfg, control);

	return offset == 1 && len == 1 ? fwcfg_next(fwcfg) : 0;
}

static void fwcfg_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	if (offset == 0 && len == 2)
		fwcfg_select(container_of(region, struct fwcfg, control), (uint16_t)value);
}

static const struct bus_ops fwcfg_ops = {
	.name = "fw_cfg",
	.read = fwcfg_read,
	.write = fwcfg_write,
};

/* ---- DMA: FWCfgDmaAccess, big-endian ---- */

struct fwcfg_access {
	struct be32 control, len;
	struct be64 addr;
};

static bool fwcfg_dma_read(struct fwcfg *fwcfg, gpa_t gpa, uint32_t len)
{
	struct fwcfg_item item;

	fwcfg_item(fwcfg, &item);
	uint64_t left = item.len - fwcfg->offset;
	uint64_t n = len < left ? len : left;
	if (len - n > FWCFG_DMA_ZEROS_MAX)
		return false;
	uint8_t *to = len ? mem_hva_rw(fwcfg->mem, gpa, len) : NULL;
	if (!to)
		return !len;
	if (n)
		memcpy(to, item.data + fwcfg->offset, n);
	memset(to + n, 0, len - n);
	mem_wrote(fwcfg->mem, gpa, len);
	fwcfg->offset += n;
	return true;
}

static void fwcfg_dma_skip(struct fwcfg *fwcfg, uint32_t len)
{
	struct fwcfg_item item;

	fwcfg_item(fwcfg, &item);
	uint64_t left = item.len - fwcfg->offset;
	fwcfg->offset += len < left ? len : left;
}

static bool fwcfg_dma_do(struct fwcfg *fwcfg, const struct fwcfg_access *access)
{
	uint32_t control = be32_get(access->control), len = be32_get(access->len);

	if (control & FWCFG_DMA_SELECT)
		fwcfg_select(fwcfg, (uint16_t)(control >> 16));
	if (control & FWCFG_DMA_READ)
		return fwcfg_dma_read(fwcfg, be64_get(access->addr), len);
	if (control & FWCFG_DMA_WRITE)
		return false;
	if (control & FWCFG_DMA_SKIP)
		fwcfg_dma_skip(fwcfg, len);
	return true;
}

static void fwcfg_dma_run(struct fwcfg *fwcfg, gpa_t gpa)
{
	struct fwcfg_access access;

	if (mem_read(fwcfg->mem, gpa, &access, sizeof(access)) < 0)
		return;
	struct be32 result = be32_of(fwcfg_dma_do(fwcfg, &access) ? 0 : FWCFG_DMA_ERROR);
	(void)mem_write(fwcfg->mem, gpa, &result, sizeof(result)); /* nobody is left to tell */
}

/* The address register reads as "QEMU CFG". */
static uint64_t fwcfg_dma_register(struct bus_region *region, uint64_t offset, unsigned len)
{
	static const char signature[] = "QEMU CFG";
	uint64_t value = 0;

	(void)region;
	for (unsigned i = 0; i < len; i++)
		value |= (uint64_t)(uint8_t)signature[offset + i] << (8 * i);
	return value;
}

static void fwcfg_dma_write(struct bus_region *region, uint64_t offset, unsigned len,
			    uint64_t value)
{
	struct fwcfg *fwcfg = container_of(region, struct fwcfg, dma);
	uint32_t word = __builtin_bswap32((uint32_t)value);

	if (len != 4)
		return;
	if (offset == 0) {
		fwcfg->dma_high = word;
	} else if (offset == 4) {
		gpa_t gpa = (gpa_t)fwcfg->dma_high << 32 | word;
		fwcfg->dma_high = 0;
		fwcfg_dma_run(fwcfg, gpa);
	}
}

static const struct bus_ops fwcfg_dma_ops = {
	.name = "fw_cfg-dma",
	.read = fwcfg_dma_register,
	.write = fwcfg_dma_write,
};

/* ---- files ---- */

static size_t fwcfg_name_len(const char *name)
{
	size_t len = 0;

	while (len < FWCFG_NAME_BYTES && name[len])
		len++;
	return len;
}

int fwcfg_file_add(struct fwcfg *fwcfg, const char *name, const void *data, size_t len,
		   struct err *err)
{
	size_t name_len = fwcfg_name_len(name);
	uint8_t *entry = &fwcfg->directory[4 + fwcfg->n_files * FWCFG_DIRECTORY_ENTRY];

	if (!name_len || name_len == FWCFG_NAME_BYTES || len > UINT32_MAX)
		return err_say(err, EINVAL, "add fw_cfg file %.56s: the name or the size cannot be",
			       name);
	if (fwcfg->n_files == FWCFG_FILES)
		return err_say(err, ENOSPC, "add fw_cfg file %s: there are %u already", name,
			       FWCFG_FILES);
	for (unsigned i = 0; i < fwcfg->n_files; i++) {
		if (!memcmp(&fwcfg->directory[4 + i * FWCFG_DIRECTORY_ENTRY + 8], name,
			    name_len + 1))
			return err_say(err, EEXIST, "add fw_cfg file %s: it is there already",
				       name);
	}
	be32_store(entry, (uint32_t)len);
	be16_store(entry + 4, (uint16_t)(FWCFG_FILE_FIRST + fwcfg->n_files));
	memcpy(entry + 8, name, name_len);
	fwcfg->files[fwcfg->n_files++] = (struct fwcfg_file){ data, (uint32_t)len };
	be32_store(fwcfg->directory, fwcfg->n_files);
	return 0;
}

int fwcfg_init(struct fwcfg *fwcfg, struct bus *pio, struct guest_mem *mem, unsigned vcpus,
	       struct err *err)
{
	memset(fwcfg, 0, sizeof(*fwcfg));
	fwcfg->control =
		(struct bus_region){ &fwcfg_ops, &fwcfg->lock, PORT_FW_CFG, FWCFG_CONTROL_BYTES };
	fwcfg->dma =
		(struct bus_region){ &fwcfg_dma_ops, &fwcfg->lock, PORT_FW_CFG + FWCFG_DMA, 8 };
	fwcfg->mem = mem;
	fwcfg->ram_bytes = mem_ram_bytes(mem);
	fwcfg->vcpus = (uint16_t)vcpus;
	int r = bus_add(pio, &fwcfg->control);
	if (r == 0) {
		r = bus_add(pio, &fwcfg->dma);
		if (r < 0)
			bus_remove(pio, &fwcfg->control);
	}
	return r < 0 ? err_say(err, -r, "add fw_cfg: its ports are taken") : 0;
}
