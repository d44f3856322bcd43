/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux by its own 64-bit protocol: a bzImage, or a plain vmlinux. What is inside a bzImage stays packed: the
 * kernel unpacks itself. Source: Linux Documentation/arch/x86/boot.rst (The Real-Mode Kernel Header; 64-bit Boot
 * Protocol), Documentation/arch/x86/zero-page.rst.
 */
#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "machine/boot_priv.h"
#include "machine/layout.h"

#define ZERO_PAGE_BYTES	 4096U
#define HEADER_MAGIC	 UINT32_C(0x53726448) /* "HdrS" */
#define HEADER_BOOT_FLAG 0xaa55U
#define HEADER_VERSION	 0x20cU /* 2.12, Linux 3.8: the first with xloadflags */
#define ENTRY_64	 0x200U
#define VMLINUX_CMDLINE	 2047U /* COMMAND_LINE_SIZE without its NUL */

/* Offsets, the same in the image and in the zero page. */
enum header {
	HEADER_START = 0x1f1,
	HEADER_SETUP_SECTS = 0x1f1,
	HEADER_SYSSIZE = 0x1f4,
	HEADER_VID_MODE = 0x1fa,
	HEADER_FLAG = 0x1fe,
	HEADER_JUMP_LEN = 0x201,
	HEADER_HDRS = 0x202,
	HEADER_PROTOCOL = 0x206,
	HEADER_LOADER = 0x210,
	HEADER_LOADFLAGS = 0x211,
	HEADER_RAMDISK = 0x218,
	HEADER_RAMDISK_LEN = 0x21c,
	HEADER_CMDLINE = 0x228,
	HEADER_INITRD_MAX = 0x22c,
	HEADER_ALIGNMENT = 0x230,
	HEADER_XLOADFLAGS = 0x236,
	HEADER_CMDLINE_LEN = 0x238,
	HEADER_SETUP_DATA = 0x250,
	HEADER_PREFERRED = 0x258,
	HEADER_INIT_LEN = 0x260,
	HEADER_LEAST = 0x268, /* as of 2.12 */
	HEADER_END = 0x290,   /* where the zero page goes on with something else */
};

/* Offsets in the zero page alone. */
enum zero_page {
	ZERO_RSDP = 0x70,
	ZERO_MAP_ENTRIES = 0x1e8,
	ZERO_MAP = 0x2d0,
	ZERO_MAP_ENTRY_BYTES = 20,
};

enum { LOADED_HIGH = 1, KERNEL_64 = 1, LOADER_UNREGISTERED = 0xff };

_Static_assert(ZERO_MAP + BOOT_MAP * ZERO_MAP_ENTRY_BYTES <= ZERO_PAGE_BYTES, "room");

static void linux_map(const struct boot *boot, uint8_t *zero_page)
{
	struct boot_map_entry map[BOOT_MAP];
	unsigned n = boot_map(boot->mem, map);

	zero_page[ZERO_MAP_ENTRIES] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++) {
		uint8_t *to = zero_page + ZERO_MAP + i * ZERO_MAP_ENTRY_BYTES;
		le64_store(to, map[i].gpa);
		le64_store(to + 8, map[i].len_bytes);
		le32_store(to + 16, map[i].type);
	}
}

/* The header is in the zero page already; what the loader says is added, and the page written. */
static int linux_zero_page(struct boot *boot, uint8_t *zero_page, uint64_t cmdline_max,
			   gpa_t initrd_end)
{
	const struct boot_source *source = boot->source;
	gpa_t cmdline = 0, initrd = 0;

	if (source->n_modules)
		return err_say(boot->err, EINVAL,
			       "modules: Linux's boot protocol has none; give an initrd");
	int r = boot_put_string(boot, source->cmdline, cmdline_max, &cmdline);
	if (r == 0 && source->initrd)
		r = boot_put_high(boot, source->initrd, source->initrd_len, initrd_end, "initrd",
				  &initrd);
	if (r < 0)
		return r;
	zero_page[HEADER_LOADER] = LOADER_UNREGISTERED;
	le16_store(zero_page + HEADER_VID_MODE, 0xffff); /* "normal" */
	le32_store(zero_page + HEADER_CMDLINE, (uint32_t)cmdline);
	le32_store(zero_page + HEADER_RAMDISK, (uint32_t)initrd);
	le32_store(zero_page + HEADER_RAMDISK_LEN, initrd ? (uint32_t)source->initrd_len : 0);
	le64_store(zero_page + HEADER_SETUP_DATA, 0);
	le64_store(zero_page + ZERO_RSDP, LAYOUT_ACPI);
	linux_map(boot, zero_page);
	return boot_table(boot, LAYOUT_ZERO_PAGE, zero_page, ZERO_PAGE_BYTES);
}

static int linux_start(struct boot *boot, uint64_t entry, struct x86_state *ret)
{
	int r = boot_state64(boot, entry, ret);

	ret->regs[X86_RSI] = LAYOUT_ZERO_PAGE;
	return r;
}

/* The real-mode header, copied to where the zero page has it; 0, 1: no bzImage, -ENOEXEC. */
static int bzimage_header(const struct boot *boot, uint8_t *zero_page)
{
	const struct boot_source *source = boot->source;
	const uint8_t *p = boot_slice(source->kernel, source->kernel_len, 0, HEADER_PROTOCOL + 2);

	if (!p || le16_load(p + HEADER_FLAG) != HEADER_BOOT_FLAG ||
	    le32_load(p + HEADER_HDRS) != HEADER_MAGIC)
		return 1;
	unsigned version = le16_load(p + HEADER_PROTOCOL);
	if (version < HEADER_VERSION)
		return err_say(
			boot->err, ENOEXEC,
			"kernel: a Linux of boot protocol %u.%02u; 2.12 (Linux 3.8) is the least",
			version >> 8, version & 0xff);
	uint64_t end = HEADER_HDRS + (uint64_t)p[HEADER_JUMP_LEN];
	if (end < HEADER_LEAST || !boot_slice(p, source->kernel_len, 0, end))
		return err_say(boot->err, ENOEXEC, "kernel: the bzImage's header is cut short");
	if (end > HEADER_END)
		end = HEADER_END;
	memcpy(zero_page + HEADER_START, p + HEADER_START, end - HEADER_START);
	if (!(le16_load(zero_page + HEADER_XLOADFLAGS) & KERNEL_64) ||
	    !(zero_page[HEADER_LOADFLAGS] & LOADED_HIGH))
		return err_say(boot->err, ENOEXEC, "kernel: a bzImage without a 64-bit entry");
	return 0;
}

/* The protected-mode part, to the preferred address, with the room that unpacking takes. */
static int bzimage_load(struct boot *boot, const uint8_t *zero_page, gpa_t *ret)
{
	const struct boot_source *source = boot->source;
	unsigned sectors = zero_page[HEADER_SETUP_SECTS];
	uint64_t offset = ((sectors ? sectors : 4) + 1) * UINT64_C(512);
	uint64_t len = source->kernel_len > offset ? source->kernel_len - offset : 0;
	uint64_t paragraphs = le32_load(zero_page + HEADER_SYSSIZE);
	gpa_t gpa = le64_load(zero_page + HEADER_PREFERRED);
	uint64_t room = le32_load(zero_page + HEADER_INIT_LEN);

	if (len <= ENTRY_64 || (len + 15) / 16 < paragraphs)
		return err_say(boot->err, ENOEXEC, "kernel: the bzImage is cut short");
	int r = boot_claim(boot, gpa, room > len ? room : len, "kernel");
	if (r == 0)
		r = boot_table(boot, gpa, source->kernel + offset, len);
	if (r == 0)
		*ret = gpa;
	return r;
}

int boot_bzimage(struct boot *boot, struct x86_state *ret)
{
	uint8_t zero_page[ZERO_PAGE_BYTES] = { 0 };
	gpa_t gpa = 0;
	int r = bzimage_header(boot, zero_page);

	if (r == 0)
		r = boot_long_claim(boot);
	if (r == 0)
		r = bzimage_load(boot, zero_page, &gpa);
	if (r == 0)
		r = linux_zero_page(boot, zero_page, le32_load(zero_page + HEADER_CMDLINE_LEN),
				    (gpa_t)le32_load(zero_page + HEADER_INITRD_MAX) + 1);
	return r ? r : linux_start(boot, gpa + ENTRY_64, ret);
}

int boot_vmlinux(struct boot *boot, struct x86_state *ret)
{
	uint8_t zero_page[ZERO_PAGE_BYTES] = { 0 };
	struct boot_elf elf;
	int r = boot_elf_open(boot, &elf);

	if (r)
		return r;
	if (!elf.is64)
		return err_say(
			boot->err, ENOEXEC,
			"kernel: a 32-bit ELF image without a PVH note or a multiboot header");
	r = boot_long_claim(boot);
	if (r == 0)
		r = boot_elf_load(boot, &elf, elf.entry);
	le16_store(zero_page + HEADER_FLAG, HEADER_BOOT_FLAG);
	le32_store(zero_page + HEADER_HDRS, HEADER_MAGIC);
	le16_store(zero_page + HEADER_PROTOCOL, HEADER_VERSION);
	zero_page[HEADER_LOADFLAGS] = LOADED_HIGH;
	le32_store(zero_page + HEADER_ALIGNMENT, 0x1000000); /* CONFIG_PHYSICAL_ALIGN's most */
	le32_store(zero_page + HEADER_CMDLINE_LEN, VMLINUX_CMDLINE);
	if (r == 0)
		r = linux_zero_page(boot, zero_page, VMLINUX_CMDLINE, LAYOUT_LOW_RAM_MAX);
	return r ? r : linux_start(boot, elf.entry, ret);
}
