/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF images, as far as a boot loader needs them.
 * Source: System V gABI 4.1, chapter 4 Object Files, and chapter 5 Program Header, Note Section.
 */
#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "machine/boot_priv.h"

#define ELF_HEADERS_MAX 64U

enum elf_ident { ELF_CLASS = 4, ELF_DATA = 5, ELF_CLASS32 = 1, ELF_CLASS64 = 2, ELF_LITTLE = 1 };
enum elf_type { ELF_EXEC = 2, ELF_DYN = 3 };
enum elf_machine { ELF_386 = 3, ELF_X86_64 = 62 };
#define ELF_LOAD   1U
#define ELF_INTERP 3U

struct elf32_header {
	uint8_t ident[16];
	struct le16 type, machine;
	struct le32 version, entry, phoff, shoff, flags;
	struct le16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf64_header {
	uint8_t ident[16];
	struct le16 type, machine;
	struct le32 version;
	struct le64 entry, phoff, shoff;
	struct le32 flags;
	struct le16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf32_segment {
	struct le32 type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

struct elf64_segment {
	struct le32 type, flags;
	struct le64 offset, vaddr, paddr, filesz, memsz, align;
};

_Static_assert(sizeof(struct elf32_header) == 52 && sizeof(struct elf64_header) == 64, "gABI");
_Static_assert(sizeof(struct elf32_segment) == 32 && sizeof(struct elf64_segment) == 56, "gABI");

static int elf_open32(struct boot_elf *elf, unsigned *ret_type, unsigned *ret_machine)
{
	struct elf32_header h;

	if (elf->image_len < sizeof(h))
		return -ENOEXEC;
	memcpy(&h, elf->image, sizeof(h));
	elf->entry = le32_get(h.entry);
	elf->table = le32_get(h.phoff);
	elf->n = le16_get(h.phnum);
	elf->entry_bytes = le16_get(h.phentsize);
	*ret_type = le16_get(h.type);
	*ret_machine = le16_get(h.machine);
	return 0;
}

static int elf_open64(struct boot_elf *elf, unsigned *ret_type, unsigned *ret_machine)
{
	struct elf64_header h;

	if (elf->image_len < sizeof(h))
		return -ENOEXEC;
	memcpy(&h, elf->image, sizeof(h));
	elf->entry = le64_get(h.entry);
	elf->table = le64_get(h.phoff);
	elf->n = le16_get(h.phnum);
	elf->entry_bytes = le16_get(h.phentsize);
	*ret_type = le16_get(h.type);
	*ret_machine = le16_get(h.machine);
	return 0;
}

int boot_elf_open(const struct boot *boot, struct boot_elf *ret)
{
	struct boot_elf elf = { .image = boot->source->kernel,
				.image_len = boot->source->kernel_len };
	unsigned type, machine;
	uint8_t ident[16];

	if (elf.image_len < 4 || memcmp(elf.image, "\177ELF", 4) != 0)
		return 1;
	if (elf.image_len < sizeof(ident))
		return err_say(boot->err, ENOEXEC, "kernel: the ELF image is cut short");
	memcpy(ident, elf.image, sizeof(ident));
	if (ident[ELF_DATA] != ELF_LITTLE ||
	    (ident[ELF_CLASS] != ELF_CLASS32 && ident[ELF_CLASS] != ELF_CLASS64))
		return err_say(boot->err, ENOEXEC, "kernel: an ELF image, but not for x86");
	elf.is64 = ident[ELF_CLASS] == ELF_CLASS64;
	if ((elf.is64 ? elf_open64 : elf_open32)(&elf, &type, &machine) < 0)
		return err_say(boot->err, ENOEXEC, "kernel: the ELF image is cut short");
	if (machine != ELF_386 && machine != ELF_X86_64)
		return err_say(boot->err, ENOEXEC, "kernel: an ELF image, but not for x86");
	if (type != ELF_EXEC && type != ELF_DYN)
		return err_say(boot->err, ENOEXEC,
			       "kernel: an ELF image of type %u, not an executable", type);
	if (elf.n == 0 || elf.n > ELF_HEADERS_MAX)
		return err_say(boot->err, ENOEXEC,
			       "kernel: the ELF image has %u program headers; 1 to %u are expected",
			       elf.n, ELF_HEADERS_MAX);
	size_t least = elf.is64 ? sizeof(struct elf64_segment) : sizeof(struct elf32_segment);
	if (elf.entry_bytes < least ||
	    !boot_slice(elf.image, elf.image_len, elf.table, (uint64_t)elf.n * elf.entry_bytes))
		return err_say(boot->err, ENOEXEC,
			       "kernel: the ELF image's program headers are cut short");
	*ret = elf;
	return 0;
}

void boot_elf_get(const struct boot_elf *elf, unsigned n, struct boot_elf_segment *ret)
{
	const uint8_t *at = elf->image + elf->table + (uint64_t)n * elf->entry_bytes;
	struct elf32_segment s32;
	struct elf64_segment s64;

	if (elf->is64) {
		memcpy(&s64, at, sizeof(s64));
		*ret = (struct boot_elf_segment){
			.type = le32_get(s64.type),
			.offset = le64_get(s64.offset),
			.file_len = le64_get(s64.filesz),
			.mem_len = le64_get(s64.memsz),
			.align = le64_get(s64.align),
			.gpa = le64_get(s64.paddr),
		};
	} else {
		memcpy(&s32, at, sizeof(s32));
		*ret = (struct boot_elf_segment){
			.type = le32_get(s32.type),
			.offset = le32_get(s32.offset),
			.file_len = le32_get(s32.filesz),
			.mem_len = le32_get(s32.memsz),
			.align = le32_get(s32.align),
			.gpa = le32_get(s32.paddr),
		};
	}
}

int boot_elf_load(struct boot *boot, const struct boot_elf *elf, uint64_t entry)
{
	bool has_entry = false;

	for (unsigned i = 0; i < elf->n; i++) {
		struct boot_elf_segment s;
		boot_elf_get(elf, i, &s);
		if (s.type == ELF_INTERP)
			return err_say(boot->err, ENOEXEC,
				       "kernel: not a kernel: an ELF program for a dynamic loader");
		if (s.type != ELF_LOAD || s.mem_len == 0)
			continue;
		const uint8_t *data = boot_slice(elf->image, elf->image_len, s.offset, s.file_len);
		if (!data || s.file_len > s.mem_len)
			return err_say(
				boot->err, ENOEXEC,
				data ? "kernel: ELF segment %u is larger in the file than in memory"
				     : "kernel: ELF segment %u is cut short",
				i);
		int r = boot_put(boot, s.gpa, data, s.file_len, s.mem_len, "kernel");
		if (r < 0)
			return r;
		has_entry = has_entry || entry - s.gpa < s.mem_len;
	}
	if (!has_entry)
		return err_say(boot->err, ENOEXEC,
			       "kernel: the entry point 0x%llx is outside the ELF image's segments",
			       (unsigned long long)entry);
	return 0;
}
