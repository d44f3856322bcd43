/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the boot loader told, whatever protocol it spoke: copied once, bounded, and from then on ours. Loaders are
 * trusted no further than a file would be: a table that points outside of memory or never ends is an error or is cut,
 * never a crash.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOT_RANGES	128U
#define BOOT_FILES	32U
#define BOOT_TEXT_BYTES 4096U		   /* of the command line and all files' together */
#define BOOT_LOW_BYTES	UINT64_C(0x100000) /* below: the firmware's; not handed out */

/* ACPI 6.4, Address Range Types; multiboot and PVH use the same numbers. */
enum boot_range_type {
	BOOT_RAM = 1,
	BOOT_RESERVED = 2,
	BOOT_ACPI = 3,
	BOOT_NVS = 4,
	BOOT_BAD = 5,
};

struct boot_range {
	uint64_t start, len; /* bytes, physical; never wraps */
	uint32_t type;	     /* enum boot_range_type; another number: reserved */
};

/* What multiboot calls a module: the bytes of a file. */
struct boot_file {
	uint64_t start,
		len; /* bytes, physical; inside of RAM is the loader's duty, below 2^52 is checked */
	uint16_t text; /* its words, offset into text[] */
};

/* Multiboot2 Specification 2.0, Framebuffer info. */
enum boot_screen { BOOT_SCREEN_RGB = 1, BOOT_SCREEN_TEXT = 2 };

struct boot_framebuffer {
	uint64_t start; /* physical; 0: there is none */
	uint32_t pitch, width, height;
	uint8_t bits; /* a pixel: 24 or 32, others are not used */
	uint8_t type; /* enum boot_screen; others are not used */
};

struct boot_info {
	const char *protocol; /* "multiboot", "multiboot2", "PVH" */
	struct boot_range ranges[BOOT_RANGES];
	unsigned n_ranges;
	struct boot_file files[BOOT_FILES];
	unsigned n_files;
	uint64_t rsdp; /* physical address of the ACPI root pointer; 0: not told, search for it */
	uint8_t rsdp_copy[36]; /* multiboot2 hands a copy; all zero: there is none */
	struct boot_framebuffer framebuffer;
	uint16_t cmdline; /* offset into text[]; some loaders begin with the image's name */
	char text[BOOT_TEXT_BYTES]; /* [0] is always 0: offset 0 is the empty string */
	unsigned n_text;
	bool is_cut; /* there was more than fits: ranges, files or text were left out */
};

static inline const char *boot_info_cmdline(const struct boot_info *info)
{
	return info->text + info->cmdline;
}

static inline const char *boot_file_text(const struct boot_info *info, unsigned file)
{
	return info->text + info->files[file].text;
}

/*
 * Physical memory as the parsers may read it: address p is at (uint8_t *)(bias + p) for start <= p < end. The image
 * has bias 0; tests have a buffer.
 */
struct boot_view {
	uintptr_t bias;
	uint64_t start, end;
};

/*
 * boot_view_at() - len bytes of physical memory
 * Return: NULL if any of them is outside of the view, or len is 0.
 */
const void *boot_view_at(const struct boot_view *view, uint64_t phys, uint64_t len);

/*
 * boot_info_multiboot1(), boot_info_multiboot2(), boot_info_pvh() - read the loader's tables
 * @phys: what was in EBX
 * Return: 0 or -errno; *ret is complete, or to be thrown away.
 * Errors: -EFAULT (a table is outside of memory), -EPROTO (its sizes contradict themselves), -ENODATA (no memory map).
 * Sources: Multiboot Specification 0.6.96, Boot information format; Multiboot2 Specification 2.0, Boot information; Xen
 * include/public/arch-x86/hvm/start_info.h.
 */
int boot_info_multiboot1(const struct boot_view *view, uint64_t phys, struct boot_info *ret);
int boot_info_multiboot2(const struct boot_view *view, uint64_t phys, struct boot_info *ret);
int boot_info_pvh(const struct boot_view *view, uint64_t phys, struct boot_info *ret);

/*
 * boot_info_word() - value of NAME=VALUE in the command line, or of the bare word NAME
 * @ret: NUL-terminated, cut to room
 * Return: whether the word is there.
 */
bool boot_info_word(const struct boot_info *info, const char *name, char *ret, size_t room);

/* ---- for the parsers ---- */

void boot_info_init(struct boot_info *info, const char *protocol);
/* Each of them leaves out what does not fit or wraps, and sets is_cut. */
void boot_info_add_range(struct boot_info *info, uint64_t start, uint64_t len, uint32_t type);
void boot_info_add_file(struct boot_info *info, uint64_t start, uint64_t len, uint16_t text);
/* Copies a string that ends within the view and most bytes. Return: its offset; 0 (the empty string) if it does not end. */
uint16_t boot_info_add_text(struct boot_info *info, const struct boot_view *view, uint64_t phys,
			    uint64_t most);
