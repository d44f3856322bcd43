/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the loaders of boot.h share. Private to them. */
#include <stdbool.h>
#include <stddef.h>

#include "machine/boot.h"

#define BOOT_CLAIMS	   96
#define BOOT_MAP	   24	/* at most four a slot, and the fixed ones */
#define BOOT_CODE_SELECTOR 0x10 /* as Linux's protocol wants them: __BOOT_CS */
#define BOOT_DATA_SELECTOR 0x18 /* __BOOT_DS */
#define BOOT_TSS_SELECTOR  0x20

struct boot_claim {
	gpa_t gpa;
	uint64_t len_bytes;
	const char *what; /* "kernel", "initrd" */
};

struct boot {
	struct guest_mem *mem;
	const struct boot_source *source;
	struct err *err;
	struct boot_claim claims[BOOT_CLAIMS];
	unsigned n_claims;
	uint64_t cmdline_used; /* bytes of LAYOUT_CMDLINE */
};

/* E820 types; PVH's memory map has the same numbers. Source: ACPI 6.5, Address Range Types. */
enum boot_map_type { BOOT_MAP_RAM = 1, BOOT_MAP_RESERVED = 2 };

struct boot_map_entry {
	gpa_t gpa;
	uint64_t len_bytes;
	enum boot_map_type type;
};

/* boot_slice() - len bytes at offset of an image, or NULL where it is shorter. */
const uint8_t *boot_slice(const uint8_t *image, uint64_t image_len, uint64_t offset, uint64_t len);

/* boot_claim() - take a range of RAM for what; 0, -ENOEXEC on overlap, -ENOMEM outside of RAM. */
int boot_claim(struct boot *boot, gpa_t gpa, uint64_t len_bytes, const char *what);
/* boot_put() - claim mem_len bytes, copy len there and clear the rest. mem_len >= len. */
int boot_put(struct boot *boot, gpa_t gpa, const uint8_t *data, uint64_t len, uint64_t mem_len,
	     const char *what);
/*
 * boot_put_high() - copy where nothing is yet: the highest page-aligned place that ends at or below end
 * Return: 0 and the address; -ENOMEM.
 */
int boot_put_high(struct boot *boot, const uint8_t *data, uint64_t len, gpa_t end, const char *what,
		  gpa_t *ret);
/* boot_put_string() - NUL-terminated text into LAYOUT_CMDLINE; at most max bytes without the NUL. */
int boot_put_string(struct boot *boot, const char *text, uint64_t max, gpa_t *ret);
/* boot_table() - our own table into a range that boot_load() has claimed. */
int boot_table(struct boot *boot, gpa_t gpa, const void *table, uint64_t len);

/* boot_map() - the memory map; Return: entries, at most BOOT_MAP, ascending. */
unsigned boot_map(const struct guest_mem *mem, struct boot_map_entry ret[BOOT_MAP]);
/* boot_module_get() - the nth module: the initrd first, where there is one. */
struct boot_module boot_module_get(const struct boot_source *source, unsigned n);
/* boot_module_name() - "initrd" or "module", for messages. */
const char *boot_module_name(const struct boot_source *source, unsigned n);
unsigned boot_module_count(const struct boot_source *source);

/* boot_state32(), boot_state64() - the CPU's state at the entry point, and the GDT and page tables it needs. */
/* boot_long_claim() - boot_state64()'s tables, before anything of such an image is placed. */
int boot_long_claim(struct boot *boot);
int boot_state32(struct boot *boot, uint32_t entry, struct x86_state *ret);
int boot_state64(struct boot *boot, uint64_t entry, struct x86_state *ret);

/* One LOAD or NOTE entry of a program header table, 32-bit or 64-bit. */
struct boot_elf_segment {
	uint32_t type;
	uint64_t offset, file_len, mem_len, align;
	gpa_t gpa; /* p_paddr */
};

struct boot_elf {
	const uint8_t *image;
	uint64_t image_len;
	bool is64;
	uint64_t entry; /* as the header has it */
	uint64_t table; /* e_phoff */
	unsigned n, entry_bytes;
};

/* boot_elf_open() - check the header; 0, 1: no ELF image, -ENOEXEC. */
int boot_elf_open(const struct boot *boot, struct boot_elf *ret);
void boot_elf_get(const struct boot_elf *elf, unsigned n, struct boot_elf_segment *ret);
/* boot_elf_load() - every LOAD segment to its physical address. @entry must lie in one: else -ENOEXEC. */
int boot_elf_load(struct boot *boot, const struct boot_elf *elf, uint64_t entry);

/* The loaders: 0 loaded, -errno with a text, 1: not mine. */
int boot_bzimage(struct boot *boot, struct x86_state *ret);
int boot_pvh(struct boot *boot, struct x86_state *ret);
int boot_multiboot(struct boot *boot, struct x86_state *ret);
int boot_vmlinux(struct boot *boot, struct x86_state *ret);
