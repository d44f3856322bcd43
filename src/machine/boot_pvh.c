/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF images with a PVH entry point. Sources: Xen docs/misc/pvh.pandoc, x86/HVM direct boot ABI;
 * xen/include/public/arch-x86/hvm/start_info.h, version 1; xen/include/public/elfnote.h.
 */
#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "machine/boot_priv.h"
#include "machine/layout.h"

#define ELF_NOTE	  4U
#define NOTE_PHYS32_ENTRY 18U /* XEN_ELFNOTE_PHYS32_ENTRY */
#define NOTES_MAX	  256U
#define START_MAGIC	  UINT32_C(0x336ec578)

/* Inside the page at LAYOUT_PVH_INFO. */
#define PVH_MODULES (LAYOUT_PVH_INFO + 0x100)
#define PVH_MAP	    (LAYOUT_PVH_INFO + 0x400)

struct note_header {
	struct le32 name_len, desc_len, type;
};

struct start_info {
	struct le32 magic, version, flags, n_modules;
	struct le64 modules, cmdline, rsdp, map;
	struct le32 map_entries, reserved;
};

struct start_module {
	struct le64 gpa, len_bytes, cmdline, reserved;
};

struct start_map_entry {
	struct le64 gpa, len_bytes;
	struct le32 type, reserved;
};

_Static_assert(sizeof(struct start_info) == 56, "start_info.h");
_Static_assert(PVH_MODULES + BOOT_MODULES * sizeof(struct start_module) <= PVH_MAP, "room");
_Static_assert(PVH_MAP + BOOT_MAP * sizeof(struct start_map_entry) <= LAYOUT_PVH_INFO + 0x1000,
	       "room");

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

/* 0 and the entry; 1: these notes have none; -ENOEXEC. */
static int pvh_search(const struct boot *boot, const uint8_t *notes, uint64_t len, uint64_t align,
		      uint32_t *ret)
{
	uint64_t at = 0;

	for (unsigned i = 0; i < NOTES_MAX && at < len; i++) {
		struct note_header h;
		const uint8_t *p = boot_slice(notes, len, at, sizeof(h));
		if (!p)
			break;
		memcpy(&h, p, sizeof(h));
		uint32_t name_len = le32_get(h.name_len), desc_len = le32_get(h.desc_len);
		uint64_t desc_at = align_up(at + sizeof(h) + name_len, align);
		const uint8_t *name = boot_slice(notes, len, at + sizeof(h), name_len);
		const uint8_t *desc = boot_slice(notes, len, desc_at, desc_len);
		if (!name || !desc)
			break;
		at = align_up(desc_at + desc_len, align);
		if (le32_get(h.type) != NOTE_PHYS32_ENTRY || name_len != 4 ||
		    memcmp(name, "Xen", 4) != 0)
			continue;
		uint64_t entry = desc_len == 8 ? le64_load(desc) : 0;
		if (desc_len == 4)
			entry = le32_load(desc);
		if ((desc_len != 4 && desc_len != 8) || entry > UINT32_MAX)
			return err_say(boot->err, ENOEXEC,
				       "kernel: its PVH note holds no 32-bit entry point");
		*ret = (uint32_t)entry;
		return 0;
	}
	return 1;
}

static int pvh_entry(const struct boot *boot, const struct boot_elf *elf, uint32_t *ret)
{
	int r = 1;

	for (unsigned i = 0; r == 1 && i < elf->n; i++) {
		struct boot_elf_segment s;
		boot_elf_get(elf, i, &s);
		if (s.type != ELF_NOTE)
			continue;
		const uint8_t *notes = boot_slice(elf->image, elf->image_len, s.offset, s.file_len);
		if (!notes)
			return err_say(boot->err, ENOEXEC, "kernel: its ELF notes are cut short");
		r = pvh_search(boot, notes, s.file_len, s.align == 8 ? 8 : 4, ret);
	}
	return r;
}

static int pvh_modules(struct boot *boot)
{
	struct start_module list[BOOT_MODULES] = { 0 };
	unsigned n = boot_module_count(boot->source);

	for (unsigned i = 0; i < n; i++) {
		struct boot_module m = boot_module_get(boot->source, i);
		gpa_t gpa, cmdline = 0;
		int r = boot_put_high(boot, m.data, m.len_bytes, LAYOUT_LOW_RAM_MAX,
				      boot_module_name(boot->source, i), &gpa);
		if (r == 0 && m.cmdline)
			r = boot_put_string(boot, m.cmdline, UINT64_MAX, &cmdline);
		if (r < 0)
			return r;
		list[i] = (struct start_module){
			.gpa = le64_of(gpa),
			.len_bytes = le64_of(m.len_bytes),
			.cmdline = le64_of(cmdline),
		};
	}
	return n ? boot_table(boot, PVH_MODULES, list, n * sizeof(list[0])) : 0;
}

static int pvh_map(struct boot *boot, unsigned *ret_n)
{
	struct boot_map_entry map[BOOT_MAP];
	struct start_map_entry list[BOOT_MAP] = { 0 };
	unsigned n = boot_map(boot->mem, map);

	for (unsigned i = 0; i < n; i++)
		list[i] = (struct start_map_entry){
			.gpa = le64_of(map[i].gpa),
			.len_bytes = le64_of(map[i].len_bytes),
			.type = le32_of(map[i].type),
		};
	*ret_n = n;
	return boot_table(boot, PVH_MAP, list, n * sizeof(list[0]));
}

static int pvh_info(struct boot *boot)
{
	unsigned n_modules = boot_module_count(boot->source), n_map = 0;
	gpa_t cmdline = 0;
	int r = boot_put_string(boot, boot->source->cmdline, UINT64_MAX, &cmdline);

	if (r == 0)
		r = pvh_modules(boot);
	if (r == 0)
		r = pvh_map(boot, &n_map);
	struct start_info info = {
		.magic = le32_of(START_MAGIC),
		.version = le32_of(1),
		.n_modules = le32_of(n_modules),
		.modules = le64_of(n_modules ? PVH_MODULES : 0),
		.cmdline = le64_of(cmdline),
		.rsdp = le64_of(LAYOUT_ACPI),
		.map = le64_of(PVH_MAP),
		.map_entries = le32_of(n_map),
	};
	return r < 0 ? r : boot_table(boot, LAYOUT_PVH_INFO, &info, sizeof(info));
}

int boot_pvh(struct boot *boot, struct x86_state *ret)
{
	struct boot_elf elf;
	uint32_t entry = 0;
	int r = boot_elf_open(boot, &elf);

	if (r == 0)
		r = pvh_entry(boot, &elf, &entry);
	if (r == 0)
		r = boot_elf_load(boot, &elf, entry);
	if (r == 0)
		r = pvh_info(boot);
	if (r == 0)
		r = boot_state32(boot, entry, ret);
	if (r == 0)
		ret->regs[X86_RBX] = LAYOUT_PVH_INFO;
	return r;
}
