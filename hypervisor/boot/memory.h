/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which of the server's memory is free once the loader has left. */
#include "boot/info.h"

#define BOOT_FREE_RANGES 256U

struct boot_free {
	struct boot_range ranges[BOOT_FREE_RANGES]; /* whole pages, disjoint; of BOOT_RAM */
	unsigned n;
	bool is_cut; /* there were more pieces than fit: the smallest were left out */
};

/*
 * boot_free_memory() - RAM from 1 MiB up, less everything that another range says is not RAM, less the files, less
 * what is taken
 * @taken: ranges that are in use besides (the image); types are ignored   @ret: sorted as the loader had them
 * A byte that two ranges claim is free only if both say RAM.
 */
void boot_free_memory(const struct boot_info *info, const struct boot_range *taken,
		      unsigned n_taken, struct boot_free *ret);

/* boot_ram_end() - first byte behind all RAM, and behind everything else that the map describes as memory of ACPI */
uint64_t boot_ram_end(const struct boot_info *info);

/* boot_ram_bytes() - all RAM that the map describes, whoever uses it; boot_file_bytes(): what the loader's files take of it */
uint64_t boot_ram_bytes(const struct boot_info *info);
uint64_t boot_file_bytes(const struct boot_info *info);

/* boot_has_file() - whether a file of the loader's has a byte of [start, end) */
bool boot_has_file(const struct boot_info *info, uint64_t start, uint64_t end);

/*
 * boot_low_page() - a page of RAM below 640 KiB, where application processors can start (SDM 3A, MP Initialization)
 * Return: its address, 0x1000 up; 0: there is none.
 */
uint64_t boot_low_page(const struct boot_info *info);
