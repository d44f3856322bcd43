/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiboot 1: an ELF image, or a flat one whose header says where it goes.
 * Source: Multiboot Specification 0.6.96: OS image format; Machine state; Boot information format.
 */
#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "machine/boot_priv.h"
#include "machine/layout.h"

#define HEADER_MAGIC  UINT32_C(0x1badb002)
#define HEADER_SEARCH 8192U
#define BOOT_MAGIC    UINT32_C(0x2badb002)

enum header_flag {
	HEADER_ALIGN = 0x1,
	HEADER_MEMORY = 0x2,
	HEADER_VIDEO = 0x4,
	HEADER_MUST = 0xffff, /* what a loader must know or refuse */
	HEADER_ADDRESSES = 0x10000,
};

enum info_flag {
	INFO_MEMORY = 0x1,
	INFO_CMDLINE = 0x4,
	INFO_MODULES = 0x8,
	INFO_MAP = 0x40,
	INFO_LOADER = 0x200,
};

struct multiboot_header {
	struct le32 magic, flags, checksum;
	struct le32 header, load, load_end, bss_end, entry; /* with HEADER_ADDRESSES */
};

struct multiboot_info {
	struct le32 flags, mem_lower_kib, mem_upper_kib, boot_device, cmdline, n_modules, modules;
	struct le32 symbols[4];
	struct le32 map_bytes, map, drives_bytes, drives, config, loader, apm;
};

struct multiboot_module {
	struct le32 start, end, string, reserved;
};

struct multiboot_map_entry {
	struct le32 size; /* of what follows */
	struct le32 gpa_low, gpa_high, len_low, len_high, type;
};

_Static_assert(sizeof(struct multiboot_info) == 72, "up to apm_table");
_Static_assert(sizeof(struct multiboot_map_entry) == 24, "size, and 20 bytes");

/* Inside the page at LAYOUT_ZERO_PAGE. */
#define MULTIBOOT_MODULES (LAYOUT_ZERO_PAGE + 0x100)
#define MULTIBOOT_MAP	  (LAYOUT_ZERO_PAGE + 0x400)

_Static_assert(MULTIBOOT_MODULES + BOOT_MODULES * sizeof(struct multiboot_module) <= MULTIBOOT_MAP,
	       "room");
_Static_assert(MULTIBOOT_MAP + BOOT_MAP * sizeof(struct multiboot_map_entry) <=
		       LAYOUT_ZERO_PAGE + 0x1000,
	       "room");

/* 0 and the header with its offset; 1: there is none. */
static int multiboot_search(const struct boot_source *source, struct multiboot_header *ret,
			    uint64_t *ret_offset)
{
	const size_t least = offsetof(struct multiboot_header, header);

	for (uint64_t at = 0; at + least <= HEADER_SEARCH; at += 4) {
		const uint8_t *p = boot_slice(source->kernel, source->kernel_len, at, least);
		struct multiboot_header h = { 0 };
		if (!p)
			return 1;
		memcpy(&h, p, least);
		if (le32_get(h.magic) != HEADER_MAGIC ||
		    le32_get(h.magic) + le32_get(h.flags) + le32_get(h.checksum) != 0)
			continue;
		if (le32_get(h.flags) & HEADER_ADDRESSES) {
			p = boot_slice(source->kernel, source->kernel_len, at, sizeof(h));
			if (!p)
				return 1;
			memcpy(&h.header, p + least, sizeof(h) - least);
		}
		*ret = h;
		*ret_offset = at;
		return 0;
	}
	return 1;
}

static int multiboot_check(const struct boot *boot, const struct multiboot_header *h)
{
	uint32_t must = le32_get(h->flags) & HEADER_MUST;

	if (must & HEADER_VIDEO)
		return err_say(
			boot->err, ENOEXEC,
			"kernel: its multiboot header wants a video mode; this machine has no display");
	if (must & ~(uint32_t)(HEADER_ALIGN | HEADER_MEMORY))
		return err_say(
			boot->err, ENOEXEC,
			"kernel: its multiboot header wants what version 1 does not know: flags 0x%x",
			must);
	return 0;
}

static int multiboot_load_flat(struct boot *boot, const struct multiboot_header *h, uint64_t offset,
			       uint32_t *ret_entry)
{
	const struct boot_source *source = boot->source;
	uint64_t header = le32_get(h->header), load = le32_get(h->load);
	uint64_t load_end = le32_get(h->load_end), bss_end = le32_get(h->bss_end);
	uint64_t entry = le32_get(h->entry);

	if (header < load || header - load > offset)
		return err_say(boot->err, ENOEXEC,
			       "kernel: its multiboot header lies outside what it wants loaded");
	uint64_t from = offset - (header - load);
	uint64_t len = load_end ? load_end - load : source->kernel_len - from;
	const uint8_t *data = load_end && load_end < load
				      ? NULL
				      : boot_slice(source->kernel, source->kernel_len, from, len);
	if (!data)
		return err_say(boot->err, ENOEXEC, "kernel: the multiboot image is cut short");
	if (bss_end && bss_end < load + len)
		return err_say(boot->err, ENOEXEC,
			       "kernel: its multiboot header ends before the image does");
	uint64_t mem_len = bss_end ? bss_end - load : len;
	if (entry - load >= mem_len)
		return err_say(boot->err, ENOEXEC,
			       "kernel: the entry point 0x%llx is outside the multiboot image",
			       (unsigned long long)entry);
	*ret_entry = (uint32_t)entry;
	return boot_put(boot, load, data, len, mem_len, "kernel");
}

static int multiboot_load_elf(struct boot *boot, uint32_t *ret_entry)
{
	struct boot_elf elf;
	int r = boot_elf_open(boot, &elf);

	if (r > 0)
		return err_say(
			boot->err, ENOEXEC,
			"kernel: a multiboot header, but no ELF image and no load addresses");
	if (r == 0 && elf.entry > UINT32_MAX)
		return err_say(boot->err, ENOEXEC, "kernel: the entry point 0x%llx is above 4 GiB",
			       (unsigned long long)elf.entry);
	if (r == 0)
		r = boot_elf_load(boot, &elf, elf.entry);
	if (r == 0)
		*ret_entry = (uint32_t)elf.entry;
	return r;
}

static int multiboot_modules(struct boot *boot)
{
	struct multiboot_module list[BOOT_MODULES] = { 0 };
	unsigned n = boot_module_count(boot->source);

	for (unsigned i = 0; i < n; i++) {
		struct boot_module m = boot_module_get(boot->source, i);
		const char *name = boot_module_name(boot->source, i);
		gpa_t gpa = 0, string = 0;
		int r = boot_put_high(boot, m.data, m.len_bytes, LAYOUT_LOW_RAM_MAX, name, &gpa);
		if (r == 0)
			r = boot_put_string(boot, m.cmdline ? m.cmdline : name, UINT64_MAX,
					    &string);
		if (r < 0)
			return r;
		list[i].start = le32_of((uint32_t)gpa);
		list[i].end = le32_of((uint32_t)(gpa + m.len_bytes));
		list[i].string = le32_of((uint32_t)string);
	}
	return n ? boot_table(boot, MULTIBOOT_MODULES, list, n * sizeof(list[0])) : 0;
}

/* *ret_upper_kib: how much RAM goes on from 1 MiB. */
static int multiboot_map(struct boot *boot, unsigned *ret_n, uint32_t *ret_upper_kib)
{
	struct boot_map_entry map[BOOT_MAP];
	struct multiboot_map_entry list[BOOT_MAP] = { 0 };
	unsigned n = boot_map(boot->mem, map);

	for (unsigned i = 0; i < n; i++) {
		list[i] = (struct multiboot_map_entry){
			.size = le32_of(sizeof(list[0]) - sizeof(list[0].size)),
			.gpa_low = le32_of((uint32_t)map[i].gpa),
			.gpa_high = le32_of((uint32_t)(map[i].gpa >> 32)),
			.len_low = le32_of((uint32_t)map[i].len_bytes),
			.len_high = le32_of((uint32_t)(map[i].len_bytes >> 32)),
			.type = le32_of(map[i].type),
		};
		if (map[i].gpa == LAYOUT_KERNEL && map[i].type == BOOT_MAP_RAM)
			*ret_upper_kib = (uint32_t)(map[i].len_bytes >> 10);
	}
	*ret_n = n;
	return boot_table(boot, MULTIBOOT_MAP, list, n * sizeof(list[0]));
}

/* Loaders put the kernel's name in front, and kernels count on it: argv[0]. */
static int multiboot_cmdline(struct boot *boot, gpa_t *ret)
{
	const char *text = boot->source->cmdline;
	gpa_t rest;
	int r = boot_put_string(boot, "kernel", UINT64_MAX, ret);

	if (r < 0 || !text || !text[0])
		return r;
	r = boot_put_string(boot, text, UINT64_MAX, &rest);
	return r < 0 ? r : boot_table(boot, rest - 1, " ", 1);
}

static int multiboot_info(struct boot *boot)
{
	unsigned n_modules = boot_module_count(boot->source), n_map = 0;
	gpa_t cmdline = 0, loader = 0;
	uint32_t upper_kib = 0;
	int r = multiboot_cmdline(boot, &cmdline);

	if (r == 0)
		r = boot_put_string(boot, "Strata", UINT64_MAX, &loader);
	if (r == 0)
		r = multiboot_modules(boot);
	if (r == 0)
		r = multiboot_map(boot, &n_map, &upper_kib);
	struct multiboot_info info = {
		.flags = le32_of(INFO_MEMORY | INFO_CMDLINE | INFO_MAP | INFO_LOADER |
				 (n_modules ? INFO_MODULES : 0U)),
		.mem_lower_kib = le32_of(LAYOUT_EBDA >> 10),
		.mem_upper_kib = le32_of(upper_kib),
		.cmdline = le32_of((uint32_t)cmdline),
		.n_modules = le32_of(n_modules),
		.modules = le32_of(n_modules ? MULTIBOOT_MODULES : 0),
		.map_bytes = le32_of((uint32_t)(n_map * sizeof(struct multiboot_map_entry))),
		.map = le32_of(MULTIBOOT_MAP),
		.loader = le32_of((uint32_t)loader),
	};
	return r < 0 ? r : boot_table(boot, LAYOUT_ZERO_PAGE, &info, sizeof(info));
}

int boot_multiboot(struct boot *boot, struct x86_state *ret)
{
	struct multiboot_header h;
	uint64_t offset;
	uint32_t entry = 0;
	int r = multiboot_search(boot->source, &h, &offset);

	if (r == 0)
		r = multiboot_check(boot, &h);
	if (r == 0)
		r = le32_get(h.flags) & HEADER_ADDRESSES
			    ? multiboot_load_flat(boot, &h, offset, &entry)
			    : multiboot_load_elf(boot, &entry);
	if (r == 0)
		r = multiboot_info(boot);
	if (r == 0)
		r = boot_state32(boot, entry, ret);
	if (r == 0) {
		ret->regs[X86_RAX] = BOOT_MAGIC;
		ret->regs[X86_RBX] = LAYOUT_ZERO_PAGE;
	}
	return r;
}
