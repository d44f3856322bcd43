/* SPDX-License-Identifier: Apache-2.0 */
/* What the hypervisor reads before it trusts anything: the loader's tables by three protocols, ACPI, a partition table. */
#include <stdlib.h>
#include <string.h>

#include "base/core/gpt.h"
#include "boot/memory.h"
#include "core/firmware.h"
#include "fuzz_copy.h"

#define PHYS	UINT64_C(0x10000)
#define SECTORS UINT64_C(131072)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_info(const struct boot_info *info)
{
	static struct boot_free free;

	if (info->n_ranges > BOOT_RANGES || info->n_files > BOOT_FILES ||
	    info->n_text > BOOT_TEXT_BYTES ||
	    !memchr(boot_info_cmdline(info), 0, BOOT_TEXT_BYTES - info->cmdline))
		abort();
	boot_free_memory(info, NULL, 0, &free);
	for (unsigned i = 0; i < free.n; i++) {
		for (unsigned k = 0; k < info->n_ranges; k++) {
			const struct boot_range *range = &info->ranges[k];
			if (range->type != BOOT_RAM &&
			    range->start < free.ranges[i].start + free.ranges[i].len &&
			    free.ranges[i].start < range->start + range->len)
				abort(); /* handed out what is not RAM */
		}
	}
}

static void check_table(const uint8_t *data, size_t size)
{
	struct gpt_part parts[GPT_PARTS];
	uint64_t entries;
	uint32_t bytes;

	if (size < 512 || gpt_header(data, 512, 1, SECTORS, &entries, &bytes) < 0 ||
	    bytes > size - 512)
		return;
	int n = gpt_table(data, data + 512, bytes, 512, SECTORS, parts);
	for (int i = 0; i < n; i++) {
		if (parts[i].start_bytes + parts[i].len_bytes > SECTORS * 512)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct boot_info info;
	static struct firmware firmware;
	uint8_t *copy = fuzz_copy(data, size);
	const struct boot_view view = { (uintptr_t)copy - PHYS, PHYS, PHYS + size };
	int (*const readers[])(const struct boot_view *, uint64_t,
			       struct boot_info *) = { boot_info_multiboot1, boot_info_multiboot2,
						       boot_info_pvh };
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
		if (readers[i](&view, PHYS, &info) == 0)
			check_info(&info);
	}
	boot_info_init(&info, "fuzz");
	info.rsdp = PHYS;
	if (firmware_find(&view, &info, &firmware) && firmware.n_cpus > CPU_MAX)
		abort();
	check_table(copy, size);
	free(copy);
	return 0;
}
