/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fw_cfg: how a guest that came without firmware asks for the size of memory, the number of CPUs and named files. The
 * selector, the data register and DMA; what is offered cannot be written.
 *
 * Thread rule: any vcpu thread, under fwcfg.lock. Files are added before the first vcpu runs.
 * Source: QEMU, docs/specs/fw_cfg.rst; the numbers of the items: QEMU, include/standard-headers/linux/qemu_fw_cfg.h.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/core/err.h"
#include "machine/bus.h"
#include "machine/mem.h"

#define FWCFG_FILES	 16U
#define FWCFG_NAME_BYTES 56U /* NUL included */

struct fwcfg_file {
	const void *data; /* borrowed */
	uint32_t len;
};

struct fwcfg {
	struct lock lock;
	struct bus_region control; /* selector and data */
	struct bus_region dma;
	struct guest_mem *mem;
	uint16_t selected;
	uint64_t offset; /* in the selected item */
	uint32_t dma_high;
	uint64_t ram_bytes;
	uint16_t vcpus;
	struct fwcfg_file files[FWCFG_FILES];
	unsigned n_files;
	uint8_t directory[4 + FWCFG_FILES * 64];
};

/* fwcfg_init() - @pio, @mem: borrowed; RAM is what mem has now. Return: 0, or the bus's error. */
int fwcfg_init(struct fwcfg *fwcfg, struct bus *pio, struct guest_mem *mem, unsigned vcpus,
	       struct err *err);
/*
 * fwcfg_file_add() - a named file
 * @data: borrowed while the machine lives   @len: below 2^32
 * Return: 0; -EINVAL: the name is empty or longer than 55 bytes, or len; -EEXIST; -ENOSPC.
 */
int fwcfg_file_add(struct fwcfg *fwcfg, const char *name, const void *data, size_t len,
		   struct err *err);
